// Principal curvatures of a class score near the boundary of a smooth copy, by Lanczos on exact products: uapkit.curvature.
import { EigenvalueDecomposition, Matrix } from "ml-matrix";
import { deepfool } from "./deepfool.js";
import { argmax, dot, plus } from "./numbers.js";
import { Generator } from "./random.js";

// {x, rival} for each image that targeted DeepFool brings near the boundary to `target`
export function boundaryPoint(net, x, target) {
  const found = deepfool(net, x, { target, overshoot: 0.05, maxIter: 5 });
  if (!found.success || found.label === target) return null;
  const point = plus(x, found.r, 0.8);
  return { x: point, rival: argmax(net.logits(point).map((e, k) => (k === target ? -Infinity : e))) };
}

// the Hessian of F_target - F_rival at each point, as products
export const hessians = (smooth, points, target) => points.map(({ x, rival }) => {
  const g = new Float32Array(10);
  g[target] += 1;
  g[rival] -= 1;
  return smooth.hessian(x, g);
});

// their mean times v
export function* product(parts, v) {
  const sum = new Float64Array(v.length);
  for (const [k, part] of parts.entries()) {
    const one = part(v);
    for (let i = 0; i < sum.length; i++) sum[i] += one[i];
    if (k % 5 === 4) yield;
  }
  return sum.map((e) => e / parts.length);
}

const eigen = (small) => {
  const m = small.length, even = new Matrix(m, m);
  for (let i = 0; i < m; i++) for (let j = 0; j < m; j++) even.set(i, j, (small[i][j] + small[j][i]) / 2);
  const found = new EigenvalueDecomposition(even, { assumeSymmetric: true });
  return found.realEigenvalues.map((value, i) => ({ value, s: found.eigenvectorMatrix.getColumn(i) })).sort((a, b) => b.value - a.value);
};

// yields {products, values (all Ritz values), top, bottom: {value, v, residual}, done}; the first and last pair of the spectrum
export function* lanczos(apply, d, { seed, most, rtol = 0.02, every = 10 }) {
  const draws = new Generator(seed, "lanczos"), basis = [], products = [], small = [];
  let rest = draws.randn(d);
  for (let j = 0; j < most; j++) {
    let w = rest;
    for (let attempt = 0; attempt < 2; attempt++) {
      for (let pass = 0; pass < 2; pass++) {
        const cs = basis.map((q) => dot(q, w));
        w = Float64Array.from(w);
        basis.forEach((q, k) => { for (let i = 0; i < d; i++) w[i] -= cs[k] * q[i]; });
      }
      if (attempt || Math.sqrt(dot(w, w)) > 1e-10 * Math.max(1e-300, Math.sqrt(dot(rest, rest)))) break;
      w = draws.randn(d);
    }
    const length = Math.sqrt(dot(w, w));
    basis.push(w.map((e) => e / length));
    products.push((rest = yield* apply(Float32Array.from(basis[j]))));
    small.forEach((row, i) => row.push(dot(basis[i], products[j])));
    small.push(products.map((p) => dot(basis[j], p)));
    const m = j + 1, check = m === most || (m >= 2 && m % every === 0);
    if (!check && m % 2) continue;
    const pairs = eigen(small), scale = Math.max(...pairs.map((p) => Math.abs(p.value))) || 1;
    const [top, bottom] = [pairs[0], pairs[m - 1]].map(({ value, s }) => {
      const v = new Float64Array(d), r = new Float64Array(d);
      for (let k = 0; k < m; k++) for (let i = 0; i < d; i++) { v[i] += s[k] * basis[k][i]; r[i] += s[k] * products[k][i]; }
      for (let i = 0; i < d; i++) r[i] -= value * v[i];
      let peak = 0;
      for (let i = 1; i < d; i++) if (Math.abs(v[i]) > Math.abs(v[peak])) peak = i;
      const turn = v[peak] < 0 ? -1 : 1;
      return { value, v: Float32Array.from(v, (e) => turn * e), residual: Math.sqrt(dot(r, r)) / scale };
    });
    const done = check && (m === most || Math.max(top.residual, bottom.residual) <= rtol);
    yield { products: m, values: pairs.map((p) => p.value), top, bottom, done };
    if (done) return;
  }
}
