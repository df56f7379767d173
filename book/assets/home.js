// The home page: another photograph, another strength; the sum is drawn here, the labels are the stored ones.
(() => {
  const root = document.getElementById("uapkit-home"), data = window.uapkitHome;
  if (!root || !data) return;
  const SIDE = 224, levels = Number(root.dataset.levels), packed = Uint8Array.from(atob(data.signs), (c) => c.charCodeAt(0));
  const sign = (i) => ((packed[i >> 3] >> (7 - (i & 7))) & 1 ? 1 : -1);
  const figures = [...root.querySelectorAll("figure")], photo = figures[0].querySelector("img"), captions = figures.map((f) => f.querySelector("figcaption"));
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIDE;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "the photograph with the perturbation added");
  figures[2].querySelector("img").replaceWith(canvas);
  const brush = canvas.getContext("2d", { willReadFrequently: true }), controls = root.querySelector(".controls");
  controls.innerHTML = `<label>Strength <input type="range" min="0" max="${2 * levels}" step="1" value="${levels}"> <span></span></label> <label>Picture <select></select></label>`;
  controls.hidden = false;
  const slider = controls.querySelector("input"), told = controls.querySelector("span"), choice = controls.querySelector("select");
  data.pictures.forEach((p, k) => choice.append(new Option(p.name, k)));
  const said = ([label, share]) => `<b>${label} (${Math.round(100 * share)} %)</b>`;
  let pixels = null;
  function draw() {
    const s = Number(slider.value), one = data.pictures[Number(choice.value)];
    told.textContent = `${s} of 255`;
    captions[0].innerHTML = `the network says<br>${said(one.before)}`;
    captions[2].innerHTML = s === 0 ? `nothing added:<br>${said(one.before)}` : s === levels ? `with it, ${s} of 255 grey levels:<br>${said(one.after)}` : `with it, ${s} of 255 grey levels:<br>labels are stored for 0 and ${levels}`;
    if (!pixels) return;
    const sum = new ImageData(SIDE, SIDE), plane = SIDE * SIDE;
    for (let i = 0; i < plane; i++) for (let c = 0; c < 4; c++) sum.data[4 * i + c] = c === 3 ? 255 : pixels[4 * i + c] + s * sign(c * plane + i);
    brush.putImageData(sum, 0, 0);
  }
  function pick() {
    photo.onload = () => {
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
