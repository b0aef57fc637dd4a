"""A picture to paint on by hand: in colours, as a sketch, or as a mask that tells where the model is to paint."""

from typing import Callable, Mapping

import anywidget
import numpy as np
import traitlets

from course_lib.labs.assets import joined
from course_lib.picturebook import COLOUR_RGB
from course_lib.runtime import CourseError

SIDE = 64
LARGEST = 24  # places that the brush is wide at most
# The colours of the book's things, then those of its skies and grounds.
PAINT_BOX = COLOUR_RGB | {"day sky": (150, 206, 242), "sunset sky": (246, 150, 96), "night sky": (24, 32, 80),
                          "meadow": (150, 196, 98), "sand": (234, 194, 128), "sea": (52, 130, 184),
                          "snow": (222, 233, 247), "dark": (48, 40, 66)}
MARKER = {"paint here": (213, 40, 130)}  # the colour of a mask
STRIPE = 3  # pixels of a mask's stripes: colour is not the only cue


def disc(row: float, column: float, width: float) -> np.ndarray:
    """A round mask, bool (64, 64): the pixels within `width` / 2 of (row, column)."""
    rows, columns = np.ogrid[:SIDE, :SIDE]
    return (rows - row) ** 2 + (columns - column) ** 2 <= width**2 / 4


def put_on(picture: np.ndarray, ink: np.ndarray, colours: Mapping[str, tuple[int, int, int]] = PAINT_BOX) -> np.ndarray:
    """A picture, uint8 (64, 64, 3), under ink, uint8 (64, 64): 0 is none, i the i-th of the colours."""
    box = np.array(list(colours.values()), np.uint8)
    return np.where(ink[..., None] > 0, box[ink.astype(int) - 1], picture)


def marked(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """A picture, uint8 (64, 64, 3), with stripes where the mask, (64, 64), is not 0: as it looks on the easel."""
    rows, columns = np.ogrid[:SIDE, :SIDE]
    share = np.where((rows + columns) % (2 * STRIPE) < STRIPE, 0.88, 0.47) * (np.asarray(mask) > 0)
    (colour,) = MARKER.values()
    return (picture + share[..., None] * (np.array(colour) - picture.astype(float))).round().astype(np.uint8)


class Easel(anywidget.AnyWidget):
    """The face of it: a picture, a brush, and what is painted. The ink stays when another picture is put under it.

    painted: called with nothing, every time that a stroke has been painted or taken back. mask: whether the ink marks
    where to paint, in place of colours; ink: what is painted at first, (64, 64), as `painting` gives it or a mask of
    any numbers, None for nothing. Raises CourseError if that is not what it should be.
    """

    _esm = joined("parts.js", "tools.js", "strokes.js", "easel.js")
    _css = joined("parts.css", "tools.css", "easel.css")
    tools = traitlets.Dict().tag(sync=True)
    shown = traitlets.Dict().tag(sync=True)  # the picture under the ink, and words on it
    ink = traitlets.Bytes().tag(sync=True, from_json=lambda value, _: bytes(value))

    def __init__(self, painted: Callable[[], None], ink: np.ndarray | None = None, mask: bool = False):
        colours = MARKER if mask else PAINT_BOX
        ink = np.zeros((SIDE, SIDE)) if ink is None else np.asarray(ink)
        ink = ink > 0 if mask else ink
        if ink.shape != (SIDE, SIDE) or not np.isin(ink, range(len(colours) + 1)).all():
            raise CourseError(f"What is painted at first is an array ({SIDE}, {SIDE}), 0 for nothing"
                              f"{'' if mask else f' and 1 to {len(colours)} for the colours of the paint box'}.")
        super().__init__(
            ink=ink.astype(np.uint8).tobytes(),
            tools={"rows": SIDE, "columns": SIDE, "colours": [[name, list(rgb)] for name, rgb in colours.items()],
                   "mask": mask, "size": 9 if mask else 5, "largest": LARGEST})
        self.observe(lambda change: painted(), "ink")

    def show(self, picture: np.ndarray, note: str, alt: str) -> None:
        """Put a picture, uint8 (64, 64, 3), under what is painted; `note` is a line below it."""
        self.shown = {"picture": picture.tobytes(), "note": note, "alt": alt}

    @property
    def painting(self) -> np.ndarray:
        """The ink, uint8 (64, 64): 0 is none, i the i-th colour. Raises CourseError if what arrived is none."""
        ink = np.frombuffer(self.ink, np.uint8)
        if ink.size != SIDE * SIDE or ink.max() > len(self.tools["colours"]):
            raise CourseError("What was painted did not arrive whole: press Clear, and paint again.")
        return ink.reshape(SIDE, SIDE)

    def __repr__(self) -> str:
        return f"Easel({np.count_nonzero(np.frombuffer(self.ink, np.uint8))} of {SIDE * SIDE} places painted)"
