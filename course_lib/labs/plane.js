// Drawing the plane: data, the cloud that they are at time t, arrows, particles and their trails, on a 2-D canvas.

const CLOUD_SIDE = 96; // pixels of the cloud, which the canvas then smooths
const TRAIL = 8; // frames that a trail is long
const SHADES = 6; // how many strengths of arrows there are
const FEW = 80; // so few data points are drawn large
const INKS = ["a", "b", "main", "second", "force", "paper", "ink"];

// The theme's colours as the canvas takes them, and the two of the cloud as numbers.
function readInks(root) {
  const probe = root.appendChild(make("span", { hidden: "" }));
  const pen = make("canvas", { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
  const inks = {};
  for (const name of INKS) {
    probe.style.color = `var(--${name})`;
    pen.fillStyle = getComputedStyle(probe).color;
    pen.fillRect(0, 0, 1, 1);
    const [r, g, b] = pen.getImageData(0, 0, 1, 1).data;
    inks[name] = [r, g, b];
  }
  probe.remove();
  return inks;
}

const ink = ([r, g, b], strength = 1) => `rgb(${r} ${g} ${b} / ${strength})`;

// The kernel's bytes as numbers. They may start at an odd place of a larger buffer, so they are copied.
function numbers(view, Kind) {
  return new Kind(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
}

function unpack(shown) {
  const large = (view) => Float32Array.from(numbers(view, Int16Array), (value) => (value * shown.span) / 32767);
  return {
    ...shown,
    data: large(shown.data), classes: numbers(shown.classes, Uint8Array),
    particles: large(shown.particles), fates: numbers(shown.fates, Uint8Array),
    layers: shown.layers.map(({ name, bytes }) => ({
      name, arrows: Float32Array.from(numbers(bytes, Int8Array), (value) => (value * shown.longest) / 127) })),
  };
}

// How likely each place is at time t, from 0 to 1, and the share of class B there. Every data point has become a round
// Gaussian, a product of one in x and one in y, so the sum over all points is a product of two small matrices.
function density({ data, classes, std, limit }, alpha, sigma) {
  const side = CLOUD_SIDE;
  const spread = 2 * ((alpha * std) ** 2 + sigma ** 2);
  const [all, ofB, row] = [new Float32Array(side * side), new Float32Array(side * side), new Float32Array(side)];
  const at = (i) => ((i + 0.5) / side) * 2 * limit - limit;
  for (let k = 0; k < classes.length; k += 1) {
    const [x, y] = [alpha * data[2 * k], alpha * data[2 * k + 1]];
    for (let i = 0; i < side; i += 1) row[i] = Math.exp(-((at(i) - x) ** 2) / spread);
    for (let j = 0; j < side; j += 1) {
      const height = Math.exp(-((at(side - 1 - j) - y) ** 2) / spread);
      if (height < 1e-4) continue;
      for (let i = 0; i < side; i += 1) {
        all[j * side + i] += height * row[i];
        if (classes[k]) ofB[j * side + i] += height * row[i];
      }
    }
  }
  const top = all.reduce((most, value) => Math.max(most, value), 1e-9);
  return { likely: all.map((value) => value / top), ofB: ofB.map((value, i) => value / Math.max(all[i], 1e-9)) };
}

function drawCloud(pen, size, { likely, ofB }, inks) {
  const sheet = new ImageData(CLOUD_SIDE, CLOUD_SIDE);
  likely.forEach((value, i) => {
    for (const c of [0, 1, 2]) sheet.data[4 * i + c] = inks.a[c] + (inks.b[c] - inks.a[c]) * ofB[i];
    sheet.data[4 * i + 3] = 105 * value ** 0.6;
  });
  const small = make("canvas", { width: CLOUD_SIDE, height: CLOUD_SIDE });
  small.getContext("2d").putImageData(sheet, 0, 0);
  pen.imageSmoothingQuality = "high";
  pen.drawImage(small, 0, 0, size, size);
}

// A class is told by its shape as well: A is round, B a triangle.
function mark(pen, x, y, radius, isB) {
  if (isB) {
    pen.moveTo(x, y - radius * 1.25);
    pen.lineTo(x + radius * 1.15, y + radius * 0.8);
    pen.lineTo(x - radius * 1.15, y + radius * 0.8);
    pen.closePath();
  } else {
    pen.moveTo(x + radius, y);
    pen.arc(x, y, radius, 0, 2 * Math.PI);
  }
}

// One arrow into the path of its shaft and the path of its head.
function arrow(shafts, heads, x, y, dx, dy) {
  const length = Math.hypot(dx, dy);
  const head = Math.min(6.5, 1.5 + length * 0.32);
  const [ux, uy] = length > 0.01 ? [dx / length, dy / length] : [0, 0];
  const [tipX, tipY, neckX, neckY] = [x + dx, y + dy, x + dx - ux * head, y + dy - uy * head];
  shafts.moveTo(x, y);
  shafts.lineTo(neckX, neckY);
  heads.moveTo(tipX, tipY);
  heads.lineTo(neckX - uy * head * 0.45, neckY + ux * head * 0.45);
  heads.lineTo(neckX + uy * head * 0.45, neckY - ux * head * 0.45);
  heads.closePath();
}

// Strong where noisy data can be, faint where nothing ever comes. The heads of a `second` field are hollow; a `force`
// is wide, and stands at every other place only, so that the field that it is a part of can be seen between.
function drawArrows(pen, place, scene, frame, { arrows }, { likely }, colour, role) {
  const { side, cell, limit } = scene;
  const groups = Array.from({ length: SHADES }, () => [new Path2D(), new Path2D()]);
  const scale = place(1, 0)[0] - place(0, 0)[0];
  for (let i = 0; i < side * side; i += role === "force" ? 2 : 1) {
    const [wx, wy] = [(i % side + 1) * cell - limit, (Math.floor(i / side) + 1) * cell - limit];
    const pixel = (value) => Math.floor(((value + limit) / (2 * limit)) * CLOUD_SIDE);
    const here = likely[(CLOUD_SIDE - 1 - pixel(wy)) * CLOUD_SIDE + pixel(wx)];
    const shade = Math.round((SHADES - 1) * Math.min(1, here * 6) ** 0.5);
    const at = 2 * (frame * side * side + i);
    const [dx, dy] = [arrows[at] * scale, -arrows[at + 1] * scale];
    if (Math.hypot(dx, dy) < 1) continue;
    arrow(...groups[shade], ...place(wx, wy), dx, dy);
  }
  groups.forEach(([shafts, heads], shade) => {
    pen.strokeStyle = pen.fillStyle = ink(colour, 0.22 + (0.78 * shade) / (SHADES - 1));
    pen.lineWidth = role === "force" ? 2 : 1.25;
    pen.stroke(shafts);
    if (role !== "second") return pen.fill(heads);
    pen.lineWidth = 1;
    pen.stroke(heads);
  });
}

function drawTrails(pen, place, { particles, fates }, frame, inks) {
  const count = fates.length;
  pen.lineWidth = 1.5;
  for (let age = Math.min(TRAIL, frame); age > 0; age -= 1) {
    for (const isB of [0, 1]) {
      pen.strokeStyle = ink(isB ? inks.b : inks.a, 0.65 * (1 - (age - 1) / TRAIL) ** 2);
      pen.beginPath();
      for (let k = 0; k < count; k += 1) {
        if (fates[k] !== isB) continue;
        const [from, to] = [2 * ((frame - age) * count + k), 2 * ((frame - age + 1) * count + k)];
        pen.moveTo(...place(particles[from], particles[from + 1]));
        pen.lineTo(...place(particles[to], particles[to + 1]));
      }
      pen.stroke();
    }
  }
}

function drawParticles(pen, place, { particles, fates }, frame, inks, radius) {
  const count = fates.length;
  pen.strokeStyle = ink(inks.paper);
  pen.lineWidth = 1.25;
  for (const isB of [0, 1]) {
    pen.fillStyle = ink(isB ? inks.b : inks.a);
    pen.beginPath();
    for (let k = 0; k < count; k += 1) {
      const at = 2 * (frame * count + k);
      if (fates[k] === isB) mark(pen, ...place(particles[at], particles[at + 1]), radius, isB);
    }
    pen.fill();
    pen.stroke();
  }
}

function drawData(pen, place, { data, classes }, inks) {
  const few = classes.length <= FEW;
  pen.lineWidth = few ? 1.75 : 1;
  for (const isB of [0, 1]) {
    pen.strokeStyle = ink(isB ? inks.b : inks.a, few ? 1 : 0.8);
    pen.beginPath();
    classes.forEach((of, k) => {
      if (of === isB) mark(pen, ...place(data[2 * k], data[2 * k + 1]), few ? 4.5 : 1.7, isB);
    });
    pen.stroke();
  }
}

function drawCross(pen, [x, y], size, inks) {
  pen.strokeStyle = ink(inks.ink, 0.75);
  pen.lineWidth = 1;
  pen.setLineDash([4, 4]);
  pen.beginPath();
  pen.moveTo(x, 0);
  pen.lineTo(x, size);
  pen.moveTo(0, y);
  pen.lineTo(size, y);
  pen.stroke();
  pen.setLineDash([]);
  pen.lineWidth = 2;
  pen.beginPath();
  pen.arc(x, y, 8, 0, 2 * Math.PI);
  pen.stroke();
}

// The whole picture on a square canvas of `size` CSS pixels. see: what is to be seen; `stale` data have no field yet.
function drawPlane(pen, size, scene, frame, see, inks, { stale = false, cross = null } = {}) {
  const scale = size / (2 * scene.limit);
  const place = (x, y) => [(x + scene.limit) * scale, (scene.limit - y) * scale];
  const cloud = density(scene, scene.alphas[frame], scene.sigmas[frame]);
  pen.lineCap = pen.lineJoin = "round";
  pen.clearRect(0, 0, size, size);
  if (see.cloud) drawCloud(pen, size, cloud, inks);
  if (see.data) drawData(pen, place, scene, inks);
  if (!stale) {
    scene.layers.forEach((layer, i) => {
      const role = layerRole(layer, i);
      if (see[role]) drawArrows(pen, place, scene, frame, layer, cloud, inks[role], role);
    });
    if (see.trails) drawTrails(pen, place, scene, frame, inks);
    if (see.particles) drawParticles(pen, place, scene, frame, inks, Math.max(2.6, size / 140));
  }
  if (cross) drawCross(pen, place(...cross), size, inks);
}

const layerRole = ({ name }, i) => (name === "extra force" ? "force" : i === 0 ? "main" : "second");
