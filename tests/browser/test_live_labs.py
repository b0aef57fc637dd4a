"""The labs that paint, in a real JupyterLab: what a learner types, rolls, drags and points at changes the picture."""

import numpy as np
import pytest

from course_lib.pipeline import generate

CELLS = ("""\
from course_lib import labs
lab = labs.denoising("a red house", seed=3, steps=6)
lab
""", """\
labs.attention("a red house", seed=1, steps=4)
""", """\
labs.guidance("a red house", seed=1, scales=(0, 3), steps=4)
""", """\
labs.schedulers("a red house", seed=1, names=("ddim", "heun"), counts=(1, 3))
""", """\
import threading
[thread.name for thread in threading.enumerate() if thread.name == "course_lib lab"]
""")
WHOLE = "canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.join()"
SMALL = "canvas => [...canvas.getContext('2d').getImageData(0, 0, 64, 64).data]"
RUN_CELL = """async number => {
    const content = jupyterapp.shell.currentWidget.content;
    content.activeCellIndex = number;
    await jupyterapp.commands.execute('notebook:run-cell');
}"""


@pytest.fixture(scope="module")
def page(chrome, lab):
    with lab.notebook(chrome, "live_labs.ipynb", CELLS, 4200) as (page, _):
        page.locator(".scrubber canvas[aria-label]").nth(6).wait_for()
        page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for()
        yield page


class Card:
    """One lab on the page: its controls and its scrubber."""

    def __init__(self, page, number: int):
        self.page = page
        self.root = page.locator(".jp-Notebook .jp-Cell").nth(number).locator(".lab-face")
        self.message, self.busy = self.root.locator(".controls .message"), self.root.locator(".controls .busy")
        self.canvas, self.slider = self.root.locator(".stage canvas").first, self.root.locator(".player input[type=range]")
        self.caption = self.root.locator(".caption")

    def field(self, label: str):
        return self.root.locator(".controls").get_by_label(label, exact=True)

    def pixels(self) -> str:
        return self.canvas.evaluate(WHOLE)

    def after(self, change) -> str:
        """Do something, and wait for another picture in the same place."""
        old = self.pixels()
        change()
        self.page.wait_for_function(
            f"([root, old]) => ({WHOLE})(root.querySelector('.stage canvas')) !== old",
            arg=[self.root.element_handle(), old])
        self.wait()
        return self.pixels()

    def wait(self) -> None:
        """Until nothing is being worked on."""
        self.root.locator(".controls:not([data-busy])").wait_for()

    def shown(self, number: int = 0) -> np.ndarray:
        canvas = self.root.locator(".stage canvas").nth(number)
        return np.array(canvas.evaluate(SMALL)).reshape(64, 64, 4)[..., :3].astype(int)


def type_in(field, text: str, end: str | None = "Enter") -> None:
    field.click()
    field.press("ControlOrMeta+a")
    field.press_sequentially(text)
    if end:
        field.press(end)


@pytest.fixture
def painting(page):
    card = Card(page, 0)
    card.wait()
    card.slider.focus()
    page.keyboard.press("End")
    return card


def test_a_prompt_typed_paints_what_generate_paints(painting):
    painting.after(lambda: type_in(painting.field("Prompt"), "a blue boat at night"))
    wanted = generate("a blue boat at night", 3, 6).picture.astype(int)
    assert np.abs(painting.shown() - wanted).mean() < 4  # JPEG, perhaps
    assert "a blue boat at night" in painting.canvas.get_attribute("aria-label")
    painting.after(lambda: type_in(painting.field("Prompt"), "a red house", end=None))  # it is sent when typing rests


def test_every_control_leads_to_another_picture(painting):
    seen = {painting.pixels()}
    steps, weight = painting.field("Steps"), painting.field("Guidance")
    for change in (lambda: type_in(painting.field("Seed"), "8"),
                   lambda: painting.field("Seed").press("ArrowUp"),
                   lambda: painting.root.get_by_label("Another seed, at random").click(),
                   lambda: steps.press("ArrowRight"), lambda: weight.press("PageUp"),
                   lambda: painting.field("Scheduler").select_option("ddim")):
        pixels = painting.after(change)
        assert pixels not in seen
        seen.add(pixels)
    assert painting.root.locator(".note").inner_text().startswith("14 network evaluations a picture")
    box = steps.bounding_box()
    painting.page.mouse.move(box["x"] + box["width"] * 0.12, box["y"] + box["height"] / 2)
    painting.page.mouse.down()
    painting.page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + box["height"] / 2, steps=5)
    painting.after(painting.page.mouse.up)
    assert painting.caption.inner_text().startswith(f"step {steps.input_value()} of {steps.input_value()}")
    assert 8 <= int(steps.input_value()) <= 14


def test_nine_pictures_are_scrubbed_by_one_slider_and_one_comes_back(painting):
    painting.after(lambda: painting.field("Show").select_option("seeds × guidance"))
    canvases = painting.root.locator(".stage canvas")
    assert canvases.count() == 9 and painting.root.locator(".head").nth(3).inner_text().endswith("guidance 3")
    ends = [canvases.nth(i).evaluate(WHOLE) for i in range(9)]
    painting.slider.focus()
    painting.page.keyboard.press("Home")
    starts = [canvases.nth(i).evaluate(WHOLE) for i in range(9)]
    assert len(set(ends)) == 9 and all(start != end for start, end in zip(starts, ends))
    first = [painting.shown(i) for i in range(9)]  # one noise for each seed, but for what JPEG loses
    assert np.abs(first[0] - first[3]).mean() < 6 < 20 < np.abs(first[0] - first[1]).mean()
    painting.after(lambda: painting.field("Show").select_option("one picture"))
    assert canvases.count() == 1


