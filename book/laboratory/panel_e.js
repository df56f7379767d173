// E's bench on the page.
import { Panel, el, paint, paintVector, picture } from "./panel.js";
import { chart, percent, withInterval } from "./ui.js";

const round = (x) => `${x.toFixed(1)}°`;

export class PanelE extends Panel {
  constructor(app, root) {
    super(app, root, {
      key: "E",
      lead: "Each digit has a direction in which its loss grows fastest. Stacked, do these directions agree? Their singular values say how far, against as many random "
        + "directions; the first singular vector is what they share. <a href=\"papers/equivariant2019.html\">The idea</a>.",
      fields: [
        { name: "n", label: "digits", options: ["16", "32", "64", "128"], value: "64" },
        { name: "degrees", label: "digits turned by", options: [["0°", "0"], ["30°", "30"], ["60°", "60"], ["90°", "90"], ["180°", "180"]], value: "0" },
      ],
      extra: [{ label: "Redraw the digits", act: (panel) => app.seed(app.state.seed + 1, panel) }],
      tasks: [
        { text: "Do <b>16 digits</b> suffice for a first vector that beats random signs <b>tenfold</b>?", done: (o) => o.settings.n === "16" && o.best >= 10 * o.nothing && o.best > 0 },
        { text: "Turn the digits by 90°. Does the first vector turn with them? Compare StdCNN (digits) and GCNN (digits).", done: (o, all) => ["stdcnn_digits", "gcnn_digits"].every((name) => all.some((a) => a.settings.network === name && a.settings.degrees === "90")) },
        { text: "Is the shared direction the one in which digits move when they are turned? Find two settings whose angles differ by more than 8°.", done: (o, all) => all.some((a) => Math.abs(a.angle - o.angle) > 8) },
      ],
    });
  }

  settings() {
    const s = super.settings();
    return { ...s, n: Number(s.n), degrees: Number(s.degrees) };
  }
  clear() { super.clear(); Object.assign(this, { seen: null, last: null, nothing: null }); }

  draw() {
    this.image = picture("The digit whose gradient came last", "the digit");
    this.row = picture("Its loss gradient, contrast stretched", "its gradient");
    this.first = picture("The first singular vector, contrast stretched", "the first vector");
    this.tangent = picture("What the digits' own turning has in common, contrast stretched", "the turning's own direction");
    this.yours = picture("Your digit with the first vector added", "your digit with it");
    for (const name of ["values", "dots"]) this.part[name] = el("div", { className: "chart" });
    this.part.view.replaceChildren(
      el("div", { className: "pictures" }, this.image.node, this.row.node, this.first.node, this.tangent.node, this.yours.node),
      el("div", { className: "charts" }, this.part.values, this.part.dots));
    this.charts();
  }

  frame(key, f) {
    if (f.kind === "null") this.nothing = f.rate;
    else {
      this.seen = f;
      paintVector(this.first.canvas, f.first);
      if (f.kind === "rows") {
        paint(this.image.canvas, f.x);
        paintVector(this.row.canvas, f.row);
        this.part.status.textContent = `${f.n} gradients: the first singular value is ${f.values[0].toFixed(2)} of at most ${Math.sqrt(f.n).toFixed(2)}.`;
      } else {
        this.last = f;
        this.nothing = f.nothing;
        paintVector(this.tangent.canvas, f.tangent);
        this.mine(this.yours, this.better().v);
        this.sentence();
      }
    }
    this.charts();
  }
  better() {
    const f = this.last, flip = f.turned.value > f.rate.value;
    return { v: flip ? f.v.map((e) => -e) : f.v, rate: flip ? f.turned : f.rate, flip };
  }

  charts() {
    const f = this.seen, points = (values) => values.map((v, k) => [k + 1, v]);
    this.part.values.innerHTML = chart({
      series: f ? [{ name: "gradients", meaning: "gradient", points: points(f.values) }, { name: "random directions, as many", meaning: "random direction", dash: true, points: points(f.random) }] : [],
      x: "place", y: "singular value", from: 0, text: "Singular values of the stacked gradients against those of random directions",
    });
    this.part.dots.innerHTML = chart({
      series: f ? [{ name: "one gradient each", meaning: "gradient", dots: true, points: f.places.map((p) => [p[0], p[1] || 0]) }] : [],
      x: "along the first vector", y: "along the second", from: -1, to: 1, domain: [-1, 1], text: "The unit gradients on the plane of the first two singular vectors",
    });
  }

  sentence() {
    const f = this.last, o = this.settings(), { rate, flip } = this.better();
    const turning = f.back ? ` The first vector of the upright digits, turned by ${o.degrees}° as well, has a cosine of ${f.back.turned.toFixed(2)} with it, left as it was of ${f.back.still.toFixed(2)}.` : "";
    this.part.sentence.textContent = `What you just saw. The gradients of ${f.n} digits share one direction: it holds ${percent(f.share)} of their squared length, where ${f.n} random directions share ${percent(f.randomShare)}. `
      + `${flip ? "Turned round and added" : "Added"} at strength ${o.strength} it changes the label of ${withInterval(rate)} of ${rate.n} others; random signs change ${withInterval(f.nothing)}. `
      + `It stands at ${round(f.angle)} to the direction in which digits move when they are turned a little (a single gradient: ${round(f.middle)} in the middle; two random directions: 88° to 90°).${turning}`
      + `${f.zero ? ` ${f.zero} digits have no gradient.` : ""}`;
  }

  outcome() {
    const f = this.last, o = this.settings(), { v, rate, flip } = this.better();
    this.app.made({
      bench: "E", about: `${f.n} gradients${o.degrees ? `, digits turned by ${o.degrees}°` : ""}, seed ${o.seed}`, v, rate, nothing: f.nothing, settings: o,
      madeBy: { method: "svd_uap", directions: "gradient", n_rows: f.n, seed: o.seed, degrees: o.degrees, singular_value: f.values[0], share: f.share, turned: flip }, norm: "2", history: [f.values[0]],
    });
    return { best: rate.value, nothing: f.nothing.value, angle: f.angle, settings: { ...this.told, ...this.values() } };
  }
}
