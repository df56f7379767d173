// K's bench on the page.
import { Panel, el, number, paintVector, picture, sign } from "./panel.js";
import { chart, withInterval } from "./ui.js";

const MEANING = { K: "singular vector", "K-b": "both" };
const last = (list) => list[list.length - 1];

export class PanelK extends Panel {
  constructor(app, root) {
    super(app, root, {
      key: "K",
      lead: "A hidden layer answers a small change of the picture. Which change, the same for a few digits, makes it answer most? The power method sharpens it, "
        + "one pass forward and one back an iteration. <a href=\"papers/khrulkov2018.html\">How it works</a>.",
      fields: [
        { name: "layer", label: "layer", options: ["block2_pool"], value: "block2_pool" },
        { name: "compare", label: "compare with", options: [["nothing", ""]], value: "" },
        { name: "p", label: "p", options: [["∞", "inf"], "4", "2"], value: "inf", help: "norm that confines the vector" },
        { name: "q", label: "q", options: ["1", "2", "5", "10", ["∞", "inf"]], value: "10", help: "norm of the layer's answer" },
        { name: "n", label: "digits", options: ["1", "4", "16", "64"], value: "16" },
        { name: "iterations", label: "iterations", options: ["5", "20", "50"], value: "20" },
      ],
      extra: [{ label: "Redraw the digits", act: (panel) => app.seed(app.state.seed + 1, panel) }],
      tasks: [
        { text: "Find a layer that beats random signs twofold with <b>4 digits</b>.", done: (o) => o.settings.n === "4" && o.best >= 2 * o.nothing && o.best > 0 },
        { text: "Compare two layers. Which of them fools more, and is the difference larger than the intervals?", done: (o) => o.count === 2 },
        { text: "Redraw the digits twice with the same settings. Does the vector change, and does the rate?", done: (o, all) => new Set(all.filter((a) => same(a.settings, o.settings)).map((a) => a.settings.seed)).size >= 3 },
      ],
    });
  }

  networkChanged() {
    const layers = Object.keys(this.app.spec.layers);
    this.fill("layer", layers, layers.includes("block2_pool") ? "block2_pool" : layers[Math.floor(layers.length / 2)]);
    this.fill("compare", [["nothing", ""], ...layers], "");
    this.reset();
  }
  settings() {
    const s = super.settings();
    return { ...s, p: number(s.p), q: number(s.q), n: Number(s.n), iterations: Number(s.iterations) };
  }
  slots() {
    const one = this.settings(), list = [{ key: "K", settings: one }];
    return one.compare && one.compare !== one.layer ? [...list, { key: "K-b", settings: { ...one, layer: one.compare } }] : list;
  }

  clear() { super.clear(); this.slot = {}; this.nothing = null; }
  draw() {
    this.slotView = {};
    const pictures = el("div", { className: "pictures" });
    for (const { key, settings } of this.app.spec ? this.slots() : []) {
      const vector = picture(`Vector of the layer ${settings.layer}, contrast stretched`, settings.layer), own = picture("Your digit with the vector added", "your digit with it");
      pictures.append(vector.node, own.node);
      this.slotView[key] = { vector, own };
    }
    this.part.value = el("div", { className: "chart" });
    this.part.rate = el("div", { className: "chart" });
    this.part.view.replaceChildren(pictures, el("div", { className: "charts" }, this.part.value, this.part.rate));
    this.charts();
  }

