"""What a lab shows in a notebook: widgets one above the other, and a figure wherever there are no widgets."""

from typing import Any, Callable

import ipywidgets as widgets

from course_lib.labs.cells import close, close_earlier_runs
from course_lib.labs.controls import Controls, Field
from course_lib.labs.live import Live
from course_lib.plots import Figure

Part = widgets.Widget | tuple[widgets.Widget, ...]


class Face:
    """Widgets, one above the other; those of a tuple stand side by side. `figure` stands for them without widgets."""

    def __init__(self, *parts: Part):
        self.rows = [widgets.HBox(part) if isinstance(part, tuple) else part for part in parts]
        self.box = widgets.VBox(self.rows)
        self.box.add_class("lab-face")
        close_earlier_runs(self)

    @property
    def figure(self) -> Figure:
        """What is seen where there are no widgets: a picture that makes the lab's point."""
        raise NotImplementedError

    def close(self) -> None:
        """Take the lab away: from the page, and what it holds in the kernel."""
        for row in self.rows:
            for part in row.children if isinstance(row, widgets.HBox) else (row,):
                close(part)
            close(row)
        close(self.box)

    def _repr_mimebundle_(self, **_) -> dict[str, Any]:
        view = {"version_major": 2, "version_minor": 0, "model_id": self.box.model_id}
        return {"application/vnd.jupyter.widget-view+json": view} | self.figure._repr_mimebundle_()


class LiveFace(Face):
    """A face whose controls need work: fields above (and a widget `beside` them), `parts` below, a worker between.

    answer(values, check) -> a result, off the main thread; show(result) puts it on the parts. A subclass has both. The
    first answer is given on the spot, so that a notebook is saved with it, and an error in it stops the cell.
    """

    def __init__(self, *parts: Part, beside: widgets.Widget | None = None, **fields: Field):
        self.controls = Controls(self.ask, **fields)
        self.live = Live(self.answer, self._done, lambda sentence: self.controls.say(sentence, wrong=True),
                         lambda busy: setattr(self.controls, "busy", busy))
        super().__init__(self.controls if beside is None else (self.controls, beside), *parts)

    def ask(self, values: dict[str, Any]) -> None:
        """Have the lab show what these values give; the latest request wins."""
        self.live.ask(values)

    def answer(self, values: dict[str, Any], check: Callable[[], None]) -> Any:
        raise NotImplementedError

    def show(self, result: Any) -> str:
        """Put a result on the page; gives what is to be said about it, or nothing."""
        raise NotImplementedError

    def _done(self, result: Any) -> None:
        self.controls.say(self.show(result))

    def close(self) -> None:
        self.live.close()
        super().close()
