// What the four benches share: fields, start, stop, step and reset, a sentence, tasks, the vector's files.
import { colour, el, paint, paintVector, picture } from "./ui.js";

export const number = (text) => (text === "inf" ? Infinity : Number(text));
export const sign = (text) => (text === "inf" ? "∞" : text);

export class Panel {
  // app: the page; root: the panel's own section; about: {key, title, lead, fields, tasks}
  constructor(app, root, about) {
    Object.assign(this, { app, root, ...about, inputs: {}, running: new Set(), results: [] });
    this.part = {};
    const add = (name, node) => (this.part[name] = node);
    root.append(
      el("p", { className: "intro", innerHTML: about.lead }),
      add("fields", el("div", { className: "settings" }, ...about.fields.map((f) => this.field(f)))),
      el("div", { className: "buttons" },
        add("start", el("button", { type: "button", className: "main", onclick: () => this.toggle() }, "Start")),
        add("step", el("button", { type: "button", onclick: () => this.step() }, "Step")),
        add("reset", el("button", { type: "button", onclick: () => this.reset() }, "Reset")),
        ...(about.extra || []).map(({ label, act }) => el("button", { type: "button", onclick: () => act(this) }, label)),
        el("button", { type: "button", onclick: () => app.share(this) }, "Link to this")),
      add("status", el("p", { className: "status", role: "status" }, "Ready. Press Start.")),
      add("view", el("div", { className: "view" })),
      add("sentence", el("p", { className: "sentence", "aria-live": "polite" })),
      el("details", { className: "tasks", open: true }, el("summary", {}, "Three tasks"),
        add("tasks", el("ol", {}, ...about.tasks.map((t) => el("li", {}, el("span", { innerHTML: t.text }), el("b", { className: "done" })))))),
    );
    this.clear();
    this.draw();
  }

  field({ name, label, options, value, help }) {
    const input = el("select", { name: `${this.key}-${name}`, onchange: () => this.changed(name) }, ...options.map((o) => new Option(...[].concat(o))));
    input.value = value;
    this.inputs[name] = input;
    return el("label", { title: help || "" }, `${label} `, input);
  }
  fill(name, options, value) {
    const input = this.inputs[name], before = input.value;
    input.replaceChildren(...options.map((o) => new Option(...[].concat(o))));
    input.value = options.some((o) => [].concat(o).at(-1) === before) ? before : value;
    if (!input.value) input.selectedIndex = 0;
  }
  changed() { this.reset(); }
  networkChanged() { this.reset(); }

  values() { return Object.fromEntries(Object.entries(this.inputs).map(([name, input]) => [name, input.value])); }
  settings() { return { ...this.app.state, ...this.values() }; }
  slots() { return [{ key: `${this.key}`, settings: this.settings() }]; }

  get busy() { return this.running.size > 0; }
  async begin(state) {
    this.begun = true;
    this.clear();
    this.told = this.settings();
    this.part.status.textContent = "Computing …";
    for (const { key, settings } of this.slots()) {
      this.running.add(key);
      this.app.lab.start(this.key, key, settings, state, (m) => this.hear(key, m)).catch((error) => this.fail(key, error.message));
    }
    this.buttons();
  }
  toggle() {
    if (this.busy) return this.all("stopped");
    if (this.begun && !this.finished) { this.paused = false; return this.all("go"); }
    return this.begin("go");
  }
  step() { return this.begun && !this.finished ? this.all("step") : this.begin("step"); }
  reset() {
    this.all("reset");
    this.begun = this.finished = false;
    this.running.clear();
    this.clear();
    this.draw();
    this.part.status.textContent = "Ready. Press Start.";
    this.part.sentence.textContent = "";
    this.buttons();
  }
  all(state) {
    for (const key of new Set([...this.running, ...this.slots().map((s) => s.key)])) { // a slot that was just given up runs on else
      this.app.lab.set(key, state);
      if (state === "go" || state === "step") this.running.add(key);
    }
    this.buttons();
  }
  clear() { this.results = []; this.ended = new Set(); this.finished = false; }
  buttons() { this.part.start.textContent = this.busy ? "Stop" : this.begun && !this.finished ? "Go on" : "Start"; }

  hear(key, m) {
    if (!this.begun) return; // a frame that was under way when the bench was reset
    if (m.type === "frame") this.frame(key, m.frame);
    else if (m.type === "failed") this.fail(key, m.message);
    else {
      this.running.delete(key);
      if (m.type === "end") this.ended.add(key);
      this.finished = this.ended.size === this.slots().length;
      if (this.finished) this.finish();
      else if (!this.busy && m.type === "stopped") this.part.status.textContent += " Stopped.";
    }
    this.buttons();
  }
  fail(key, message) {
    this.running.delete(key);
    this.finished = true;
    this.part.status.textContent = `This did not work: ${message}.`;
    this.buttons();
  }
  finish() {
    this.root.dataset.done = String(Number(this.root.dataset.done || 0) + 1);
    const seen = { settings: this.told, ...this.outcome() };
    this.history = [...(this.history || []), seen];
    this.tasks.forEach((task, k) => {
      const mark = this.part.tasks.children[k].lastChild;
      if (!mark.textContent && task.done(seen, this.history)) mark.textContent = " ✓ done";
    });
  }
  outcome() { return {}; }

  // the reader's own digit under a vector, with what the network says
  async mine(figure, v) {
    const { app } = this, x = app.draw.x;
    if (!x) return;
    const { strength, network } = app.state, moved = Float32Array.from(x, (e, i) => e + strength * v[i]);
    paint(figure.canvas, moved);
    const both = new Float32Array(2 * x.length);
    both.set(x);
    both.set(moved, x.length);
    const z = await app.lab.ask("logits", { network, pixels: both, v: null }), top = (part) => part.indexOf(Math.max(...part));
    figure.text.textContent = `your digit with it: ${top(z.subarray(0, 10))} → ${top(z.subarray(10))}`;
  }
}

export { colour, el, paint, paintVector, picture };
