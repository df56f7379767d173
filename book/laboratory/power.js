// K's bench: a (p, q)-singular vector of a layer's Jacobian, iteration by iteration (uapkit.singular.pq_singular).
import { Jacobian } from "./network.js";
import { dual, lpNorm, psi } from "./numbers.js";
import { Generator } from "./random.js";

const EPS = 2 ** -23;
const finite = (value) => { if (!Number.isFinite(value)) throw new Error("the layer's response is not finite"); return value; };

function maximiser(g, p, previous) {
  const v = psi(g, dual(p));
  if (p === Infinity) return v.map((e, i) => (g[i] === 0 ? previous[i] : e));
  const length = lpNorm(v, p);
  return v.map((e) => e / length);
}

function startVector(n, p, seed) {
  const v = Float32Array.from(new Generator(seed, "start_vector").rand(n), (e) => e - 0.5);
  if (p === Infinity) return v.map((e) => (e < 0 ? -1 : 1));
  const length = lpNorm(v, p);
  return v.map((e) => e / length);
}

// yields {k, v, value, history, done, converged}; k = 0 is the start
export function* power(net, images, { layer, p, q, maxIter, seed }) {
  const op = new Jacobian(net, images, layer), history = [];
  let v = startVector(images[0].length, p, seed), z = op.matvec(v), value = finite(lpNorm(z, q));
  if (value === 0) {
    const w = new Generator(seed, "functional");
    const g = op.rmatvec(Float32Array.from({ length: z.length }, () => w.float() - 0.5));
    if (!g.some((e) => e !== 0)) throw new Error(`the layer ${layer} does not respond to any of these images; choose another layer`);
    v = maximiser(g, p, v);
    z = op.matvec(v);
    value = finite(lpNorm(z, q));
  }
  const startValue = value;
  yield { k: 0, v, value, startValue, history: [], done: false, converged: false };
  for (let k = 1; k <= maxIter; k++) {
    const next = maximiser(op.rmatvec(psi(z, q)), p, v);
    z = op.matvec(next);
    const found = finite(lpNorm(z, q)), growth = found - value;
    if (growth >= 0) { v = next; value = found; }
    history.push(value);
    const stop = growth <= 0, converged = stop && growth >= -value * Math.sqrt(EPS);
    yield { k, v, value, startValue, history: [...history], done: stop || k === maxIter, converged };
    if (stop) return;
  }
}
