"""Arrays in, matplotlib figures out, each with a description for those who cannot see it. Knows no model.

All figures share one style: a light card that can be read in a light and in a dark JupyterLab, colours that survive
colour blindness (Okabe & Ito 2008), and lines that differ in their dashes as well.
"""

import base64
import html
import io
import textwrap
from pathlib import Path
from typing import Mapping, Sequence

import numpy as np
from matplotlib import get_data_path
from matplotlib.figure import Figure as Canvas
from PIL import Image, ImageDraw, ImageFont

from course_lib.runtime import CourseError

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)))
INK, PAPER = "#222222", "#FDFCF8"
DPI, FEW_COLOURS, PNG_COLOURS, WEBP_QUALITY = 96, 64, 128, 85
MARGIN, TEXT, LINE = 6, 12, 16  # pixels: between pictures, of a letter, of a line
FONT = Path(get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")  # Pillow's own font has no Greek letters


def encoded(image: Image.Image, kind: str, **options) -> str:
    """An image as a file of the kind "PNG" or "WEBP", in base64."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return base64.b64encode(file.getvalue()).decode()


class Figure:
    """A finished figure, an image, and the words that stand for it."""

    def __init__(self, image: Image.Image, alt: str):
        if not alt.strip():
            raise CourseError("Every figure needs an alt text that says what can be seen in it.")
        self.image, self.alt = image, alt

    @classmethod
    def of_canvas(cls, canvas: Canvas, alt: str) -> "Figure":
        """From a matplotlib figure. Lines and dots need few colours, and a notebook must stay small."""
        file = io.BytesIO()
        canvas.savefig(file, format="png", dpi=DPI, facecolor=PAPER, bbox_inches="tight", pad_inches=0.12)
        return cls(Image.open(file).convert("RGB").quantize(FEW_COLOURS, dither=Image.Dither.NONE), alt)

    def __repr__(self) -> str:
        return f"[figure: {self.alt}]"

    def _repr_mimebundle_(self, **_) -> dict[str, str]:
        """HTML first, because it carries the alt text; the bare PNG, in 128 colours, for viewers that show no HTML."""
        # Lines and flat colours are smaller without loss, painted pictures with a loss that no eye sees.
        webp = min((encoded(self.image, "WEBP", **how) for how in (
            {"lossless": True, "quality": 60}, {"quality": WEBP_QUALITY, "method": 6})), key=len)
        image = (f'<img alt="{html.escape(self.alt, quote=True)}" src="data:image/webp;base64,{webp}" '
                 'style="max-width:100%;border-radius:6px">')
        png = encoded(self.image.convert("RGB").quantize(PNG_COLOURS, dither=Image.Dither.NONE), "PNG", optimize=True)
        return {"text/html": image, "image/png": png, "text/plain": repr(self)}


def pictures(arrays: Sequence[np.ndarray] | np.ndarray, alt: str, titles: Sequence[str] = (), columns: int = 8,
             width: int = 128) -> Figure:
    """Pictures (N, H, W, 3) uint8 in rows of `columns`, with a title under each if any are given.

    width: about how many pixels wide each is shown; small pictures grow by a whole factor, so that their pixels stay
    square and sharp, large ones shrink to it.
    """
    if not len(arrays):
        raise CourseError("There is no picture to show: give at least one.")
    first = Image.fromarray(arrays[0])
    factor = max(1, round(width / first.width)) if first.width <= width else width / first.width
    shown = (round(first.width * factor), round(first.height * factor))
    resampling = Image.Resampling.NEAREST if factor >= 1 else Image.Resampling.BOX
    words = ["\n".join(textwrap.fill(line, max(8, shown[0] // 6)) for line in title.splitlines()) for title in titles]
    columns = min(columns, len(arrays))
    rows = [range(start, min(start + columns, len(arrays))) for start in range(0, len(arrays), columns)]
    rooms = [LINE * max((words[i].count("\n") + 1 for i in row if i < len(words)), default=0) for row in rows]
    height = MARGIN + sum(shown[1] + room + MARGIN for room in rooms)
    sheet = Image.new("RGB", (columns * (shown[0] + MARGIN) + MARGIN, height), PAPER)
    pen, font, top = ImageDraw.Draw(sheet), ImageFont.truetype(FONT, TEXT), MARGIN
    for row, room in zip(rows, rooms):
        for i in row:
            left = MARGIN + (i - row[0]) * (shown[0] + MARGIN)
            sheet.paste(Image.fromarray(arrays[i]).resize(shown, resampling), (left, top))
            if i < len(words):
                pen.multiline_text((left, top + shown[1] + 2), words[i], fill=INK, font=font, spacing=LINE - TEXT)
        top += shown[1] + room + MARGIN
    return Figure(sheet, alt)


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
    if dots and log_x:  # few points: name each
        axis.set_xticks(x, labels=[f"{value:g}" for value in x])
        axis.minorticks_off()
    low, high = axis.get_ylim()
    if log_y and high < 10 * low:  # within one power of ten: 2 and 3, not 2 x 10^0 and 3 x 10^0
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_formatter("{x:g}")
    axis.grid(alpha=0.25)
    if len(lines) > 1:
        axis.legend(frameon=False)
    _calm(axis)
    return Figure.of_canvas(canvas, alt)


def bars(values: Mapping[str, float], alt: str, x_label: str = "", log_x: bool = False,
         number: str = "{:,.3g}") -> Figure:
    """A level bar for each named value, the first on top, with its number at its end, in the format `number`."""
    canvas = Canvas(figsize=(6.2, 0.7 + 0.34 * len(values)))
    axis = canvas.subplots()
    drawn = axis.barh(list(values), list(values.values()), height=0.65, log=log_x,
                      color=[COLOURS[i % 6] for i in range(len(values))])
    axis.bar_label(drawn, [number.format(value) for value in values.values()], padding=4, fontsize=8, color=INK)
    axis.invert_yaxis()
    axis.margins(x=0.15)
    axis.set(xlabel=x_label)
    axis.spines[["top", "right"]].set_visible(False)
    _calm(axis)
    return Figure.of_canvas(canvas, alt)


def intervals(rows: Mapping[str, Mapping[str, tuple[float, float, float]]], alt: str, x_label: str = "",
              chance: float | None = None) -> Figure:
    """Shares from 0 to 1 with their uncertainty: for each named row, a dot and a line (share, low, high) for each named
    series, told apart by colour and shape, with the share in percent. chance: what guessing would get, a dotted line.
    """
    series = list(dict.fromkeys(name for row in rows.values() for name in row))
    canvas = Canvas(figsize=(6.6, 0.8 + sum(0.2 + 0.2 * len(row) for row in rows.values())))
    axis, top, ticks = canvas.subplots(), 0.0, []
    for row in rows.values():
        ticks.append(top + 0.1 * (len(row) - 1))
        for name, (share, low, high) in row.items():
            i = series.index(name)
            axis.plot([low, high], [top, top], color=COLOURS[i % 6], linewidth=2, alpha=0.55, solid_capstyle="butt")
            axis.plot(share, top, "os^Dv*"[i % 6], color=COLOURS[i % 6], markersize=6, linestyle="",
                      label=name if name not in axis.get_legend_handles_labels()[1] else None)
            axis.text(1.03, top, f"{100 * share:.0f} %", va="center", fontsize=8, color=INK)
            top += 0.2
        top += 0.2
    if chance is not None:
        axis.axvline(chance, color="#777777", linestyle=":", linewidth=1.2)
        axis.text(chance, 1.01, "chance", transform=axis.get_xaxis_transform(), ha="center", fontsize=8, color=INK)
    axis.set(yticks=ticks, yticklabels=list(rows), ylim=(top - 0.1, -0.3), xlim=(-0.02, 1.12), xlabel=x_label,
             xticks=[0, 0.25, 0.5, 0.75, 1], xticklabels=["0", "25 %", "50 %", "75 %", "100 %"])
    if len(series) > 1:
        axis.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5))
    axis.grid(axis="x", alpha=0.25)
    _calm(axis)
    return Figure.of_canvas(canvas, alt)


def points(clouds: Mapping[str, np.ndarray], alt: str, columns: int = 5, inches: float = 1.9, limit: float = 3.0,
           background: np.ndarray | None = None) -> Figure:
    """Panels of points (N, 2), one a name, all on one square from -limit to limit; grey `background` behind each."""
    canvas, panels = _panels(clouds, columns, inches, limit)
    for axis, cloud in panels:
        if background is not None:
            axis.scatter(*np.asarray(background).T, s=2, color="#BBBBBB", linewidths=0)
        axis.scatter(*np.asarray(cloud).T, s=3, color=COLOURS[0], linewidths=0)
    return Figure.of_canvas(canvas, alt)


def field(starts: np.ndarray, arrows: Mapping[str, np.ndarray], alt: str, data: np.ndarray | None = None,
          columns: int = 3, inches: float = 2.7, limit: float = 3.0, paths: np.ndarray | None = None) -> Figure:
    """Panels of arrows (N, 2) that leave `starts` (N, 2), to scale; data in grey; `paths` (steps, M, 2) as lines."""
    canvas, panels = _panels(arrows, columns, inches, limit)
    for axis, arrow in panels:
        if data is not None:
            axis.scatter(*np.asarray(data).T, s=2, color="#BBBBBB", linewidths=0)
        axis.quiver(*np.asarray(starts).T, *np.asarray(arrow).T, color=COLOURS[1], angles="xy", scale_units="xy",
                    scale=1, width=0.006)
        if paths is not None:
            for path in np.asarray(paths).transpose(1, 0, 2):
                axis.plot(*path.T, color=COLOURS[0], linewidth=1, alpha=0.7)
                axis.plot(*path[-1], "o", color=COLOURS[0], markersize=3)
    return Figure.of_canvas(canvas, alt)


def particles(clouds: Mapping[str, np.ndarray], kinds: np.ndarray, alt: str, starts: np.ndarray,
              arrows: Sequence[np.ndarray], data: np.ndarray | None = None, columns: int = 5, inches: float = 1.9,
              limit: float = 3.0) -> Figure:
    """Panels of points (N, 2), one a name, each with the colour and the shape of its kind, (N,) of 0 to 5; over data
    and `arrows`, (M, 2) a panel, from `starts` (M, 2), in grey."""
    canvas, panels = _panels(clouds, columns, inches, limit)
    for (axis, cloud), arrow in zip(panels, arrows, strict=True):
        if data is not None:
            axis.scatter(*np.asarray(data).T, s=2, color="#BBBBBB", linewidths=0)
        axis.quiver(*np.asarray(starts).T, *np.asarray(arrow).T, color="#8A8A8A", angles="xy", scale_units="xy",
                    scale=1, width=0.007, minlength=0)
        for kind in np.unique(kinds):
            axis.scatter(*np.asarray(cloud)[kinds == kind].T, s=7, color=COLOURS[kind], marker="o^sDvP"[kind],
                         edgecolors=PAPER, linewidths=0.3, zorder=3)
    return Figure.of_canvas(canvas, alt)


def heatmaps(panels: Mapping[str, np.ndarray], alt: str, rows: Sequence[str] = (), columns: Sequence[str] = (),
             limits: tuple[float, float] | None = None, inches: float = 2.6) -> Figure:
    """Tables (N, M) as squares, the larger the lighter, side by side under their names and all on one scale.

    rows, columns: names, for all panels; limits: the values of the darkest and the lightest; None fits them.
    """
    low, high = limits or (min(map(np.min, panels.values())), max(map(np.max, panels.values())))
    canvas = Canvas(figsize=(len(panels) * inches + 0.8, inches + 0.4), layout="constrained")
    axes = canvas.subplots(1, len(panels), squeeze=False)[0]
    for axis, (name, values) in zip(axes, panels.items()):
        image = axis.imshow(values, cmap="cividis", vmin=low, vmax=high, aspect="auto")
        axis.set_title(name, fontsize=9, color=INK)
        axis.set_xticks(range(len(columns)), columns, rotation=60, ha="right", rotation_mode="anchor")
        axis.set_yticks(range(len(rows)), rows if axis is axes[0] else [""] * len(rows))
        _calm(axis)
    canvas.colorbar(image, ax=axes, shrink=0.8).ax.tick_params(labelsize=8)
    return Figure.of_canvas(canvas, alt)


def clusters(groups: Mapping[str, np.ndarray], alt: str, marked: Mapping[str, np.ndarray] | None = None,
             inches: float = 5.0) -> Figure:
    """Groups of points (N, 2) on one map, told apart by colour and shape; `marked`: single points (2,), as stars with
    their names."""
    canvas = Canvas(figsize=(inches + 1.4, inches), layout="constrained")
    axis = canvas.subplots()
    for i, (name, cloud) in enumerate(groups.items()):
        axis.scatter(*np.asarray(cloud).T, s=22, color=COLOURS[i % 6], marker="osD^vPX<>h"[i % 10], label=name,
                     linewidths=0, alpha=0.8)
    for name, point in (marked or {}).items():
        axis.plot(*point, "*", color=INK, markersize=13, markeredgecolor=PAPER)
        axis.annotate(name, point, textcoords="offset points", xytext=(7, 5), fontsize=9, color=INK,
                      bbox={"boxstyle": "round,pad=0.15", "facecolor": PAPER, "edgecolor": "none", "alpha": 0.8})
    axis.set(xticks=[], yticks=[])
    axis.margins(0.1)
    axis.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    _calm(axis)
    return Figure.of_canvas(canvas, alt)


def _panels(contents: Mapping[str, np.ndarray], columns: int, inches: float, limit: float) -> tuple[Canvas, list]:
    """A canvas of titled square panels, each with what belongs on it: (canvas, [(axis, content), ...])."""
    columns = min(columns, len(contents))
    rows = -(-len(contents) // columns)
    canvas = Canvas(figsize=(columns * inches, rows * (inches + 0.25)), layout="constrained")
    axes = list(canvas.subplots(rows, columns, squeeze=False).flat)
    for axis in axes[len(contents):]:
        axis.axis("off")
    for axis, name in zip(axes, contents):
        axis.set_title(name, fontsize=9, color=INK)
        axis.set(xlim=(-limit, limit), ylim=(-limit, limit), xticks=[], yticks=[], aspect="equal")
        _calm(axis)
    return canvas, list(zip(axes, contents.values()))


def _calm(axis) -> None:
    axis.set_facecolor(PAPER)
    axis.tick_params(colors=INK, labelsize=8)
    for spine in axis.spines.values():
        spine.set_color("#999999")
