// DeepFool on one image and Algorithm 1 over many: uapkit.attacks.deepfool and uapkit.attacks.uap.
import { argmax, dot, lpNorm, plus, project } from "./numbers.js";
import { Generator } from "./random.js";

const EPS = 2 ** -23;

// {r, success, steps, label, adversarial, path}; path: one entry a step, the candidates with their distances
export function deepfool(net, x, { away = null, target = null, overshoot = 0.02, maxIter = 10, candidates = 10 }) {
  const reach = 1 + overshoot, total = new Float32Array(x.length), path = [];
  let label = null, classes = null, now = null, success = false, steps = 0;
  for (let step = 0; step <= maxIter; step++) {
    const record = [], point = plus(x, total, reach), logits = net.forward(point, undefined, record);
    now = argmax(logits);
    if (step === 0) {
      label = away ?? now;
      const others = [...logits.keys()].filter((k) => k !== now).sort((a, b) => logits[b] - logits[a]);
      classes = target === null ? [now, ...others].slice(0, candidates) : [target];
    }
    success = target === null ? now !== label : now === target;
    if (success || step === maxIter) break;
    let top = 0;
    for (const e of logits) top = Math.max(top, Math.abs(e));
    const start = target === null ? classes[0] : argmax(logits.map((e, k) => (k === target ? -Infinity : e)));
    const ends = target === null ? classes.slice(1) : [target];
    const found = ends.map((end) => {
      const g = new Float32Array(logits.length);
      g[end] = 1;
      g[start] -= 1;
      const w = net.pull(g, record, 0, net.ops.length - 1).map((e) => e / net.std);
      const gap = Math.max(Math.abs(Math.fround(logits[end] - logits[start])), top * EPS), slope = dot(w, w);
      return { end, w, gap, slope, length: slope > 0 ? gap / Math.sqrt(slope) : Infinity };
    });
    const best = found.reduce((a, b) => (b.length < a.length ? b : a));
    path.push({ from: start, to: best.end, distances: found.map(({ end, length }) => [end, length]) });
    if (!Number.isFinite(best.length)) break;
    const factor = best.gap / best.slope;
    for (let i = 0; i < total.length; i++) total[i] += factor * best.w[i];
    steps++;
  }
  return { r: total.map((e) => e * reach), success, steps, label, adversarial: now, path };
}

// yields {kind: "visit" | "pass", ...}; "visit" only for images that v does not fool
export function* aggregate(net, images, clean, { norm, eps, seed, passes, target, maxIter = 10 }) {
  let v = new Float32Array(images[0].length), visits = 0;
  const rate = () => images.filter((x, i) => argmax(net.logits(plus(x, v))) !== clean[i]).length / images.length;
  for (let pass = 1; pass <= passes; pass++) {
    const order = new Generator(seed, `uap/pass${pass}/batch0`).permutation(images.length);
    let moved = false;
    for (const i of order) {
      visits++;
      const from = plus(images[i], v);
      if (argmax(net.logits(from)) !== clean[i]) continue;
      const found = deepfool(net, from, { away: clean[i], maxIter });
      if (found.success && found.steps > 0) {
        const next = project(plus(v, found.r), norm, eps);
        moved ||= next.some((e, j) => e !== v[j]);
        v = next;
      }
      yield { kind: "visit", pass, visits, image: i, ...found, length: lpNorm(found.r, 2), v };
    }
    const share = rate(), end = share >= target ? "reached" : !moved ? "stalled" : pass === passes ? "pass limit" : "";
    yield { kind: "pass", pass, visits, rate: share, v, end };
    if (end) return;
  }
}
