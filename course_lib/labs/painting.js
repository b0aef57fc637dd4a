// A painting on latents: strokes of which each adds its strength, and the kernel, which hears of it now and then.

const SEND_MS = 60;

const floats = (view) => new Float32Array(bytes(view).slice().buffer);

// The painting of one widget. `views` are called whenever it has changed; the kernel hears of it, too.
function makePainting(model) {
  const views = new Set();
  let [timer, waiting] = [null, false];
  const show = () => views.forEach((each) => each());
  const self = makeStrokes({
    *covers(place) {
      const [top, left, bottom, right] = self.covered(place);
      for (let row = top; row < bottom; row += 1) {
        for (let column = left; column < right; column += 1) yield number(self.channel, row, column);
      }
    },
    paint(push) {
      const { most } = model.get("opened");
      return limit(push + self.strength, -most, most);
    },
    changed() {
      show();
      waiting = true;
      if (timer === null) send();
    },
    ended: show,
  });
  Object.assign(self, { channel: 0, strength: 3, size: 1, view: 0, page: null, views });

  self.open = () => {
    const opened = model.get("opened");
    if (opened.page === self.page) return;
    const [channels, rows, columns] = opened.shape;
    if (self.page === null) [self.channel, self.place] = [opened.channel, opened.place];
    Object.assign(self, { page: opened.page, channels, z: floats(opened.z) });
    self.start(floats(model.get("shown").push), rows, columns);
  };

  const number = (channel, row, column) => (channel * self.rows + row) * self.columns + column;
  self.value = (...where) => self.z[number(...where)] + self.data[number(...where)];

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
    model.send({ page: self.page }, undefined, [self.data.slice().buffer]);
  }

  self.reset = () => self.replace(new Float32Array(self.data.length));

  self.close = () => {
    clearTimeout(timer);
    timer = null;
  };
  return self;
}
