// What every lab's face is made of. Put in front of its own script by assets.py, so no widget fetches another file.

const SVG = ["svg", "path", "line", "circle", "polyline", "text", "g"];

function make(tag, attributes = {}, ...children) {
  const node = SVG.includes(tag) ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// JupyterLab's command mode takes keys away from any control that does not carry this attribute itself.
const control = (tag, attributes, ...children) =>
  make(tag, { "data-lm-suppress-shortcuts": "true", ...attributes }, ...children);

const icon = (shape) => make("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, make("path", { d: shape }));

const unique = (word) => `${word}-${Math.random().toString(36).slice(2)}`;
