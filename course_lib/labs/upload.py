"""Pictures that learners bring along: read safely, or refused in one sentence."""

import io
import os
from pathlib import Path

import anywidget
import numpy as np
import traitlets
from PIL import Image, ImageOps

from course_lib.runtime import CourseError

MOST_PIXELS = 100_000_000  # beyond this a small file can still fill the memory


def read_picture(source, size: int) -> np.ndarray:
    """Any picture as a uint8 square (size, size, 3): turned upright, cropped to its middle, transparent parts white.

    source: a path, the bytes of a picture file, a Pillow image, or an array (H, W, 3) of uint8.
    Raises CourseError if it is none of these, damaged, or too large.
    """
    name = "The picture"
    try:
        if isinstance(source, (str, os.PathLike)):
            name = f"The picture {source}"
            source = Path(source).read_bytes()
        if isinstance(source, (bytes, bytearray, memoryview)):
            source = Image.open(io.BytesIO(source))
            if source.width * source.height > MOST_PIXELS:
                raise CourseError(f"{name} has more than {MOST_PIXELS // 1_000_000} million pixels: choose a smaller one.")
        if isinstance(source, np.ndarray):
            if source.dtype != np.uint8 or source.ndim != 3 or source.shape[2] != 3 or 0 in source.shape:
                raise CourseError(f"A picture must be a uint8 array (H, W, 3), but this is {source.dtype} {source.shape}.")
            source = Image.fromarray(source)
        if not isinstance(source, Image.Image):
            raise CourseError(f"A picture is a path, a file's bytes, a Pillow image or an array, not {type(source).__name__}.")
        upright = ImageOps.exif_transpose(source).convert("RGBA")
    except FileNotFoundError:
        raise CourseError(f"{name} is not there: check the path.") from None
    except (OSError, SyntaxError, Image.DecompressionBombError):
        raise CourseError(f"{name} is damaged or no picture file: choose a PNG or JPEG file.") from None
    paper = Image.new("RGBA", upright.size, "white")
    paper.alpha_composite(upright)
    return np.asarray(ImageOps.fit(paper.convert("RGB"), (size, size), Image.Resampling.LANCZOS))


class Upload(anywidget.AnyWidget):
    """A button that takes a picture from the learner's disk and gives its file, a square PNG, to `take`.

    take: called with the bytes; a CourseError that it raises is shown beside the button, and the lab goes on.
    """

    _esm = Path(__file__).with_name("upload.js")
    _css = Path(__file__).with_name("upload.css")
    message = traitlets.Unicode().tag(sync=True)

    def __init__(self, take):
        super().__init__()
        self.take = take
        self.on_msg(self._arrived)

    def _arrived(self, _, content: dict, buffers: list) -> None:
        self.message = ""  # so that the same words twice are told twice
        try:
            self.take(bytes(buffers[0]))
            self.message = f"This is {content['name']}."
        except CourseError as error:
            self.message = str(error)
