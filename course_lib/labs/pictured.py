"""A lab on a prompt and a picture: a page of the book, blank paper, or the learner's own; painted on, perhaps."""

import io
from typing import Any, Callable, Sequence

import numpy as np

from course_lib.data import HELD_OUT_FROM
from course_lib.labs.controls import Choice, Field, Number
from course_lib.labs.easel import SIDE, Easel
from course_lib.labs.noise import square
from course_lib.labs.prompted import PromptLab
from course_lib.labs.upload import Upload
from course_lib.picturebook import main_caption, random_scene, render
from course_lib.pictures import open_picture
from course_lib.pipeline import TextToImage
from course_lib.runtime import CourseError, check_whole

PAGE, OWN, BLANK = "a page of the book", "your own", "blank paper"
LAST_PAGE = 99_999
PAPER = (238, 236, 230)


def page(number: int) -> tuple[np.ndarray, str]:
    """A page of the picture book that no training has seen, uint8 (64, 64, 3), and its caption.

    number: 0 to 99,999. Raises CourseError for another one.
    """
    scene = random_scene(HELD_OUT_FROM + check_whole(number, "The page", 0, LAST_PAGE))
    return render(scene, SIDE), main_caption(scene)


class PictureLab(PromptLab):
    """compute(model=..., picture=..., **values of the fields) -> what the Scrubber shows, and more, as for PromptLab.

    picture: the learner's own to open on, a path or a uint8 array (H, W, 3), or None; number: the page to open on;
    sources: what the picture may be; easel: makes an Easel, which calls what it is given when something is painted, or
    None; seen(picture, painting) -> what `compute` is given for the picture and the easel's ink.
    """

    def __init__(self, compute: Callable[..., dict], alt: str, model: TextToImage | None, picture: Any, number: int,
                 start: int | None = None, sources: Sequence[str] = (PAGE, OWN),
                 easel: Callable[[Callable[[], None]], Easel] | None = None,
                 seen: Callable[[np.ndarray, np.ndarray], dict] | None = None, **fields: Field):
        self.own = None if picture is None else square(picture, SIDE)
        self.easel = None if easel is None else easel(self._painted)
        self.seen, self.number = seen, number
        source = sources[0] if picture is None else OWN
        super().__init__(compute, alt, model, start, self.easel, Upload(self.take),
                         source=Choice("Picture", source, sources),
                         number=Number("Page", number, 0, LAST_PAGE, dice=True), **fields)

    def given(self, values: dict[str, Any]) -> dict[str, Any]:
        values = dict(values)
        picture, note = self.choose(values.pop("source"), values.pop("number"))
        if self.easel is None:
            return values | {"picture": picture}
        self.easel.show(picture, note, f"A picture to paint on. {note}")
        return values | self.seen(picture, self.easel.painting)

    def choose(self, source: str, number: int) -> tuple[np.ndarray, str]:
        """The picture, uint8 (64, 64, 3), and a line on what it is. Raises CourseError if there is none."""
        if source == BLANK:
            return np.full((SIDE, SIDE, 3), PAPER, np.uint8), "Blank paper: draw a sky, a ground, and a thing on it."
        if source == OWN:
            if self.own is None:
                raise CourseError("There is no picture of your own yet: press \"Use your own picture\" and choose one.")
            return self.own, "Your own picture."
        picture, caption = page(number)
        return picture, f"Page {number} says: {caption}."

    def ask(self, values: dict[str, Any]) -> None:
        turned, self.number = values["number"] != self.number, values["number"]
        if turned and values["source"] != PAGE:  # who turns the pages wants to see one
            self.controls.values = values | {"source": PAGE}
            return
        try:
            super().ask(values)
        except CourseError as error:
            self.live.close()  # nobody waits for what was asked before
            self.controls.say(str(error), wrong=True)

    def _painted(self) -> None:
        self.ask(self.controls.values)

    def take(self, name: str, file: bytes) -> None:
        """Go on with another picture, from its file."""
        self.own = open_picture(io.BytesIO(file), SIDE, name)
        values = self.controls.values | {"source": OWN}
        if values == self.controls.values:
            self.ask(values)
        else:
            self.controls.values = values  # which asks
