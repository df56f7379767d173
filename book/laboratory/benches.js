// What the worker runs: each bench a generator of frames. A frame is what changed; undefined only lets others speak.
import { power } from "./power.js";
import { boundaryPoint, hessians, lanczos, product } from "./curvature.js";
import { aggregate } from "./deepfool.js";
import { rotated } from "./digits.js";
import { lossGradient, randomRows, spectrum, unitRow } from "./gradients.js";
import { dot, lpNorm, plus, rms, scaled, wilson } from "./numbers.js";
import { Generator } from "./random.js";
import { SmoothNetwork } from "./smooth.js";

export const unit = (v) => scaled(v, 1 / rms(v));

// K: settings {network, layer, p, q, n, seed, strength, iterations}
export function* K({ net, train, score }, s) {
  const images = train.images(train.draw(s.n, s.seed));
  let last = null, rate = null, before = null, nothing = null;
  for (const f of power(net, images, { ...s, maxIter: s.iterations })) {
    const v = unit(f.v);
    yield { kind: "iteration", ...f, v };
    if (f.k === 0) continue; // the vector is seen to move before rates are measured
    if (!nothing && (f.k === 5 || f.done)) yield { kind: "null", rate: (nothing = yield* score.random(net, s.strength, v.length)) };
    if (f.k > 5 && f.k % 4 && !f.done) continue; // a rate costs as much as some iterations
    if (before === null || v.some((e, i) => e !== before[i])) rate = yield* score.rate(net, scaled(v, s.strength));
    before = v;
    last = { kind: "rate", k: f.k, rate, done: f.done, v, value: f.value, startValue: f.startValue, converged: f.converged };
    if (!f.done) yield last;
  }
  const turned = yield* score.rate(net, scaled(last.v, -s.strength));
  yield { ...last, turned, nothing };
}

// M: settings {network, norm, n, seed, strength, passes, target}; eps has the norm of a vector of this root mean square
export function* M({ net, train, test, score }, s) {
  const drawn = train.draw(s.n, s.seed), images = train.images(drawn), d = images[0].length;
  const eps = s.norm === Infinity ? s.strength : s.strength * Math.sqrt(d);
  const clean = yield* score.labels(net, images);
  const share = function* (v) { // rates on X and on the others
    const moved = yield* score.labels(net, images, v);
    return { own: wilson(moved.filter((label, i) => label !== clean[i]).length, s.n), rate: yield* score.rate(net, v) };
  };
  const full = (v) => v.filter((e) => Math.abs(e) >= eps * (1 - 1e-6)).length / d;
  let pushes = 0, last = null, nothing = null;
  for (const f of aggregate(net, images, clean, { ...s, eps })) {
    const about = { norm: lpNorm(f.v, s.norm), length: lpNorm(f.v, 2), saturated: full(f.v), eps };
    if (f.kind === "visit") {
      pushes++;
      yield { ...f, pushes, x: images[f.image], about };
      if (!nothing && pushes > 4) yield { kind: "null", rate: (nothing = yield* score.random(net, s.strength, d)) };
      if (pushes % Math.max(2, Math.round(s.n / 8)) === 0) yield { kind: "rates", visits: f.visits, pass: f.pass, v: f.v, about, ...(yield* share(f.v)) };
    } else {
      last = { ...f, kind: "rates", passed: f.pass, fit: f.rate, about, ...(yield* share(f.v)) };
      if (!f.end) yield last;
    }
  }
  nothing ??= yield* score.random(net, s.strength, d);
  yield { ...last, done: true, nothing };
}

