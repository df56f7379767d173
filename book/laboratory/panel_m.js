// M's bench on the page.
import { Panel, el, number, paint, paintVector, picture } from "./panel.js";
import { chart, colour, percent, withInterval } from "./ui.js";

export class PanelM extends Panel {
  constructor(app, root) {
    super(app, root, {
      key: "M",
      lead: "Digit after digit: if the vector does not change its label yet, DeepFool finds the shortest way over the nearest boundary; the way is added, and the sum "
        + "projected back to the size allowed. <a href=\"papers/moosavi2017.html\">Algorithm 1</a>.",
      fields: [
        { name: "n", label: "digits", options: ["8", "16", "32", "64"], value: "32" },
        { name: "norm", label: "norm", options: [["∞", "inf"], "2"], value: "inf", help: "the norm of the ball projected onto" },
        { name: "passes", label: "passes, at most", options: ["1", "3", "5", "10"], value: "3" },
        { name: "target", label: "stop at", options: [["80 %", "0.8"], ["95 %", "0.95"]], value: "0.8", help: "fooling rate on the digits fitted on" },
      ],
      extra: [{ label: "Redraw the digits", act: (panel) => app.seed(app.state.seed + 1, panel) }],
      tasks: [
        { text: "With the fewest digits you can, reach a rate of <b>10 % on the others</b> that random signs do not reach.", done: (o) => o.rate >= 0.1 && o.rate > o.nothing && Number(o.settings.n) <= 16 },
        { text: "Fit on 8 digits and on 64. For which is the gap between the rate on them and on the others larger?", done: (o, all) => ["8", "64"].every((n) => all.some((a) => a.settings.n === n)) },
        { text: "Run both norms at the same strength. Which fools more of the others? (The ball of norm 2 holds the other: is the comparison fair?)", done: (o, all) => ["inf", "2"].every((p) => all.some((a) => a.settings.norm === p)) },
      ],
    });
  }

  settings() {
    const s = super.settings();
    return { ...s, n: Number(s.n), norm: number(s.norm), passes: Number(s.passes), target: Number(s.target) };
  }
  clear() { super.clear(); Object.assign(this, { own: [], others: [], sizes: [], full: [], nothing: null, last: null, labels: {} }); }

  draw() {
    this.image = picture("The digit visited");
    this.way = picture("The way over the boundary, contrast stretched");
    this.vector = picture("The vector so far, contrast stretched", "the vector so far");
    this.yours = picture("Your digit with the vector added", "your digit with it");
    this.image.text.textContent = "the digit visited";
    this.way.text.textContent = "its way over the boundary";
    for (const name of ["classes", "rates", "sizes"]) this.part[name] = el("div", { className: "chart" });
    this.part.view.replaceChildren(
      el("div", { className: "pictures" }, this.image.node, this.way.node, this.vector.node, this.yours.node, this.part.classes),
      el("div", { className: "charts" }, this.part.rates, this.part.sizes));
    this.charts();
  }

  frame(key, f) {
    if (f.kind === "null") this.nothing = f.rate;
    else if (f.kind === "visit") {
      paint(this.image.canvas, f.x);
      paintVector(this.way.canvas, f.r);
      paintVector(this.vector.canvas, f.v);
      this.image.text.textContent = `digit ${f.image}: the network says ${f.label}`;
      this.way.text.textContent = f.success ? `${f.steps} step${f.steps === 1 ? "" : "s"} to ${f.adversarial}, length ${f.length.toFixed(2)}` : "no way found in 10 steps";
      this.candidates(f.path[0]);
      this.sizes.push([f.visits, f.about.norm / f.about.eps]);
      this.full.push([f.visits, f.about.saturated]);
      if (f.success) this.labels[f.adversarial] = (this.labels[f.adversarial] || 0) + 1;
      this.part.status.textContent = `Pass ${f.pass}, visit ${f.visits}: digit ${f.image} pushed from ${f.label} to ${f.adversarial}; ${percent(f.about.saturated)} of the pixels at the limit.`;
    } else {
      this.last = f;
      this.own.push([f.visits, f.own.value, f.own.low, f.own.high]);
      this.others.push([f.visits, f.rate.value, f.rate.low, f.rate.high]);
      if (f.done) this.nothing = f.nothing;
      const own = Math.sqrt(f.v.reduce((sum, e) => sum + e * e, 0) / f.v.length), { strength } = this.app.state;
      if (own > 0 && strength > 0) this.mine(this.yours, f.v.map((e) => e / strength));
      this.sentence();
    }
    this.charts();
  }

