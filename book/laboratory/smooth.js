// A smooth copy of a network and its exact second derivatives: uapkit.models.smooth.softened, differentiated twice.
// softplus(beta z) / beta for ReLU, log(mean(exp(beta z))) / beta for max-pooling.
import { Network } from "./network.js";

export class SmoothNetwork extends Network {
  // the weights are those of `net`, kept once
  static of(net, beta) { return Object.assign(Object.create(SmoothNetwork.prototype), net, { beta }); }

  bend(op, z, record) {
    const [out, kept] = op.op === "relu" ? softplus(z, this.beta) : smoothMaximum(z, op, this.beta);
    if (record) record[op.place] = kept;
    return out;
  }
  pushBend(op, t, kept) { return op.op === "relu" ? times(t, kept.slope) : averaged(t, kept, op.size); }
  pullBend(op, g, kept) { return op.op === "relu" ? times(g, kept.slope) : spread(g, kept, sizeOf(op)); }

  // v -> H v for the Hessian of <weights, logits> at x, all but the directions recorded once
  hessian(x, weights) {
    const record = [], last = this.ops.length - 1;
    this.forward(x, last, record);
    const covectors = [];
    this.pull(weights, record, 0, last, covectors);
    return (v) => {
      const tangents = [];
      this.push(Float32Array.from(v, (e) => e / this.std), record, 0, last, tangents);
      let s = null; // the tangent of the covector; zero behind the last bend
      for (let i = last; i >= 0; i--) {
        const op = this.ops[i];
        if (op.op !== "relu" && op.op !== "pool") { if (s) s = this.pull(s, record, i, i); continue; }
        const more = op.op === "relu" ? curvedRelu(tangents[i], covectors[i], record[i].slope, this.beta) : curvedPool(tangents[i], covectors[i], record[i], this.beta);
        if (s) {
          const through = this.pullBend(op, s, record[i]);
          for (let j = 0; j < more.length; j++) more[j] += through[j];
        }
        s = more;
      }
      return s ? s.map((e) => e / this.std) : new Float32Array(v.length);
    };
  }
}

const sizeOf = (op) => op.from.reduce((a, b) => a * b);
const times = (t, slope) => { const out = new Float32Array(t.length); for (let j = 0; j < out.length; j++) out[j] = t[j] * slope[j]; return out; };

function softplus(z, beta) {
  const out = new Float32Array(z.length), slope = new Float32Array(z.length);
  for (let j = 0; j < z.length; j++) {
    const e = Math.exp(-Math.abs(beta * z[j]));
    out[j] = Math.max(z[j], 0) + Math.log1p(e) / beta;
    slope[j] = (z[j] > 0 ? 1 : e) / (1 + e);
  }
  return [out, { slope }];
}

// the four places of each block of 2 x 2, and the weights with which they enter
function smoothMaximum(z, op, beta) {
  const [c, h, w] = op.from, ho = h >> 1, wo = w >> 1, out = new Float32Array(c * ho * wo), share = new Float32Array(4 * out.length), at = new Int32Array(4 * out.length);
  for (let k = 0, j = 0; k < c; k++) for (let r = 0; r < ho; r++) for (let s = 0; s < wo; s++, j++) {
    const p = (k * h + 2 * r) * w + 2 * s;
    [p, p + 1, p + w, p + w + 1].forEach((q, i) => { at[4 * j + i] = q; });
    let top = -Infinity, sum = 0;
    for (let i = 4 * j; i < 4 * j + 4; i++) top = Math.max(top, z[at[i]]);
    for (let i = 4 * j; i < 4 * j + 4; i++) sum += share[i] = Math.exp(beta * (z[at[i]] - top));
    for (let i = 4 * j; i < 4 * j + 4; i++) share[i] /= sum;
    out[j] = top + Math.log(sum / 4) / beta;
  }
  return [out, { share, at }];
}
function averaged(t, { share, at }, size) {
  const out = new Float32Array(size);
  for (let i = 0; i < at.length; i++) out[i >> 2] += share[i] * t[at[i]];
  return out;
}
function spread(g, { share, at }, size) {
  const out = new Float32Array(size);
  for (let i = 0; i < at.length; i++) out[at[i]] = share[i] * g[i >> 2];
  return out;
}

// second derivative along the tangent t, times the covector g
function curvedRelu(t, g, slope, beta) {
  const out = new Float32Array(t.length);
  for (let j = 0; j < t.length; j++) out[j] = beta * slope[j] * (1 - slope[j]) * t[j] * g[j];
  return out;
}
function curvedPool(t, g, kept, beta) {
  const out = new Float32Array(t.length), { share, at } = kept, middle = averaged(t, kept, g.length);
  for (let i = 0; i < at.length; i++) out[at[i]] = beta * share[i] * (t[at[i]] - middle[i >> 2]) * g[i >> 2];
  return out;
}
