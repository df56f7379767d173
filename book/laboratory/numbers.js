// Norms, the map psi, Wilson's interval: uapkit.norms and uapkit.intervals.
export function lpNorm(z, r) {
  let top = 0, sum = 0;
  for (let i = 0; i < z.length; i++) {
    const size = Math.abs(z[i]);
    sum += size;
    if (size > top) top = size;
  }
  if (r === 1) return sum;
  if (r === Infinity || top === 0) return top;
  sum = 0;
  for (let i = 0; i < z.length; i++) sum += Math.abs(z[i] / top) ** r;
  return top * sum ** (1 / r);
}

// psi_r(z / max|z|)
export function psi(z, r) {
  const out = new Float32Array(z.length);
  if (r === 1) return out.map((_, i) => Math.sign(z[i]));
  let top = 0, first = 0;
  for (let i = 0; i < z.length; i++) if (Math.abs(z[i]) > top) { top = Math.abs(z[i]); first = i; }
  if (top === 0) return out;
  if (r === Infinity) { out[first] = Math.sign(z[first]); return out; }
  for (let i = 0; i < z.length; i++) out[i] = Math.sign(z[i]) * Math.abs(z[i] / top) ** (r - 1);
  return out;
}

export const dual = (p) => (p === 1 ? Infinity : p === Infinity ? 1 : p / (p - 1));
export const dot = (a, b) => { let s = 0; for (let i = 0; i < a.length; i++) s += a[i] * b[i]; return s; };
export const rms = (v) => Math.sqrt(dot(v, v) / v.length);
export const scaled = (v, factor) => Float32Array.from(v, (e) => e * factor);
export const plus = (x, v, factor = 1) => { const out = new Float32Array(x.length); for (let i = 0; i < x.length; i++) out[i] = x[i] + factor * v[i]; return out; };
export function argmax(z) { let best = 0; for (let i = 1; i < z.length; i++) if (z[i] > z[best]) best = i; return best; }

export function wilson(hits, n) {
  const z2 = 1.959963984540054 ** 2, p = hits / n, centre = (p + z2 / (2 * n)) / (1 + z2 / n);
  const half = Math.sqrt((z2 * (p * (1 - p) + z2 / (4 * n))) / n) / (1 + z2 / n);
  return { value: p, low: hits ? Math.max(0, centre - half) : 0, high: hits < n ? Math.min(1, centre + half) : 1, hits, n };
}

export function project(v, norm, eps) {
  if (norm === Infinity) return Float32Array.from(v, (e) => Math.min(eps, Math.max(-eps, e)));
  const length = lpNorm(v, 2);
  return length > eps ? scaled(v, eps / length) : Float32Array.from(v);
}
