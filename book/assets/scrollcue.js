// Boxes that scroll inside a page say so: `data-more` names the sides behind which there is more, the style sheet shades them.
// Such a box can be reached and scrolled by keyboard, too.
(() => {
  const BOXES = ".uapkit-scroll, pre, div.math, .cell_output, .pst-scrollable-table-container, figure.align-default";

  function mark(box) {
    const { scrollLeft: x, scrollTop: y, clientWidth, clientHeight, scrollWidth, scrollHeight } = box;
    const style = getComputedStyle(box), scrolls = (axis) => /auto|scroll/.test(style[`overflow${axis}`]);
    const [wide, tall] = [scrolls("X") && scrollWidth > clientWidth + 1, scrolls("Y") && scrollHeight > clientHeight + 1];
    const sides = [
      wide && x > 1 && "left", wide && x + clientWidth < scrollWidth - 1 && "right",
      tall && y > 1 && "up", tall && y + clientHeight < scrollHeight - 1 && "down",
    ].filter(Boolean);
    if (sides.length) box.dataset.more = sides.join(" ");
    else delete box.dataset.more;
    if ((wide || tall) && !box.hasAttribute("tabindex")) box.tabIndex = 0;
  }

  function start() {
    const article = document.querySelector("article.bd-article");
    if (!article) return;
    const sizes = new ResizeObserver((all) => all.forEach((one) => mark(one.target)));
    for (const box of article.querySelectorAll(BOXES)) {
      box.addEventListener("scroll", () => mark(box), { passive: true });
      sizes.observe(box);
      mark(box);
    }
  }

  // mathematics is wide only once it is typeset
  const ready = async () => { await window.MathJax?.startup?.promise; start(); };
  if (document.readyState === "complete") ready();
  else window.addEventListener("load", ready);
})();
