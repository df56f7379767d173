// While the pointer or the keyboard's focus is on a link to the glossary or to a reference, a box says what stands there.
// The texts (previews.js, written by the build) are read from the book's own folder when they are first wanted.
(() => {
  const LINKS = ".bd-article a:is([href*='glossary.html#term-'], [href*='references.html#id'])";
  const ASIDE = 12; // pixels from the edges of the window
  const source = new URL("previews.js", document.currentScript.src);
  const box = Object.assign(document.createElement("div"), { id: "uapkit-preview", hidden: true });
  box.setAttribute("role", "tooltip");
  let texts, shown, title, timer, over; // over: the link that the pointer came to last

  function read() {
    texts ||= new Promise((done) => {
      const script = document.createElement("script");
      script.src = source;
      script.onload = () => done(window.uapkitPreviews || {});
      script.onerror = () => done({});
      document.head.append(script);
    });
    return texts;
  }

  function hide() {
    clearTimeout(timer);
    if (!shown) return;
    shown.removeAttribute("aria-describedby");
    if (title) shown.title = title;
    [shown, box.hidden] = [null, true];
  }

  async function show(link) {
    if (shown === link) return;
    hide();
    [shown, title] = [link, link.title];
    const text = (await read())[link.href.split("/").pop()];
    if (shown !== link) return; // the reader went on
    if (!text) { shown = null; return; }
    link.removeAttribute("title"); // the browser would show it, too
    link.setAttribute("aria-describedby", box.id);
    box.innerHTML = text;
    (link.closest("main") || document.body).append(box);
    box.hidden = false;
    if (box.querySelector(".math")) await window.MathJax?.typesetPromise?.([box]);
    place(link.getClientRects()[0]);
  }

  function place(at) {
    const { width, height } = box.getBoundingClientRect();
    const below = at.bottom + height + ASIDE < innerHeight || at.top < height + ASIDE;
    box.style.left = `${Math.max(ASIDE, Math.min(at.left, document.documentElement.clientWidth - width - ASIDE))}px`;
    box.style.top = `${below ? at.bottom : at.top - height}px`;
  }

  const wanted = (event) => event.target.closest?.(LINKS);
  document.addEventListener("mouseover", (event) => {
    const link = wanted(event);
    clearTimeout(timer);
    if (!box.contains(event.target)) over = link;
    if (link) timer = setTimeout(() => show(link), 200);
    else if (shown && !box.contains(event.target)) timer = setTimeout(hide, 200); // time to move into the box
  });
  document.addEventListener("focusin", (event) => (wanted(event) ? show(wanted(event)) : hide()));
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") { over = null; hide(); } });
  addEventListener("scroll", () => {
    // the keyboard's focus scrolls its link into view: the box goes along; a pointer may have left its link, or rest on it
    if (shown && shown === document.activeElement) return place(shown.getClientRects()[0]);
    hide();
    timer = setTimeout(() => over?.matches(":hover") && show(over), 200);
  }, { passive: true });
})();