def test_a_moment_of_the_strip_is_a_button_that_goes_there(painting):
    moments = painting.root.locator(".strip button")
    assert moments.count() == 5 and moments.nth(4).get_attribute("aria-current") == "true"
    last = painting.pixels()
    moments.nth(0).click()
    assert painting.slider.input_value() == "0" and painting.pixels() != last
    assert moments.nth(0).get_attribute("aria-current") == "true"
    moments.nth(4).focus()
    painting.page.keyboard.press("Enter")
    assert painting.pixels() == last


def test_a_mistake_is_told_and_the_picture_stays(painting):
    before, seed = painting.pixels(), painting.field("Seed")
    type_in(seed, "-1")
    painting.message.filter(has_text="The seed must be a whole number").wait_for()
    assert "wrong" in painting.message.get_attribute("class") and painting.pixels() == before
    painting.after(lambda: type_in(seed, "5"))
    assert painting.message.inner_text() == ""
    painting.after(lambda: type_in(painting.field("Prompt"), "a blue dinosaur boat"))
    painting.message.filter(has_text="dinosaur").wait_for()
    assert "wrong" not in painting.message.get_attribute("class")


def test_the_latest_request_wins_the_sign_comes_and_goes_and_the_kernel_stays_free(painting):
    page, steps = painting.page, painting.field("Steps")
    steps.fill("50")
    painting.field("Scheduler").select_option("heun")
    painting.busy.wait_for()  # visible only once it has lasted for 150 ms
    page.evaluate(RUN_CELL, 4)
    answer = page.locator(".jp-Notebook .jp-Cell").nth(4).locator(".jp-OutputArea-output").last
    answer.filter(has_text="course_lib lab").wait_for()  # another cell has run, and the worker was at work meanwhile
    for seed in range(20, 28):
        type_in(painting.field("Seed"), str(seed))
    painting.field("Scheduler").select_option("ddim")
    steps.fill("6")
    painting.wait()
    painting.busy.wait_for(state="hidden")
    wanted = generate("a blue dinosaur boat", 27, 6, scheduler="ddim",
                      guidance=float(painting.field("Guidance").input_value())).picture
    painting.page.wait_for_function("words => words.textContent.startsWith('step 6 of 6')",
                                    arg=painting.caption.element_handle())
    assert np.abs(painting.shown() - wanted).mean() < 4
    page.evaluate(RUN_CELL, 4)
    answer.filter(has_text="[]").wait_for()  # no thread is left once there is nothing to do


def test_pointing_at_a_word_shows_where_it_is_asked_and_keys_do_it_too(page):
    card = Card(page, 1)
    words = card.root.locator(".views label")
    assert words.all_inner_texts() == ["the guess", "a", "red", "house"]
    seen = {card.pixels()}
    for i in (1, 2, 3):
        words.nth(i).hover()
        assert words.nth(i).locator("input").is_checked() and card.pixels() not in seen
        seen.add(card.pixels())
    page.mouse.move(0, 0)
    words.nth(3).locator("input").focus()
    page.keyboard.press("ArrowLeft")
    assert words.nth(2).locator("input").is_checked() and card.pixels() in seen
    card.slider.focus()
    page.keyboard.press("End")
    assert card.caption.inner_text().startswith("step 3 of 4") and card.pixels() not in seen
    card.after(lambda: type_in(card.field("Prompt"), "two green trees"))
    assert words.all_inner_texts() == ["the guess", "two", "green", "trees"]


def test_under_each_guidance_stands_what_the_oracle_reads(page):
    card = Card(page, 2)
    assert card.root.locator(".head").all_inner_texts() == ["guidance 0 · no prompt", "guidance 3"]
    texts = card.root.locator(".cells .text").all_inner_texts()
    assert all("fit " in text and " · " in text for text in texts)
    other = card.root.locator(".stage canvas").nth(1)
    before = other.evaluate(WHOLE)
    card.slider.focus()
    page.keyboard.press("Home")
    assert other.evaluate(WHOLE) != before   # and again one noise
    assert np.abs(card.shown(0) - card.shown(1)).mean() < 6
    page.keyboard.press("End")
    type_in(card.field("Prompt"), "a yellow car in the desert")
    card.root.locator(".stage canvas[aria-label*='a yellow car']").first.wait_for()
    card.wait()
    assert card.root.locator(".cells .text").all_inner_texts()[1] != texts[1]


def test_more_steps_other_pictures_and_markers_that_follow(page):
    card = Card(page, 3)
    assert card.root.locator(".head").all_inner_texts() == ["ddim", "heun", "80 fine steps"]
    canvases = card.root.locator(".stage canvas")
    card.slider.focus()
    page.keyboard.press("Home")
    one = [canvases.nth(i).evaluate(WHOLE) for i in range(3)]
    heights = [dot.get_attribute("cy") for dot in card.root.locator("circle.marker").all()]
    page.keyboard.press("End")
    three = [canvases.nth(i).evaluate(WHOLE) for i in range(3)]
    assert one[0] != three[0] and one[1] != three[1] and one[2] == three[2]
    assert card.caption.inner_text() == "3 steps"
    assert heights != [dot.get_attribute("cy") for dot in card.root.locator("circle.marker").all()]
    card.after(lambda: card.root.get_by_label("Another seed, at random").click())
