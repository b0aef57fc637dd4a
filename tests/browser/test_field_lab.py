"""The field lab in a real JupyterLab: scrubbing, changing the scheduler, drawing data by pointer and by key."""

import pytest

CELL = """\
from course_lib import labs

lab = labs.field("moons", steps=12)
lab
"""
CANVAS = "canvas => canvas.toDataURL()"
SETTLE = "() => new Promise(done => setTimeout(done, 300))"
CELLS = "() => jupyterapp.shell.currentWidget.content.model.sharedModel.cells.map(cell => cell.source)"
# What sticks out of the output's right edge, by its class or its tag.
OUTSIDE = """output => {
    const edge = output.getBoundingClientRect().right + 1;
    return [...output.querySelectorAll("input, select, button, canvas, .caption, .note, .help, label")]
        .filter(part => part.getClientRects().length && part.getBoundingClientRect().right > edge)
        .map(part => part.className || part.tagName);
}"""


@pytest.fixture(scope="module")
def opened(chrome, lab):
    """The page on which the lab stands, and all that it sent to the kernel."""
    with lab.notebook(chrome, "field_lab.ipynb", [CELL], 1200) as (page, sent):
        page.locator(".vector-field canvas[aria-label]").wait_for()
        page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for()
        yield page, sent


class Hands:
    """The lab on the page, and what can be done with it."""

    def __init__(self, page):
        self.page, self.root, self.controls = page, page.locator(".vector-field"), page.locator(".controls")
        self.canvas, self.slider = self.root.locator("canvas"), self.root.locator("input[type=range]")
        self.caption, self.note = self.root.locator(".caption"), self.root.locator(".note")
        self.data, self.field, self.scheduler = (self.controls.locator("select").nth(i) for i in (0, 1, 3))
        self.said = self.controls.locator(".message")

    def picture(self) -> str:
        return self.canvas.evaluate(CANVAS)

    def place(self, x: float, y: float) -> tuple[float, float]:
        """A place of the canvas, as shares of its sides, on the page."""
        box = self.canvas.bounding_box()
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    def wait_for_words(self, words: str) -> None:
        """Until the picture's own description tells this."""
        self.root.locator(f"canvas[aria-label*='{words}']").wait_for()

    def ready(self) -> None:
        self.page.locator(".controls:not([data-busy])").wait_for()


@pytest.fixture
def hands(opened):
    return Hands(opened[0])


def test_scrubbing_by_keys_moves_the_picture_and_the_kernel_hears_nothing(hands, opened):
    page, sent = opened
    assert hands.caption.inner_text().startswith("step 7 of 12")
    hands.slider.focus()
    page.evaluate(SETTLE)
    before, cells, seen = len(sent), page.evaluate(CELLS), set()
    for key, step in (("Home", 0), ("ArrowRight", 1), ("PageUp", 2), ("End", 12), ("ArrowLeft", 11)):
        page.keyboard.press(key)
        seen.add(hands.picture())
        assert hands.caption.inner_text().startswith(f"step {step} of 12 · noise level t = ")
        assert hands.slider.get_attribute("aria-valuetext") == hands.caption.inner_text()
        assert f"Data: moons. Now: step {step} of 12" in hands.canvas.get_attribute("aria-label")
    for box in hands.root.locator(".legend input:visible").all():
        shown = hands.picture()
        box.uncheck()
        seen.add(hands.picture())
        assert hands.picture() != shown, box.evaluate("box => box.parentElement.textContent")
        box.check()
        assert hands.picture() == shown
    page.evaluate(SETTLE)
    assert len(seen) == 10 and len(sent) == before and page.evaluate(CELLS) == cells


def test_play_carries_the_particles_to_the_data(hands):
    hands.slider.focus()
    hands.page.keyboard.press("Home")
    hands.root.locator("button.play").click()
    hands.caption.filter(has_text="step 12 of 12").wait_for()
    hands.root.locator("button.play[aria-label=Play]").wait_for()


def test_another_scheduler_leads_to_another_picture(hands):
    hands.slider.focus()
    hands.page.keyboard.press("End")
    before = hands.picture()
    hands.scheduler.select_option("heun")
    hands.note.filter(has_text="for each particle: 23").wait_for()
    assert hands.picture() != before and hands.caption.inner_text().startswith("step 12 of 12")
    hands.scheduler.select_option("ddim")
    hands.note.filter(has_text="for each particle: 12").wait_for()
    assert hands.picture() == before


def test_both_fields_and_the_force_have_arrows_of_their_own(hands):
    legend = hands.root.locator(".legend")
    assert not legend.get_by_text("extra force").is_visible()
    hands.controls.locator("select").nth(4).select_option("A")
    guidance = hands.controls.locator("input[type=range]").nth(2)
    guidance.focus()
    for _ in range(4):
        hands.page.keyboard.press("ArrowRight")
    legend.get_by_text("extra force").wait_for()
    hands.note.filter(has_text="100% end at class A").wait_for()
    hands.field.select_option("both")
    hands.note.filter(has_text="The network is learning").wait_for()
    legend.get_by_text("the exact field").wait_for()
    hands.ready()
    hands.slider.focus()
    hands.page.keyboard.press("Home")
    assert " · guesses 0." in hands.caption.inner_text()
    hands.field.select_option("exact")
    hands.controls.locator("select").nth(4).select_option("none")
    legend.get_by_text("extra force").wait_for(state="hidden")
    assert "Guidance does nothing without a class" in hands.said.inner_text()


