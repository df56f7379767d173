// A chain of layers with its derivative: forward once with a record of every kink, then push and pull through the links.
import { convolve, keep } from "./kernel.js";

const flipped = (w, co, ci, k) => { // of the adjoint: (ci, co, k, k), kernels turned by 180 degrees
  const out = new Float32Array(w.length), kk = k * k;
  for (let o = 0; o < co; o++) for (let c = 0; c < ci; c++) for (let t = 0; t < kk; t++) out[(c * co + o) * kk + t] = w[(o * ci + c) * kk + kk - 1 - t];
  return out;
};
const toFour = (w, rows) => { // rows filled up to a multiple of four
  const out = new Float32Array((w.length / rows) * ((rows + 3) & ~3));
  out.set(w);
  return out;
};

const bends = (op) => op.op === "relu" || op.op === "pool";

export class Network {
  // spec: {name, mean, std, ops: [{op, ...}], layers: {name: index of its last op}}, weights a Float32Array
  constructor(spec, weights) {
    Object.assign(this, { name: spec.name, mean: spec.mean, std: spec.std, layers: spec.layers });
    let at = 0;
    const take = (n) => weights.subarray(at, (at += n));
    let shape = [1, 28, 28];
    this.ops = spec.ops.map((one, place) => {
      const op = { ...one, place, from: shape };
      if (op.op === "conv") {
        const [ci, h, w] = shape, { co, k, pad } = op, own = take(co * ci * k * k);
        op.bias = take(co);
        op.weights = keep(toFour(own, co));
        op.adjoint = keep(toFour(flipped(own, co, ci, k), ci));
        shape = [co, h + 2 * pad - k + 1, w + 2 * pad - k + 1];
      } else if (op.op === "linear") {
        op.weights = take(op.out * shape[0]);
        op.bias = take(op.out);
        shape = [op.out];
      } else if (op.op === "pool") shape = [shape[0], shape[1] >> 1, shape[2] >> 1];
      else if (op.op === "flatten") shape = [shape.reduce((a, b) => a * b)];
      return Object.assign(op, { shape, size: shape.reduce((a, b) => a * b) });
    });
    this.shared = this.ops.findIndex(bends); // ops before it are the same for all images
    if (this.shared < 0) this.shared = this.ops.length;
  }

  end(layer) {
    if (!(layer in this.layers)) throw new Error(`${this.name} has no layer ${layer}; it has ${Object.keys(this.layers).join(", ")}`);
    return this.layers[layer];
  }

  // values after op `last`; with `record` (an array) what push and pull need goes there
  forward(x, last = this.ops.length - 1, record = null) {
    let z = new Float32Array(x.length);
    for (let j = 0; j < z.length; j++) z[j] = (x[j] - this.mean) / this.std;
    for (let i = 0; i <= last; i++) {
      const op = this.ops[i];
      if (bends(op)) z = this.bend(op, z, record); // z is ours: every op before has made it
      else {
        z = apply(op, z);
        if (op.bias) addBias(z, op.bias);
      }
    }
    return z;
  }

  // ReLU and pooling, which alone are not linear: the value with its record, a tangent, a covector; a smooth copy has its own
  bend(op, z, record) {
    if (op.op === "relu") {
      if (record) {
        const mask = (record[op.place] = new Uint8Array(z.length));
        for (let j = 0; j < z.length; j++) mask[j] = z[j] > 0 ? 1 : 0;
      }
      for (let j = 0; j < z.length; j++) if (!(z[j] > 0)) z[j] = 0;
      return z;
    }
    const at = largest(z, op);
    if (record) record[op.place] = at;
    return picked(z, at);
  }
  pushBend(op, t, kept) { return op.op === "relu" ? masked(t, kept) : picked(t, kept); }
  pullBend(op, g, kept) {
    if (op.op === "relu") return masked(g, kept);
    const back = new Float32Array(op.from.reduce((a, b) => a * b));
    for (let j = 0; j < kept.length; j++) back[kept[j]] += g[j];
    return back;
  }

  // tangent through the ops first..last at one image's record; `met` (an array) gets what arrives at each bend
  push(t, record, first, last, met = null) {
    for (let i = first; i <= last; i++) {
      const op = this.ops[i];
      if (met && bends(op)) met[i] = t;
      t = bends(op) ? this.pushBend(op, t, record[i]) : apply(op, t);
    }
    return t;
  }

