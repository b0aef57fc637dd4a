// What surfaces to paint on share: sliders, choices with a face of their own, and how pointer and keys paint.

const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

const css = (colour) => `rgb(${colour.join(" ")})`;

// A slider; show(output, value, input) puts its value into words.
function slider(label, settings, show) {
  const id = unique("brush");
  const input = control("input", { type: "range", id, ...settings });
  const output = make("output", { for: id });
  const node = make("div", { class: "field" }, make("label", { for: id }, label),
    make("div", { class: "entry" }, input, output));
  const update = () => show(output, Number(input.value), input);
  input.addEventListener("input", update);
  return { node, update };
}

// Radio buttons, each with a face of its own: a text, or nodes. chosen(i): one was chosen by hand.
function radios(label, names, faces, chosen) {
  const name = unique("choice");
  const inputs = names.map((text, i) => control("input", { type: "radio", name, value: i, "aria-label": text }));
  const node = make("div", { role: "radiogroup", "aria-label": label },
    ...inputs.map((input, i) => make("label", { title: names[i] }, input, make("span", {}, ...faces[i]))));
  inputs.forEach((input, i) => input.addEventListener("change", () => chosen(i)));
  const choose = (i) => {
    inputs[i].checked = true;
    if (node.contains(document.activeElement)) inputs[i].focus();
  };
  return { node, choose };
}

// Put the colour [red, green, blue] of every pixel on a canvas, and how much it covers, from 0 to 255, if not all.
function fill(canvas, colourAt) {
  const pen = canvas.getContext("2d");
  const image = pen.createImageData(canvas.width, canvas.height);
  for (let i = 0; i < canvas.width * canvas.height; i += 1) {
    const [red, green, blue, cover = 255] = colourAt(i);
    image.data.set([red, green, blue, cover], 4 * i);
  }
  pen.putImageData(image, 0, 0);
}

// A frame round part of a surface: from (top, left) to (bottom, right), in places of `strokes`.
function frame(node, strokes, [top, left, bottom, right]) {
  const share = (part, all) => `${(100 * part) / all}%`;
  Object.assign(node.style, { top: share(top, strokes.rows), left: share(left, strokes.columns),
    height: share(bottom - top, strokes.rows), width: share(right - left, strokes.columns) });
}

// Strokes by pointer; moved(): the brush stands elsewhere; ended(): a stroke is whole.
function paintByPointer(surface, strokes, moved, ended) {
  const at = ({ clientX, clientY }) => {
    const box = surface.getBoundingClientRect();
    return [Math.floor(((clientY - box.top) / box.height) * strokes.rows),
      Math.floor(((clientX - box.left) / box.width) * strokes.columns)];
  };
  surface.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || strokes.painting()) return;
    event.preventDefault();
    surface.focus({ preventScroll: true });
    surface.setPointerCapture(event.pointerId);
    strokes.begin(at(event));
  });
  surface.addEventListener("pointermove", (event) => {
    if (surface.hasPointerCapture(event.pointerId)) {
      for (const step of [...(event.getCoalescedEvents?.() ?? []), event]) strokes.go(at(step));
    } else if (!strokes.painting()) {
      strokes.move(at(event));
      moved();
    }
  });
  surface.addEventListener("lostpointercapture", () => { // let go, or cancelled
    if (!strokes.painting()) return;
    strokes.end();
    ended();
  });
}
