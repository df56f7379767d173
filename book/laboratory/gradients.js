// Loss gradients of many images and what their stacked unit rows share: uapkit.attacks.loss_gradient and uapkit.spectra.
import { EigenvalueDecomposition, Matrix } from "ml-matrix";
import { argmax, dot } from "./numbers.js";
import { Generator } from "./random.js";

// gradient of the cross-entropy at the predicted label, as loss_gradient computes it (the label's entry is minus the rest)
export function lossGradient(net, x) {
  return net.gradients(x, (logits) => {
    const label = argmax(logits), top = logits[label], e = Array.from(logits, (z) => Math.exp(z - top)), sum = e.reduce((a, b) => a + b);
    const g = Float32Array.from(e, (z, k) => (k === label ? 0 : z / sum));
    g[label] = -e.reduce((rest, z, k) => (k === label ? rest : rest + z / sum), 0);
    return [g];
  }).rows[0];
}

// unit rows; null for a zero row, which has no direction
export function unitRow(row) {
  let top = 0;
  for (const e of row) top = Math.max(top, Math.abs(e));
  if (!(top > 0) || !Number.isFinite(top)) return null;
  const small = Float64Array.from(row, (e) => e / top), length = Math.sqrt(dot(small, small));
  return small.map((e) => e / length);
}

// {values (descending), vectors (the first k, unit), places (n, k): the rows on them} by the smaller Gram matrix
export function spectrum(rows, k = 2) {
  const n = rows.length, d = rows[0].length, gram = new Matrix(n, n);
  for (let i = 0; i < n; i++) for (let j = i; j < n; j++) { const c = dot(rows[i], rows[j]); gram.set(i, j, c); gram.set(j, i, c); }
  const found = new EigenvalueDecomposition(gram, { assumeSymmetric: true });
  const order = found.realEigenvalues.map((v, i) => [v, i]).sort((a, b) => b[0] - a[0]);
  const values = order.map(([v]) => Math.sqrt(Math.max(0, v)));
  const vectors = order.slice(0, Math.min(k, n)).map(([, place], which) => {
    const u = found.eigenvectorMatrix.getColumn(place), v = new Float64Array(d);
    for (let i = 0; i < n; i++) for (let j = 0; j < d; j++) v[j] += (u[i] * rows[i][j]) / (values[which] || 1);
    let peak = 0;
    for (let j = 1; j < d; j++) if (Math.abs(v[j]) > Math.abs(v[peak])) peak = j;
    const turn = v[peak] < 0 ? -1 : 1; // the entry of largest modulus is positive
    return v.map((e) => turn * e);
  });
  return { values, vectors, places: rows.map((row) => vectors.map((v) => dot(row, v))) };
}

// uapkit.spectra.random_directions: the matched null
export function randomRows(n, d, seed) {
  const all = new Generator(seed, "random_directions").randnFloat(n * d);
  return Array.from({ length: n }, (_, i) => unitRow(all.subarray(i * d, i * d + d)));
}
