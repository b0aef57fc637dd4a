// The scrubber's face. All frames arrive once, as one sprite sheet for each view; every change of frame is one
// drawImage from the decoded sheet, so no message goes to the kernel while somebody scrubs.

const FRAMES_PER_SECOND = 12;
const SETTLED_MS = 600; // how long a new frame must stand before a screen reader hears of it
const ICONS = {
  play: "M4 2.5v11l9.5-5.5z",
  pause: "M3.5 2.5h3.2v11H3.5zM9.3 2.5h3.2v11H9.3z",
  next: "M3 2.5v11l7.5-5.5zM11 2.5h2.2v11H11z",
};

function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "path", "line", "circle", "polyline", "text"].includes(tag);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// JupyterLab's command mode takes keys away from any control that does not carry this attribute itself.
const control = (tag, attributes, ...children) =>
  make(tag, { "data-lm-suppress-shortcuts": "true", ...attributes }, ...children);

function decode({ type, bytes }) {
  return createImageBitmap(new Blob([bytes], { type }), { colorSpaceConversion: "none" });
}

function drawCurve(svg, { y, range: [low, high], label, others = [] }) {
  const height = (value) => (100 * (high - value)) / (high - low);
  const line = (values, kind) => make("polyline", {
    class: kind,
    points: values.map((value, i) => `${(100 * i) / Math.max(1, values.length - 1)},${height(value)}`).join(" "),
    "vector-effect": "non-scaling-stroke",
  });
  const marks = [low, high, ...(low < 0 && high > 0 ? [0] : [])];
  svg.replaceChildren(
    ...marks.map((value) => make("line", { class: "grid", x1: 0, x2: "100%", y1: `${height(value)}%`, y2: `${height(value)}%` })),
    make("svg", { viewBox: "0 0 100 100", preserveAspectRatio: "none", width: "100%", height: "100%" },
      ...others.map((values) => line(values, "other")), line(y, "own")),
    ...marks.map((value) => make("text", { x: 0, y: `${height(value)}%`, dx: -10, dy: 4 }, String(value))),
    make("line", { class: "marker", y1: 0, y2: "100%" }),
    make("circle", { class: "marker", r: 5 }),
  );
  svg.setAttribute("aria-label", `Curve of the ${label} over the frames; the marker follows the slider.`);
  return (frame) => {
    const x = `${(100 * frame) / Math.max(1, y.length - 1)}%`;
    const [stem, dot] = svg.querySelectorAll(".marker");
    stem.setAttribute("x1", x);
    stem.setAttribute("x2", x);
    dot.setAttribute("cx", x);
    dot.setAttribute("cy", `${height(y[frame])}%`);
  };
}

