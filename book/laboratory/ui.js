// Small parts of the page: elements, pictures, curves. Colours come by meaning from the book's figures.
export const SIDE = 28, D = SIDE * SIDE;
const given = () => window.uapkitLaboratory;
export const colour = (meaning) => given().colours[meaning] || "currentColor";
export const percent = (share) => `${(100 * share).toFixed(1)} %`;
export const withInterval = (r) => `${percent(r.value)} [${percent(r.low)}, ${percent(r.high)}]`;
export const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
export const floats = (text) => new Float32Array(bytes(text).buffer);
export const doubles = (text) => new Float64Array(bytes(text).buffer);

export function el(tag, given = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name in node && name !== "list" && name !== "form") node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((c) => c !== null && c !== undefined));
  return node;
}

export function paint(canvas, pixels, at = (v) => v) {
  const image = new ImageData(SIDE, SIDE);
  for (let i = 0; i < D; i++) {
    const grey = 255 * Math.min(1, Math.max(0, at(pixels[i])));
    image.data.set([grey, grey, grey, 255], 4 * i);
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}
// grey is zero, the contrast stretched to the largest entry
export function paintVector(canvas, v) {
  let top = 1e-12;
  for (const e of v) top = Math.max(top, Math.abs(e));
  paint(canvas, v, (e) => 0.5 + e / (2 * top));
}
export function picture(label, caption = label) {
  const canvas = el("canvas", { width: SIDE, height: SIDE, role: "img", "aria-label": label });
  const text = el("figcaption", {}, caption);
  return { node: el("figure", { className: "lab-picture" }, canvas, text), canvas, text };
}

const W = 420, H = 230, LEFT = 52, RIGHT = 12, TOP = 10, BOTTOM = 40;
const nice = (span, count) => {
  const raw = span / count, power = 10 ** Math.floor(Math.log10(raw));
  return [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw);
};
const short = (v) => (Math.abs(v) >= 1000 ? v.toLocaleString("en", { maximumFractionDigits: 0 }) : String(Number(v.toPrecision(3))));

// series: [{name, meaning, points: [[x, y, low?, high?]], dash?, dots?}]; text is what a screen reader gets
export function chart({ series, x, y, text, from = null, to = null, domain = null, lines = [] }) {
  const points = series.flatMap((s) => s.points), xs = points.map((p) => p[0]), ys = points.flatMap((p) => p.slice(1).filter((v) => v !== undefined && v !== null));
  let [x0, x1] = domain || (xs.length ? [Math.min(...xs), Math.max(...xs)] : [0, 1]), [y0, y1] = [from ?? Math.min(...ys, Infinity), to ?? Math.max(...ys, -Infinity)];
  if (!Number.isFinite(y0)) y0 = 0;
  if (!(y1 > y0)) y1 = y0 + 1;
  if (!(x1 > x0)) x1 = x0 + 1;
  const px = (v) => LEFT + ((v - x0) / (x1 - x0)) * (W - LEFT - RIGHT), py = (v) => H - BOTTOM - ((v - y0) / (y1 - y0)) * (H - TOP - BOTTOM);
  const parts = [], sx = nice(x1 - x0, 6), sy = nice(y1 - y0, 4);
  for (let v = Math.ceil(y0 / sy - 1e-9) * sy; v <= y1 + 1e-9 * sy; v += sy) parts.push(`<path class="grid" d="M${LEFT} ${py(v)}H${W - RIGHT}"/><text x="${LEFT - 6}" y="${py(v) + 4}" text-anchor="end">${short(v)}</text>`);
  for (let v = Math.ceil(x0 / sx - 1e-9) * sx; v <= x1 + 1e-9 * sx; v += sx) parts.push(`<text x="${px(v)}" y="${H - BOTTOM + 16}" text-anchor="middle">${short(v)}</text>`);
  parts.push(`<text x="${(W + LEFT) / 2}" y="${H - 6}" text-anchor="middle">${x}</text><text transform="translate(12 ${(H - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">${y}</text>`);
  for (const at of lines) parts.push(`<path class="here" d="M${px(at)} ${TOP}V${H - BOTTOM}"/>`);
  for (const s of series) {
    const shade = s.colour || colour(s.meaning), inside = s.points;
    const band = inside.filter((p) => p.length > 3);
    if (band.length > 1) parts.push(`<path d="M${band.map((p) => `${px(p[0])} ${py(p[2])}`).join("L")}L${[...band].reverse().map((p) => `${px(p[0])} ${py(p[3])}`).join("L")}Z" class="band" style="--c:${shade}"/>`);
    if (!s.dots && inside.length > 1) parts.push(`<path d="M${inside.map((p) => `${px(p[0])} ${py(p[1])}`).join("L")}" class="line" style="--c:${shade}" stroke-width="${s.thin ? 1 : 2}" ${s.dash ? 'stroke-dasharray="5 4"' : ""} ${s.thin ? 'opacity="0.6"' : ""}/>`);
    if (!s.thin && (s.dots || inside.length < 40)) parts.push(...inside.map((p) => `<circle cx="${px(p[0])}" cy="${py(p[1])}" r="${s.dots ? 3.5 : 2.5}" style="--c:${shade}"/>`));
  }
  const legend = series.filter((s) => s.name).map((s) => `<span><i style="--c:${s.colour || colour(s.meaning)};border-top-style:${s.dash ? "dashed" : "solid"}"></i>${s.name}</span>`).join("");
  return `<svg viewBox="0 0 ${W} ${H}" role="img" aria-label="${text}">${parts.join("")}</svg><p class="legend">${legend}</p>`;
}
