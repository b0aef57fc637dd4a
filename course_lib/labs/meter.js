// The compute meter's face: for each cost two bars on one scale, with the numbers beside them.

const STILL = "In JupyterLab the milliseconds on your machine are measured, too.";

function bar(label, text, share, decoder = 0) {
  const filled = make("div", { class: `filled ${label}`, style: `width: ${100 * share}%` });
  if (decoder) filled.append(make("i", { style: `width: ${(100 * decoder) / share}%` }));
  return make("div", { class: "bar" }, make("span", { class: "label" }, label),
    make("div", { class: "track", "aria-hidden": "true" }, filled), make("span", { class: "number" }, text));
}

function render({ model, el }) {
  const still = document.documentElement.dataset.kernel === "none";
  const list = make("div", { class: "costs" });
  const note = make("div", { class: "note" });
  const said = make("div", { class: "note", role: "status", "aria-live": "polite" });
  const title = "What it costs: pixels against latents";
  el.replaceChildren(make("div", { class: "lab-part card meter", role: "group", "aria-label": title },
    make("div", { class: "title" }, title), list, note, said));

  function show() {
    list.replaceChildren(...model.get("rows").map((row) => make("div", { class: "cost" },
      make("div", { class: "head" }, make("span", {}, row.head), make("b", {}, row.times)),
      bar("pixels", row.pixels, 1), bar("latents", row.latents, row.share, row.decoder))));
    note.textContent = model.get("note");
    const timed = model.get("rows").some((row) => row.head.startsWith("Milliseconds"));
    said.textContent = still && !timed ? STILL : model.get("said");
  }
  for (const name of ["rows", "said"]) model.on(`change:${name}`, show);
  show();
  return () => { for (const name of ["rows", "said"]) model.off(`change:${name}`, show); };
}

export default { render };
