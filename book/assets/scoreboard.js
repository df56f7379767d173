// Sorting and filtering of the scoreboard's tables. Without this file they are plain tables.
(() => {
  const SORTS = { Id: "order", Experiment: "title", "Networks and n": "n", Seconds: "seconds" };

  function compare(a, b) {
    if (a === "" || b === "") return (a === "") - (b === ""); // what is absent comes last
    return a.localeCompare(b, "en", { numeric: true });
  }

  function sort(table, key, descending) {
    const body = table.tBodies[0];
    const rows = [...body.rows];
    rows.sort((r, s) => {
      const [a, b] = [r.dataset[key] || "", s.dataset[key] || ""];
      return descending && a !== "" && b !== "" ? compare(b, a) : compare(a, b);
    });
    body.append(...rows);
    for (const th of table.tHead.rows[0].cells) {
      if (!th.dataset.key) continue;
      th.setAttribute("aria-sort", th.dataset.key !== key ? "none" : descending ? "descending" : "ascending");
    }
  }

  function heads(tables) {
    for (const table of tables) {
      for (const th of table.tHead.rows[0].cells) {
        const label = th.textContent;
        if (!SORTS[label]) continue;
        th.dataset.key = SORTS[label];
        th.setAttribute("aria-sort", "none");
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = label;
        button.addEventListener("click", () => sort(table, SORTS[label], th.getAttribute("aria-sort") === "ascending"));
        th.replaceChildren(button);
      }
    }
  }

  function select(label, options) {
    const box = document.createElement("select");
    for (const [value, words] of options) box.add(new Option(words, value));
    return labelled(label, box);
  }

  function labelled(label, box) {
    const frame = document.createElement("span");
    const words = document.createElement("label");
    box.id = `uapkit-${label.toLowerCase().replace(" ", "-")}`;
    words.htmlFor = box.id;
    words.textContent = label;
    frame.append(words, " ", box);
    return [frame, box];
  }

  function start() {
    const tables = [...document.querySelectorAll("table.uapkit-scoreboard")];
    if (!tables.length) return;
    heads(tables);
    const place = document.getElementById("uapkit-controls");
    if (!place) return; // the chapters show a part of the table, which is short
    const rows = tables.flatMap((table) => [...table.tBodies[0].rows]);
    const papers = [...new Set(rows.map((row) => row.dataset.paper))];
    const verdicts = [...new Set(rows.flatMap((row) => row.dataset.verdicts.split("|")))].sort();
    const [paperFrame, paper] = select("Paper", [["", "all"], ...papers.map((p) => [p, p])]);
    const [verdictFrame, verdict] = select("Verdict", [["", "all"], ...verdicts.map((v) => [v, v])]);
    const search = document.createElement("input");
    search.type = "search";
    const [searchFrame] = labelled("Text", search);
    const [orderFrame, order] = select("Sort by", [
      ["order", "id"], ["title", "title"], ["n", "n, smallest first"], ["-n", "n, largest first"],
      ["seconds", "seconds, fewest first"], ["-seconds", "seconds, most first"],
    ]);
    const shown = document.createElement("output");
    shown.setAttribute("aria-live", "polite");
    place.append(paperFrame, verdictFrame, searchFrame, orderFrame, shown);

    function filter() {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      let count = 0;
      for (const row of rows) {
        const text = row.textContent.toLowerCase();
        const keep = (!paper.value || row.dataset.paper === paper.value)
          && (!verdict.value || row.dataset.verdicts.split("|").includes(verdict.value))
          && words.every((word) => text.includes(word));
        row.hidden = !keep;
        count += keep;
      }
      for (const table of tables) {
        const section = table.closest("section") || table;
        section.hidden = ![...table.tBodies[0].rows].some((row) => !row.hidden);
      }
      shown.textContent = `${count} of ${rows.length} items shown`;
    }

    const asked = new URLSearchParams(location.search);
    if (papers.includes(asked.get("paper"))) paper.value = asked.get("paper");
    if (verdicts.includes(asked.get("verdict"))) verdict.value = asked.get("verdict");
    search.value = asked.get("text") || "";
    for (const box of [paper, verdict, search]) box.addEventListener("input", filter);
    order.addEventListener("input", () => {
      for (const table of tables) sort(table, order.value.replace("-", ""), order.value.startsWith("-"));
    });
    filter();
    if (asked.get("verdict") || asked.get("paper")) place.scrollIntoView();
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
