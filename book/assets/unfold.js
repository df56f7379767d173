// A link to something inside a folded box opens the box, also in browsers that do not do so themselves.
(() => {
  function open() {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    let folded = false;
    for (let box = target.closest("details"); box; box = box.parentElement?.closest("details")) {
      folded ||= !box.open;
      box.open = true;
    }
    if (folded) target.scrollIntoView();
  }
  addEventListener("hashchange", open);
  open();
})();
