// The field lab's face: the plane under a slider, what is to be seen in it, and a hand that draws data of its own.

const GAP = 0.12; // between two points of a stroke, in the plane's own units
const STEP = 0.1; // one press of an arrow key; five times as far with Shift
const PLACES = 3; // decimals of a drawn point
const FIRST_LOOK = 0.55; // the share of the frames at which the lab opens: the field has a shape, the particles move
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
const CLASS_NAMES = ["A", "B"];
const SHOWABLE = {
  particles: "particles", trails: "their trails", main: "the field", second: "the exact field", force: "extra force",
  cloud: "noisy data at t", data: "data",
};
const ARROW_HELP = "An arrow: where dx/dt carries a point while t falls by 0.1; long ones are levelled off. "
  + "A particle has the colour and the shape of the class at which it ends.";
const DRAW_HELP = "Draw on the picture to make data of your own. By key: arrows move the cross-hair, Enter sets a "
  + "point, Backspace takes the last back, A and B choose the class.";

// A sample of each thing, for the legend: drawn as on the canvas.
function sample(role) {
  const circle = (cx, r, kind) => make("circle", { cx, cy: 8, r, class: kind });
  const path = (d, kind) => make("path", { d, class: kind });
  const shapes = {
    particles: () => [circle(7, 4, "a"), path("M21 3.5l5 8.5H16z", "b")],
    trails: () => [path("M2 11C10 12 12 4 26 5", "line a")],
    cloud: () => [circle(10, 7, "haze a"), circle(19, 7, "haze b")],
    data: () => [circle(7, 3, "line a"), path("M21 4.5l4 7H17z", "line b")],
  };
  const arrow = () => [path("M2 8h18", `line ${role}`),
    path("M27 8l-8-3.6v7.2z", role === "second" ? `line ${role}` : role)];
  return make("svg", { viewBox: "0 0 28 16", "aria-hidden": "true", class: "sample" }, ...(shapes[role] ?? arrow)());
}

