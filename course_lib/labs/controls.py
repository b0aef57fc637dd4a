"""A lab's controls: fields to type in, sliders, choices, with one look, and one place for what is going on."""

from dataclasses import asdict, dataclass
from typing import Any, Callable, Sequence

import anywidget
import traitlets

from course_lib.labs.assets import joined


@dataclass(frozen=True)
class Text:
    """A line of text. It is sent on Enter, on leaving the field, and when typing has rested for `rest` milliseconds."""

    label: str
    value: str
    rest: int = 700


@dataclass(frozen=True)
class Number:
    """A whole number to type or to step, with a dice if it is a matter of chance."""

    label: str
    value: int
    low: int = 0
    high: int = 999_999_999
    dice: bool = False


@dataclass(frozen=True)
class Slider:
    """A number on a slider, sent when the slider is let go or moved by a key."""

    label: str
    value: float
    low: float
    high: float
    step: float = 1


@dataclass(frozen=True)
class Choice:
    """One of a few texts."""

    label: str
    value: str
    options: Sequence[str]


@dataclass(frozen=True)
class Toggle:
    """Yes or no."""

    label: str
    value: bool


@dataclass(frozen=True)
class Button:
    """Something to do; the value counts how often it has been pressed."""

    label: str
    value: int = 0


Field = Text | Number | Slider | Choice | Toggle | Button


class Controls(anywidget.AnyWidget):
    """A card of fields. `values` is name -> value; the browser changes it, and `changed(values)` is called with it.

    busy: a sign is shown once this has been true for 150 ms; `say` puts a sentence under the fields. Numbers come as
    they were typed ("" if they are none), so that whoever uses them says what is wrong with them.
    """

    _esm = joined("parts.js", "controls.js")
    _css = joined("parts.css", "controls.css")
    fields = traitlets.Dict().tag(sync=True)  # name -> what kind of field, and its settings
    values = traitlets.Dict().tag(sync=True)
    message = traitlets.Unicode().tag(sync=True)
    wrong = traitlets.Bool().tag(sync=True)  # whether the message is about a mistake
    busy = traitlets.Bool().tag(sync=True)

    def __init__(self, changed: Callable[[dict[str, Any]], None], **fields: Field):
        super().__init__(fields={name: {"kind": type(field).__name__.lower()} | asdict(field)
                                 for name, field in fields.items()},
                         values={name: field.value for name, field in fields.items()})
        self.observe(lambda change: changed(change["new"]), "values")

    def say(self, message: str, wrong: bool = False) -> None:
        """Show a sentence, or none; `wrong` if something could not be done."""
        with self.hold_sync():
            self.message, self.wrong = message, wrong

    def __repr__(self) -> str:
        return f"Controls({', '.join(f'{name}={value!r}' for name, value in self.values.items())})"
