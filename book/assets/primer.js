// The primer's classifier of two pixels: drag the image, or move the sliders; everything is computed here.
(() => {
  const root = document.getElementById("uapkit-primer");
  if (!root) return;
  const SIZE = 320, NS = "http://www.w3.org/2000/svg", CLASSES = ["A", "B", "C"];
  // two pixels -> four units -> three logits
  const HIDDEN = [[3, 1, -1.6], [-2, 3, -0.3], [1, -3, 0.9], [-3, -1, 2.2]], OUT = [[1.4, -1, 0.2, -0.9, 0.1], [-0.9, 1.5, -0.8, 0.3, 0], [-0.4, -0.6, 1.1, 1.2, -0.2]];
  const OTHERS = [[0.2, 0.85], [0.35, 0.62], [0.62, 0.8], [0.85, 0.72], [0.78, 0.35], [0.55, 0.3], [0.3, 0.2], [0.12, 0.45]];
  const units = ([x, y]) => HIDDEN.map(([a, b, c]) => a * x + b * y + c);
  const logits = (p) => { const h = units(p).map((u) => Math.max(u, 0)); return OUT.map((row) => row[4] + h.reduce((s, u, k) => s + row[k] * u, 0)); };
  const label = (p) => { const f = logits(p); return f.indexOf(Math.max(...f)); };
  function jacobian(p) { // rows: logits, columns: pixels
    const on = units(p).map((u) => (u > 0 ? 1 : 0));
    return OUT.map((row) => [0, 1].map((i) => HIDDEN.reduce((s, h, k) => s + row[k] * on[k] * h[i], 0)));
  }
  function svd(J) { // of three rows and two columns, by the eigenvectors of J'J
    const [a, b, c] = [[0, 0], [0, 1], [1, 1]].map(([i, j]) => J.reduce((s, r) => s + r[i] * r[j], 0));
    const half = (a + c) / 2, root = Math.hypot((a - c) / 2, b), angle = 0.5 * Math.atan2(2 * b, a - c);
    return { values: [Math.sqrt(half + root), Math.sqrt(Math.max(half - root, 0))], v: [Math.cos(angle), Math.sin(angle)] };
  }
  const dual = { 2: (g) => g.map((x) => x / (Math.hypot(...g) || 1)), inf: (g) => g.map(Math.sign), 1: (g) => (Math.abs(g[0]) >= Math.abs(g[1]) ? [Math.sign(g[0]), 0] : [0, Math.sign(g[1])]) };
  const on_ball = { 2: (t) => [Math.cos(t), Math.sin(t)] };
  on_ball.inf = (t) => { const [x, y] = on_ball[2](t), m = Math.max(Math.abs(x), Math.abs(y)); return [x / m, y / m]; };
  on_ball[1] = (t) => { const [x, y] = on_ball[2](t), m = Math.abs(x) + Math.abs(y); return [x / m, y / m]; };
  const state = { x: 0.35, y: 0.62, size: 0.2, norm: "inf" };

  function make(name, given, parent) {
    const e = document.createElementNS(NS, name);
    for (const [k, v] of Object.entries(given)) e.setAttribute(k, v);
    parent.append(e);
    return e;
  }
  root.innerHTML = `<div class="plane"></div><div class="side"><p class="controls"></p><p class="words"></p><div class="bars"></div><output aria-live="polite"></output></div>`;
  const svg = make("svg", { viewBox: `-8 -8 ${SIZE + 16} ${SIZE + 16}`, role: "img", "aria-label": "the square of all images of two pixels, coloured by the network's answer" }, root.querySelector(".plane"));
  const at = ([x, y]) => [x * SIZE, (1 - y) * SIZE], STEP = 1 / 80;
  const tags = [0, 1, 2].map(() => [0, 0, 0]);
  for (let y = 0; y < 1; y += STEP) for (let x = 0, from = 0; x < 1; x += STEP) { // one bar a run of equal answers
    const here = label([x + STEP / 2, y + STEP / 2]);
    tags[here][0] += x; tags[here][1] += y; tags[here][2] += 1;
    if (x + STEP >= 1 || label([x + 1.5 * STEP, y + STEP / 2]) !== here) {
      make("rect", { x: from * SIZE, y: (1 - y - STEP) * SIZE, width: (x + STEP - from) * SIZE, height: STEP * SIZE, class: `area ${CLASSES[here]}` }, svg);
      from = x + STEP;
    }
  }
  tags.forEach(([x, y, n], k) => { if (n) { const [px, py] = at([x / n, y / n]); make("text", { x: px, y: py, class: "tag" }, svg).textContent = CLASSES[k]; } });
  const moved = make("g", { class: "others" }, svg), ball = make("path", { class: "ball" }, svg), top = make("line", { class: "top" }, svg), arrow = make("line", { class: "step" }, svg);
  const dot = make("circle", { r: 9, class: "dot" }, svg);

  const controls = root.querySelector(".controls"), inputs = {};
  for (const [key, words, max] of [["x", "first pixel", 1], ["y", "second pixel", 1], ["size", "size of the step", 0.5]]) {
    const line = document.createElement("label");
    line.innerHTML = `${words} <input type="range" min="0" max="${max}" step="0.01"> <span></span>`;
    inputs[key] = line.querySelector("input");
    inputs[key].addEventListener("input", () => { state[key] = Number(inputs[key].value); draw(); });
    controls.append(line);
  }
  const choice = document.createElement("label");
  choice.innerHTML = `norm <select><option value="inf">largest pixel (∞)</option><option value="2">length (2)</option><option value="1">sum (1)</option></select>`;
  choice.querySelector("select").addEventListener("change", (e) => { state.norm = e.target.value; draw(); });
  controls.append(choice);

  const two = (v) => v.toFixed(2).replace("-", "−");
  function wilson(k, n) {
    const z = 1.96, p = k / n, d = 1 + z * z / n, mid = p + z * z / (2 * n), r = z * Math.sqrt(p * (1 - p) / n + z * z / (4 * n * n));
    return [(mid - r) / d, (mid + r) / d];
  }
  function draw() {
    const p = [state.x, state.y], f = logits(p), k = label(p), J = jacobian(p), rival = [0, 1, 2].filter((j) => j !== k).sort((a, b) => f[b] - f[a])[0];
    const g = [0, 1].map((i) => J[rival][i] - J[k][i]), step = dual[state.norm](g).map((d) => d * state.size), to = [p[0] + step[0], p[1] + step[1]];
    const { values, v } = svd(J), [px, py] = at(p), [qx, qy] = at(to);
    for (const key of ["x", "y", "size"]) { inputs[key].value = state[key]; inputs[key].parentElement.querySelector("span").textContent = two(state[key]); }
    for (const [key, value] of Object.entries({ cx: px, cy: py })) dot.setAttribute(key, value);
    for (const [key, value] of Object.entries({ x1: px, y1: py, x2: qx, y2: qy })) arrow.setAttribute(key, value);
    const reach = 0.5 * Math.max(state.size, 0.02);
    const [[ax, ay], [bx, by]] = [1, -1].map((s) => at([p[0] + s * reach * v[0], p[1] + s * reach * v[1]]));
    for (const [key, value] of Object.entries({ x1: ax, y1: ay, x2: bx, y2: by })) top.setAttribute(key, value);
    const around = Array.from({ length: 72 }, (_, j) => on_ball[state.norm]((j / 72) * 2 * Math.PI)); // corners lie at multiples of 45 degrees
    ball.setAttribute("d", "M" + around.map(([x, y]) => at([p[0] + state.size * x, p[1] + state.size * y]).join(",")).join("L") + "Z");
    moved.replaceChildren();
    let changed = 0;
    for (const o of OTHERS) {
      const there = [o[0] + step[0], o[1] + step[1]], flips = label(o) !== label(there), [x1, y1] = at(o), [x2, y2] = at(there);
      changed += flips;
      make("line", { x1, y1, x2, y2 }, moved);
      make("circle", { cx: x1, cy: y1, r: 4, class: flips ? "flips" : "" }, moved);
    }
    const chance = around.reduce((s, d) => s + OTHERS.filter((o) => label(o) !== label([o[0] + state.size * d[0], o[1] + state.size * d[1]])).length, 0) / around.length;
    const grey = p.map((x) => Math.round(255 * x)), gap = f[k] - f[rival], away = Math.hypot(...g) ? gap / Math.hypot(...g) : NaN;
    root.querySelector(".words").innerHTML = `the image: <i style="background:rgb(${grey[0]},${grey[0]},${grey[0]})"></i><i style="background:rgb(${grey[1]},${grey[1]},${grey[1]})"></i>`;
    const widest = Math.max(...f.map(Math.abs), 1);
    root.querySelector(".bars").innerHTML = f.map((value, j) => `<div><b>${CLASSES[j]}</b><span class="track"><i class="${CLASSES[j]}" style="width:${(100 * Math.abs(value)) / widest}%${value < 0 ? ";opacity:.35" : ""}"></i></span><span>${two(value)}</span></div>`).join("");
    const [low, high] = wilson(changed, OTHERS.length), now = label(to);
    root.querySelector("output").innerHTML = `The network says <b>${CLASSES[k]}</b>; the runner-up is ${CLASSES[rival]}, ${two(gap)} below. To first order the boundary is ${two(away)} away (2-norm). ` +
      `Singular values of the Jacobian: ${two(values[0])} and ${two(values[1])}. The best step of this size ${now === k ? "does not change the label" : `makes it <b>${CLASSES[now]}</b>`}. ` +
      `The same step changes <b>${changed} of ${OTHERS.length}</b> other images (95 % interval ${Math.round(100 * low)} to ${Math.round(100 * high)} %); steps of this size in all directions change ${two(chance)} in the mean: the null.`;
  }
  function place(event) {
    const box = svg.getBoundingClientRect(), scale = (SIZE + 16) / box.width, within = (v) => Math.min(1, Math.max(0, v));
    state.x = within(((event.clientX - box.left) * scale - 8) / SIZE);
    state.y = within(1 - ((event.clientY - box.top) * scale - 8) / SIZE);
    draw();
  }
  svg.addEventListener("pointerdown", (e) => { svg.setPointerCapture(e.pointerId); place(e); });
  svg.addEventListener("pointermove", (e) => { if (svg.hasPointerCapture(e.pointerId)) place(e); });
  draw();
})();
