// The package's digits from 8 x 8 blocks of 17 grey levels: resized to 28 x 28, turned each by its own angle, drawn by seed.
import { Generator } from "./random.js";

export const SIDE = 28, D = SIDE * SIDE;

// (28 x 8) block (8 x 8) (8 x 28), clamped: bicubic interpolation is this matrix from both sides
export function resized(block, resize) {
  const half = new Float64Array(SIDE * 8), image = new Float32Array(D);
  for (let r = 0; r < SIDE; r++) for (let c = 0; c < 8; c++) for (let k = 0; k < 8; k++) half[8 * r + c] += resize[8 * r + k] * block[8 * k + c];
  for (let r = 0; r < SIDE; r++) for (let c = 0; c < SIDE; c++) {
    let sum = 0;
    for (let k = 0; k < 8; k++) sum += half[8 * r + k] * resize[8 * c + k];
    image[SIDE * r + c] = Math.min(1, Math.max(0, sum));
  }
  return image;
}

// counter-clockwise about the centre, bilinear, zeros from outside: uapkit.data.rotated, rounded where PyTorch rounds
const f = Math.fround;
export function rotated(x, degrees) {
  const a = (degrees * Math.PI) / 180, cos = Math.cos(a), sin = Math.sin(a), out = new Float32Array(D);
  const at = (r, c) => (r < 0 || c < 0 || r >= SIDE || c >= SIDE ? 0 : x[SIDE * r + c]);
  const pixel = (g) => f(f(f(f(g) + 1) * 14) - 0.5); // from [-1, 1] to places
  for (let r = 0; r < SIDE; r++) for (let c = 0; c < SIDE; c++) {
    const u = (2 * c + 1) / SIDE - 1, v = (2 * r + 1) / SIDE - 1, cc = pixel(cos * u - sin * v), rr = pixel(sin * u + cos * v);
    const c0 = Math.floor(cc), r0 = Math.floor(rr), fc = f(cc - c0), fr = f(rr - r0), gc = f(1 - fc), gr = f(1 - fr);
    const value = f(f(f(at(r0, c0) * f(gr * gc)) + f(at(r0, c0 + 1) * f(gr * fc))) + f(f(at(r0 + 1, c0) * f(fr * gc)) + f(at(r0 + 1, c0 + 1) * f(fr * fc))));
    out[SIDE * r + c] = Math.min(1, Math.max(0, value));
  }
  return out;
}

export class Digits {
  // set: {blocks: Uint8Array (n * 64), angles: Float64Array (n), labels: [n]}
  constructor(set, resize) { Object.assign(this, set, { resize, made: [] }); }
  get count() { return this.labels.length; }
  image(i) {
    return (this.made[i] ??= rotated(resized(Float64Array.from(this.blocks.subarray(64 * i, 64 * i + 64), (b) => b / 16), this.resize), this.angles[i]));
  }
  // the first n of uapkit.data.load(..., n=n, seed=seed)
  draw(n, seed) { return new Generator(seed, "data.load").permutation(this.count).slice(0, n); }
  images(index) { return index.map((i) => this.image(i)); }
}