function render({ model, el }) {
  const name = `scrubber-${Math.random().toString(36).slice(2)}`;
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)");
  let shown = null; // what the kernel sent, once its sheets are decoded
  let sheets = [];
  let frame = 0;
  let view = 0;
  let timer = null;
  let settling = null;
  let latest = 0;
  let moveMarker = null;

  const title = make("div", { class: "title" });
  const choices = make("div", { class: "views", role: "radiogroup", "aria-label": "What to see" });
  const canvas = make("canvas", { role: "img" });
  const icon = make("path");
  const button = control("button", { type: "button", class: "play" },
    make("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, icon));
  const slider = control("input", { type: "range", min: 0, step: 1, "aria-label": "Frame" });
  const caption = make("div", { class: "caption" });
  const smooth = control("input", { type: "checkbox" });
  const smoothing = make("label", { class: "smoothing" }, smooth, "smooth");
  const curveName = make("div", { class: "curve-name" });
  const curve = make("svg", { class: "curve", role: "img" });
  const status = make("div", { class: "unseen", role: "status", "aria-live": "polite" });
  const root = make("div", { class: "scrubber", role: "group" },
    title, choices, make("div", { class: "stage" }, canvas),
    make("div", { class: "player" },
      button, slider, make("div", { class: "words" }, caption, smoothing), curveName, curve),
    status);
  el.replaceChildren(root);

  const last = () => shown.labels.length - 1;

  function draw() {
    const { width, height, cell, columns, labels, names, alt } = shown;
    const [x, y] = [(frame % columns) * cell[0], Math.floor(frame / columns) * cell[1]];
    canvas.getContext("2d").drawImage(sheets[view], x, y, width, height, 0, 0, width, height);
    const what = names.length > 1 ? `${names[view]}, ` : "";
    canvas.setAttribute("aria-label", `${alt} Now: ${what}${labels[frame]}.`);
    slider.value = frame;
    slider.setAttribute("aria-valuetext", labels[frame]);
    caption.textContent = labels[frame];
    moveMarker?.(frame);
  }

  // The slider speaks its own aria-valuetext; every other change is told once, when it has come to rest.
  function announce() {
    clearTimeout(settling);
    settling = setTimeout(() => {
      if (timer === null && shown) status.textContent = `${shown.names[view]}: ${shown.labels[frame]}`;
    }, SETTLED_MS);
  }

  function showButton() {
    const [shape, label] = calm.matches ? ["next", "Next frame"] : timer === null ? ["play", "Play"] : ["pause", "Pause"];
    icon.setAttribute("d", ICONS[shape]);
    button.setAttribute("aria-label", label);
    button.title = label;
  }

  function stop() {
    clearInterval(timer);
    timer = null;
    showButton();
  }

  function go(to) {
    stop();
    frame = Math.min(last(), Math.max(0, to));
    draw();
  }

  // With reduced motion nothing moves by itself: each press shows one more frame.
  function play() {
    if (!shown) return;
    announce();
    if (calm.matches) return go(frame === last() ? 0 : frame + 1);
    if (timer !== null) return stop();
    if (frame === last()) frame = 0;
    draw();
    timer = setInterval(() => {
      if (frame === last()) {
        stop();
        announce();
      } else {
        frame += 1;
        draw();
      }
    }, 1000 / FRAMES_PER_SECOND);
    showButton();
  }

  function choose(index) {
    view = index;
    const radio = choices.querySelectorAll("input")[index];
    radio.checked = true;
    if (choices.contains(document.activeElement)) radio.focus();
    draw();
    announce();
  }

  function showChoices() {
    choices.replaceChildren(...shown.names.map((text, i) => {
      const radio = control("input", { type: "radio", name, value: i, "aria-keyshortcuts": i + 1 });
      radio.addEventListener("change", () => choose(i));
      return make("label", { title: `key ${i + 1}` }, radio, make("span", {}, text));
    }));
    choices.hidden = shown.names.length < 2;
    view = Math.min(view, shown.names.length - 1);
    choices.querySelectorAll("input")[view].checked = true;
  }

  async function load() {
    const mine = ++latest;
    const next = model.get("shown");
    const decoded = await Promise.all(next.sheets.map(decode));
    if (mine !== latest) return decoded.forEach((sheet) => sheet.close());
    const before = shown;
    sheets.forEach((sheet) => sheet.close());
    [shown, sheets] = [next, decoded];
    if (before?.labels.length !== shown.labels.length) frame = shown.start;
    if (before?.names.join("\n") !== shown.names.join("\n")) showChoices();
    title.textContent = shown.title;
    title.hidden = !shown.title;
    root.setAttribute("aria-label", shown.title || shown.alt);
    slider.max = last();
    [canvas.width, canvas.height] = [shown.width, shown.height];
    canvas.style.width = `${(shown.display_size * shown.width) / shown.height}px`;
    smoothing.hidden = shown.height >= shown.display_size;
    if (!before) smooth.checked = shown.height >= 128;
    canvas.classList.toggle("pixels", !smooth.checked);
    curve.toggleAttribute("hidden", !shown.curve);
    curveName.hidden = !shown.curve;
    curveName.textContent = shown.curve?.label ?? "";
    moveMarker = shown.curve ? drawCurve(curve, shown.curve) : null;
    draw();
  }

  slider.addEventListener("input", () => shown && go(Number(slider.value)));
  button.addEventListener("click", play);
  smooth.addEventListener("change", () => canvas.classList.toggle("pixels", !smooth.checked));
  canvas.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    slider.focus({ preventScroll: true });
  });

  root.addEventListener("keydown", (event) => {
    if (!shown || event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.round(last() / 10));
    const moves = {
      ArrowLeft: frame - 1, ArrowDown: frame - 1, ArrowRight: frame + 1, ArrowUp: frame + 1,
      PageDown: frame - page, PageUp: frame + page, Home: 0, End: last(),
    };
    const scrubbing = event.target === slider || event.target === button;
    if (scrubbing && event.key in moves) go(moves[event.key]);
    else if (event.target === slider && event.key === " ") event.repeat || play();
    else if (Number(event.key) >= 1 && Number(event.key) <= shown.names.length) choose(Number(event.key) - 1);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });

  calm.addEventListener("change", stop);
  model.on("change:shown", load);
  showButton();
  load();

  return () => {
    latest += 1;
    model.off("change:shown", load);
    calm.removeEventListener("change", stop);
    clearInterval(timer);
    clearTimeout(settling);
    sheets.forEach((sheet) => sheet.close());
  };
}

export default { render };
