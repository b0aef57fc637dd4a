"""Arrays in, matplotlib figures out, each with a description for those who cannot see it. Knows no model.

All figures share one style: a light card that can be read in a light and in a dark JupyterLab, colours that survive
colour blindness (Okabe & Ito 2008), and lines that differ in their dashes as well.
"""

import base64
import html
import io
from typing import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure as Canvas
from PIL import Image

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)))
INK, PAPER = "#222222", "#FDFCF8"
DPI = 96


class Figure:
    """A finished figure: PNG bytes and the words that stand for it. colours: at most so many, None for all there are."""

    def __init__(self, canvas: Canvas, alt: str, colours: int | None = 64):
        if not alt.strip():
            raise ValueError("Every figure needs an alt text that says what can be seen in it.")
        target = io.BytesIO()
        canvas.savefig(target, format="png", dpi=DPI, facecolor=PAPER, bbox_inches="tight", pad_inches=0.12)
        if colours:  # lines and dots need few colours, and a notebook must stay small
            drawn = Image.open(target).convert("RGB").quantize(colours, dither=Image.Dither.NONE)
            target = io.BytesIO()
            drawn.save(target, format="PNG", optimize=True)
        self.png, self.alt = target.getvalue(), alt

    def __repr__(self) -> str:
        return f"[figure: {self.alt}]"

    def _repr_mimebundle_(self, **_) -> dict[str, str]:
        """HTML first, because it carries the alt text; the bare PNG for viewers that show no HTML."""
        data = base64.b64encode(self.png).decode()
        image = (f'<img alt="{html.escape(self.alt, quote=True)}" src="data:image/png;base64,{data}" '
                 'style="max-width:100%;border-radius:6px">')
        return {"text/html": image, "image/png": data, "text/plain": repr(self)}


def pictures(arrays: Sequence[np.ndarray] | np.ndarray, alt: str, titles: Sequence[str] = (), columns: int = 8,
             inches: float = 1.3, smooth: bool = False) -> Figure:
    """Pictures (N, H, W, 3) uint8 in rows of `columns`, each `inches` wide, with a title each if any are given."""
    columns = min(columns, len(arrays))
    rows = -(-len(arrays) // columns)
    room = 0.3 if len(titles) else 0.06  # inches above each row
    canvas = Canvas(figsize=(columns * (inches + 0.06), rows * (inches + room)))
    axes = canvas.subplots(rows, columns, squeeze=False, gridspec_kw={
        "wspace": 0.04, "hspace": room / inches, "left": 0, "right": 1, "bottom": 0, "top": 1})
    for axis in axes.flat:
        axis.axis("off")
    for i, (axis, array) in enumerate(zip(axes.flat, arrays)):
        axis.imshow(array, interpolation="antialiased" if smooth else "nearest", aspect="auto")
        if i < len(titles):
            axis.set_title(titles[i], fontsize=9, color=INK, pad=3)
    return Figure(canvas, alt, colours=None)


def curves(x: Sequence[float], lines: Mapping[str, Sequence[float]], alt: str, x_label: str = "", y_label: str = "",
           title: str = "", log_y: bool = False, log_x: bool = False, dots: bool = False) -> Figure:
    """Named lines over a common x, told apart by colour and by dashes; a value that is not finite leaves a gap."""
    canvas = Canvas(figsize=(6.2, 3.2))
    axis = canvas.subplots()
    for i, (name, y) in enumerate(lines.items()):
        axis.plot(x, y, color=COLOURS[i % 6], linestyle=DASHES[i % 6], linewidth=2, label=name,
                  marker="os^Dv*"[i % 6] if dots else None, markersize=5)
    axis.set(xlabel=x_label, ylabel=y_label, title=title, xscale="log" if log_x else "linear",
             yscale="log" if log_y else "linear")
    axis.grid(alpha=0.25)
    if len(lines) > 1:
        axis.legend(frameon=False)
    _calm(axis)
    return Figure(canvas, alt)


def points(clouds: Mapping[str, np.ndarray], alt: str, columns: int = 5, inches: float = 1.9, limit: float = 3.0,
           background: np.ndarray | None = None) -> Figure:
    """Panels of points (N, 2), one a name, all on the same square from -limit to limit; `background` behind each in grey."""
    columns = min(columns, len(clouds))
    rows = -(-len(clouds) // columns)
    canvas = Canvas(figsize=(columns * inches, rows * (inches + 0.25)), layout="constrained")
    axes = canvas.subplots(rows, columns, squeeze=False)
    for axis in axes.flat[len(clouds):]:
        axis.axis("off")
    for axis, (name, cloud) in zip(axes.flat, clouds.items()):
        if background is not None:
            axis.scatter(*np.asarray(background).T, s=2, color="#BBBBBB", linewidths=0)
        axis.scatter(*np.asarray(cloud).T, s=3, color=COLOURS[0], linewidths=0)
        axis.set_title(name, fontsize=9, color=INK)
        _square(axis, limit)
    return Figure(canvas, alt)


def field(starts: np.ndarray, arrows: Mapping[str, np.ndarray], alt: str, data: np.ndarray | None = None,
          columns: int = 3, inches: float = 2.7, limit: float = 3.0, paths: np.ndarray | None = None) -> Figure:
    """Panels of arrows (N, 2) that leave `starts` (N, 2), drawn to scale; the data in grey; `paths` (steps, M, 2) as lines."""
    columns = min(columns, len(arrows))
    rows = -(-len(arrows) // columns)
    canvas = Canvas(figsize=(columns * inches, rows * (inches + 0.25)), layout="constrained")
    axes = canvas.subplots(rows, columns, squeeze=False)
    for axis in axes.flat[len(arrows):]:
        axis.axis("off")
    for axis, (name, arrow) in zip(axes.flat, arrows.items()):
        if data is not None:
            axis.scatter(*np.asarray(data).T, s=2, color="#BBBBBB", linewidths=0)
        axis.quiver(*np.asarray(starts).T, *np.asarray(arrow).T, color=COLOURS[1], angles="xy", scale_units="xy",
                    scale=1, width=0.006)
        if paths is not None:
            for path in np.asarray(paths).transpose(1, 0, 2):
                axis.plot(*path.T, color=COLOURS[0], linewidth=1, alpha=0.7)
                axis.plot(*path[-1], "o", color=COLOURS[0], markersize=3)
        axis.set_title(name, fontsize=9, color=INK)
        _square(axis, limit)
    return Figure(canvas, alt)


def _square(axis, limit: float) -> None:
    axis.set(xlim=(-limit, limit), ylim=(-limit, limit), xticks=[], yticks=[], aspect="equal")
    _calm(axis)


def _calm(axis) -> None:
    axis.set_facecolor(PAPER)
    axis.tick_params(colors=INK, labelsize=8)
    for spine in axis.spines.values():
        spine.set_color("#999999")
