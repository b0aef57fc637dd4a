"""The scrubber: a picture that changes as you drag.

All frames go to the browser once; scrubbing never asks the kernel.
"""

import io
import math
import re
from functools import partial
from typing import Mapping, Sequence

import anywidget
import numpy as np
import traitlets
from PIL import Image

from course_lib.labs.assets import joined
from course_lib.labs.cells import close_earlier_runs
from course_lib.plots import Figure, pictures
from course_lib.runtime import CourseError

LOSSLESS_LIMIT = 320_000  # bytes of PNG; larger sheets go as JPEG, whose losses drown in the noise they show
JPEG_QUALITY = 90
JPEG_BLOCK = 8  # frames start on a whole block, so that none bleeds into its neighbour
LARGEST_SHEET = 16_384  # pixels a side: what every browser can decode
NOISE_RANGE = 3.0  # predicted noise is shown from -3 to 3 standard deviations
STRIP_FRAMES = 5
STRIP_TILE, STRIP_ROW = 128, 96  # height in pixels: side by side, and one above the other


def chosen_frames(count: int) -> list[int]:
    """Five frames, or fewer, evenly chosen from first to last."""
    return np.unique(np.linspace(0, count - 1, STRIP_FRAMES).round().astype(int)).tolist()


def film_strip(frames: np.ndarray, labels: Sequence[str], alt: str) -> Figure:
    """Five captioned frames, evenly chosen from first to last: what is seen where there are no widgets.

    frames: (n, H, W, 3) uint8; labels: n texts. Wide frames stand one above the other, all others side by side.
    """
    chosen = chosen_frames(len(frames))
    height, width = frames.shape[1:3]
    titles = [re.sub(r" · | (?=\()", "\n", labels[i]) for i in chosen]
    columns, tall = (1, STRIP_ROW) if width > 2 * height else (STRIP_FRAMES, STRIP_TILE)
    return pictures(frames[chosen], f"{alt} Film strip, from {labels[0]} to {labels[-1]}.", titles, columns,
                    width=tall * width // height)


def parts_of(frame: np.ndarray, cells: Mapping) -> list[np.ndarray]:
    """A tiled frame, cut into its pictures again, row by row."""
    columns, gap = cells["columns"], cells["gap"]
    rows = math.ceil(len(cells["heads"]) / columns)
    height, width = ((side + gap) // count - gap for side, count in zip(frame.shape, (rows, columns)))
    corners = [divmod(i, columns) for i in range(len(cells["heads"]))]
    return [frame[top:top + height, left:left + width]
            for top, left in ((row * (height + gap), column * (width + gap)) for row, column in corners)]


def still(views: Mapping[str, np.ndarray], labels: Sequence[str], alt: str, start: int | None = None,
          cells: Mapping | None = None, hover: bool = False, **_) -> Figure:
    """What is seen where there are no widgets; the arguments are the Scrubber's.

    Where pictures stand side by side, they with their words, and where the views are what is to be compared, all of
    them, both at the frame that it opens on; else a film strip of the first view.
    """
    first = next(iter(views.values()))
    start = len(labels) - 1 if start is None else start
    if cells:
        words = [f"{head}\n{text}".strip() for head, text in zip(cells["heads"], cells["texts"])]
        pictures_at = parts_of(first[start], cells)
        return pictures(pictures_at, f"{alt} {labels[start]}. From left to right: {'; '.join(cells['heads'])}.", words,
                        min(cells["columns"], 6))
    if hover:
        return pictures([frames[start] for frames in views.values()],
                        f"{alt} {labels[start]}. From left to right: {', '.join(views)}.", list(views), 5)
    return film_strip(first, labels, alt)


def sprite_sheet(frames: np.ndarray) -> tuple[str, bytes, tuple[int, int], int]:
    """All frames on one sheet: (mime type, file, (width, height) of a cell, cells in a row).

    frames: (n, H, W, 3) uint8. Row by row from the top left; a frame stands at its cell's top left corner.
    """
    count, height, width = frames.shape[:3]
    h, w = (side + -side % JPEG_BLOCK for side in (height, width))
    columns = math.ceil(math.sqrt(count * h / w))
    rows = math.ceil(count / columns)
    if max(rows * h, columns * w) > LARGEST_SHEET:
        raise CourseError(f"{count} frames of {width} by {height} pixels are too much for a browser.")
    cells = np.pad(frames, ((0, 0), (0, h - height), (0, w - width), (0, 0)), mode="edge")
    cells = np.pad(cells, ((0, rows * columns - count), (0, 0), (0, 0), (0, 0)))
    cells = cells.reshape(rows, columns, h, w, 3).swapaxes(1, 2)
    sheet = Image.fromarray(cells.reshape(rows * h, columns * w, 3))
    file = io.BytesIO()
    sheet.save(file, "PNG")
    if file.tell() <= LOSSLESS_LIMIT:
        return "image/png", file.getvalue(), (w, h), columns
    file = io.BytesIO()
    sheet.save(file, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return "image/jpeg", file.getvalue(), (w, h), columns


def check_views(views: Mapping[str, np.ndarray], labels: Sequence[str]) -> None:
    """CourseError unless every view holds uint8 frames (n, H, W, 3), of one shape, and there are n labels."""
    if not views:
        raise CourseError("Give the scrubber at least one view: a name and its frames.")
    first = next(iter(views))
    shape = np.shape(views[first])
    for name, frames in views.items():
        if not isinstance(frames, np.ndarray):
            raise CourseError(f"The frames of '{name}' must be an array, not a {type(frames).__name__}.")
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3:
            raise CourseError(f"The frames of '{name}' must be a uint8 array (n, H, W, 3), "
                              f"but they are {frames.dtype} {frames.shape}.")
        if 0 in frames.shape:
            raise CourseError(f"The frames of '{name}' are empty: give at least one frame, one pixel large.")
        if frames.shape != shape:
            raise CourseError("All views must have one shape, "
                              f"but '{first}' is {shape} and '{name}' is {frames.shape}.")
    if len(labels) != shape[0]:
        raise CourseError(f"Give one label a frame: {shape[0]} frames, {len(labels)} labels.")


def check_curve(curve: Mapping, count: int) -> None:
    """CourseError unless every line of the curve has one value a frame."""
    for name, line in curve["lines"].items():
        if len(line) != count:
            raise CourseError(f"Give the curve one value a frame: {count} frames, {len(line)} values in '{name}'.")


def pack(views: Mapping[str, np.ndarray], labels: Sequence[str], alt: str, start: int | None = None,
         display_size: int = 256, title: str = "", curve: Mapping | None = None, note: str = "", strip: bool = False,
         cells: Mapping | None = None, hover: bool = False) -> dict:
    """What the browser needs, as one dict; the arguments are the Scrubber's."""
    check_views(views, labels)
    count, height, width = next(iter(views.values())).shape[:3]
    start = count - 1 if start is None else start
    if not 0 <= start < count:
        raise CourseError(f"The scrubber can open on frame 0 to {count - 1}, not {start}.")
    if curve is not None:
        check_curve(curve, count)
    sheets = [sprite_sheet(frames) for frames in views.values()]
    return {
        "names": list(views), "labels": list(labels), "alt": alt, "title": title, "start": start, "note": note,
        "display_size": display_size, "width": width, "height": height, "curve": curve, "cells": cells, "hover": hover,
        "strip": chosen_frames(count) if strip else [],
        "cell": sheets[0][2], "columns": sheets[0][3],
        "sheets": [{"type": kind, "bytes": file} for kind, file, _, _ in sheets],
    }


class Scrubber(anywidget.AnyWidget):
    """Frames under a slider.

    views: name -> frames, uint8 (n, H, W, 3), all of one shape; the first is the one shown at the start.
    labels: n texts, one a frame, such as "step 12 of 50 · noise level t = 0.76".
    alt: what is shown, in a sentence, for those who do not see it.
    start: the frame to open on; None is the last.
    display_size: height of the picture on the page in CSS pixels.
    curve: None, or {"label": text, "lines": name -> n numbers, "range": (low, high)}, drawn under the slider, each line
        with a marker that follows it; also "others": lists of n numbers, as thin lines, and "marks": (value, text)
        pairs for the axis.
    note: a line under the labels that stays, such as what the pictures cost.
    strip: whether five frames stand below, evenly chosen; each is a button that goes there.
    cells: None, or, for frames that are tiled pictures, {"columns": how many in a row, "gap": pixels between two,
        "heads": a text over each picture, "texts": one under each, "wrap": whether a row may break where it is narrow}.
    hover: whether a view is shown as soon as the pointer is over its name.

    Keys: arrows, Page up, Page down, Home, End; Space plays and pauses; 1 to 9 choose the view. Where the
    reader asks for reduced motion nothing moves by itself: Play becomes Next frame. Raises CourseError on
    input that does not fit.
    """

    _esm = joined("parts.js", "player.js", "curve.js", "scrubber.js")
    _css = joined("parts.css", "player.css", "scrubber.css")
    _ipython_display_ = None  # ipywidgets 7 would show itself by this, without the strip
    shown = traitlets.Dict().tag(sync=True)  # one trait, so that frames, labels and curve change together

    def __init__(self, views: Mapping[str, np.ndarray], labels: Sequence[str], alt: str, **others):
        super().__init__(shown=pack(views, labels, alt, **others))
        self._still = partial(still, views, labels, alt, **others)
        close_earlier_runs(self)

    def show(self, views: Mapping[str, np.ndarray], labels: Sequence[str], alt: str, **others) -> None:
        """Put other frames in place; arguments as for the constructor. The reader's frame and view stay."""
        self.shown = pack(views, labels, alt, **others)
        self._still = partial(still, views, labels, alt, **others)

    @property
    def figure(self) -> Figure:
        """What is seen where there are no widgets. Drawn when it is asked for: a lab that changes need not wait."""
        return self._still()

    def __repr__(self) -> str:
        return f"Scrubber({len(self.shown['labels'])} frames: {', '.join(self.shown['names'])})"

    def _repr_mimebundle_(self, **kwargs):
        data, metadata = super()._repr_mimebundle_(**kwargs)
        # JupyterLab prefers the widget; exports and viewers, which have no widget state, take the strip.
        return data | self.figure._repr_mimebundle_(), metadata
