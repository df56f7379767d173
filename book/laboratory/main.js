// The laboratory: one page, one worker; network, strength, seed, digit and the list of vectors made are shared by all panels.
import { Draw } from "./draw.js";
import { npy, safetensors, save } from "./files.js";
import { Lab } from "./lab.js";
import { PANELS } from "./panels.js";
import { el, percent, withInterval } from "./ui.js";

// a cell that names its column, for phones, where the table's head is not shown
const told = (column, ...inside) => el("td", { "data-column": column }, ...inside);

class App {
  constructor(root) {
    Object.assign(this, { root, state: { network: "", strength: 0.25, seed: 0 }, vectors: [], panels: {} });
    this.lab = new Lab();
    this.lab.failed = (error) => this.say(`The laboratory could not be started in this browser (${error.message}).`);
    this.common();
    this.tabs();
    root.hidden = false;
  }
  find(name) { return this.root.querySelector(`[data-part="${name}"]`); }
  say(text) { this.find("answer").textContent = text; }

  common() {
    const { strengths, networks, called, own } = this.lab.data, network = this.find("network"), strength = this.find("strength"), seed = this.find("seed");
    networks.forEach((name) => network.append(new Option(name === own ? `${called[name]} (reads drawings)` : called[name], name)));
    this.state.network = network.value = own;
    strength.max = strengths.length - 1;
    strength.value = strengths.indexOf(this.state.strength);
    network.addEventListener("change", () => this.setNetwork(network.value));
    strength.addEventListener("input", () => this.setStrength(strengths[Number(strength.value)]));
    seed.addEventListener("change", () => this.seed(Math.max(0, Math.min(9999, Math.round(Number(seed.value) || 0)))));
    this.setStrength(this.state.strength);
  }
  async setNetwork(name) {
    this.state.network = name;
    this.find("network").value = name;
    try {
      this.spec = await this.lab.network(name);
    } catch (error) {
      return this.say(`${error.message}.`);
    }
    for (const panel of Object.values(this.panels)) panel.networkChanged();
    return this.draw?.update();
  }
  setStrength(value) {
    this.state.strength = value;
    this.find("strength").value = this.lab.data.strengths.indexOf(value);
    this.find("strength").setAttribute("aria-valuetext", String(value));
    this.find("strength-text").textContent = `${value} (length ‖v‖₂ = ${(value * 28).toFixed(1)})`;
    for (const panel of Object.values(this.panels)) if (panel.begun) panel.reset();
    this.draw?.update();
  }
  seed(value, panel = null) {
    this.state.seed = value;
    this.find("seed").value = value;
    for (const one of Object.values(this.panels)) if (one.begun) one.reset();
    if (panel) panel.begin("go");
  }

  tabs() {
    const list = [...this.root.querySelectorAll('[role="tab"]')];
    list.forEach((tab, k) => {
      tab.addEventListener("click", () => this.show(tab.dataset.panel));
      tab.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!step) return;
        const next = list[(k + step + list.length) % list.length];
        next.focus();
        this.show(next.dataset.panel);
      });
    });
  }
  show(key) {
    for (const tab of this.root.querySelectorAll('[role="tab"]')) {
      const here = tab.dataset.panel === key;
      tab.setAttribute("aria-selected", here);
      tab.tabIndex = here ? 0 : -1;
      document.getElementById(`lab-${tab.dataset.panel}`).hidden = !here;
    }
    this.shown = key;
  }

  // one: {bench, about, v of root mean square 1, rate, nothing, settings, madeBy, norm, history}
  made(one) {
    const place = this.vectors.push(one), name = `${one.bench} ${place}`, choice = this.draw.add(`${name} (made here)`, one.v);
    const eps = one.settings.strength, v = one.v.map((e) => e * eps), size = one.norm === "inf" ? v.reduce((t, e) => Math.max(t, Math.abs(e)), 0) : Math.sqrt(v.reduce((t, e) => t + e * e, 0));
    const about = { eps: size, norm: one.norm === "inf" ? "inf" : 2, made_by: { ...one.madeBy, network: one.settings.network, where: "the laboratory's page" } };
    const history = Float64Array.from(one.history || []);
    const file = `${one.bench}_${place}`;
    const row = el("tr", {},
      el("th", { scope: "row" }, name), told("how", `${one.settings.network}: ${one.about}`), told("strength", String(one.settings.strength)),
      told("fooling rate", withInterval(one.rate)), told("random signs", percent(one.nothing.value)),
      told("what now", el("button", { type: "button", onclick: () => { this.draw.choose(choice); this.show("draw"); } }, "Try it on a digit"), " ",
        el("button", { type: "button", onclick: () => save(`${file}.npy`, npy(v, [1, 28, 28])) }, ".npy"), " ",
        el("button", { type: "button", onclick: () => save(`${file}.safetensors`, safetensors({ v: { v, shape: [1, 28, 28], dtype: "F32" }, history: { v: history, shape: [history.length], dtype: "F64" } }, { "uapkit.perturbation": JSON.stringify(about) })) }, ".safetensors")));
    this.find("made").append(row);
    this.find("made").closest("div").hidden = false;
  }

  // the address that leads back to this state
  address(panel) {
    const all = { lab: panel.key, ...this.state, ...panel.values() };
    return `${location.href.split("#")[0]}#${new URLSearchParams(all)}`;
  }
  share(panel) {
    const address = this.address(panel);
    history.replaceState(null, "", address);
    panel.part.status.textContent = "The address of this page now leads to these settings and this seed; it was copied if your browser allows it.";
    navigator.clipboard?.writeText(address).catch(() => {});
  }
  async restore() {
    const asked = new URLSearchParams(location.hash.slice(1)), panel = this.panels[asked.get("lab")];
    if (!panel) return;
    if (this.lab.data.networks.includes(asked.get("network"))) await this.setNetwork(asked.get("network"));
    const strength = Number(asked.get("strength"));
    if (this.lab.data.strengths.includes(strength)) this.setStrength(strength);
    if (/^\d{1,4}$/.test(asked.get("seed") || "")) this.seed(Number(asked.get("seed")));
    for (const [name, input] of Object.entries(panel.inputs)) {
      if ([...input.options].some((o) => o.value === asked.get(name))) input.value = asked.get(name);
    }
    panel.reset();
    this.show(panel.key);
    panel.root.scrollIntoView?.({ block: "nearest" });
    panel.begin("go");
  }

  async begin() {
    this.draw = new Draw(document.getElementById("playground-app"), this.lab, this.state);
    await this.setNetwork(this.state.network);
    await this.lab.ready;
    await this.draw.begin();
    for (const [key, Kind] of Object.entries(PANELS)) this.panels[key] = new Kind(this, document.getElementById(`lab-${key}`));
    for (const panel of Object.values(this.panels)) panel.networkChanged();
    this.show("draw");
    this.root.dataset.ready = document.getElementById("playground-app").dataset.ready = "yes";
    this.root.dataset.device = this.lab.device;
    await this.restore();
  }
}

const root = document.getElementById("lab-app");
if (root && window.uapkitLaboratory) {
  const app = new App(root);
  window.addEventListener("hashchange", () => app.restore());
  app.begun = app.begin().catch((error) => {
    app.say(`The laboratory could not be started in this browser (${error.message}).`);
    throw error;
  });
  window.uapkitLaboratoryApp = app;
}
