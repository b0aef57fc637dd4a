"""A button for the learner's own picture."""

from pathlib import Path
from typing import Callable

import anywidget
import traitlets

from course_lib.runtime import CourseError


class Upload(anywidget.AnyWidget):
    """A button that takes a picture from the learner's disk and gives it to `take`.

    The browser turns it upright, cuts it to a square and shrinks it to 256 pixels first: a photograph as it
    comes from a camera can be larger than the 10 MB that Jupyter's connection carries before it breaks.
    take: called with the file's name and its bytes, a PNG; a CourseError that it raises is shown beside the
    button.
    """

    _esm = Path(__file__).with_name("upload.js")
    _css = Path(__file__).with_name("upload.css")
    message = traitlets.Unicode().tag(sync=True)

    def __init__(self, take: Callable[[str, bytes], None]):
        super().__init__()
        self.take = take
        self.on_msg(self._arrived)

    def _arrived(self, _, content: dict, buffers: list) -> None:
        self.message = ""  # so that the same words twice are told twice
        try:
            self.take(content["name"], bytes(buffers[0]))
            self.message = f"This is {content['name']}."
        except CourseError as error:
            self.message = str(error)
