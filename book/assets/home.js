// The home page: another photograph, another strength; the sums are drawn here, the labels are the stored ones.
(() => {
  const root = document.getElementById("uapkit-home"), data = window.uapkitHome;
  if (!root || !data) return;
  const SIDE = 224, PLANE = SIDE * SIDE, levels = Number(root.dataset.levels), WORDS = { vector: "with the vector", signs: "with random signs" };
  const bits = (text) => {
    const packed = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    return (i) => ((packed[i >> 3] >> (7 - (i & 7))) & 1 ? 1 : -1);
  };
  const figure = (name) => root.querySelector(`figure[data-shows="${name}"]`), photo = figure("photograph").querySelector("img");
  const sums = Object.keys(WORDS).map((name) => {
    const own = figure(`with_${name}`), canvas = document.createElement("canvas"), image = own.querySelector("img");
    canvas.width = canvas.height = SIDE;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", image.alt);
    image.replaceWith(canvas);
    return { name, sign: bits(data.signs[name]), brush: canvas.getContext("2d", { willReadFrequently: true }), caption: own.querySelector("figcaption") };
  });
  const controls = root.querySelector(".controls");
  controls.innerHTML = `<label>Strength <input type="range" min="0" max="${2 * levels}" step="1" value="${levels}"> <span></span></label> <label>Picture <select></select></label>`;
  controls.hidden = false;
  const slider = controls.querySelector("input"), told = controls.querySelector("span"), choice = controls.querySelector("select");
  data.pictures.forEach((p, k) => choice.append(new Option(p.name, k)));
  const said = ([label, share]) => `<b>${label} (${Math.round(100 * share)}%)</b>`;
  let pixels = null;
  function draw() {
    const s = Number(slider.value), one = data.pictures[Number(choice.value)];
    told.textContent = `${s} of 255`;
    slider.setAttribute("aria-valuetext", `${s} of 255 grey levels`);
    figure("photograph").querySelector("figcaption").innerHTML = `the photograph:<br>${said(one.before)}`;
    for (const { name, sign, brush, caption } of sums) {
      const label = s === 0 ? said(one.before) : s === levels ? said(one[name]) : `labels are stored for 0 and ${levels}`;
      caption.innerHTML = `${WORDS[name]}:<br>${label}`;
      if (!pixels) continue;
      const sum = new ImageData(SIDE, SIDE);
      for (let i = 0; i < PLANE; i++) for (let c = 0; c < 4; c++) sum.data[4 * i + c] = c === 3 ? 255 : pixels[4 * i + c] + s * sign(c * PLANE + i);
      brush.putImageData(sum, 0, 0);
    }
  }
  function pick() {
    photo.onload = () => {
      const brush = sums[0].brush;
      brush.drawImage(photo, 0, 0, SIDE, SIDE);
      pixels = Uint8ClampedArray.from(brush.getImageData(0, 0, SIDE, SIDE).data);
      draw();
    };
    photo.alt = `photograph: ${data.pictures[Number(choice.value)].name}`;
    photo.src = data.pictures[Number(choice.value)].photo;
  }
  slider.addEventListener("input", draw);
  choice.addEventListener("change", pick);
  pick();
})();
