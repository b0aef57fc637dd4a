"""A lab on a prompt: a prompt and other fields above, a scrubber below, and the model between them."""

import inspect
from typing import Any, Callable

import ipywidgets as widgets

from course_lib.labs.controls import Field
from course_lib.labs.face import LiveFace
from course_lib.labs.live import droppable
from course_lib.labs.scrubber import Scrubber, pack
from course_lib.pipeline import TextToImage, load_text_to_image
from course_lib.plots import Figure
from course_lib.runtime import CourseError

_FOR_THE_SCRUBBER = set(inspect.signature(pack).parameters)


def check_prompt(prompt: Any) -> None:
    """Raises CourseError if this is not one text."""
    if not isinstance(prompt, str):
        raise CourseError("Give the lab one prompt, a text such as \"a red house\".")


class PromptLab(LiveFace):
    """compute(model=..., **values of the fields) -> what the Scrubber shows, `remarks` on the prompt, and more.

    alt: what is shown, with {prompt} in it; start: the frame to open on, None for the last; model: None for the shipped
    one; left: a widget to the left of the scrubber; beside: one beside the fields; fields: at least `prompt`, with what
    the lab opens on. Raises CourseError if that cannot be computed.
    """

    def __init__(self, compute: Callable[..., dict], alt: str, model: TextToImage | None, start: int | None = None,
                 left: widgets.Widget | None = None, beside: widgets.Widget | None = None, **fields: Field):
        self.compute, self.alt = compute, alt
        self.model = load_text_to_image() if model is None else model
        values = self.given({name: field.value for name, field in fields.items()})
        self.result = compute(model=self.model, **values)  # the latest that is shown
        self.scrubber = Scrubber(**{"start": start} | self._shown(self.result, values["prompt"]))
        super().__init__(self.scrubber if left is None else (left, self.scrubber), beside=beside, **fields)
        self.controls.say(" ".join(self.result["remarks"]))

    def given(self, values: dict[str, Any]) -> dict[str, Any]:
        """What `compute` is given for these values of the fields."""
        return values

    def ask(self, values: dict[str, Any]) -> None:
        super().ask(self.given(values))

    @property
    def figure(self) -> Figure:
        return self.scrubber.figure

    def answer(self, values: dict, check: Callable[[], None]) -> tuple[dict, str]:
        return self.compute(model=droppable(self.model, check), **values), values["prompt"]

    def show(self, result: tuple[dict, str]) -> str:
        self.result = result[0]
        self.scrubber.show(**self._shown(*result))
        return " ".join(self.result["remarks"])

    def _shown(self, result: dict, prompt: str) -> dict:
        return {key: result[key] for key in _FOR_THE_SCRUBBER & set(result)} | {"alt": self.alt.format(prompt=prompt)}

    def __repr__(self) -> str:
        return f"PromptLab({self.controls.values['prompt']!r})"
