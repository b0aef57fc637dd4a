// The brush's face: what is painted (strokes.js, painting.js) is drawn here at once; the kernel decodes it.

const SETTLED_MS = 600;
const VIEWS = ["picture", "what changed", "original"];
const STILL = "To paint, open the chapter in JupyterLab: it needs the model. The channels and the views work here.";

const signed = (number) => `${number < 0 ? "−" : "+"}${Math.abs(number).toFixed(1)}`;

function colourMap({ stops, range }) {
  return (value) => {
    const at = ((limit(value / range, -1, 1) + 1) / 2) * (stops.length - 1);
    const i = Math.min(Math.floor(at), stops.length - 2);
    return stops[i].map((level, k) => Math.round(level + (at - i) * (stops[i + 1][k] - level)));
  };
}

function makeLegend({ stops, range }) {
  const scale = `background: linear-gradient(to right, ${stops.map(css).join(", ")})`;
  const ticks = [-range, 0, range].map((tick) => make("span", {}, `${tick}`.replace("-", "−")));
  return make("div", { class: "legend" }, make("div", { class: "scale", style: scale }),
    make("div", { class: "ticks" }, ...ticks), make("div", {}, "standard deviations"));
}

function render(model, el, painting) {
  const still = document.documentElement.dataset.kernel === "none";
  painting.open();
  const opened = model.get("opened");
  const [{ channels, rows, columns }, colour] = [painting, colourMap(opened)];
  const keys = "Arrow keys move the brush, Space or Enter paints, Backspace undoes, "
    + `the keys 1 to ${channels} choose the channel.`;
  let telling = null;

  const blank = () => make("canvas", { width: columns, height: rows, "aria-hidden": "true" });
  const maps = Array.from({ length: channels }, blank);
  const chooser = radios("Latent channel", maps.map((_, i) => `channel ${i}: key ${i + 1}`),
    maps.map((map, i) => [map, make("b", {}, `${i}`)]), choose);
  chooser.node.className = "channels";
  const name = make("div", { class: "head" });
  const large = blank();
  const mark = make("div", { class: "mark" });
  const surface = control("div", {
    class: "surface",
    style: `aspect-ratio: ${columns} / ${rows}; --columns: ${columns}; --rows: ${rows}`,
    ...(still ? { role: "img" } : { role: "application", tabindex: 0, "aria-roledescription": "painting surface" }),
  }, large, make("div", { class: "grid" }), mark);

  const views = radios("What to see", VIEWS, VIEWS.map((text) => [text]), look);
  views.node.className = "views segments";
  const decoded = make("canvas", { role: "img", width: opened.width, height: opened.height });
  const echo = make("div", { class: "mark echo" });
  const words = make("div", { class: "words" });
  const note = make("div", { class: "note" });

  const strength = slider("Strength of the brush",
    { min: -opened.strength, max: opened.strength, step: 0.5, value: painting.strength }, (output, value, input) => {
      painting.strength = value;
      output.replaceChildren(make("i", { style: `background: ${css(colour(value))}` }), signed(value));
      input.setAttribute("aria-valuetext", `${signed(value)} standard deviations`);
    });
  const size = slider("Size of the brush",
    { min: 1, max: opened.largest, step: 1, value: painting.size }, (output, value, input) => {
      painting.size = value;
      output.textContent = `${value} × ${value}`;
      input.setAttribute("aria-valuetext", `${value} by ${value} places`);
      place();
    });
  const undo = control("button", { type: "button", "aria-keyshortcuts": "Backspace" }, "Undo");
  const reset = control("button", { type: "button" }, "Reset");
  const buttons = make("div", { class: "buttons" }, undo, reset);
  const tools = make("div", { class: "tools" }, strength.node, size.node, buttons);
  tools.inert = still;
  const hint = make("div", { class: "hint" },
    still ? STILL : `A stroke adds its strength, once, to every number that it covers. ${keys}`);
  const wrong = make("div", { class: "wrong", role: "alert" });
  const status = make("div", { class: "unseen", role: "status", "aria-live": "polite" });
  el.replaceChildren(make("div", { class: "lab-part card paint brush", role: "group", "aria-label": "Paint on the latents" },
    make("div", { class: "sides" },
      make("div", { class: "latents" }, name, chooser.node, surface, makeLegend(opened)),
      make("div", { class: "decoded" }, views.node, make("div", { class: "stage" }, decoded, echo), words)),
    tools, hint, wrong, note, status));

  // Where the brush stands, on the latents and on the picture that they become.
  function place() {
    for (const node of [mark, echo]) frame(node, painting, painting.covered(painting.place));
    const [row, column] = painting.place;
    const here = `row ${row}, column ${column}: ${signed(painting.value(painting.channel, row, column))}`;
    surface.setAttribute("aria-label", `Latent channel ${painting.channel}, ${rows} by ${columns} places. `
      + `The brush is on ${here}.${still ? "" : ` ${keys}`}`);
    return here;
  }

  function showLatents() {
    const colours = (channel) => (i) => colour(painting.value(channel, Math.floor(i / columns), i % columns));
    maps.forEach((map, channel) => fill(map, colours(channel)));
    fill(large, colours(painting.channel));
    name.textContent = `Channel ${painting.channel} of the latents`;
    chooser.choose(painting.channel);
    undo.setAttribute("aria-disabled", !painting.history.length);
    reset.setAttribute("aria-disabled", !painting.data.some((added) => added));
    place();
  }

  function showPicture() {
    const [shown, { original }] = [model.get("shown"), model.get("opened")];
    const pixels = bytes([shown.picture, shown.changed, original][painting.view]);
    fill(decoded, (i) => pixels.subarray(3 * i, 3 * i + 3));
    views.choose(painting.view);
    words.textContent = shown.words;
    decoded.setAttribute("aria-label", {
      picture: `The picture decoded from the latents. ${shown.words}`,
      "what changed": `What the strokes change, four times magnified, on mid-grey. ${shown.words}`,
      original: "The original picture, before the VAE.",
    }[VIEWS[painting.view]]);
  }

  // For those who listen: said once things have come to rest.
  function tell(text) {
    clearTimeout(telling);
    telling = setTimeout(() => { status.textContent = text(); }, SETTLED_MS);
  }

  function choose(channel) {
    if (painting.painting()) return;
    painting.channel = channel;
    painting.views.forEach((show) => show());
    tell(() => `Channel ${channel}`);
  }

  function look(view) {
    painting.view = view;
    showPicture();
    tell(() => `${VIEWS[view]}. ${model.get("shown").words}`);
  }

  function goBack() {
    if (painting.undo()) tell(() => `Undone. ${model.get("shown").words}`);
  }

  // True if the key was one of the surface's own.
  function key(event) {
    const [row, column] = painting.place;
    const way = ARROWS[event.key];
    if (way) {
      if (!painting.painting()) painting.move([row + way[0], column + way[1]]);
      tell(place);
      place();
    } else if (event.key === " " || event.key === "Enter") {
      if (!event.repeat && !painting.painting()) painting.dab();
      tell(() => `Painted, ${place()}. ${model.get("shown").words}`);
    } else if (event.key === "Backspace") goBack();
    else return false;
    return true;
  }

  if (!still) {
    paintByPointer(surface, painting, place, () => tell(() => model.get("shown").words));
    surface.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || !key(event)) return;
      event.preventDefault();
      event.stopPropagation();
    });
    undo.addEventListener("click", goBack);
    reset.addEventListener("click", () => painting.reset() && tell(() => model.get("shown").words));
  }
  el.firstChild.addEventListener("keydown", (event) => {
    const channel = Number(event.key) - 1;
    if (event.ctrlKey || event.metaKey || event.altKey || !(channel >= 0 && channel < channels)) return;
    choose(channel);
    event.preventDefault();
    event.stopPropagation();
  });

  const reopen = () => {
    painting.open();
    note.textContent = model.get("opened").note;
    showLatents();
    showPicture();
  };
  const complain = () => { wrong.textContent = model.get("message"); };
  for (const { update } of [strength, size]) update();
  painting.views.add(showLatents);
  model.on("change:opened", reopen);
  model.on("change:shown", showPicture);
  model.on("change:message", complain);
  reopen();
  complain();

  return () => {
    clearTimeout(telling);
    painting.views.delete(showLatents);
    if (!painting.views.size) painting.close();
    model.off("change:opened", reopen);
    model.off("change:shown", showPicture);
    model.off("change:message", complain);
  };
}

export default () => {
  let painting = null;
  return {
    render({ model, el }) {
      painting ??= makePainting(model);
      return render(model, el, painting);
    },
  };
};