function render({ model, el }) {
  const still = document.documentElement.dataset.kernel === "none";
  const name = unique("field");
  let scene = null; // what the kernel sent, as numbers
  let inks = null;
  let drawn = []; // the learner's points, [x, y, class]
  let strokes = []; // how many points each stroke set, for Undo
  let stroking = false;
  let stale = false; // whether the drawing has changed since the kernel's answer
  let cross = [0, 0];
  let aiming = false; // whether the keys are on the canvas, so that the cross-hair is to be seen
  let brush = 0;
  let repaint = 0; // the frame for which a repaint in the theme's new colours is asked

  const canvas = control("canvas", { role: "img", ...(still ? {} : { tabindex: 0 }) });
  const hint = make("div", { class: "hint", "aria-hidden": "true" }, "Draw here");
  const legend = make("div", { class: "legend", role: "group", "aria-label": "What to see" });
  const boxes = {};
  for (const [role, words] of Object.entries(SHOWABLE)) {
    const box = control("input", { type: "checkbox", checked: "" });
    box.addEventListener("change", () => redraw());
    const label = make("span", {}, words);
    boxes[role] = { box, label, row: make("label", {}, box, sample(role), label) };
    legend.append(boxes[role].row);
  }
  legend.append(make("p", { class: "help" }, ARROW_HELP));
  const brushes = CLASS_NAMES.map((word, i) => {
    const radio = control("input", { type: "radio", name, value: i, "aria-label": `Draw as class ${word}` });
    radio.addEventListener("change", () => choose(i));
    return { radio, label: make("label", { class: "ab"[i] }, radio, make("span", {}, `${"●▲"[i]} ${word}`)) };
  });
  const undo = control("button", { type: "button" }, "Undo");
  const clear = control("button", { type: "button" }, "Clear");
  const help = make("p", { class: "help", id: unique("help") }, DRAW_HELP);
  const choice = make("div", { class: "brushes segments", role: "radiogroup", "aria-label": "Draw as" });
  choice.append(...brushes.map(({ label }) => label));
  const tools = make("div", { class: "tools", role: "group", "aria-label": "Draw your own data" },
    make("div", { class: "row" }, make("span", { class: "name" }, "Draw as"), choice),
    make("div", { class: "row" }, undo, clear), help);
  tools.hidden = still;
  if (!still) canvas.setAttribute("aria-describedby", help.id);
  const caption = make("div", { class: "caption" });
  const note = make("div", { class: "note" });
  const heard = make("div", { class: "unseen", role: "status", "aria-live": "polite" });
  const player = makePlayer({ draw, tell: () => scene.labels[player.frame], name: "Step" });
  const root = make("div", { class: "lab-part card vector-field", role: "group", "aria-label": "A field in the plane" },
    make("div", { class: "main" }, make("div", { class: "stage" }, canvas, hint),
      make("div", { class: "player" }, player.button, player.slider, caption, note)),
    make("div", { class: "side" }, legend, tools), player.status, heard);
  el.replaceChildren(root);

  function draw(frame) {
    const size = canvas.clientWidth;
    if (size === 0) return scene.labels[frame]; // not on the page yet: the observer of its size asks again
    const pixels = Math.round(size * window.devicePixelRatio);
    if (canvas.width !== pixels) canvas.width = canvas.height = pixels;
    const pen = canvas.getContext("2d");
    pen.setTransform(pixels / size, 0, 0, pixels / size, 0, 0);
    inks ??= readInks(root);
    const see = Object.fromEntries(Object.entries(boxes).map(([role, { box }]) => [role, box.checked]));
    const shown = stale ? { ...scene, ...ownData() } : scene;
    drawPlane(pen, size, shown, frame, see, inks, { stale, cross: aiming ? cross : null });
    hint.hidden = !stale || drawn.length > 0;
    const data = stale || scene.own ? `${counted()} of your own` : scene.shape;
    canvas.setAttribute("aria-label", `Particles in a vector field. Data: ${data}. Now: ${scene.labels[frame]}.`);
    caption.textContent = scene.labels[frame];
    return scene.labels[frame];
  }

  const redraw = () => scene && draw(player.frame);
  const counted = () => `${drawn.length} ${drawn.length === 1 ? "point" : "points"}`;
  const ownData = () => ({
    data: Float32Array.from(drawn.flatMap(([x, y]) => [x, y])), classes: Uint8Array.from(drawn, (point) => point[2]),
  });

  function load() {
    const before = scene;
    scene = unpack(model.get("shown"));
    // The answer to an older drawing: the newer one is on its way.
    stale = stroking || (scene.own && scene.classes.length !== drawn.length);
    note.textContent = scene.note;
    const names = scene.layers.map(({ name: layer }) => layer);
    boxes.main.label.textContent = `the ${names[0]} field`;
    boxes.second.row.hidden = !names.slice(1).includes("exact");
    boxes.force.row.hidden = !names.includes("extra force");
    const share = before ? player.frame / Math.max(1, before.labels.length - 1) : FIRST_LOOK;
    player.open(scene.labels.length, Math.round(share * (scene.labels.length - 1)));
  }

  // ------------------------------------------------------------------------------------------------------ drawing

  function choose(index) {
    brush = index;
    brushes.forEach(({ radio }, i) => { radio.checked = i === index; });
  }

  const within = (value) => Number(Math.min(scene.limit, Math.max(-scene.limit, value)).toFixed(PLACES));

  function set(x, y, first) {
    if (first && !stale && !scene.own) [drawn, strokes] = [[], []]; // the first point of one's own replaces the shape
    drawn = [...drawn, [within(x), within(y), brush]];
    if (first) strokes.push(0);
    strokes[strokes.length - 1] += 1;
    stale = true;
    redraw();
  }

  function send(words) {
    heard.textContent = `${words} ${counted()}.`;
    model.set("drawn", drawn);
    model.save_changes();
  }

  function takeBack(count) {
    if (!drawn.length || !(stale || scene.own)) return;
    drawn = drawn.slice(0, -count);
    for (let left = count; left > 0 && strokes.length; left -= 1) {
      strokes[strokes.length - 1] -= 1;
      if (!strokes[strokes.length - 1]) strokes.pop();
    }
    stale = true;
    redraw();
    send("Taken back.");
  }

  function placeOf(event) {
    const box = canvas.getBoundingClientRect();
    const across = (2 * scene.limit) / box.width;
    return [(event.clientX - box.left) * across - scene.limit, scene.limit - (event.clientY - box.top) * across];
  }

  function begin(event) {
    if (!scene || event.button !== 0) return;
    player.stop();
    canvas.setPointerCapture(event.pointerId);
    [stroking, aiming] = [true, false];
    set(...placeOf(event), true);
  }

  function move(event) {
    if (!stroking) return;
    const [x, y] = placeOf(event);
    const [lastX, lastY] = drawn[drawn.length - 1];
    if (Math.hypot(x - lastX, y - lastY) >= GAP) set(x, y, false);
  }

  function end() {
    if (!stroking) return;
    stroking = false;
    cross = drawn[drawn.length - 1].slice(0, 2);
    send("Drawn.");
  }

  function aim(now) {
    aiming = now;
    redraw();
  }

  // True if the key was one of drawing.
  function drawKey(event) {
    aiming = true;
    if (event.key in ARROWS) {
      const far = event.shiftKey ? 5 * STEP : STEP;
      cross = cross.map((value, i) => within(value + far * ARROWS[event.key][i]));
      heard.textContent = `${cross[0].toFixed(1)}, ${cross[1].toFixed(1)}`;
      redraw();
    } else if (event.key === "Enter" && !event.shiftKey) {
      set(...cross, true);
      send(`Point ${CLASS_NAMES[brush]} at ${cross[0].toFixed(1)}, ${cross[1].toFixed(1)}.`);
    } else if (event.key === "Backspace") {
      takeBack(1);
    } else if (["a", "b"].includes(event.key.toLowerCase())) {
      choose(event.key.toLowerCase() === "b" ? 1 : 0);
      heard.textContent = `Class ${CLASS_NAMES[brush]}.`;
    } else return false;
    return true;
  }

  if (!still) {
    canvas.addEventListener("pointerdown", begin);
    canvas.addEventListener("pointermove", move);
    for (const kind of ["pointerup", "pointercancel"]) canvas.addEventListener(kind, end);
    canvas.addEventListener("focus", () => aim(canvas.matches(":focus-visible")));
    canvas.addEventListener("blur", () => aim(false));
    undo.addEventListener("click", () => takeBack(strokes[strokes.length - 1] ?? 1));
    clear.addEventListener("click", () => takeBack(drawn.length));
  }
  root.addEventListener("keydown", (event) => {
    if (!scene || event.ctrlKey || event.metaKey || event.altKey) return;
    if (!player.key(event) && !(!still && event.target === canvas && drawKey(event))) return;
    event.preventDefault();
    event.stopPropagation();
  });

  // ------------------------------------------------------------------------------------------- what changes around

  const takeDrawn = () => { if (!stroking) drawn = model.get("drawn"); };
  const sizes = new ResizeObserver(() => redraw());
  // JupyterLab takes the page apart for a moment when it changes its theme: look when that is over.
  const theme = new MutationObserver(() => {
    cancelAnimationFrame(repaint);
    repaint = requestAnimationFrame(() => { inks = null; redraw(); });
  });
  sizes.observe(canvas);
  theme.observe(document.body, { attributeFilter: ["data-jp-theme-light", "data-jp-theme-name", "style"] });
  model.on("change:drawn", takeDrawn);
  model.on("change:shown", load);
  takeDrawn();
  choose(0);
  load();

  return () => {
    model.off("change:drawn", takeDrawn);
    model.off("change:shown", load);
    sizes.disconnect();
    theme.disconnect();
    cancelAnimationFrame(repaint);
    player.close();
    scene = null;
  };
}

export default { render };
