// The easel's face: a picture, and ink on it (strokes.js), which is drawn at once; the kernel hears of whole strokes.

const SETTLED_MS = 600;
const LEAP = 8; // places that the brush goes with Shift
const STRIPE = 3; // pixels of a mask's stripes
const STILL = "To paint here, open the chapter in JupyterLab: it needs the model.";

// The ink of one widget: 0 where there is none, else the number of a colour, from 1.
function makeInk(model) {
  const views = new Set();
  const show = () => views.forEach((each) => each());
  const { rows, columns, size } = model.get("tools");
  const self = makeStrokes({
    *covers([row, column]) {
      const [top, left, bottom, right] = self.covered([row, column]);
      const [middle, across] = [(top + bottom - 1) / 2, (left + right - 1) / 2];
      for (let r = Math.max(0, top); r < Math.min(rows, bottom); r += 1) {
        for (let c = Math.max(0, left); c < Math.min(columns, right); c += 1) {
          if ((r - middle) ** 2 + (c - across) ** 2 <= self.size ** 2 / 4) yield r * columns + c;
        }
      }
    },
    paint: () => self.colour,
    changed: show,
    ended() {
      show();
      model.set("ink", new DataView(self.data.slice().buffer));
      model.save_changes();
    },
  });
  Object.assign(self, { colour: 1, size, views });
  self.start(bytes(model.get("ink")).slice(), rows, columns);
  self.place = [rows / 2, columns / 2];

  // The square round the brush: [top, left, bottom, right], the last two exclusive; it may reach outside.
  self.covered = ([row, column]) => {
    const before = Math.floor((self.size - 1) / 2);
    return [row - before, column - before, row - before + self.size, column - before + self.size];
  };
  return self;
}

