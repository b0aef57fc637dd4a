// A painting on latents: numbers only, no page. It belongs to a widget, not to one view of it, so that it, and the
// strokes to undo, outlive every redraw.

const SEND_MS = 60;
const DEEPEST = 500; // strokes that can be undone

const bytes = (view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
const floats = (view) => new Float32Array(bytes(view).slice().buffer);
const limit = (number, low, high) => Math.min(high, Math.max(low, number));

// Every place on the straight way from one to the other; as places_between of brush.py.
function placesBetween([top, left], [bottom, right]) {
  const steps = Math.max(Math.abs(bottom - top), Math.abs(right - left), 1);
  return Array.from({ length: steps + 1 }, (_, i) =>
    [top + Math.floor((i / steps) * (bottom - top) + 0.5), left + Math.floor((i / steps) * (right - left) + 0.5)]);
}

// The painting of one widget. `views` are called whenever it has changed; the kernel hears of it, too.
function makePainting(model) {
  const views = new Set();
  const self = { channel: 0, place: [0, 0], strength: 3, size: 1, view: 0, page: null, history: [], views };
  let [timer, waiting] = [null, false];
  let [before, touched, tip] = [null, null, null]; // of the stroke under way

  self.open = () => {
    const opened = model.get("opened");
    if (opened.page === self.page) return;
    const [channels, rows, columns] = opened.shape;
    if (self.page === null) [self.channel, self.place] = [opened.channel, opened.place];
    Object.assign(self, { page: opened.page, channels, rows, columns, z: floats(opened.z), history: [] });
    self.push = floats(model.get("shown").push);
    [before, touched] = [null, null];
  };

  const number = (channel, row, column) => (channel * self.rows + row) * self.columns + column;
  self.value = (...where) => self.z[number(...where)] + self.push[number(...where)];

  // The square of places under the brush, cut off at the edges: [top, left, bottom, right], the last two exclusive.
  self.covered = ([row, column]) => {
    const part = (at, all) => {
      const first = at - Math.floor((self.size - 1) / 2);
      return [limit(first, 0, all), limit(first + self.size, 0, all)];
    };
    const [[top, bottom], [left, right]] = [part(row, self.rows), part(column, self.columns)];
    return [top, left, bottom, right];
  };

  function send() {
    clearTimeout(timer);
    waiting = false;
    timer = setTimeout(() => {
      timer = null;
      if (waiting) send();
    }, SEND_MS);
    model.send({ page: self.page }, undefined, [self.push.slice().buffer]);
  }

  function changed() {
    views.forEach((show) => show());
    waiting = true;
    if (timer === null) send();
  }

  self.move = ([row, column]) => {
    self.place = [limit(row, 0, self.rows - 1), limit(column, 0, self.columns - 1)];
  };

  self.begin = (at) => {
    [before, touched, tip] = [self.push.slice(), new Set(), at];
    self.go(at);
  };

  // Go on with the stroke, straight to this place, which may be outside. One stroke adds to each number once, however
  // often it crosses it.
  self.go = (to) => {
    const { most } = model.get("opened");
    for (const place of placesBetween(tip, to)) {
      const [top, left, bottom, right] = self.covered(place);
      for (let row = top; row < bottom; row += 1) {
        for (let column = left; column < right; column += 1) {
          const i = number(self.channel, row, column);
          if (!touched.has(i)) self.push[i] = limit(self.push[i] + self.strength, -most, most);
          touched.add(i);
        }
      }
    }
    tip = to;
    self.move(to);
    changed();
  };

  self.end = () => {
    if (before.some((old, i) => old !== self.push[i])) self.history = [...self.history, before].slice(-DEEPEST);
    [before, touched] = [null, null];
    views.forEach((show) => show());
  };

  self.painting = () => touched !== null;

  self.dab = () => { self.begin(self.place); self.end(); };

  self.undo = () => {
    if (!self.history.length || touched) return false;
    self.push = self.history.pop();
    changed();
    return true;
  };

  self.reset = () => {
    if (touched || !self.push.some((added) => added)) return false;
    self.history.push(self.push);
    self.push = new Float32Array(self.push.length);
    changed();
    return true;
  };

  self.close = () => {
    clearTimeout(timer);
    timer = null;
  };
  return self;
}
