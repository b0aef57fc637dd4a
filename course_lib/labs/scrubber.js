// The scrubber's face. All frames arrive once, as one sprite sheet for each view; every change of frame is one
// drawImage from the decoded sheet, so no message goes to the kernel while somebody scrubs.

function decode({ type, bytes }) {
  return createImageBitmap(new Blob([bytes], { type }), { colorSpaceConversion: "none" });
}

function render({ model, el }) {
  const name = unique("scrubber");
  let shown = null; // what the kernel sent, once its sheets are decoded
  let sheets = [];
  let view = 0;
  let latest = 0;
  let moveMarker = null;
  let canvases = []; // one for the whole frame, or one for each of its pictures

  const title = make("div", { class: "title" });
  const choices = make("div", { class: "views segments", role: "radiogroup", "aria-label": "What to see" });
  const stage = make("div", { class: "stage" });
  const caption = make("div", { class: "caption" });
  const note = make("div", { class: "note" });
  const smooth = control("input", { type: "checkbox" });
  const smoothing = make("label", { class: "smoothing" }, smooth, "smooth");
  const curveName = make("div", { class: "curve-name" });
  const legend = make("div", { class: "legend" });
  const curve = make("svg", { class: "curve", role: "img" });
  const strip = make("div", { class: "strip", role: "group", "aria-label": "Five moments; each goes there" });
  const player = makePlayer({ draw, tell: () => `${shown.names[view]}: ${shown.labels[player.frame]}` });
  const root = make("div", { class: "lab-part card scrubber", role: "group" },
    title, choices, stage,
    make("div", { class: "player" },
      player.button, player.slider,
      make("div", { class: "words" }, caption, smoothing), note, curveName, curve, legend),
    strip, player.status);
  el.replaceChildren(root);

  const corner = (frame) => [(frame % shown.columns) * shown.cell[0], Math.floor(frame / shown.columns) * shown.cell[1]];

  function draw(frame) {
    const { labels, names, alt } = shown;
    const [left, top] = corner(frame);
    for (const { pen, x, y, width, height } of canvases) {
      pen.drawImage(sheets[view], left + x, top + y, width, height, 0, 0, width, height);
    }
    const what = names.length > 1 ? `${names[view]}, ` : "";
    for (const { canvas, words } of canvases) canvas.setAttribute("aria-label", `${words} Now: ${what}${labels[frame]}.`);
    caption.textContent = labels[frame];
    moveMarker?.(frame);
    for (const button of strip.children) button.setAttribute("aria-current", Number(button.value) === frame);
    return labels[frame];
  }

  function choose(index) {
    view = index;
    const radio = choices.querySelectorAll("input")[index];
    radio.checked = true;
    if (choices.contains(document.activeElement)) radio.focus();
    drawStrip();
    player.redraw();
    player.announce();
  }

  function showChoices() {
    choices.replaceChildren(...shown.names.map((text, i) => {
      const radio = control("input", { type: "radio", name, value: i, ...(i < 9 ? { "aria-keyshortcuts": i + 1 } : {}) });
      const label = make("label", i < 9 ? { title: `key ${i + 1}` } : {}, radio, make("span", {}, text));
      radio.addEventListener("change", () => choose(i));
      if (shown.hover) label.addEventListener("pointerenter", () => view !== i && choose(i));
      return label;
    }));
    choices.hidden = shown.names.length < 2;
    view = Math.min(view, shown.names.length - 1);
    choices.querySelectorAll("input")[view].checked = true;
  }

  // A canvas over the part of the frame that begins at (x, y).
  function part(x, y, width, height, words) {
    const canvas = make("canvas", { role: "img", width, height });
    canvas.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      player.slider.focus({ preventScroll: true });
    });
    return { canvas, pen: canvas.getContext("2d"), x, y, width, height, words };
  }

  // The canvas of whole frames is the same for good: whoever points at it goes on pointing at it.
  const whole = part(0, 0, 0, 0, "");

  function showStage() {
    const { width, height, cells, display_size: size } = shown;
    if (!cells) {
      Object.assign(whole, { width, height, words: shown.alt });
      Object.assign(whole.canvas, { width, height });
      whole.canvas.style.width = `${(size * width) / height}px`;
      canvases = [whole];
      if (!stage.contains(whole.canvas)) stage.replaceChildren(whole.canvas);
    } else {
      const { columns, gap, heads, texts } = cells;
      const rows = Math.ceil(heads.length / columns);
      const side = [(width + gap) / columns - gap, (height + gap) / rows - gap];
      canvases = heads.map((head, i) => part((i % columns) * (side[0] + gap), Math.floor(i / columns) * (side[1] + gap),
        ...side, `${shown.alt} ${head}.${texts[i] ? ` ${texts[i]}.` : ""}`));
      const fit = cells.wrap ? `repeat(auto-fit, minmax(min(112px, 45%), ${size}px))` : `repeat(${columns}, minmax(0, ${size}px))`;
      stage.replaceChildren(make("div", { class: "cells", style: `grid-template-columns: ${fit}; width: ${columns * (size + 10)}px` },
        ...canvases.map(({ canvas }, i) => make("figure", {}, make("figcaption", { class: "head" }, heads[i]), canvas,
          ...(texts[i] ? [make("figcaption", { class: "text" }, texts[i])] : [])))));
    }
    canvases.forEach(({ canvas }) => canvas.classList.toggle("pixels", !smooth.checked));
  }

  function showStrip() {
    strip.hidden = !shown.strip.length;
    strip.replaceChildren(...shown.strip.map((frame) => {
      const small = make("canvas", { width: shown.width, height: shown.height });
      const button = control("button", { type: "button", value: frame, "aria-label": `Go to ${shown.labels[frame]}`, title: shown.labels[frame] }, small);
      button.addEventListener("click", () => { player.go(frame); player.announce(); });
      return button;
    }));
    drawStrip();
  }

  function drawStrip() {
    for (const button of strip.children) {
      const [left, top] = corner(Number(button.value));
      button.firstChild.getContext("2d").drawImage(sheets[view], left, top, shown.width, shown.height, 0, 0, shown.width, shown.height);
    }
  }

  async function load() {
    const mine = ++latest;
    const next = model.get("shown");
    const decoded = await Promise.all(next.sheets.map(decode));
    if (mine !== latest) return decoded.forEach((sheet) => sheet.close());
    const before = shown;
    sheets.forEach((sheet) => sheet.close());
    [shown, sheets] = [next, decoded];
    if (before?.names.join("\n") !== shown.names.join("\n")) showChoices();
    title.textContent = shown.title;
    title.hidden = !shown.title;
    note.textContent = shown.note;
    note.hidden = !shown.note;
    root.setAttribute("aria-label", shown.title || shown.alt);
    const rows = shown.cells ? Math.ceil(shown.cells.heads.length / shown.cells.columns) : 1;
    smoothing.hidden = shown.height / rows >= shown.display_size;
    if (!before) smooth.checked = shown.height / rows >= 60;
    showStage();
    showStrip();
    curve.toggleAttribute("hidden", !shown.curve);
    for (const words of [curveName, legend]) words.hidden = !shown.curve;
    curveName.textContent = shown.curve?.label ?? "";
    moveMarker = shown.curve ? drawCurve(curve, legend, shown.curve) : null;
    player.open(shown.labels.length, shown.start);
  }

  smooth.addEventListener("change", () => canvases.forEach(({ canvas }) => canvas.classList.toggle("pixels", !smooth.checked)));

  root.addEventListener("keydown", (event) => {
    if (!shown || event.ctrlKey || event.metaKey || event.altKey) return;
    if (!player.key(event)) {
      if (Number(event.key) >= 1 && Number(event.key) <= shown.names.length) choose(Number(event.key) - 1);
      else return;
    }
    event.preventDefault();
    event.stopPropagation();
  });

  model.on("change:shown", load);
  load();

  return () => {
    latest += 1;
    model.off("change:shown", load);
    player.close();
    sheets.forEach((sheet) => sheet.close());
  };
}

export default { render };
