"""The fields of a lab, and the face that they stand on, without a browser."""

from types import SimpleNamespace

import ipywidgets as widgets
import numpy as np
import pytest
from ipywidgets.widgets.widget import _instances
from small_models import small_text_to_image

from course_lib import labs
from course_lib.labs.controls import Button, Choice, Controls, Number, Slider, Text, Toggle
from course_lib.labs.face import Face, LiveFace
from course_lib.labs.scrubber import Scrubber
from course_lib.plots import pictures

FIELDS = {"prompt": Text("Prompt", "a cat"), "seed": Number("Seed", 3, dice=True), "steps": Slider("Steps", 20, 1, 50),
          "rule": Choice("Rule", "b", ("a", "b")), "whole": Toggle("Whole", False), "save": Button("Save")}


def test_fields_are_told_to_the_browser_and_values_come_back():
    heard = []
    controls = Controls(heard.append, **FIELDS)
    assert controls.values == {"prompt": "a cat", "seed": 3, "steps": 20, "rule": "b", "whole": False,
                               "save": 0} and heard == []
    assert [field["kind"] for field in controls.fields.values()] == [
        "text", "number", "slider", "choice", "toggle", "button"]
    assert controls.fields["steps"] | {"low": 1, "high": 50, "label": "Steps"} == controls.fields["steps"]
    controls.values = controls.values | {"seed": 4}
    assert heard == [controls.values] and heard[0]["seed"] == 4
    controls.values = dict(controls.values)  # nothing new
    assert len(heard) == 1 and "0x" not in repr(controls)


def test_what_is_said_is_a_remark_or_a_mistake():
    controls = Controls(lambda values: None, **FIELDS)
    controls.say("This is wrong.", wrong=True)
    assert (controls.message, controls.wrong) == ("This is wrong.", True)
    controls.say("")
    assert (controls.message, controls.wrong) == ("", False)


class Small(Face):
    figure = pictures(np.zeros((1, 8, 8, 3), np.uint8), "Black.")


def living() -> set[str]:
    return set(_instances)


@pytest.fixture
def cell(monkeypatch):
    """Runs of one cell: call it before each."""
    shell, runs = SimpleNamespace(), iter(range(1000))
    monkeypatch.setattr("course_lib.labs.cells.get_ipython", lambda: shell)

    def run():
        shell.parent_header = {"metadata": {"cellId": "c"}, "header": {"msg_id": str(next(runs))}}
    return run


def test_a_face_gives_its_widgets_and_for_other_places_its_figure():
    data = Small(widgets.HTML("a"), (widgets.HTML("b"), widgets.HTML("c")))._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] and data["text/plain"] == "[figure: Black.]"
    assert "image/png" in data and "Black." in data["text/html"]


@pytest.mark.parametrize("make", [
    lambda: Small(widgets.HTML("a"), (widgets.HTML("b"), widgets.HTML("c"))),
    lambda: Scrubber({"a": np.zeros((2, 8, 8, 3), np.uint8)}, ["0", "1"], "Black."),
    lambda: labs.noise(size=16),
    lambda: labs.inpaint(model=small_text_to_image())])
def test_a_cell_that_runs_ten_times_keeps_the_widgets_of_one_run(cell, make):
    cell()
    make()
    once = len(living())
    for _ in range(10):
        cell()
        make()
    assert len(living()) == once


def test_a_live_face_answers_and_says_what_there_is_to_say():
    class Doubling(LiveFace):
        figure = Small.figure

        def answer(self, values, check):
            return 2 * values["n"]

        def show(self, result):
            self.shown = result
            return f"It is {result}."

    lab = Doubling(widgets.HTML(), n=Number("n", 1))
    lab.controls.values = {"n": 21}
    assert lab.live.wait(5) and lab.shown == 42 and lab.controls.message == "It is 42." and not lab.controls.busy
    lab.controls.values = {"n": None}
    assert lab.live.wait(5) and lab.shown == 42 and lab.controls.wrong