function render(model, el, ink) {
  const still = document.documentElement.dataset.kernel === "none";
  const { rows, columns, colours, mask, largest } = model.get("tools");
  const names = ["nothing", ...colours.map(([name]) => name)];
  const verb = mask ? "marks" : "draws";
  const keys = `Arrow keys move the brush (with Shift, ${LEAP} at a time), Space ${verb} a dot, Enter puts the brush down `
    + "and lifts it, Backspace undoes.";
  let telling = null;

  const page = make("canvas", { width: columns, height: rows, "aria-hidden": "true" });
  const over = make("canvas", { class: "over", width: columns, height: rows, "aria-hidden": "true" });
  const mark = make("div", { class: "mark" });
  const surface = control("div", {
    class: "surface",
    style: `aspect-ratio: ${columns} / ${rows}`,
    ...(still ? { role: "img" } : { role: "application", tabindex: 0, "aria-roledescription": "painting surface" }),
  }, page, over, mark);
  const note = make("div", { class: "note" });
  const eraser = mask ? "keep" : "eraser";
  const chooser = radios(mask ? "What the brush does" : "Colour", [...names.slice(1), eraser],
    [...colours.map(([name, colour]) => (mask ? [name] : [make("i", { style: `background: ${css(colour)}` })])), [eraser]],
    (i) => choose((i + 1) % names.length));
  chooser.node.className = mask ? "segments" : "colours";
  const size = slider("Size of the brush", { min: 1, max: largest, step: 1, value: ink.size }, (output, value, input) => {
    ink.size = value;
    output.textContent = `${value}`;
    input.setAttribute("aria-valuetext", `${value} of ${columns} places across`);
    place();
  });
  const undo = control("button", { type: "button", "aria-keyshortcuts": "Backspace" }, "Undo");
  const clear = control("button", { type: "button" }, "Clear");
  const invert = control("button", { type: "button" }, "Invert");
  const buttons = make("div", { class: "buttons" }, undo, clear, ...(mask ? [invert] : []));
  const tools = make("div", { class: "tools" }, chooser.node, size.node, buttons);
  tools.inert = still;
  const hint = make("div", { class: "hint" }, still ? STILL : keys);
  const status = make("div", { class: "unseen", role: "status", "aria-live": "polite" });
  el.replaceChildren(make("div", { class: "lab-part card paint easel", role: "group",
    "aria-label": mask ? "Mark where to paint anew" : "Draw on the picture" }, surface, note, tools, hint, status));

  const nameAt = ([row, column]) => names[ink.data[row * columns + column]];

  // Where the brush stands, also in words.
  function place() {
    frame(mark, ink, ink.covered(ink.place));
    const here = `row ${ink.place[0]}, column ${ink.place[1]}: ${nameAt(ink.place)}`;
    const share = ink.data.filter((number) => number).length / ink.data.length;
    surface.setAttribute("aria-label", `${model.get("shown").alt} ${Math.round(100 * share)} % of it is `
      + `${mask ? "marked to be painted" : "drawn over"}. The brush is on ${here}.${still ? "" : ` ${keys}`}`);
    return here;
  }

  function showInk() {
    const striped = (i) => ((Math.floor(i / columns) + (i % columns)) % (2 * STRIPE) < STRIPE ? 225 : 120);
    fill(over, (i) => (ink.data[i] ? [...colours[ink.data[i] - 1][1], mask ? striped(i) : 255] : [0, 0, 0, 0]));
    chooser.choose(ink.colour ? ink.colour - 1 : names.length - 1);
    undo.setAttribute("aria-disabled", !ink.history.length);
    clear.setAttribute("aria-disabled", !ink.data.some((number) => number));
    place();
  }

  function showPicture() {
    const shown = model.get("shown");
    const pixels = bytes(shown.picture);
    fill(page, (i) => pixels.subarray(3 * i, 3 * i + 3));
    note.textContent = shown.note;
    place();
  }

  // For those who listen: said once things have come to rest.
  function tell(text) {
    clearTimeout(telling);
    telling = setTimeout(() => { status.textContent = text(); }, SETTLED_MS);
  }

  function choose(colour) {
    if (ink.painting()) return;
    ink.colour = colour;
    ink.views.forEach((show) => show());
  }

  const goBack = () => ink.undo() && tell(() => "Undone.");
  const lift = () => { ink.end(); tell(() => `The brush is up, ${place()}.`); };

  // True if the key was one of the surface's own.
  function key(event) {
    const way = ARROWS[event.key];
    if (way) {
      const by = event.shiftKey ? LEAP : 1;
      const to = [ink.place[0] + by * way[0], ink.place[1] + by * way[1]];
      if (down) ink.go([limit(to[0], 0, rows - 1), limit(to[1], 0, columns - 1)]);
      else if (!ink.painting()) ink.move(to);
      tell(place);
      place();
    } else if (event.key === " ") {
      if (!event.repeat && !ink.painting()) ink.dab();
      tell(() => `Painted, ${place()}.`);
    } else if (event.key === "Enter") {
      if (event.repeat || (ink.painting() && !down)) return true;
      down = !down;
      if (!down) lift();
      else {
        ink.begin(ink.place);
        tell(() => `The brush is down, ${place()}.`);
      }
      surface.classList.toggle("down", down);
    } else if (event.key === "Backspace") goBack();
    else return false;
    return true;
  }
  let down = false; // whether the keyboard's brush is down

  function leave() {
    if (down) lift();
    down = false;
    surface.classList.remove("down");
  }

  if (!still) {
    paintByPointer(surface, ink, place, () => tell(() => `Painted, ${place()}.`));
    surface.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !key(event)) return;
      event.preventDefault();
      event.stopPropagation();
    });
    surface.addEventListener("blur", leave);
    undo.addEventListener("click", goBack);
    clear.addEventListener("click", () => ink.replace(new Uint8Array(rows * columns)) && tell(() => "Cleared."));
    invert.addEventListener("click", () => ink.replace(ink.data.map((number) => 1 - number)) && tell(() => "Inverted."));
  }

  size.update();
  ink.views.add(showInk);
  model.on("change:shown", showPicture);
  showPicture();
  showInk();

  return () => {
    clearTimeout(telling);
    leave();
    ink.views.delete(showInk);
    model.off("change:shown", showPicture);
  };
}

export default () => {
  let ink = null;
  return {
    render({ model, el }) {
      ink ??= makeInk(model);
      return render(model, el, ink);
    },
  };
};
