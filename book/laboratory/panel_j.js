// J's bench on the page.
import { Panel, el, paint, paintVector, picture } from "./panel.js";
import { chart, percent } from "./ui.js";

const MEANING = { positive: "positive", negative: "negative", random: "random direction" };
const NAMES = { positive: "most positive", negative: "most negative", random: "random" };
const SHOWN = 8; // curves and small pictures at once
const top = (z, i) => { let best = 0; for (let k = 1; k < 10; k++) if (z[10 * i + k] > z[10 * i + best]) best = k; return best; };

export class PanelJ extends Panel {
  constructor(app, root) {
    super(app, root, {
      key: "J",
      lead: "How does a class's score bend near its boundary? The network itself is piecewise linear and bends only in its kinks, so curvature is taken of a smooth copy, exactly: softplus "
        + "for ReLU, a smooth maximum for max-pooling, closer to the network the larger the sharpness β. Lanczos finds the directions of the largest and the smallest curvature, product by "
        + "product. Then digits move along them, and along a random one, through the network itself. <a href=\"papers/jetley2018.html\">Why it matters</a>.",
      fields: [
        { name: "target", label: "class", options: [..."0123456789"], value: "3" },
        { name: "n", label: "digits", options: ["10", "20", "40"], value: "20" },
        { name: "beta", label: "sharpness β", options: ["1", "2", "5"], value: "2", help: "of the smooth copy: softplus(β z) / β for ReLU" },
        { name: "most", label: "products", options: ["10", "20", "40"], value: "20" },
        { name: "along", label: "move along", options: Object.entries(NAMES).map(([k, name]) => [name, k]), value: "positive" },
      ],
      extra: [],
      tasks: [
        { text: "Move along the most positive direction of a class until more than a <b>third</b> of the digits of other classes carry its label.", done: (o) => o.intoTarget.positive > 1 / 3 },
        { text: "At the largest distance, how many labels change along each of the three directions? Run two classes.", done: (o, all) => new Set(all.map((a) => a.settings.target)).size >= 2 },
        { text: "Find a class whose most negative curvature is larger in size than its most positive one.", done: (o) => -o.curvature.negative > o.curvature.positive },
      ],
    });
    this.place = 24;
  }

  settings() {
    const s = super.settings();
    return { ...s, target: Number(s.target), n: Number(s.n), most: Number(s.most), beta: Number(s.beta) };
  }
  changed(name) {
    if (name === "along") { this.charts(); this.sentence(); } else super.changed(name);
  }
  clear() { super.clear(); Object.assign(this, { seen: null, last: null, courses: [] }); }

  draw() {
    this.positive = picture("The direction of most positive curvature, contrast stretched", "most positive");
    this.negative = picture("The direction of most negative curvature, contrast stretched", "most negative");
    this.slider = el("input", { type: "range", min: 0, max: 32, step: 1, value: this.place, disabled: true, oninput: () => { this.place = Number(this.slider.value); this.charts(); this.sentence(); } });
    this.where = el("span", {}, "");
    for (const name of ["ritz", "scores", "labels"]) this.part[name] = el("div", { className: "chart" });
    this.part.digits = el("div", { className: "pictures many" });
    this.small = Array.from({ length: SHOWN }, (_, i) => picture(`Test digit ${i + 1}, moved`, ""));
    this.part.digits.append(...this.small.map((p) => p.node));
    this.part.view.replaceChildren(
      el("div", { className: "pictures" }, this.positive.node, this.negative.node, this.part.ritz),
      el("div", { className: "settings" }, el("label", {}, "Distance ", this.slider, " ", this.where)),
      this.part.digits, el("div", { className: "charts" }, this.part.scores, this.part.labels));
    this.charts();
  }

  frame(key, f) {
    if (f.kind === "points") this.part.status.textContent = `${f.points} digits reach class ${this.settings().target} from another one; their points near the boundary are found.`;
    else if (f.kind === "lanczos") {
      this.seen = f;
      this.courses.push([f.products, f.top.value, f.bottom.value]);
      paintVector(this.positive.canvas, f.top.v);
      paintVector(this.negative.canvas, f.bottom.v);
      this.part.status.textContent = `${f.products} products: curvatures from ${f.bottom.value.toFixed(2)} to ${f.top.value.toFixed(2)}, averaged over ${f.points} points of the smooth copy.`;
    } else {
      this.last = f;
      this.slider.disabled = false;
      this.sentence();
    }
    this.charts();
  }

