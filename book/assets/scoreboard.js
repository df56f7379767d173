// Sorting and filtering of the scoreboard's tables, sorting of others. Without this file they are plain tables.
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
        th.dataset.key ||= SORTS[label] || "";
        if (!th.dataset.key) continue;
        th.setAttribute("aria-sort", "none");
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = label;
        button.addEventListener("click", () => sort(table, th.dataset.key, th.getAttribute("aria-sort") === "ascending"));
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
    heads(document.querySelectorAll("table:is(.uapkit-scoreboard, .uapkit-sortable)"));
    const tables = [...document.querySelectorAll("table.uapkit-scoreboard")];
    if (!tables.length) return;
    const place = document.getElementById("uapkit-controls");
    if (!place) return; // the chapters show a part of the table, which is short
    const rows = tables.flatMap((table) => [...table.tBodies[0].rows]);
    const papers = [...new Set(rows.map((row) => row.dataset.paper))];
    const claims = rows.flatMap((row) => [...row.querySelectorAll("li[data-whose]:not([data-whose=''])")]);
    const verdicts = [...new Set(claims.map((claim) => claim.dataset.verdict))].sort();
    const [paperFrame, paper] = select("Paper", [["", "all"], ...papers.map((p) => [p, p])]);
    const [whoseFrame, whose] = select("Whose", [["", "all"], ["papers", "the papers' claims"], ["ours", "our questions"]]);
    const [verdictFrame, verdict] = select("Verdict", [["", "all"], ...verdicts.map((v) => [v, v])]);
    const search = document.createElement("input");
    search.type = "search";
    const [searchFrame] = labelled("Text", search);
    const [orderFrame, order] = select("Sort by", [
      ["order", "id"], ["title", "title"], ["n", "n, smallest first"], ["-n", "n, largest first"],
      ["seconds", "seconds, fewest first"], ["-seconds", "seconds, most first"],
      ["verified", "last verified, oldest first"], ["-verified", "last verified, newest first"],
    ]);
    const shown = document.createElement("output");
    shown.setAttribute("aria-live", "polite");
    place.append(paperFrame, whoseFrame, verdictFrame, searchFrame, orderFrame, shown);

    // Claims are what is counted and what is filtered: an item is shown for the claims of it that are.
    function filter() {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      const by = verdict.value || whose.value;
      let items = 0, count = 0;
      for (const row of rows) {
        const text = row.textContent.toLowerCase();
        const keep = (!paper.value || row.dataset.paper === paper.value) && words.every((word) => text.includes(word));
        let own = 0;
        for (const claim of row.querySelectorAll("li[data-whose]")) {
          const fits = (!verdict.value || claim.dataset.verdict === verdict.value) && (!whose.value || claim.dataset.whose === whose.value)
            && (!by || claim.dataset.whose);
          claim.hidden = !fits;
          own += fits && claim.dataset.whose !== "";
        }
        row.hidden = !keep || (by && !own);
        items += !row.hidden;
        count += row.hidden ? 0 : own;
      }
      for (const table of tables) {
        const section = table.closest("section") || table;
        section.hidden = ![...table.tBodies[0].rows].some((row) => !row.hidden);
      }
      shown.textContent = `${count} of ${claims.length} claims, in ${items} of ${rows.length} items`;
      tell();
    }

    // The address holds the filters, so that what is shown can be sent to somebody.
    const boxes = { paper, whose, verdict, text: search };
    function tell() {
      const query = new URLSearchParams(Object.entries(boxes).map(([name, box]) => [name, box.value]).filter(([, value]) => value));
      try { history.replaceState(null, "", `${location.pathname}${query.size ? `?${query}` : ""}${location.hash}`); } catch { /* not from a disk */ }
    }

    const asked = new URLSearchParams(location.search);
    for (const [name, box] of Object.entries(boxes)) {
      const value = asked.get(name) || "";
      if (box === search || [...box.options].some((option) => option.value === value)) box.value = value;
    }
    for (const box of Object.values(boxes)) box.addEventListener("input", filter);
    order.addEventListener("input", () => {
      for (const table of tables) sort(table, order.value.replace("-", ""), order.value.startsWith("-"));
    });
    filter();
    if ([...asked.keys()].length) place.scrollIntoView();
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
