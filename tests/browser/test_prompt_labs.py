"""The labs on prompts in a real JupyterLab: the pictures follow what a learner types or moves."""

import base64
import importlib
import io

import nbformat
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
CELLS = (f"""\
from course_lib import labs
from course_lib.pages import held_out

labs.shared_space({SENTENCE!r}, pages=held_out({PAGES}))
""", """\
labs.guidance("a red house", seeds=[1], scales=(0, 1, 6), steps=2)
""")
RUN = "() => jupyterapp.shell.currentWidget.content.widgets.every(cell => cell.model.outputs.length > 0)"
COUNT = "() => jupyterapp.shell.currentWidget.content.model.sharedModel.cells.length"
CANVAS = "canvas => canvas.toDataURL()"
# What sticks out of the output's right edge, by its class or its tag.
OUTSIDE = """output => {
    const edge = output.getBoundingClientRect().right + 1;
    return [...output.querySelectorAll("figure, img, figcaption, input, select, button, canvas, text, .caption, label")]
        .filter(part => part.getClientRects().length && part.getBoundingClientRect().right > edge)
        .map(part => part.className || part.tagName);
}"""


@pytest.fixture(scope="module")
def page(chrome, lab):
    """A page on which both labs stand, one under the other."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, lab.folder / "prompt_labs.ipynb")
    context = chrome.new_context(viewport={"width": 1280, "height": 2000})
    page = context.new_page()
    page.set_default_timeout(90_000)
    lab.run_all(page, "prompt_labs.ipynb")
    page.wait_for_function(RUN)
    page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for()
    page.locator(".scrubber canvas[aria-label]").wait_for()
    yield page
    context.close()


def part(page, number: int):
    """The output of one cell."""
    return page.locator(".jp-Notebook .jp-Cell").nth(number).locator(".jp-OutputArea-output").last


class Wall:
    """The lab of the shared space on the page, and the same pages and weights in this process."""

    def __init__(self, page):
        self.page, self.output = page, part(page, 0)
        self.text, self.said = self.output.locator("input[type=text]"), self.output.locator("[role=status]")
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


def test_the_guidance_slider_moves_the_picture(page):
    output = part(page, 1)
    canvas, slider, caption = (output.locator(name) for name in ("canvas", "input[type=range]", ".caption"))
    assert caption.inner_text().startswith("guidance 1 ·")
    heights, shown = [], set()
    slider.focus()
    for key, words in (("Home", "guidance 0 "), ("ArrowRight", "guidance 1 "), ("End", "guidance 6")):
        page.keyboard.press(key)
        assert caption.inner_text().startswith(words) and slider.get_attribute("aria-valuetext").startswith(words)
        shown.add(canvas.evaluate(CANVAS))
        heights.append(output.locator("circle.marker").get_attribute("cy"))
    assert len(shown) == 3 and len(set(heights)) == 3
    assert not output.locator(".views").is_visible()  # there is one view, so nothing to choose from


@pytest.mark.parametrize("width", [900, 400])
def test_nothing_is_cut_off(page, width):
    for i in range(len(CELLS)):
        output = part(page, i)
        output.evaluate("(node, width) => { node.style.width = `${width}px`; node.style.flex = 'none'; }", width)
        assert output.evaluate(OUTSIDE) == []
        card = output.locator(".scrubber")
        if card.count():  # the numbers beside the curve stand inside the card
            left = card.bounding_box()["x"]
            assert all(number.bounding_box()["x"] > left for number in output.locator(".curve text").all())
    pages, plan = (figure.bounding_box() for figure in part(page, 0).locator("figure").all())
    assert (plan["y"] >= pages["y"] + pages["height"]) == (width < 800)  # one under the other where there is no room
