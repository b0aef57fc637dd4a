"""The easel in a real JupyterLab: a sketch and a mask drawn by mouse and by key, and what the model makes of them."""

import hashlib

import numpy as np
import pytest
from PIL import Image
from test_brush_browser import CELLS as COUNT
from test_brush_browser import OUTSIDE, close_views
from test_live_labs import RUN_CELL, Card
from test_scrubber_browser import CONTRAST, SETTLE, take_picture

from course_lib.labs.brush import places_between
from course_lib.labs.easel import MARKER, PAINT_BOX, SIDE

CELLS = ("""\
from course_lib import labs
sketch = labs.vary("PICTURE", strength=0.5)
sketch
""", """\
mask = labs.inpaint(seed=4)  # one that paints something else there: others put back nearly what was there before
mask
""", """\
import hashlib
[hashlib.sha256(lab.easel.painting.tobytes()).hexdigest()[:12] for lab in (sketch, mask)]
""")
PIXELS = "canvas => [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data]"


def drawn(ink: np.ndarray, path: list[tuple[int, int]], colour: int, size: int) -> np.ndarray:
    """The ink after a stroke through these places, by a plain rule: whoever is within half the size, is covered."""
    ink, rows, columns = ink.copy(), *np.ogrid[:SIDE, :SIDE]
    off = 0 if size % 2 else 0.5  # a brush of an even size stands between places
    for begin, end in zip(path, path[1:] or path):
        for row, column in places_between(begin, end):
            ink[(rows - row - off) ** 2 + (columns - column - off) ** 2 <= size**2 / 4] = colour
    return ink


class Hands(Card):
    """One lab on the page, and the ink that should be on its easel."""

    def __init__(self, page, number: int):
        super().__init__(page, number)
        self.number, self.easel = number, self.root.locator(".easel")
        self.surface, self.over = self.easel.locator(".surface"), self.easel.locator("canvas.over")
        self.size = self.easel.get_by_label("Size of the brush")
        self.undo, self.clear, self.invert = (self.easel.get_by_role("button", name=name, exact=True)
                                              for name in ("Undo", "Clear", "Invert"))
        self.ink = np.zeros((SIDE, SIDE), np.uint8)

    def choose(self, name: str) -> None:
        self.easel.get_by_label(name, exact=True).check()

    def at(self, row: int, column: int) -> tuple[float, float]:
        box = self.surface.bounding_box()
        return box["x"] + (column + 0.5) * box["width"] / SIDE, box["y"] + (row + 0.5) * box["height"] / SIDE

    def drag(self, *path) -> None:
        self.page.mouse.move(*self.at(*path[0]))
        self.page.mouse.down()
        for place in path[1:]:
            self.page.mouse.move(*self.at(*place))
        self.page.mouse.up()

    def inked(self) -> np.ndarray:
        return np.array(self.over.evaluate(PIXELS)).reshape(SIDE, SIDE, 4)

    def shows_ink(self) -> None:
        """The easel shows `ink`, and the kernel has it."""
        pixels = self.inked()
        assert np.array_equal(pixels[..., 3] > 0, self.ink > 0)
        if self.number == 0:
            box = np.array(list(PAINT_BOX.values()))
            assert np.array_equal(pixels[self.ink > 0][:, :3], box[self.ink[self.ink > 0].astype(int) - 1])
        self.wait()
        self.page.evaluate(RUN_CELL, 2)
        wanted = hashlib.sha256(self.ink.tobytes()).hexdigest()[:12]
        self.page.locator(".jp-Notebook .jp-Cell").nth(2).locator(".jp-OutputArea-output").last.filter(
            has_text=wanted).wait_for()


@pytest.fixture(scope="module")
def page(chrome, lab, tmp_path_factory):
    grey = tmp_path_factory.mktemp("own") / "grey.png"
    Image.fromarray(np.full((SIDE, SIDE, 3), 128, np.uint8)).save(grey)
    cells = [cell.replace("PICTURE", grey.as_posix()) for cell in CELLS]
    with lab.notebook(chrome, "easel.ipynb", cells, 2600) as (page, _):
        page.locator(".jp-Notebook .easel .surface").nth(1).wait_for()
        page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for()
        yield page


def emptied(page, number: int) -> Hands:
    hands = Hands(page, number)
    if hands.clear.get_attribute("aria-disabled") == "false":
        hands.clear.click()
    hands.wait()
    page.mouse.move(0, 0)
    return hands