  // the candidate classes of the first step and how far their boundaries are
  candidates(step) {
    if (!step) return;
    const sorted = step.distances.filter(([, d]) => Number.isFinite(d)).sort((a, b) => a[1] - b[1]).slice(0, 5), far = sorted[sorted.length - 1]?.[1] || 1;
    this.part.classes.replaceChildren(el("p", { className: "small" }, `nearest boundaries of class ${step.from}`), el("table", { className: "bars" },
      ...sorted.map(([end, d]) => el("tr", { className: end === step.to ? "top" : "" }, el("th", { scope: "row" }, String(end)),
        el("td", {}, el("i", { style: `width:${(100 * d) / far}%;--c:${end === step.to ? colour("universal") : colour("deepfool")}` })), el("td", {}, d.toFixed(2))))));
  }

  charts() {
    const end = Math.max(8, ...this.sizes.map((p) => p[0]), ...this.own.map((p) => p[0])), domain = [0, end];
    const nothing = this.nothing ? [{ name: "random signs", meaning: "random signs", dash: true, points: domain.map((k) => [k, this.nothing.value, this.nothing.low, this.nothing.high]) }] : [];
    this.part.rates.innerHTML = chart({
      series: [{ name: "on X", meaning: "UAP", dash: true, points: this.own }, { name: "on 200 others", meaning: "UAP", points: this.others }, ...nothing],
      x: "visits", y: "fooling rate", from: 0, to: 1, domain, text: "Fooling rates on the fitted digits and on others against the visits",
    });
    this.part.sizes.innerHTML = chart({
      series: [{ name: "norm, share of the limit", meaning: "universal", points: this.sizes }, { name: "pixels at the limit", meaning: "both", dash: true, points: this.full }],
      x: "visits", y: "share", from: 0, to: 1, domain, text: "Norm of the vector and share of pixels at the limit against the visits",
    });
  }

  sentence() {
    const f = this.last, most = Object.entries(this.labels).sort((a, b) => b[1] - a[1])[0], pushes = Object.values(this.labels).reduce((a, b) => a + b, 0);
    const end = { reached: " The rate asked for is reached.", stalled: " No further pass would change it.", "pass limit": " The passes are used up." }[f.end] || "";
    this.part.sentence.textContent = `What you just saw. After ${f.visits} visits (pass ${f.pass}) and ${pushes} pushes the vector changes the label of ${withInterval(f.own)} of the ${f.own.n} digits it was fitted on `
      + `and of ${withInterval(f.rate)} of ${f.rate.n} others.${this.nothing ? ` Random signs of this strength: ${withInterval(this.nothing)}.` : ""} ${percent(f.about.saturated)} of its pixels stand at the limit.`
      + `${most ? ` ${most[1]} of ${pushes} pushes led to class ${most[0]}.` : ""}${end}`;
  }

  outcome() {
    const f = this.last, o = this.settings(), size = Math.sqrt(f.v.reduce((sum, e) => sum + e * e, 0) / f.v.length);
    if (size > 0) this.app.made({
      bench: "M", about: `norm ${this.inputs.norm.value === "inf" ? "∞" : 2}, ${o.n} digits, seed ${o.seed}`, v: f.v.map((e) => e / o.strength), rate: f.rate, nothing: this.nothing, settings: o,
      madeBy: { method: "uap", n_fit: o.n, seed: o.seed, n_passes: f.pass, end: f.end, max_iter: 10, overshoot: 0.02, fooling_rate_fit: f.own.value }, norm: this.inputs.norm.value, history: [],
    });
    return { rate: f.rate.value, nothing: this.nothing?.value ?? 0, settings: { ...this.told, ...this.values() } };
  }
}