def test_a_stroke_of_the_pointer_becomes_the_data(hands, opened):
    page, sent = opened
    hands.ready()
    before = hands.picture()
    page.mouse.move(*hands.place(0.2, 0.3))
    page.mouse.down()
    begun = len(sent)
    page.mouse.move(*hands.place(0.5, 0.3), steps=15)
    drawing = hands.picture()
    assert drawing != before and len(sent) == begun, "the kernel is asked when the stroke ends"
    page.mouse.up()
    page.wait_for_function("select => select.value === 'your own'", arg=hands.data.element_handle())
    hands.wait_for_words("points of your own")
    hands.ready()
    count = int(hands.canvas.get_attribute("aria-label").split("Data: ")[1].split()[0])
    assert 8 <= count <= 14 and hands.picture() != drawing
    hands.root.locator(".brushes label.b").click()
    page.mouse.click(*hands.place(0.8, 0.8))
    hands.wait_for_words(f"{count + 1} points of your own")
    hands.root.get_by_role("button", name="Undo").click()
    hands.wait_for_words(f"{count} points of your own")
    hands.ready()


def test_points_are_set_by_key(hands):
    page = hands.page
    hands.root.get_by_role("button", name="Clear").click()
    hands.said.filter(has_text="There are no points of your own yet").wait_for()
    assert hands.root.locator(".hint").is_visible() and "wrong" in hands.said.get_attribute("class")
    cells = page.evaluate(CELLS)
    hands.canvas.focus()
    for key in ("ArrowUp", "ArrowLeft", "b", "Enter"):
        page.keyboard.press(key)
    hands.wait_for_words("Data: 1 point of your own")
    heard = hands.root.locator("> [role=status]").last
    assert heard.inner_text() == "Point B at 1.5, -1.5. 1 point."  # the cross-hair was where the pointer drew last
    hands.note.filter(has_text="; 0% end at class A").wait_for()
    for key in ("a", "Shift+ArrowRight", "Enter"):
        page.keyboard.press(key)
    hands.wait_for_words("Data: 2 points of your own")
    hands.note.filter(has_not_text="; 0% end at class A").wait_for()
    page.keyboard.press("Backspace")
    hands.wait_for_words("Data: 1 point of your own")
    hands.note.filter(has_text="; 0% end at class A").wait_for()
    assert page.evaluate(CELLS) == cells and len(cells) == 1
    hands.ready()
    assert hands.said.inner_text().strip() in ("", "Guidance does nothing without a class: choose one to pull towards.")


def test_a_mistake_is_told_in_a_sentence(hands):
    seed, before = hands.controls.locator("input[type=number]"), hands.note.inner_text()
    seed.fill("-1")
    seed.press("Enter")
    hands.said.filter(has_text="The seed must be a whole number from 0").wait_for()
    assert hands.note.inner_text() == before
    seed.fill("0")
    seed.press("Enter")
    hands.page.locator(".message:not(.wrong)").wait_for(state="attached")


def test_the_colours_follow_the_theme(hands):
    before = hands.picture()
    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        hands.page.evaluate("theme => jupyterapp.commands.execute('apputils:change-theme', { theme })", theme)
        light = str(theme.endswith("Light")).lower()
        hands.page.wait_for_function("light => document.body.dataset.jpThemeLight === light", arg=light)
        hands.page.evaluate(SETTLE)
        assert (hands.picture() == before) == (light == "true")


@pytest.mark.parametrize("width", [700, 420])
def test_nothing_is_cut_off(hands, width):
    output = hands.page.locator(".jp-OutputArea-output").last
    output.evaluate("(node, width) => { node.style.width = `${width}px`; node.style.flex = 'none'; }", width)
    hands.page.evaluate(SETTLE)
    assert output.evaluate(OUTSIDE) == []
    box = hands.canvas.bounding_box()
    assert abs(box["width"] - box["height"]) < 1 and 300 < box["width"] <= width
    output.evaluate("node => node.removeAttribute('style')")


def test_where_there_is_no_kernel_it_scrubs_and_does_not_draw(hands):
    page = hands.page
    page.evaluate("() => { document.documentElement.dataset.kernel = 'none'; }")
    page.evaluate("() => { jupyterapp.commands.execute('notebook:run-all-cells'); }")
    hands.root.locator("canvas:not([tabindex])[aria-label]").wait_for()
    page.evaluate("() => { delete document.documentElement.dataset.kernel; }")
    assert not hands.root.get_by_role("button", name="Undo").is_visible()
    before = hands.picture()
    page.mouse.click(*hands.place(0.3, 0.3))
    page.evaluate(SETTLE)
    assert hands.picture() == before
    hands.slider.focus()
    page.keyboard.press("End")
    assert hands.picture() != before


def test_a_closed_lab_leaves_nothing_that_works_on(hands, opened):
    page, _ = opened
    hands.slider.focus()
    page.keyboard.press("Home")
    hands.root.locator("button.play").click()
    page.evaluate("() => { jupyterapp.commands.execute('notebook:clear-all-cell-outputs'); }")
    hands.root.wait_for(state="detached")
    page.evaluate("() => document.body.setAttribute('data-jp-theme-name', 'another')")
    page.evaluate(SETTLE)
