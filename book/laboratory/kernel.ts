// The one loop that costs time, as WebAssembly with vectors of four floats (compiled by AssemblyScript).
// Correlates `ci` planes with co x ci kernels of side k. A plane is a run of floats whose rows are `row` long, so a tap is a
// fixed offset and a whole plane one loop; what falls between the rows is thrown away by the caller. co: a multiple of 4.
export function conv(x: usize, w: usize, out: usize, ci: i32, co: i32, k: i32, plane: i32, row: i32, length: i32): void {
  const taps = (ci * k * k) << 2;
  for (let o = 0; o < co; o += 4) {
    for (let i = 0; i < length; i += 4) {
      let a = f32x4.splat(0), b = a, c = a, d = a;
      let p = w + o * taps;
      for (let j = 0; j < ci; j++) {
        let from = x + ((j * plane + i) << 2);
        for (let r = 0; r < k; r++) {
          let at = from;
          for (let s = 0; s < k; s++) {
            const v = v128.load(at);
            a = f32x4.add(a, f32x4.mul(v, v128.load32_splat(p)));
            b = f32x4.add(b, f32x4.mul(v, v128.load32_splat(p + taps)));
            c = f32x4.add(c, f32x4.mul(v, v128.load32_splat(p + (taps << 1))));
            d = f32x4.add(d, f32x4.mul(v, v128.load32_splat(p + taps * 3)));
            at += 4;
            p += 4;
          }
          from += row << 2;
        }
      }
      const to = out + ((o * length + i) << 2);
      v128.store(to, a);
      v128.store(to + (length << 2), b);
      v128.store(to + (length << 3), c);
      v128.store(to + length * 12, d);
    }
  }
}
