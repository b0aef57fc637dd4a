"""The lab of the shared space in a real JupyterLab: the wall and the map follow what a learner types."""

import base64
import importlib
import io

import numpy as np
import pytest
import torch
from PIL import Image

from course_lib.models import text_from, weights_for
from course_lib.pages import held_out
from course_lib.runtime import CourseError

wall_lab = importlib.import_module("course_lib.labs.shared_space")  # labs.shared_space is the function
PAGES = 14
SENTENCE = "a red boat"
CELL = f"""\
from course_lib import labs
from course_lib.pages import held_out

labs.shared_space({SENTENCE!r}, pages=held_out({PAGES}))
"""
COUNT = "() => jupyterapp.shell.currentWidget.content.model.sharedModel.cells.length"


@pytest.fixture(scope="module")
def page(chrome, lab):
    """A page on which the lab stands."""
    with lab.notebook(chrome, "shared_space.ipynb", [CELL], 1200) as (page, _):
        page.locator(".lab-face img").nth(1).wait_for()
        page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for()
        yield page


class Wall:
    """The lab of the shared space on the page, and the same pages and weights in this process."""

    def __init__(self, page):
        self.page, self.output = page, page.locator(".lab-face")
        self.text, self.said = self.output.locator("input[type=text]"), self.output.locator(".message")
        self.pages = held_out(PAGES)
        self.space = text_from(*weights_for("text"), torch.device("cpu"))
        self.hung = wall_lab.hang(self.space, self.pages)

    def order(self, sentence: str) -> list[int]:
        """The ten nearest pages, as the text encoder says."""
        return wall_lab.compute(sentence, self.space, self.hung)["order"][:wall_lab.NEAREST].tolist()

    def seen(self, number: int) -> Image.Image:
        """The picture of the wall (0) or the map (1), which the browser could decode."""
        address = self.output.locator("img").nth(number).evaluate(
            "async image => { await image.decode(); return image.src; }")
        return Image.open(io.BytesIO(base64.b64decode(address.split(",")[1]))).convert("RGB")

    def order_seen(self) -> list[int]:
        """Which page hangs at each of the ten places, told by its pixels."""
        large, step = wall_lab.LARGE, wall_lab.LARGE + wall_lab.GAP
        pages = np.stack([Image.fromarray(picture).resize((large, large)) for picture in self.hung.pictures])
        wall, order = np.asarray(self.seen(0)).astype(int), []
        for i in range(wall_lab.NEAREST):
            left = wall_lab.GAP + i % wall_lab.ACROSS * step
            top = wall_lab.GAP + i // wall_lab.ACROSS * (step + wall_lab.LINE)
            errors = np.abs(wall[top:top + large, left:left + large] - pages).mean(axis=(1, 2, 3))
            assert errors.min() < 8  # a JPEG of it
            order.append(int(errors.argmin()))
        return order

    def wait_for(self, sentence: str) -> None:
        self.output.locator(f"img[alt*='\"{sentence}\" first']").wait_for()


@pytest.fixture(scope="module")
def wall(page):
    return Wall(page)


def test_a_sentence_typed_fast_puts_the_nearest_pages_first(wall):
    wall.wait_for(SENTENCE)
    assert wall.order_seen() == wall.order(SENTENCE)
    before, cells = wall.seen(1), wall.page.evaluate(COUNT)
    wall.text.click()
    wall.text.press("ControlOrMeta+a")
    wall.text.press_sequentially("a house in the snow at night")
    wall.text.press("Enter")
    wall.wait_for("a house in the snow at night")
    assert wall.order_seen() == wall.order("a house in the snow at night") != wall.order(SENTENCE)
    assert np.abs(np.asarray(wall.seen(1)).astype(int) - before).max() > 100  # the star is elsewhere
    assert wall.text.input_value() == "a house in the snow at night" and wall.page.evaluate(COUNT) == cells


def test_a_word_that_was_never_taught_is_told_and_the_wall_stays(wall):
    wall.text.fill("a shiny castle")
    wall.wait_for("a shiny castle")
    assert "never taught 'shiny'" in wall.said.inner_text()
    assert wall.order_seen() == wall.order("a castle")
    with pytest.raises(CourseError) as told:
        wall.order("glorp")
    wall.text.fill("glorp")
    wall.said.filter(has_text=str(told.value)).wait_for()
    assert wall.order_seen() == wall.order("a castle")
    wall.text.fill("a castle")
    wall.wait_for("a castle")
    assert wall.said.inner_text().strip() == ""


@pytest.mark.parametrize("width", [900, 400])
def test_wall_and_map_stand_side_by_side_where_there_is_room(page, width):
    output = page.locator(".jp-OutputArea-output").last
    output.evaluate("(node, width) => { node.style.width = `${width}px`; node.style.flex = 'none'; }", width)
    pages, plan = (figure.bounding_box() for figure in output.locator("figure").all())
    assert (plan["y"] >= pages["y"] + pages["height"]) == (width < 800)
    output.evaluate("node => node.removeAttribute('style')")
