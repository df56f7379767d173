// The page's side of the worker: networks on demand, questions with answers, runs with frames.
import source from "worker.txt";
import { bytes, doubles, floats } from "./ui.js";

const home = new URL(".", document.currentScript.src).href;

export class Lab {
  constructor() {
    this.data = window.uapkitLaboratory;
    this.worker = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
    this.asked = new Map();
    this.runs = new Map();
    this.names = new Map();
    this.networks = new Map();
    this.specs = {};
    this.id = 0;
    this.ready = new Promise((resolve) => { this.begun = resolve; });
    this.worker.onmessage = ({ data: m }) => this.hear(m);
    this.worker.onerror = (event) => this.fail(new Error(event.message));
    const set = (s) => ({ blocks: bytes(s.blocks), angles: doubles(s.angles), labels: s.labels });
    const { train, test, resize } = this.data.digits;
    this.resize = floats(resize);
    const engine = new URLSearchParams(location.search).get("engine") || "wasm";
    this.worker.postMessage({ type: "init", engine, digits: { train: set(train), test: set(test), resize: this.resize } });
  }

  fail(error) { for (const { reject } of this.asked.values()) reject(error); this.asked.clear(); this.failed?.(error); }

  hear(m) {
    if (m.type === "ready") { this.device = m.device; this.begun(m.device); }
    else if (m.type === "answer") {
      const { resolve, reject } = this.asked.get(m.id);
      this.asked.delete(m.id);
      if (m.error) reject(new Error(m.error));
      else resolve(m.value);
    } else this.runs.get(m.key)?.(m);
  }

  // the network's weights come as a script of their own the first time they are needed
  network(name) {
    if (!this.networks.has(name)) {
      this.networks.set(name, new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.src = `${home}${name}.js`;
        script.onload = () => {
          const { weights, ...spec } = window.uapkitNetworks[name];
          this.specs[name] = spec;
          this.worker.postMessage({ type: "network", spec, weights: floats(weights) });
          resolve(spec);
        };
        script.onerror = () => { this.networks.delete(name); reject(new Error(`the weights of ${name} could not be loaded`)); };
        document.head.append(script);
      }));
    }
    return this.networks.get(name);
  }

  ask(name, given) {
    const id = ++this.id;
    return new Promise((resolve, reject) => {
      this.asked.set(id, { resolve, reject });
      this.worker.postMessage({ type: "call", id, name, given });
    });
  }

  // each run has a name of its own, so that no frame of one that was reset is taken for the next one's
  async start(bench, slot, settings, state, hear) {
    const key = `${slot} ${++this.id}`;
    this.set(slot, "reset");
    this.names.set(slot, key);
    this.runs.set(key, hear);
    await this.network(settings.network);
    if (this.runs.has(key)) this.worker.postMessage({ type: "start", bench, key, settings, state });
  }
  set(slot, state) {
    const key = this.names.get(slot);
    if (!key) return;
    if (state === "reset") { this.runs.delete(key); this.names.delete(slot); }
    this.worker.postMessage({ type: "state", key, state });
  }
}