  shares(name, place) {
    const { scores, images, grid } = this.last, middle = grid.length >> 1, { target } = this.told, clean = scores[name][middle];
    let changed = 0, into = 0, others = 0;
    images.forEach((_, i) => {
      const before = top(clean, i), after = top(scores[name][place], i);
      changed += before !== after;
      if (before !== target) { others++; into += after === target; }
    });
    return { changed: changed / images.length, into: others ? into / others : 0 };
  }

  charts() {
    const products = this.courses || [];
    this.part.ritz.innerHTML = chart({
      series: [{ name: "largest", meaning: "positive", points: products.map((p) => [p[0], p[1]]) }, { name: "smallest", meaning: "negative", points: products.map((p) => [p[0], p[2]]) }],
      x: "products", y: "curvature", text: "The largest and the smallest curvature found against the products",
    });
    const along = this.inputs.along.value, f = this.last;
    if (!f) {
      for (const [part, y] of [["scores", "score"], ["labels", "share"]]) this.part[part].innerHTML = chart({ series: [], x: "distance", y, text: "Empty until the directions are found", domain: [-14, 14] });
      return;
    }
    const here = f.grid[this.place], { target } = this.told, v = f.directions[along];
    this.where.textContent = `${here.toFixed(1)} (root mean square ${Math.abs(here / 28).toFixed(2)})`;
    this.slider.setAttribute("aria-valuetext", this.where.textContent);
    this.small.forEach((p, i) => {
      paint(p.canvas, f.images[i].map((e, j) => e + here * v[j]));
      const before = top(f.scores[along][f.grid.length >> 1], i), after = top(f.scores[along][this.place], i);
      p.text.textContent = before === after ? `${before}` : `${before} → ${after}`;
      p.node.classList.toggle("changed", before !== after);
    });
    // all class scores of the first digit; the class itself for many digits
    const curves = f.images.slice(0, SHOWN).map((_, i) => ({ name: i ? "" : `score of class ${target}, ${SHOWN} digits`, meaning: MEANING[along], thin: i > 0, points: f.grid.map((t, g) => [t, f.scores[along][g][10 * i + target]]) }));
    const rest = [...Array(10).keys()].filter((k) => k !== target).map((k, i) => ({ name: i ? "" : "the other classes, first digit", meaning: "clean", thin: true, dash: true, points: f.grid.map((t, g) => [t, f.scores[along][g][k]]) }));
    this.part.scores.innerHTML = chart({ series: [...rest, ...curves], x: "distance", y: "score", lines: [here], text: `Scores along the ${NAMES[along]} direction` });
    this.part.labels.innerHTML = chart({
      series: Object.keys(NAMES).map((name) => ({ name: NAMES[name], meaning: MEANING[name], dash: name === "random", points: f.grid.map((t, g) => [t, this.shares(name, g).changed]) })),
      x: "distance", y: "labels changed", from: 0, to: 1, lines: [here], text: "Share of 40 test digits whose label changes, by distance along each direction",
    });
  }

  sentence() {
    const f = this.last;
    if (!f) return;
    const along = this.inputs.along.value, { target } = this.told, { changed, into } = this.shares(along, this.place), random = this.shares("random", this.place);
    this.part.sentence.textContent = `What you just saw. Near its boundary the smooth copy's score of class ${target} has curvatures from ${f.curvature.negative.toFixed(2)} to ${f.curvature.positive.toFixed(2)} (second derivatives along unit directions, β = ${this.told.beta}). `
      + `Moved through the network itself by ${f.grid[this.place].toFixed(1)} along the ${NAMES[along]} direction ${percent(changed)} of ${f.images.length} test digits change their label, ${percent(into)} of those of other classes into ${target}; along the random direction ${percent(random.changed)} change.`;
  }

  outcome() {
    const f = this.last, o = this.settings(), ends = [0, f.grid.length - 1], intoTarget = {};
    for (const name of ["positive", "negative"]) intoTarget[name] = Math.max(...ends.map((g) => this.shares(name, g).into));
    for (const name of ["positive", "negative"]) {
      const v = f.directions[name].map((e) => e * 28);
      const { network, strength } = this.told, ask = (what, given) => this.app.lab.ask(what, { network, ...given });
      Promise.all([ask("rate", { v: v.map((e) => e * strength) }), ask("random", { strength })]).then(([rate, nothing]) => this.app.made({
        bench: "J", about: `most ${name} direction of class ${o.target}, β = ${o.beta}, ${o.n} digits, seed ${o.seed}`, v, rate, nothing, settings: this.told,
        madeBy: { method: "principal_curvatures", target: o.target, n: o.n, seed: o.seed, beta: o.beta, curvature: f.curvature[name], end: name }, norm: "2", history: [],
      }));
    }
    return { intoTarget, curvature: f.curvature, settings: { ...this.told, ...this.values() } };
  }
}
