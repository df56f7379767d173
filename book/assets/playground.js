// The playground: draw or pick a digit, add a universal perturbation, watch the network's answer. Runs in the page alone.
(() => {
  const root = document.getElementById("playground-app");
  if (!root) return;
  const find = (name) => root.querySelector(`[data-part="${name}"]`);
  const say = (text) => { find("answer").textContent = text; };
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const floats = (text) => new Float32Array(bytes(text).buffer);
  const percent = (share) => `${(100 * share).toFixed(1)} %`;
  const SIDE = 28, D = SIDE * SIDE, CLASSES = 10;
  const data = window.uapkitPlaygroundData;
  const vectors = data.perturbations.map((p) => floats(p.v));
  const resize = floats(data.resize);
  const digits = data.digits.map((digit) => floats(digit.x));
  let x = digits[0], ink = false, session = null, wanted = 0;

  async function load() {
    const packed = bytes(window.uapkitRuntime.wasm);
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    const { env, InferenceSession } = window.ort;
    env.wasm.numThreads = 1; // several would need headers that no plain file server sends
    env.wasm.wasmBinary = await new Response(stream).arrayBuffer();
    env.wasm.wasmPaths = { mjs: URL.createObjectURL(new Blob([window.uapkitRuntime.loader], { type: "text/javascript" })) };
    session = await InferenceSession.create(bytes(data.model), { executionProviders: ["wasm"] });
  }

  // (n * 784) pixels -> (n * 10) logits
  let busy = Promise.resolve();
  function logits(pixels) {
    busy = busy.then(async () => {
      const n = pixels.length / D;
      const result = await session.run({ x: new window.ort.Tensor("float32", pixels, [n, 1, SIDE, SIDE]) });
      return Float32Array.from(result.logits.data);
    });
    return busy;
  }

  const softmax = (z) => {
    const top = Math.max(...z), e = Array.from(z, (v) => Math.exp(v - top)), sum = e.reduce((a, b) => a + b);
    return e.map((v) => v / sum);
  };

  function paint(canvas, pixels, at = (v) => v) {
    const image = new ImageData(SIDE, SIDE);
    for (let i = 0; i < D; i++) image.data.set([...Array(3).fill(255 * Math.min(1, Math.max(0, at(pixels[i])))), 255], 4 * i);
    canvas.getContext("2d").putImageData(image, 0, 0);
  }

  const rows = Array.from({ length: CLASSES }, (_, k) => {
    const row = find("scores").insertRow();
    row.innerHTML = `<th scope="row">${k}</th>` + '<td><span class="track" aria-hidden="true"><i></i></span><b></b></td>'.repeat(2);
    return row;
  });
  const showScores = (column, shares, top) => rows.forEach((row, k) => {
    const cell = row.cells[1 + column];
    cell.querySelector("i").style.width = `${100 * shares[k]}%`;
    cell.querySelector("b").textContent = percent(shares[k]);
    cell.classList.toggle("top", k === top);
  });

  let latest = null;
  const update = () => (latest = show());
  async function show() {
    const own = ++wanted; // of several moves at once only the last is shown
    const index = Number(find("perturbation").value), place = Number(find("strength").value);
    const { name, rates, largest } = data.perturbations[index], strength = data.strengths[place];
    const v = vectors[index], moved = Float32Array.from(x, (value, i) => value + strength * v[i]);
    const [rate, low, high] = rates[place];
    find("strength").setAttribute("aria-valuetext", String(strength));
    find("strength-text").textContent =
      `${strength} (length ‖v‖₂ = ${(strength * SIDE).toFixed(1)}, largest pixel ${(strength * largest).toFixed(2)})`;
    find("rate").textContent =
      `At this strength ${name} changes the answer for ${percent(rate)} [${percent(low)}, ${percent(high)}] of ${data.n} test digits.`;
    paint(find("clean"), x);
    paint(find("added"), v, (value) => 0.5 + value * strength / (2 * Math.max(strength * largest, 1e-9)));
    paint(find("perturbed"), moved);
    if (!session) return;
    const both = new Float32Array(2 * D);
    both.set(x);
    both.set(moved, D);
    const z = await logits(both);
    if (own !== wanted) return;
    const shares = [softmax(z.slice(0, CLASSES)), softmax(z.slice(CLASSES))];
    const tops = shares.map((s) => s.indexOf(Math.max(...s)));
    shares.forEach((s, column) => showScores(column, s, tops[column]));
    if (ink === "empty") return say("Draw a digit or pick one.");
    const changed = tops[0] === tops[1] ? "The answer stays." : "The answer has changed.";
    say(`Without: ${tops[0]} (${percent(shares[0][tops[0]])}). With ${name}: ${tops[1]} (${percent(shares[1][tops[1]])}). ${changed}`);
    root.dataset.clean = tops[0];
    root.dataset.perturbed = tops[1];
  }

  // ---- drawing: white ink; the drawn box is scaled to 32 x 32, averaged over 4 x 4 blocks and resized, as the data set was
  const pad = find("pad"), pen = pad.getContext("2d", { willReadFrequently: true });
  function wipe() {
    pen.fillStyle = "#000";
    pen.fillRect(0, 0, pad.width, pad.height);
  }
  function seen() {
    const { width, height } = pad, { data: rgba } = pen.getImageData(0, 0, width, height);
    let [left, right, top, bottom] = [width, -1, height, -1];
    for (let i = 0; i < width * height; i++) {
      if (rgba[4 * i] < 128) continue;
      const c = i % width, r = (i - c) / width;
      left = Math.min(left, c); right = Math.max(right, c); top = Math.min(top, r); bottom = Math.max(bottom, r);
    }
    if (right < 0) return new Float32Array(D);
    const size = Math.max(right - left, bottom - top) + 1, scale = 32 / size, small = document.createElement("canvas");
    small.width = small.height = 32;
    const brush = small.getContext("2d", { willReadFrequently: true });
    brush.fillRect(0, 0, 32, 32);
    brush.imageSmoothingQuality = "high";
    brush.drawImage(pad, left - (size - (right - left + 1)) / 2, top - (size - (bottom - top + 1)) / 2, size, size, 0, 0, 32, 32);
    const fine = brush.getImageData(0, 0, 32, 32).data, block = new Float64Array(64), half = new Float64Array(SIDE * 8);
    for (let i = 0; i < 1024; i++) if (fine[4 * i] >= 128) block[8 * (i >> 7) + ((i & 31) >> 2)] += 1 / 16;
    for (let r = 0; r < SIDE; r++) for (let c = 0; c < 8; c++) for (let k = 0; k < 8; k++) half[8 * r + c] += resize[8 * r + k] * block[8 * k + c];
    const image = new Float32Array(D);
    for (let r = 0; r < SIDE; r++) for (let c = 0; c < SIDE; c++) {
      let sum = 0;
      for (let k = 0; k < 8; k++) sum += half[8 * r + k] * resize[8 * c + k];
      image[SIDE * r + c] = Math.min(1, Math.max(0, sum));
    }
    return image;
  }
  let last = null;
  const where = (event) => {
    const box = pad.getBoundingClientRect();
    return [(event.clientX - box.left) * pad.width / box.width, (event.clientY - box.top) * pad.height / box.height];
  };
  pad.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    pad.setPointerCapture(event.pointerId);
    if (ink !== true) { wipe(); ink = true; }
    root.querySelectorAll('[name="digit"]').forEach((radio) => { radio.checked = false; });
    last = where(event);
    draw(last);
  });
  function draw(to) {
    Object.assign(pen, { strokeStyle: "#fff", lineWidth: 30, lineCap: "round", lineJoin: "round" });
    pen.beginPath();
    pen.moveTo(...last);
    pen.lineTo(...to);
    pen.stroke();
    last = to;
    x = seen();
    update();
  }
  pad.addEventListener("pointermove", (event) => { if (last) draw(where(event)); });
  for (const name of ["pointerup", "pointercancel"]) pad.addEventListener(name, () => { last = null; });
  find("clear").addEventListener("click", () => {
    wipe();
    ink = "empty";
    x = new Float32Array(D);
    root.querySelectorAll('[name="digit"]').forEach((radio) => { radio.checked = false; });
    update();
  });

  // ---- picking
  const small = (pixels) => {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = SIDE;
    paint(canvas, pixels);
    return canvas;
  };
  const seenLabels = {};
  data.digits.forEach((digit, k) => {
    const label = document.createElement("label"), radio = document.createElement("input");
    seenLabels[digit.label] = (seenLabels[digit.label] || 0) + 1;
    Object.assign(radio, { type: "radio", name: "digit", value: k, checked: k === 0 });
    radio.setAttribute("aria-label", `test digit ${digit.label}, number ${seenLabels[digit.label]}`);
    radio.addEventListener("change", () => pick(k));
    radio.id = `playground-digit-${k}`;
    label.append(radio, small(digits[k]));
    find("digits").append(label);
  });
  function pick(k) {
    x = digits[k];
    ink = false;
    wipe();
    pen.imageSmoothingEnabled = true;
    pen.drawImage(small(x), 0, 0, pad.width, pad.height);
    update();
  }

  data.perturbations.forEach((p, k) => find("perturbation").append(new Option(p.name === "random" ? "random signs" : p.name, k)));
  find("strength").max = data.strengths.length - 1;
  find("strength").value = data.strengths.indexOf(0.25);
  find("perturbation").addEventListener("change", update);
  find("strength").addEventListener("input", update);
  // the page opens with the first of its digits whose answer changes, if there is one
  async function begin() {
    const v = vectors[Number(find("perturbation").value)], strength = data.strengths[Number(find("strength").value)];
    const clean = new Float32Array(D * digits.length), moved = new Float32Array(D * digits.length);
    digits.forEach((digit, k) => digit.forEach((value, i) => {
      clean[k * D + i] = value;
      moved[k * D + i] = value + strength * v[i];
    }));
    const tops = [await logits(clean), await logits(moved)].map((z) => digits.map((_, k) => {
      const own = z.slice(CLASSES * k, CLASSES * (k + 1));
      return own.indexOf(Math.max(...own));
    }));
    const first = digits.findIndex((_, k) => tops[0][k] !== tops[1][k]);
    if (first > 0 && x === digits[0]) { // unless the reader was faster
      document.getElementById(`playground-digit-${first}`).checked = true;
      pick(first);
    }
  }

  root.hidden = false;
  pick(0);
  window.uapkitPlayground = {
    logits, input: () => x, digits, vectors, settled: () => latest,
    ready: load().then(begin).then(update).then(() => { root.dataset.ready = "yes"; }).catch((error) => {
      say(`The network could not be started in this browser (${error.message}). It needs WebAssembly and DecompressionStream.`);
      throw error;
    }),
  };
})();