@pytest.fixture
def sketch(page):
    hands = emptied(page, 0)
    hands.choose("red")
    hands.size.fill("5")
    return hands


@pytest.fixture
def mask(page):
    hands = emptied(page, 1)
    hands.choose("paint here")
    hands.size.fill("9")
    return hands


def test_a_sketch_by_mouse_is_what_the_model_starts_from(sketch):
    path = [(10, 8), (40, 50), (40, 10)]
    sketch.after(lambda: sketch.drag(*path))
    sketch.ink = drawn(sketch.ink, path, 1, 5)
    sketch.shows_ink()
    sketch.slider.focus()
    sketch.page.keyboard.press("Home")  # the picture that the painting starts from
    red = np.abs(sketch.shown() - PAINT_BOX["red"]).max(axis=2) < 40
    assert (red == (sketch.ink == 1)).mean() > 0.97  # JPEG, perhaps
    sketch.page.keyboard.press("End")
    sketch.choose("night sky")
    sketch.size.fill("12")
    sketch.after(lambda: sketch.drag((2, 2), (2, 90), (-9, 70)))  # out over the edge
    sketch.ink = drawn(sketch.ink, [(2, 2), (2, 90), (-9, 70)], 1 + list(PAINT_BOX).index("night sky"), 12)
    sketch.shows_ink()
    sketch.choose("eraser")
    sketch.after(lambda: sketch.drag((40, 10), (40, 30)))
    sketch.ink = drawn(sketch.ink, [(40, 10), (40, 30)], 0, 12)
    sketch.shows_ink()
    take_picture(sketch.root, "easel")


def test_a_sketch_by_keyboard(sketch):
    page = sketch.page
    cells = page.evaluate(COUNT)
    page.mouse.move(*sketch.at(32, 32))
    page.mouse.move(0, 0)
    sketch.surface.focus()
    for key in ("ArrowUp", "Shift+ArrowRight", "Space"):
        page.keyboard.press(key)
    sketch.ink = drawn(sketch.ink, [(31, 40)], 1, 5)
    sketch.shows_ink()
    sketch.surface.focus()
    for key in ("Enter", *["Shift+ArrowLeft"] * 9, "ArrowDown", "Enter", "ArrowDown", "a", "b", "d"):
        page.keyboard.press(key)
    sketch.ink = drawn(sketch.ink, [(31, 40), (31, 0), (32, 0)], 1, 5)  # the brush was lifted at the end
    sketch.shows_ink()
    assert "row 33, column 0: red" in sketch.surface.get_attribute("aria-label")
    sketch.surface.focus()
    page.keyboard.press("Backspace")
    sketch.ink = drawn(np.zeros_like(sketch.ink), [(31, 40)], 1, 5)
    sketch.shows_ink()
    sketch.surface.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")  # who leaves lifts the brush
    sketch.ink = drawn(sketch.ink, [(33, 0), (33, 1)], 1, 5)
    sketch.shows_ink()
    assert page.evaluate(COUNT) == cells == 3  # the keys meant nothing to the notebook


def test_a_mask_by_mouse_is_where_the_model_paints(mask):
    mask.message.filter(has_text="The mask is empty").wait_for()
    assert "wrong" in mask.message.get_attribute("class")
    original = np.array(mask.easel.locator("canvas").first.evaluate(PIXELS)).reshape(SIDE, SIDE, 4)[..., :3]
    path = [(20, 20), (20, 30), (28, 30)]
    mask.after(lambda: mask.drag(*path))
    mask.ink = drawn(mask.ink, path, 1, 9)
    mask.shows_ink()
    assert mask.message.inner_text() == "" and "every pixel is the picture's own" in mask.root.inner_text()
    assert np.abs(mask.inked()[mask.ink > 0][:, :3] - MARKER["paint here"]).max() <= 2
    mask.slider.focus()
    mask.page.keyboard.press("End")
    painted = np.abs(mask.shown() - original).mean(axis=2)
    assert painted[mask.ink == 0].mean() < 3 < painted[mask.ink > 0].mean()  # JPEG, perhaps
    mask.after(mask.invert.click)
    mask.ink = 1 - mask.ink
    mask.shows_ink()
    painted = np.abs(mask.shown() - original).mean(axis=2)
    assert painted[mask.ink == 0].mean() < 3 < painted[mask.ink > 0].mean()
    mask.choose("keep")
    mask.size.fill("6")
    mask.after(lambda: mask.drag((50, 5), (50, 60)))
    mask.ink = drawn(mask.ink, [(50, 5), (50, 60)], 0, 6)
    mask.shows_ink()
    for before in (1 - drawn(np.zeros_like(mask.ink), path, 1, 9), drawn(np.zeros_like(mask.ink), path, 1, 9)):
        mask.after(mask.undo.click)
        mask.ink = before
        mask.shows_ink()


