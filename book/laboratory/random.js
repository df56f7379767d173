// The package's draws, number by number: SHA-256 names the stream (uapkit.seeds), PyTorch's Mersenne Twister fills it.
import { sha256 } from "@noble/hashes/sha2.js";
import MersenneTwister from "mersenne-twister";

// the low 32 bits of uapkit.seeds.child_seed, which are all that PyTorch's CPU generator takes
function childSeed(seed, name) {
  const digest = new DataView(sha256(new TextEncoder().encode(`${seed}/${name}`)).buffer);
  return (((digest.getUint32(0) & 1) << 31) | (digest.getUint32(4) >>> 1)) >>> 0;
}

export class Generator {
  constructor(seed, name) { this.twister = new MersenneTwister(childSeed(seed, name)); }
  // 53 bits, as torch.rand(dtype=float64)
  double() {
    const high = this.twister.random_int() & 0x1fffff, low = this.twister.random_int();
    return (high * 4294967296 + low) / 9007199254740992;
  }
  // 24 bits, as torch.rand
  float() { return (this.twister.random_int() & 0xffffff) / 16777216; }
  rand(n) { return Float64Array.from({ length: n }, () => this.double()); }
  // torch.randn of 16 entries or more: Box and Muller on blocks of sixteen
  randn(n, draw = () => this.double()) {
    const out = Float64Array.from({ length: n }, draw);
    const fill = (at) => {
      for (let j = at; j < at + 8; j++) {
        const radius = Math.sqrt(-2 * Math.log(1 - out[j])), theta = 2 * Math.PI * out[j + 8];
        out[j] = radius * Math.cos(theta);
        out[j + 8] = radius * Math.sin(theta);
      }
    };
    for (let i = 0; i < n - 15; i += 16) fill(i);
    if (n % 16) {
      for (let i = n - 16; i < n; i++) out[i] = draw();
      fill(n - 16);
    }
    return out;
  }
  randnFloat(n) { return this.randn(n, () => this.float()); }
  // torch.randperm
  permutation(n) {
    const order = Array.from({ length: n }, (_, i) => i);
    for (let i = 0; i < n - 1; i++) {
      const j = i + (this.twister.random_int() % (n - i));
      [order[i], order[j]] = [order[j], order[i]];
    }
    return order;
  }
}

// uapkit.evaluate.random_perturbation with norm = inf and eps = 1
export const randomSigns = (n, seed) => Float32Array.from(new Generator(seed, "random_perturbation").randn(n), Math.sign);
