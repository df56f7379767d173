// The first panel: draw or pick a digit, add a vector, watch the network's answer.
import { resized } from "./digits.js";
import { argmax } from "./numbers.js";
import { D, SIDE, el, floats, paint, percent } from "./ui.js";

const CLASSES = 10;
const softmax = (z) => {
  const top = Math.max(...z), e = Array.from(z, (v) => Math.exp(v - top)), sum = e.reduce((a, b) => a + b);
  return e.map((v) => v / sum);
};

export class Draw {
  // state: the page's {network, strength}; the panel's own choices are its digit and its vector
  constructor(root, lab, state) {
    Object.assign(this, { root, lab, state, wanted: 0, x: null, ink: false });
    this.part = (name) => root.querySelector(`[data-part="${name}"]`);
    this.vectors = lab.data.perturbations.map((p) => ({ name: p.name === "random" ? "random signs" : p.name, v: floats(p.v), stored: p }));
    this.vectors.forEach((p, k) => this.part("perturbation").append(new Option(p.name, k)));
    this.part("perturbation").addEventListener("change", () => this.update());
    this.rows = Array.from({ length: CLASSES }, (_, k) => {
      const row = this.part("scores").insertRow();
      row.innerHTML = `<th scope="row">${k}</th>` + '<td><span class="track" aria-hidden="true"><i></i></span><b></b></td>'.repeat(2);
      return row;
    });
    this.drawing();
  }

  async begin() {
    const { shown } = this.lab.data;
    this.digits = await Promise.all(shown.map((index) => this.lab.ask("image", { split: "test", index })));
    const seen = {};
    shown.forEach((index, k) => {
      const label = this.lab.data.digits.test.labels[index];
      seen[label] = (seen[label] || 0) + 1;
      const radio = el("input", { type: "radio", name: "digit", value: k, checked: k === 0, id: `playground-digit-${k}`, onchange: () => this.pick(k) });
      radio.setAttribute("aria-label", `test digit ${label}, number ${seen[label]}`);
      this.part("digits").append(el("label", {}, radio, this.small(this.digits[k])));
    });
    this.pick(0);
    // the page opens with the first of its digits whose answer changes, if there is one
    const { v } = this.vectors[0], all = new Float32Array(D * this.digits.length);
    this.digits.forEach((x, k) => all.set(x, k * D));
    const ask = (v) => this.lab.ask("logits", { network: this.state.network, pixels: all, v });
    const tops = (await Promise.all([ask(null), ask(v.map((e) => e * this.state.strength))])).map((z) => this.digits.map((_, k) => argmax(z.subarray(10 * k, 10 * k + 10))));
    const first = this.digits.findIndex((_, k) => tops[0][k] !== tops[1][k]);
    if (first > 0 && this.x === this.digits[0]) { // unless the reader was faster
      document.getElementById(`playground-digit-${first}`).checked = true;
      this.pick(first);
    }
    await this.update();
  }

  add(name, v) {
    const k = this.vectors.push({ name, v, made: true }) - 1;
    this.part("perturbation").append(new Option(name, k));
    return k;
  }
  choose(k) { this.part("perturbation").value = k; return this.update(); }

  update() { return (this.latest = this.show()); }
  async show() {
    if (!this.x) return;
    const own = ++this.wanted, { strength, network } = this.state; // of several moves at once only the last is shown
    const { name, v, stored } = this.vectors[Number(this.part("perturbation").value)];
    const moved = Float32Array.from(this.x, (value, i) => value + strength * v[i]);
    const largest = v.reduce((top, e) => Math.max(top, Math.abs(e)), 0);
    paint(this.part("clean"), this.x);
    paint(this.part("added"), v, (value) => 0.5 + (strength ? value / (2 * largest) : 0));
    paint(this.part("perturbed"), moved);
    const both = new Float32Array(2 * D);
    both.set(this.x);
    both.set(moved, D);
    const z = await this.lab.ask("logits", { network, pixels: both, v: null });
    if (own !== this.wanted) return;
    const shares = [softmax(z.slice(0, CLASSES)), softmax(z.slice(CLASSES))], tops = shares.map((s) => argmax(s));
    shares.forEach((s, column) => this.rows.forEach((row, k) => {
      const cell = row.cells[1 + column];
      cell.querySelector("i").style.width = `${100 * s[k]}%`;
      cell.querySelector("b").textContent = percent(s[k]);
      cell.classList.toggle("top", k === tops[column]);
    }));
    const say = (text) => { this.part("answer").textContent = text; };
    if (this.ink === "empty") say("Draw a digit or pick one.");
    else say(`Without: ${tops[0]} (${percent(shares[0][tops[0]])}). With ${name}: ${tops[1]} (${percent(shares[1][tops[1]])}). ${tops[0] === tops[1] ? "The answer stays." : "The answer has changed."}`);
    this.root.dataset.clean = tops[0];
    this.root.dataset.perturbed = tops[1];
    this.onlabels?.();
    await this.rate(own, name, v, stored);
  }

