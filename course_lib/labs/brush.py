"""A brush for latents: the channels on the left, one of them to paint on; the decoded picture on the right."""

import math
from typing import Callable, Sequence

import anywidget
import numpy as np
import torch
import traitlets
from torch import Tensor

from course_lib.labs.assets import joined
from course_lib.runtime import CourseError, check_whole

LATENT_RANGE = 3.0  # latents are shown from -3 to 3 standard deviations; what is beyond has the last colour
# From -3 to 3 in even steps, blue below 0 and orange above: told apart with any colour vision, and dark at both ends.
STOPS = ((9, 53, 102), (55, 128, 186), (160, 200, 224), (246, 244, 238), (244, 190, 128), (212, 110, 32), (118, 44, 4))
STRENGTH = 4.0  # a stroke adds at most this, in standard deviations
LARGEST = 5  # places along a side that the brush covers at most
MOST = 8.0  # all strokes together add at most this to a number


def in_colours(z: np.ndarray) -> np.ndarray:
    """Latents of any shape (...), in standard deviations -> uint8 colours (..., 3)."""
    at = (np.clip(z / LATENT_RANGE, -1, 1) + 1) / 2 * (len(STOPS) - 1)
    channels = [np.interp(at, range(len(STOPS)), levels) for levels in zip(*STOPS)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def places_between(begin: tuple[int, int], end: tuple[int, int]) -> list[tuple[int, int]]:
    """Every place on the straight way from one (row, column) to another, both included."""
    down, across = end[0] - begin[0], end[1] - begin[1]
    steps = max(abs(down), abs(across), 1)
    return [(begin[0] + math.floor(i / steps * down + 0.5), begin[1] + math.floor(i / steps * across + 0.5))
            for i in range(steps + 1)]


def stroke(shape: Sequence[int], channel: int, path: Sequence[tuple[int, int]], strength: float,
           size: int = 1) -> Tensor:
    """What one stroke adds to latents of the shape (C, H, W): `strength` to every number that the brush covers, once.

    path: the (row, column) places that the brush goes through; it goes straight from one to the next. strength: -4 to 4
    standard deviations; size: the brush covers a square of 1 to 5 places a side, and of an even number one more to the
    right and below. Raises CourseError for a channel or a place that is not there.
    """
    channels, rows, columns = shape
    check_whole(channel, "The channel", 0, channels - 1)
    check_whole(size, "The size of the brush", 1, LARGEST)
    if not abs(strength) <= STRENGTH:
        raise CourseError(f"The strength of a stroke is a number from -{STRENGTH:g} to {STRENGTH:g}, but it is "
                          f"{strength!r}.")
    path = [check_place(place, rows, columns) for place in path]
    push = torch.zeros(channels, rows, columns)
    before = (size - 1) // 2
    for begin, end in zip(path, path[1:] or path):
        for row, column in places_between(begin, end):
            top, left = max(0, row - before), max(0, column - before)
            push[channel, top:row - before + size, left:column - before + size] = strength
    return push


def check_place(place: tuple[int, int], rows: int, columns: int) -> tuple[int, int]:
    """(row, column) if it is a place of the latents' grid, else CourseError."""
    if not isinstance(place, (tuple, list)) or len(place) != 2:
        raise CourseError(f"A place is (row, column), such as (6, 9), but it is {place!r}.")
    return check_whole(place[0], "The row", 0, rows - 1), check_whole(place[1], "The column", 0, columns - 1)


def push_from(file: bytes, shape: Sequence[int]) -> Tensor:
    """What the browser sent, float32 numbers in the order (C, H, W), as a tensor; CourseError if it is not that."""
    if len(file) != 4 * math.prod(shape):
        raise CourseError("What was painted did not arrive whole: press Reset, and paint again.")
    push = np.frombuffer(file, "<f4").reshape(shape)
    if not np.isfinite(push).all():
        raise CourseError("What was painted is no finite number somewhere: press Reset, and paint again.")
    return torch.from_numpy(push.clip(-MOST, MOST))


class Brush(anywidget.AnyWidget):
    """The face of it. What is painted is seen at once; the browser sends it while it is painted, at most every 60
    milliseconds, always all of it and only the newest.

    painted: called with what is added to the latents, (C, H, W), every time that some of it arrives.
    """

    _esm = joined("parts.js", "tools.js", "strokes.js", "painting.js", "brush.js")
    _css = joined("parts.css", "tools.css", "brush.css")
    opened = traitlets.Dict().tag(sync=True)  # a picture and its latents; another one starts with nothing painted
    shown = traitlets.Dict().tag(sync=True)  # what is decoded now, and from which push
    message = traitlets.Unicode().tag(sync=True)  # what went wrong, or nothing

    def __init__(self, painted: Callable[[Tensor], None]):
        super().__init__()
        self.painted = painted
        self.on_msg(self._arrived)

    def begin(self, z: Tensor, original: np.ndarray, channel: int, place: tuple[int, int], note: str) -> None:
        """Begin with a picture: its latents (C, h, w) and itself, uint8 (H, W, 3); where the brush stands at first."""
        page = self.opened.get("page", 0) + 1
        self.opened = {"page": page, "shape": list(z.shape), "z": z.float().cpu().numpy().tobytes(),
                       "width": original.shape[1], "height": original.shape[0], "original": original.tobytes(),
                       "channel": channel, "place": list(place), "note": note, "stops": STOPS,
                       "range": LATENT_RANGE, "strength": STRENGTH, "largest": LARGEST, "most": MOST}

    def show(self, picture: np.ndarray, changed: np.ndarray, words: str, push: Tensor) -> None:
        """Show what `push` has made of the picture: two views of it, uint8 (H, W, 3), and words."""
        with self.hold_sync():
            self.shown = {"picture": picture.tobytes(), "changed": changed.tobytes(), "words": words,
                          "push": push.numpy().tobytes()}
            self.message = ""

    def _arrived(self, _, content: dict, buffers: list) -> None:
        if content.get("page") != self.opened["page"]:
            return  # painted on a picture that has been replaced since
        try:
            self.painted(push_from(bytes(buffers[0]), self.opened["shape"]))
        except CourseError as error:
            self.message = str(error)
