// Convolutions: the compiled kernel where the browser has WebAssembly's vectors, else the same loop in JavaScript.
import binary from "kernel.wasm";

const PAGE = 65536;
let memory, floats, kernel, used = 0;

export const device = () => (kernel === plain ? "JavaScript" : "WebAssembly");

// allow: "wasm" or "js"; the second is for browsers without vectors, and for tests
export async function start(allow = "wasm") {
  used = 0;
  try {
    if (allow === "js") throw new Error("asked for");
    const { instance } = await WebAssembly.instantiate(binary, { env: { abort() { throw new Error("kernel aborted"); } } });
    memory = instance.exports.memory;
    floats = new Float32Array(memory.buffer);
    kernel = instance.exports.conv;
    used = PAGE / 4; // below lies what the compiler uses
  } catch {
    memory = null;
    floats = new Float32Array(1 << 20);
    kernel = plain;
  }
}

// room for n floats that stays; an offset in floats
export function room(n) {
  const at = used;
  used += (n + 3) & ~3;
  if (used > floats.length) {
    if (memory) {
      memory.grow(Math.ceil((4 * (used - floats.length)) / PAGE) + 64);
      floats = new Float32Array(memory.buffer);
    } else {
      const more = new Float32Array(2 * used);
      more.set(floats);
      floats = more;
    }
  }
  return at;
}

export function keep(array) {
  const at = room(array.length);
  floats.set(array, at);
  return at;
}

let scratch = [0, 0], sizes = [0, 0];
function scratchOf(which, n) {
  if (sizes[which] < n || used === 0) {
    sizes[which] = n + 4096; // taps of the last rows read past the end
    scratch[which] = room(sizes[which]);
  }
  return scratch[which];
}
export const forget = () => { sizes = [0, 0]; };

// x: planes (ci, h, w) -> (co, h + 2 pad - k + 1, ...). weights: offset of (co4, ci, k, k), co4 >= co a multiple of 4.
export function convolve(x, ci, h, w, weights, co, k, pad) {
  const row = w + 2 * pad, rows = h + 2 * pad, plane = rows * row, ho = rows - k + 1, wo = row - k + 1;
  const length = ((ho - 1) * row + wo + 3) & ~3, co4 = (co + 3) & ~3;
  const from = scratchOf(0, ci * plane), to = scratchOf(1, co4 * length);
  if (pad) floats.fill(0, from, from + ci * plane);
  if (!pad) floats.set(x, from);
  else copyRows(floats, from + pad * row + pad, plane, row, x, 0, h * w, w, ci, h, w);
  kernel(4 * from, 4 * weights, 4 * to, ci, co4, k, plane, row, length);
  const out = new Float32Array(co * ho * wo);
  copyRows(out, 0, ho * wo, wo, floats, to, length, row, co, ho, wo);
  return out;
}

// planes of rows of `width` from one spacing to another
function copyRows(target, at, plane, row, source, from, sourcePlane, sourceRow, planes, rows, width) {
  for (let c = 0; c < planes; c++) {
    for (let r = 0; r < rows; r++) {
      const p = at + c * plane + r * row, q = from + c * sourcePlane + r * sourceRow;
      for (let s = 0; s < width; s++) target[p + s] = source[q + s];
    }
  }
}

function plain(x, w, out, ci, co, k, plane, row, length) {
  const f = floats;
  x /= 4; w /= 4; out /= 4;
  for (let o = 0; o < co; o++) {
    const to = out + o * length;
    f.fill(0, to, to + length);
    for (let c = 0; c < ci; c++) {
      for (let r = 0; r < k; r++) {
        for (let s = 0; s < k; s++) {
          const a = f[w + ((o * ci + c) * k + r) * k + s], from = x + c * plane + r * row + s;
          for (let i = 0; i < length; i++) f[to + i] += a * f[from + i];
        }
      }
    }
  }
}
