// Files that uapkit.Perturbation reads: .npy by from_array, .safetensors by load.
export function npy(v, shape) {
  const about = `{'descr': '<f4', 'fortran_order': False, 'shape': (${shape.join(", ")}), }`;
  const head = about.padEnd(Math.ceil((10 + about.length + 1) / 64) * 64 - 11) + "\n", out = new Uint8Array(10 + head.length + 4 * v.length);
  out.set([0x93, 78, 85, 77, 80, 89, 1, 0, head.length & 255, head.length >> 8]);
  out.set(new TextEncoder().encode(head), 10);
  out.set(littleEndian(v), 10 + head.length);
  return out;
}

// fields: what stands in the metadata of uapkit.Perturbation.save
export function safetensors(tensors, metadata) {
  const about = { __metadata__: metadata };
  let at = 0;
  for (const [name, { v, shape, dtype }] of Object.entries(tensors)) {
    const size = v.byteLength;
    about[name] = { dtype, shape, data_offsets: [at, at + size] };
    at += size;
  }
  let head = JSON.stringify(about);
  head = new TextEncoder().encode(head);
  const room = Math.ceil(head.length / 8) * 8, out = new Uint8Array(8 + room + at).fill(32, 8, 8 + room);
  new DataView(out.buffer).setUint32(0, room, true);
  out.set(head, 8);
  let place = 8 + room;
  for (const { v } of Object.values(tensors)) {
    out.set(littleEndian(v), place);
    place += v.byteLength;
  }
  return out;
}

// typed arrays lie in memory in the machine's own order, which is little-endian wherever browsers run
const littleEndian = (v) => new Uint8Array(v.buffer, v.byteOffset, v.byteLength);

export function save(name, bytes) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([bytes], { type: "application/octet-stream" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