  pull(g, record, first, last, met = null) {
    for (let i = last; i >= first; i--) {
      const op = this.ops[i];
      if (met && bends(op)) met[i] = g;
      if (bends(op)) g = this.pullBend(op, g, record[i]);
      else if (op.op === "conv") g = convolve(g, op.co, op.shape[1], op.shape[2], op.adjoint, op.from[0], op.k, op.k - 1 - op.pad);
      else if (op.op === "linear") g = across(op, g);
    }
    return g;
  }

  // gradient of <weights(logits), logits> with respect to the pixels; several of them where weights gives several rows
  gradients(x, weights) {
    const record = [], logits = this.forward(x, undefined, record);
    const rows = weights(logits).map((g) => this.pull(g, record, 0, this.ops.length - 1).map((e) => e / this.std));
    return { logits, rows };
  }

  logits(x) { return this.forward(x); }
}

// Jacobian of one layer, stacked over images: the package's JacobianOperator
export class Jacobian {
  constructor(net, images, layer) {
    this.net = net;
    this.last = net.end(layer);
    this.records = images.map((x) => { const record = []; net.forward(x, this.last, record); return record; });
    this.size = net.ops[this.last].size;
    this.cut = Math.min(net.shared, this.last + 1);
  }
  matvec(v) {
    const { net, last, size, cut } = this;
    const start = net.push(v.map((e) => e / net.std), [], 0, cut - 1);
    const out = new Float32Array(size * this.records.length);
    this.records.forEach((record, i) => out.set(net.push(start, record, cut, last), i * size));
    return out;
  }
  rmatvec(w) {
    const { net, last, size, cut } = this;
    let sum = null;
    this.records.forEach((record, i) => {
      const g = net.pull(w.subarray(i * size, (i + 1) * size), record, cut, last);
      sum ??= new Float64Array(g.length);
      for (let j = 0; j < g.length; j++) sum[j] += g[j];
    });
    return net.pull(Float32Array.from(sum), [], 0, cut - 1).map((e) => e / net.std);
  }
}

function masked(z, mask) {
  const out = new Float32Array(z.length);
  for (let j = 0; j < out.length; j++) out[j] = z[j] * mask[j];
  return out;
}

function picked(z, places) {
  const out = new Float32Array(places.length);
  for (let j = 0; j < out.length; j++) out[j] = z[places[j]];
  return out;
}

function apply(op, z) {
  if (op.op === "conv") return convolve(z, op.from[0], op.from[1], op.from[2], op.weights, op.co, op.k, op.pad);
  if (op.op !== "linear") return z;
  const n = z.length, out = new Float32Array(op.out);
  for (let o = 0, at = 0; o < op.out; o++) {
    let sum = 0;
    for (let j = 0; j < n; j++) sum += op.weights[at++] * z[j];
    out[o] = sum;
  }
  return out;
}

function across(op, g) {
  const n = op.weights.length / op.out, sum = new Float64Array(n);
  for (let o = 0, at = 0; o < op.out; o++) {
    const a = g[o];
    if (a === 0) { at += n; continue; }
    for (let j = 0; j < n; j++) sum[j] += a * op.weights[at++];
  }
  return Float32Array.from(sum);
}

function addBias(z, bias) {
  const each = z.length / bias.length;
  for (let c = 0, i = 0; c < bias.length; c++) for (let j = 0; j < each; j++) z[i++] += bias[c];
}

// places of the largest of each 2 x 2 block, the first of equals
function largest(z, op) {
  const [c, h, w] = op.from, ho = h >> 1, wo = w >> 1, at = new Int32Array(c * ho * wo);
  for (let k = 0, j = 0; k < c; k++) for (let r = 0; r < ho; r++) for (let s = 0; s < wo; s++) {
    const p = (k * h + 2 * r) * w + 2 * s;
    let best = p;
    if (z[p + 1] > z[best]) best = p + 1;
    if (z[p + w] > z[best]) best = p + w;
    if (z[p + w + 1] > z[best]) best = p + w + 1;
    at[j++] = best;
  }
  return at;
}