  async rate(own, name, v, stored) {
    const { strength, network } = this.state, { strengths, own: home, n } = this.lab.data;
    const place = strengths.findIndex((s) => Math.abs(s - strength) < 1e-9), note = this.part("rate");
    const size = `largest pixel ${(strength * v.reduce((top, e) => Math.max(top, Math.abs(e)), 0)).toFixed(2)}`;
    const told = (rate, n) => { note.textContent = `At this strength (${size}) ${name} changes the answer for ${percent(rate[0])} [${percent(rate[1])}, ${percent(rate[2])}] of ${n} test digits.`; };
    if (stored && network === home && place >= 0) return told(stored.rates[place], n);
    note.textContent = "Counting on 200 test digits …";
    const r = await this.lab.ask("rate", { network, v: v.map((e) => e * strength) });
    if (own === this.wanted) told([r.value, r.low, r.high], r.n);
  }

  // ---- white ink; the drawn box is scaled to 32 x 32, averaged over 4 x 4 blocks and resized, as the data set was
  drawing() {
    const pad = this.part("pad"), pen = pad.getContext("2d", { willReadFrequently: true });
    Object.assign(this, { pad, pen });
    let last = null;
    const where = (event) => {
      const box = pad.getBoundingClientRect();
      return [((event.clientX - box.left) * pad.width) / box.width, ((event.clientY - box.top) * pad.height) / box.height];
    };
    const line = (to) => {
      Object.assign(pen, { strokeStyle: "#fff", lineWidth: 30, lineCap: "round", lineJoin: "round" });
      pen.beginPath();
      pen.moveTo(...last);
      pen.lineTo(...to);
      pen.stroke();
      last = to;
      this.x = this.seen();
      this.update();
    };
    pad.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      pad.setPointerCapture(event.pointerId);
      if (this.ink !== true) { this.wipe(); this.ink = true; }
      this.unpick();
      last = where(event);
      line(last);
    });
    pad.addEventListener("pointermove", (event) => { if (last) line(where(event)); });
    for (const name of ["pointerup", "pointercancel"]) pad.addEventListener(name, () => { last = null; });
    this.part("clear").addEventListener("click", () => {
      this.wipe();
      this.ink = "empty";
      this.x = new Float32Array(D);
      this.unpick();
      this.update();
    });
  }
  unpick() { this.root.querySelectorAll('[name="digit"]').forEach((radio) => { radio.checked = false; }); }
  wipe() {
    this.pen.fillStyle = "#000";
    this.pen.fillRect(0, 0, this.pad.width, this.pad.height);
  }
  seen() {
    const { width, height } = this.pad, { data: rgba } = this.pen.getImageData(0, 0, width, height);
    let [left, right, top, bottom] = [width, -1, height, -1];
    for (let i = 0; i < width * height; i++) {
      if (rgba[4 * i] < 128) continue;
      const c = i % width, r = (i - c) / width;
      left = Math.min(left, c); right = Math.max(right, c); top = Math.min(top, r); bottom = Math.max(bottom, r);
    }
    if (right < 0) return new Float32Array(D);
    const size = Math.max(right - left, bottom - top) + 1, small = document.createElement("canvas");
    small.width = small.height = 32;
    const brush = small.getContext("2d", { willReadFrequently: true });
    brush.fillRect(0, 0, 32, 32);
    brush.imageSmoothingQuality = "high";
    brush.drawImage(this.pad, left - (size - (right - left + 1)) / 2, top - (size - (bottom - top + 1)) / 2, size, size, 0, 0, 32, 32);
    const fine = brush.getImageData(0, 0, 32, 32).data, block = new Float64Array(64);
    for (let i = 0; i < 1024; i++) if (fine[4 * i] >= 128) block[8 * (i >> 7) + ((i & 31) >> 2)] += 1 / 16;
    return resized(block, this.lab.resize);
  }
  small(pixels) {
    const canvas = el("canvas", { width: SIDE, height: SIDE });
    paint(canvas, pixels);
    return canvas;
  }
  pick(k) {
    this.x = this.digits[k];
    this.ink = false;
    this.wipe();
    this.pen.imageSmoothingEnabled = true;
    this.pen.drawImage(this.small(this.x), 0, 0, this.pad.width, this.pad.height);
    this.update();
  }
}