// E: settings {network, n, seed, strength, degrees}
export function* E({ net, train, score }, s) {
  const images = train.images(train.draw(s.n, s.seed)), d = images[0].length, turned = images.map((x) => (s.degrees ? rotated(x, s.degrees) : x));
  const rows = [], tangents = [], angles = [], null_ = spectrum(randomRows(s.n, d, s.seed), 1).values;
  let zero = 0;
  for (let i = 0; i < turned.length; i++) {
    const row = unitRow(lossGradient(net, turned[i]));
    // the image's own way when it is turned a little
    const tangent = unitRow(plus(rotated(turned[i], 1), rotated(turned[i], -1), -1));
    if (!row) { zero++; continue; }
    rows.push(row);
    if (tangent) { tangents.push(tangent); angles.push(angle(row, tangent)); }
    if (rows.length % Math.max(2, Math.round(s.n / 16)) === 0 || i === turned.length - 1) {
      const { values, vectors, places } = spectrum(rows);
      yield { kind: "rows", n: rows.length, values, first: Float32Array.from(vectors[0]), row: Float32Array.from(row), x: turned[i], places, random: null_ };
    } else yield;
  }
  if (!rows.length) throw new Error("no digit has a gradient here");
  const nothing = yield* score.random(net, s.strength, d);
  const { values, vectors, places } = spectrum(rows), v = unit(Float32Array.from(vectors[0]));
  const [plain, flipped] = [yield* score.rate(net, scaled(v, s.strength)), yield* score.rate(net, scaled(v, -s.strength))];
  const turn = spectrum(tangents, 1).vectors[0];
  let back = null; // the first vector of the upright digits, turned as they were
  if (s.degrees) {
    const upright = [];
    for (const x of images) {
      const row = unitRow(lossGradient(net, x));
      if (row) upright.push(row);
      yield;
    }
    const own = spectrum(upright, 1).vectors[0], carried = signedRotation(own, s.degrees);
    back = { turned: Math.abs(dot(carried, vectors[0])) / Math.sqrt(dot(carried, carried)), still: Math.abs(dot(own, vectors[0])) };
  }
  angles.sort((a, b) => a - b);
  yield {
    kind: "end", n: rows.length, zero, values, first: Float32Array.from(vectors[0]), v, places, random: null_, rate: plain, turned: flipped, nothing,
    share: values[0] ** 2 / rows.length, randomShare: null_[0] ** 2 / s.n, angle: angle(vectors[0], turn), middle: angles[angles.length >> 1], back, tangent: Float32Array.from(turn),
  };
}

// between lines, so at most 90 degrees
const angle = (a, b) => (Math.acos(Math.min(1, Math.abs(dot(a, b)) / Math.sqrt(dot(a, a) * dot(b, b)))) * 180) / Math.PI;
// of a picture with both signs: its two halves are turned each
function signedRotation(v, degrees) {
  const top = v.reduce((t, e) => Math.max(t, Math.abs(e)), 0), half = (sign) => rotated(v.map((e) => Math.max(0, sign * e) / top), degrees);
  return plus(half(1), half(-1), -1);
}

// J: settings {network, n, seed, strength, target, most, beta}; curvatures of the smooth copy, scores of the network itself
export function* J({ net, test, train }, s) {
  const images = train.images(train.draw(s.n, s.seed)), d = images[0].length, points = [], smooth = SmoothNetwork.of(net, s.beta);
  for (const x of images) {
    const point = boundaryPoint(smooth, x, s.target);
    if (point) points.push(point);
    yield;
  }
  if (!points.length) throw new Error(`no digit reaches class ${s.target} from another one; draw more digits or another class`);
  yield { kind: "points", points: points.length };
  const parts = hessians(smooth, points, s.target), apply = (v) => product(parts, v);
  let last = null;
  for (const f of lanczos(apply, d, { seed: s.seed, most: s.most })) {
    if (f === undefined) { yield; continue; }
    last = f;
    yield { kind: "lanczos", points: points.length, ...f };
  }
  const normal = Float32Array.from(new Generator(s.seed, "random direction").randn(d)), length = lpNorm(normal, 2);
  const directions = { positive: last.top.v, negative: last.bottom.v, random: normal.map((e) => e / length) };
  // scores of 40 other digits along each, in steps of 1/16 of the way to root mean square 0.5
  const others = test.images(test.draw(40, 0)), reach = 0.5 * Math.sqrt(d), grid = Array.from({ length: 33 }, (_, i) => ((i - 16) / 16) * reach), scores = {};
  for (const [name, v] of Object.entries(directions)) {
    scores[name] = [];
    for (const t of grid) {
      const all = new Float32Array(10 * others.length);
      others.forEach((x, i) => all.set(net.logits(plus(x, v, t)), 10 * i));
      scores[name].push(all);
      yield;
    }
  }
  yield { kind: "along", done: true, directions, grid, scores, images: others, curvature: { positive: last.top.value, negative: last.bottom.value }, products: last.products };
}
