// Controls of uapkit.figures.widgets.frames: they choose among states that were computed beforehand. No request leaves the page.
// A control offers only the values that exist together with those of the controls before it.
document.querySelectorAll("figure.uapkit-frames:not([data-ready])").forEach((figure) => {
  figure.dataset.ready = "yes";
  const data = JSON.parse(figure.querySelector('script[type="application/json"]').textContent);
  const inputs = [...figure.querySelectorAll(".uapkit-frames-controls :is(input, select)")];
  const pictures = figure.querySelector(".uapkit-frames-pictures");
  const words = figure.querySelector(".uapkit-frames-words");
  const bars = figure.querySelector(".uapkit-frames-bars");
  const setting = [...data.states[0].at]; // for each control the index of its value
  const offered = []; // for each control the indices that it offers now

  const matching = (length) => data.states.filter((s) => setting.slice(0, length).every((v, i) => s.at[i] === v));
  const refresh = (from) => {
    for (let i = from; i < inputs.length; i++) {
      offered[i] = [...new Set(matching(i).map((s) => s.at[i]))].sort((a, b) => a - b);
      if (!offered[i].includes(setting[i])) setting[i] = offered[i][0];
      const place = offered[i].indexOf(setting[i]);
      const names = offered[i].map((v) => data.controls[i].values[v]);
      if (inputs[i].type === "range") {
        inputs[i].max = offered[i].length - 1;
        inputs[i].value = place;
        inputs[i].setAttribute("aria-valuetext", names[place]);
        inputs[i].parentElement.querySelector("span").textContent = names[place];
      } else {
        inputs[i].replaceChildren(...names.map((name, k) => new Option(name, k, k === place, k === place)));
      }
    }
    const state = matching(inputs.length)[0];
    state.pictures.forEach((index, k) => {
      const image = pictures.querySelectorAll("img")[k];
      image.src = data.pictures[index];
      image.alt = state.alts[k];
    });
    words.innerHTML = state.words;
    bars.innerHTML = state.bars;
  };
  inputs.forEach((input, i) => {
    input.addEventListener("input", () => {
      setting[i] = offered[i][Number(input.value)];
      refresh(i + 1);
      if (input.type === "range") {
        const name = data.controls[i].values[setting[i]];
        input.setAttribute("aria-valuetext", name);
        input.parentElement.querySelector("span").textContent = name;
      }
    });
  });
  refresh(0);
  figure.querySelector(".uapkit-frames-controls").hidden = false;
});
