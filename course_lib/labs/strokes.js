// Strokes of a brush on a grid of numbers, and the way back: no page. They belong to a widget, not to one view of it, so
// that they, and what can be undone, outlive every redraw.

const DEEPEST = 500; // strokes that can be undone

const bytes = (view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
const limit = (number, low, high) => Math.min(high, Math.max(low, number));

// Every place on the straight way from one to the other; as places_between of brush.py.
function placesBetween([top, left], [bottom, right]) {
  const steps = Math.max(Math.abs(bottom - top), Math.abs(right - left), 1);
  return Array.from({ length: steps + 1 }, (_, i) =>
    [top + Math.floor((i / steps) * (bottom - top) + 0.5), left + Math.floor((i / steps) * (right - left) + 0.5)]);
}

// covers(place) gives the indices of the numbers under the brush, paint(number) what it makes of one; changed() is called
// when some have changed, ended() when a stroke is whole, and after whatever takes the place of one.
function makeStrokes({ covers, paint, changed, ended = () => {} }) {
  const self = { place: [0, 0], history: [] };
  let [before, touched, tip] = [null, null, null]; // of the stroke under way

  // Begin with these numbers, row by row (a Uint8Array or Float32Array), and nothing to undo.
  self.start = (data, rows, columns) => {
    Object.assign(self, { data, rows, columns, history: [] });
    [before, touched] = [null, null];
  };

  self.move = ([row, column]) => {
    self.place = [limit(row, 0, self.rows - 1), limit(column, 0, self.columns - 1)];
  };

  self.begin = (at) => {
    [before, touched, tip] = [self.data.slice(), new Set(), at];
    self.go(at);
  };

  // Go on with the stroke, straight to this place, which may be outside. One stroke changes each number once, however
  // often it crosses it.
  self.go = (to) => {
    for (const place of placesBetween(tip, to)) {
      for (const i of covers(place)) {
        if (!touched.has(i)) self.data[i] = paint(self.data[i]);
        touched.add(i);
      }
    }
    tip = to;
    self.move(to);
    changed();
  };

  self.end = () => {
    if (before.some((old, i) => old !== self.data[i])) self.history = [...self.history, before].slice(-DEEPEST);
    [before, touched] = [null, null];
    ended();
  };

  self.painting = () => touched !== null;

  self.dab = () => { self.begin(self.place); self.end(); };

  self.undo = () => {
    if (!self.history.length || touched) return false;
    self.data = self.history.pop();
    changed();
    ended();
    return true;
  };

  // Other numbers all at once, such as none: one step to undo.
  self.replace = (data) => {
    if (touched || data.every((number, i) => number === self.data[i])) return false;
    self.history.push(self.data);
    self.data = data;
    changed();
    ended();
    return true;
  };
  return self;
}