def test_clear_and_undo_lose_nothing(sketch):
    sketch.after(lambda: sketch.drag((5, 5), (5, 20)))
    sketch.ink = drawn(sketch.ink, [(5, 5), (5, 20)], 1, 5)
    kept = sketch.ink
    sketch.clear.click()
    sketch.ink = np.zeros_like(kept)
    sketch.shows_ink()
    assert sketch.clear.get_attribute("aria-disabled") == "true"
    sketch.undo.click()
    sketch.ink = kept
    sketch.shows_ink()
    sketch.after(lambda: sketch.field("Picture").select_option("a page of the book"))
    sketch.shows_ink()  # another picture under the same strokes
    sketch.after(lambda: sketch.root.get_by_label("Another page, at random").click())
    assert "says: " in sketch.easel.locator(".note").inner_text()
    sketch.after(lambda: sketch.field("Picture").select_option("your own"))


def test_another_view_shows_the_same_and_without_a_kernel_it_can_be_looked_at(sketch):
    page = sketch.page
    sketch.after(lambda: sketch.drag((5, 5), (30, 20)))
    sketch.ink = drawn(sketch.ink, [(5, 5), (30, 20)], 1, 5)
    for still in (False, True):
        page.evaluate("still => { if (still) document.documentElement.dataset.kernel = 'none'; }", still)
        page.evaluate("() => { jupyterapp.shell.currentWidget.content.activeCellIndex = 0; }")
        page.evaluate("() => jupyterapp.commands.execute('notebook:create-output-view')")
        other = page.locator(".jp-LinkedOutputView .easel")
        other.locator(".surface").wait_for()
        pixels = np.array(other.locator("canvas.over").evaluate(PIXELS)).reshape(SIDE, SIDE, 4)
        assert np.array_equal(pixels[..., 3] > 0, sketch.ink > 0)
        assert (other.locator(".surface").get_attribute("tabindex") is None) == still
        assert ("open the chapter in JupyterLab" in other.inner_text()) == still
        page.evaluate("() => { delete document.documentElement.dataset.kernel; }")
        close_views(page)


@pytest.mark.parametrize("theme", ["JupyterLab Dark", "JupyterLab Light"])
def test_words_are_readable_in_both_themes(sketch, mask, theme):
    page = sketch.page
    page.evaluate("theme => { jupyterapp.commands.execute('apputils:change-theme', { theme }); }", theme)
    page.locator(f"body[data-jp-theme-name='{theme}']").wait_for(state="attached")
    marked = CONTRAST.replace("'.title, .views span, .caption, .smoothing, .curve-name'",
                              "'.segments span, .hint, .note, .field label, output, .colours label:last-child span'")
    assert ".hint" in marked
    for hands in (sketch, mask):
        ratios = hands.easel.evaluate(marked)
        assert len(ratios) >= 5 and all(ratio >= 4.5 for _, ratio in ratios), ratios


@pytest.mark.parametrize("width", [900, 600, 380, 300])
def test_it_fits_where_it_stands(sketch, width):
    output = sketch.root.locator("xpath=ancestor::div[contains(@class, 'jp-OutputArea-output')][1]")
    output.evaluate("(node, width) => { node.style.width = `${width}px`; node.style.flex = 'none'; }", width)
    sketch.page.evaluate(SETTLE)
    assert sketch.root.bounding_box()["width"] <= width and sketch.root.evaluate(OUTSIDE) == []
    surface, canvas = sketch.surface.bounding_box(), sketch.canvas.bounding_box()
    assert (canvas["y"] > surface["y"] + surface["height"]) == (width < 700)
    sketch.drag((10, 10), (50, 50))
    sketch.ink = drawn(sketch.ink, [(10, 10), (50, 50)], 1, 5)
    sketch.shows_ink()
    output.evaluate("node => node.removeAttribute('style')")