  frame(key, f) {
    if (f.kind === "null") { this.nothing = f.rate; this.charts(); return; }
    const slot = (this.slot[key] ??= { values: [], rates: [] });
    slot.settings ??= this.slots().find((s) => s.key === key).settings;
    if (f.kind === "iteration") {
      slot.values.push([f.k, f.value / f.startValue]);
      slot.v = f.v;
      slot.ms = [...(slot.ms || []), f.ms];
      paintVector(this.slotView[key].vector.canvas, f.v);
      this.mine(this.slotView[key].own, f.v);
      this.part.status.textContent = `${slot.settings.layer}: iteration ${f.k}, value ${f.value.toPrecision(5)}, ${(f.value / f.startValue).toFixed(2)} times that of random signs (${f.ms.toFixed(0)} ms).`;
    } else {
      slot.last = f;
      const place = slot.rates.findIndex((r) => r[0] === f.k);
      const point = [f.k, f.rate.value, f.rate.low, f.rate.high];
      if (place >= 0) slot.rates[place] = point;
      else slot.rates.push(point);
      if (f.turned) this.nothing = f.nothing;
      this.sentence();
    }
    this.charts();
  }

  charts() {
    const slots = Object.entries(this.slot || {}), end = Math.max(5, ...slots.flatMap(([, s]) => s.values.map((p) => p[0])));
    this.part.value.innerHTML = chart({
      series: slots.map(([key, s]) => ({ name: s.settings.layer, meaning: MEANING[key], points: s.values })),
      x: "iteration", y: "value, in that of the start", from: 0, domain: [0, end], text: "The value against the iteration; it never falls",
    });
    const nothing = this.nothing ? [{ name: "random signs", meaning: "random signs", dash: true, points: [0, end].map((k) => [k, this.nothing.value, this.nothing.low, this.nothing.high]) }] : [];
    this.part.rate.innerHTML = chart({
      series: [...slots.map(([key, s]) => ({ name: s.settings.layer, meaning: MEANING[key], points: s.rates })), ...nothing],
      x: "iteration", y: "fooling rate", from: 0, to: 1, domain: [0, end], text: "The fooling rate on 200 test digits against the iteration, with random signs",
    });
  }

  sentence() {
    const told = Object.values(this.slot).filter((s) => s.last).map((s) => {
      const { k, value, startValue, rate, turned } = s.last, o = s.settings;
      return `After ${k} iteration${k === 1 ? "" : "s"} on ${o.n} digit${o.n === 1 ? "" : "s"} the (${sign(String(o.p).replace("Infinity", "inf"))}, ${sign(String(o.q).replace("Infinity", "inf"))})-singular vector of ${o.layer} moves that layer `
        + `${(value / startValue).toFixed(2)} times as much as the start did. At strength ${o.strength} it changes the label of ${withInterval(rate)} of ${rate.n} other digits`
        + `${turned ? `, turned round of ${withInterval(turned)}` : ""}.`;
    });
    const nothing = this.nothing ? ` Random signs of the same norm: ${withInterval(this.nothing)}.` : "";
    this.part.sentence.textContent = `What you just saw. ${told.join(" ")}${nothing}`;
  }

  outcome() {
    const slots = Object.values(this.slot).filter((s) => s.last?.turned);
    for (const s of slots) {
      const { rate, turned, v } = s.last, flip = turned.value > rate.value;
      this.app.made({
        bench: "K", about: `${s.settings.layer}, p = ${sign(this.inputs.p.value)}, q = ${sign(this.inputs.q.value)}, ${s.settings.n} digits, seed ${s.settings.seed}`,
        v: flip ? v.map((e) => -e) : v, rate: flip ? turned : rate, nothing: this.nothing, settings: s.settings,
        madeBy: { method: "singular_uap", layer: s.settings.layer, p: this.inputs.p.value, q: this.inputs.q.value, n_fit: s.settings.n, seed: s.settings.seed, singular_value: s.last.value, n_iter: s.last.k, turned: flip },
        norm: s.settings.p === Infinity ? "inf" : "2", history: s.values.slice(1).map((p) => p[1] * s.last.startValue),
      });
    }
    return { best: Math.max(...slots.map((s) => s.last.rate.value)), nothing: this.nothing?.value ?? 0, count: slots.length, settings: { ...this.told, ...this.values() } };
  }
}

const same = (a, b) => ["network", "layer", "p", "q", "n"].every((name) => a[name] === b[name]);
export { last };
