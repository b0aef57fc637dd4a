// A curve under the slider: one line or a few, each with a dot that moves along with the frame.

const DASHES = ["", "7 4", "2 4", "10 3 2 3", "4 2", "12 4"]; // lines differ by more than their colour

function drawCurve(svg, legend, { lines, range: [low, high], label, others = [], marks = null }) {
  const height = (value) => (100 * (high - value)) / (high - low);
  const named = Object.entries(lines);
  const line = (values, kind, style = {}) => make("polyline", {
    class: kind,
    points: values.map((value, i) => `${(100 * i) / Math.max(1, values.length - 1)},${height(value)}`).join(" "),
    "vector-effect": "non-scaling-stroke", ...style,
  });
  const axis = marks ?? [low, high, ...(low < 0 && high > 0 ? [0] : [])].map((value) => [value, String(value).replace("-", "−")]);
  svg.replaceChildren(
    ...axis.map(([value]) => make("line", { class: "grid", x1: 0, x2: "100%", y1: `${height(value)}%`, y2: `${height(value)}%` })),
    make("svg", { viewBox: "0 0 100 100", preserveAspectRatio: "none", width: "100%", height: "100%" },
      ...others.map((values) => line(values, "other")),
      ...named.map(([, values], i) => line(values, `own line-${i}`, { "stroke-dasharray": DASHES[i % DASHES.length] }))),
    ...axis.map(([value, text]) => make("text", { x: 0, y: `${height(value)}%`, dx: -10, dy: 4 }, text)),
    make("line", { class: "marker", y1: 0, y2: "100%" }),
    ...named.map((_, i) => make("circle", { class: `marker line-${i}`, r: 5 })),
  );
  svg.setAttribute("aria-label", `Curve over the frames: ${label} The marker follows the slider.`);
  legend.replaceChildren(...(named.length < 2 ? [] : named.map(([name], i) => make("span", {},
    make("svg", { class: "sample", viewBox: "0 0 28 8", "aria-hidden": "true" },
      make("line", { class: `own line-${i}`, x1: 1, x2: 27, y1: 4, y2: 4, "stroke-dasharray": DASHES[i % DASHES.length] })), name))));
  const stem = svg.querySelector("line.marker");
  const dots = [...svg.querySelectorAll("circle.marker")];
  return (frame) => {
    const x = `${(100 * frame) / Math.max(1, named[0][1].length - 1)}%`;
    stem.setAttribute("x1", x);
    stem.setAttribute("x2", x);
    dots.forEach((dot, i) => {
      dot.setAttribute("cx", x);
      dot.setAttribute("cy", `${height(named[i][1][frame])}%`);
    });
  };
}
