"""The scrubber and the noise lab in a real JupyterLab: what a learner's hands do, seen in pixels."""

import base64
import io
import os
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbconvert import HTMLExporter
from PIL import Image

from course_lib.notebooks import tidy

LAST = 50
# Frame i of view v is one flat colour, so that a single pixel tells which frame of which view is shown.
SCRUBBER_CELL = """\
import numpy as np
from course_lib.labs import Scrubber

def frames(view):
    colours = np.array([[5 * i, 255 - 5 * i, 100 * view] for i in range(51)], dtype=np.uint8)
    return np.broadcast_to(colours[:, None, None], (51, 32, 32, 3)).copy()

names = ["noisy picture", "guess at the clean picture", "predicted noise"]
Scrubber({name: frames(view) for view, name in enumerate(names)},
         [f"step {i} of 50 · noise level {1 - i / 50:.2f}" for i in range(51)],
         alt="A test picture.", start=20, title="A trajectory")
"""
NOISE_CELL = """\
from course_lib import labs
lab = labs.noise()
lab
"""
PIXEL = "canvas => [...canvas.getContext('2d').getImageData(9, 9, 1, 1).data].slice(0, 3)"
WHOLE = "canvas => [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data].join()"
SETTLE = "() => new Promise(done => setTimeout(done, 300))"  # three frames of playing, to see that none comes
CELLS = "() => jupyterapp.shell.currentWidget.content.model.sharedModel.cells.map(cell => cell.source)"
ACTIVE = "() => jupyterapp.shell.currentWidget.content.activeCellIndex"


def colour(frame: int, view: int = 0) -> list[int]:
    return [5 * frame, 255 - 5 * frame, 100 * view]


class Hands:
    """One scrubber on the page, and what can be done with it."""

    def __init__(self, page, root):
        self.page, self.root = page, root
        self.canvas = root.locator("canvas")
        self.slider = root.locator("input[type=range]")
        self.button = root.locator("button.play")

    def shows(self, frame: int, view: int = 0) -> None:
        """The canvas, the slider and the words all tell this frame."""
        assert self.canvas.evaluate(PIXEL) == colour(frame, view)
        assert self.slider.input_value() == str(frame)
        assert self.slider.get_attribute("aria-valuetext") == self.root.locator(".caption").inner_text()
        assert self.slider.get_attribute("aria-valuetext").startswith(f"step {frame} of 50")
        assert f"step {frame} of 50" in self.canvas.get_attribute("aria-label")

    def frame(self) -> int:
        return int(self.slider.input_value())

    def wait_for(self, condition: str) -> None:
        """Wait for a condition on `frame`, the slider's value."""
        check = f"slider => {{ const frame = Number(slider.value); return {condition}; }}"
        self.page.wait_for_function(check, arg=self.slider.element_handle())


@pytest.fixture(scope="module")
def opened(chrome, lab):
    """The page with both labs run, the notebook's path, and all that the page sent to the kernel."""
    with lab.notebook(chrome, "scrub.ipynb", (SCRUBBER_CELL, NOISE_CELL), 1500) as (page, sent):
        page.locator(".scrubber canvas[aria-label]").nth(1).wait_for()
        page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for()
        yield page, lab.folder / "scrub.ipynb", sent


@pytest.fixture
def scrubber(opened):
    """The first scrubber, as a newly opened one stands: the first view, frame 20, the slider in focus."""
    page = opened[0]
    hands = Hands(page, page.locator(".scrubber").first)
    page.emulate_media(reduced_motion="no-preference")
    hands.slider.focus()
    page.keyboard.press("1")
    hands.slider.fill("20")
    hands.shows(20)
    return hands


def test_keys_move_through_the_frames(scrubber):
    for key, frame in (("ArrowRight", 21), ("ArrowUp", 22), ("ArrowLeft", 21), ("ArrowDown", 20),
                       ("PageUp", 25), ("PageDown", 20), ("End", LAST), ("ArrowRight", LAST), ("Home", 0),
                       ("ArrowLeft", 0)):
        scrubber.page.keyboard.press(key)
        scrubber.shows(frame)


def test_dragging_the_slider_moves_through_the_frames(scrubber):
    box = scrubber.slider.bounding_box()
    y = box["y"] + box["height"] / 2
    mouse = scrubber.page.mouse
    mouse.move(box["x"] + box["width"] * 0.4, y)
    mouse.down()
    for share in (0.6, 0.75, 0.25):
        mouse.move(box["x"] + box["width"] * share, y, steps=4)
        assert abs(scrubber.frame() - LAST * share) <= 2
        scrubber.shows(scrubber.frame())
    mouse.up()
    mouse.move(box["x"], y)
    assert abs(scrubber.frame() - LAST * 0.25) <= 2  # once let go, the mouse scrubs no more


def test_the_view_is_chosen_by_click_and_by_key(scrubber):
    labels = scrubber.root.locator(".views label")
    for view, name in enumerate(("noisy picture", "guess at the clean picture", "predicted noise")):
        labels.nth(view).click()
        scrubber.shows(20, view)
        assert name in scrubber.canvas.get_attribute("aria-label") and labels.nth(view).inner_text() == name
    scrubber.slider.focus()
    for view in (1, 2, 0):
        scrubber.page.keyboard.press(str(view + 1))
        scrubber.shows(20, view)
        assert labels.nth(view).locator("input").is_checked()


def test_play_runs_to_the_end_and_pause_stops_it(scrubber):
    scrubber.page.keyboard.press("Home")
    scrubber.page.keyboard.press("Space")
    scrubber.wait_for("frame >= 3")
    assert scrubber.button.get_attribute("aria-label") == "Pause"
    scrubber.button.click()
    assert scrubber.button.get_attribute("aria-label") == "Play"
    stopped = scrubber.frame()
    scrubber.page.evaluate(SETTLE)
    assert 3 <= stopped < LAST
    scrubber.shows(stopped)
    scrubber.slider.fill("46")
    scrubber.button.click()
    scrubber.wait_for(f"frame === {LAST}")
    scrubber.root.locator("button.play[aria-label=Play]").wait_for()
    scrubber.shows(LAST)
    scrubber.button.click()  # from the end it starts over
    scrubber.wait_for("frame < 40")
    scrubber.page.keyboard.press("End")  # any move of one's own stops it
    assert scrubber.button.get_attribute("aria-label") == "Play"


def test_with_reduced_motion_nothing_moves_by_itself(scrubber):
    scrubber.page.keyboard.press("Space")
    scrubber.wait_for("frame >= 22")
    scrubber.page.emulate_media(reduced_motion="reduce")
    scrubber.root.locator("button.play[aria-label='Next frame']").wait_for()
    stopped = scrubber.frame()
    scrubber.page.evaluate(SETTLE)
    scrubber.shows(stopped)
    scrubber.button.click()
    scrubber.page.evaluate(SETTLE)
    scrubber.shows(stopped + 1)
    scrubber.slider.focus()
    scrubber.page.keyboard.press("Space")
    scrubber.shows(stopped + 2)


def test_what_is_seen_is_told_once_it_rests(scrubber):
    status = scrubber.root.locator("[role=status]")
    scrubber.page.keyboard.press("2")
    status.filter(has_text="guess at the clean picture: step 20").wait_for(state="attached")
    told = status.inner_text()
    scrubber.page.keyboard.press("ArrowRight")  # the slider tells this itself
    scrubber.page.evaluate(SETTLE)
    assert status.inner_text() == told


def test_keys_leave_the_notebook_alone_and_the_kernel_hears_nothing(scrubber, opened):
    page, _, sent = opened
    cells, active, before = page.evaluate(CELLS), page.evaluate(ACTIVE), len(sent)
    for target in (scrubber.slider, scrubber.button, scrubber.root.locator(".views input").first):
        target.focus()
        for key in ("ArrowDown", "ArrowRight", "PageUp", "End", "Space", "Home", *"abddxm", "Space", "2"):
            page.keyboard.press(key)
    scrubber.slider.fill("33")
    page.evaluate(SETTLE)
    assert page.evaluate(CELLS) == cells and len(cells) == 2
    assert page.evaluate(ACTIVE) == active
    assert sent[before:] == []
    scrubber.shows(33, 1)


def test_it_fits_half_a_page(scrubber):
    output = scrubber.root.locator("xpath=ancestor::div[contains(@class, 'jp-OutputArea-output')][1]")
    output.evaluate("node => { node.style.width = '400px'; node.style.flex = 'none'; }")
    inside = scrubber.root.evaluate("""root => {
        const bounds = root.getBoundingClientRect();
        const parts = [...root.querySelectorAll('.title, .views label, canvas, .player *')]
            .filter(part => part.getClientRects().length);
        return bounds.width <= 400 && parts.length > 6 && parts.every(part => {
            const box = part.getBoundingClientRect();
            return box.left >= bounds.left && box.right <= bounds.right;
        });
    }""")
    take_picture(scrubber.root, "half-width")
    output.evaluate("node => node.removeAttribute('style')")
    assert inside


CONTRAST = """root => {
    const rgb = text => {
        const numbers = text.match(/[\\d.]+/g).map(Number);
        return text.startsWith('color(') ? numbers.map((c, i) => i < 3 ? 255 * c : c) : numbers;
    };
    const light = ([r, g, b]) => [r, g, b]
        .map(c => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const behind = node => {
        for (; node; node = node.parentElement) {
            const colour = rgb(getComputedStyle(node).backgroundColor);
            if (colour.length < 4 || colour[3] === 1) return colour;
        }
        return [255, 255, 255];
    };
    const words = [...root.querySelectorAll('.title, .views span, .caption, .smoothing, .curve-name')];
    return words.filter(node => node.offsetParent).map(node => {
        const back = behind(node);
        const [r, g, b, a = 1] = rgb(getComputedStyle(node).color);
        const ink = [r, g, b].map((c, i) => c * a + back[i] * (1 - a));
        const [high, low] = [light(ink), light(back)].sort((p, q) => q - p);
        return [node.textContent, (high + 0.05) / (low + 0.05)];
    });
}"""


def take_picture(locator, name: str) -> None:
    """Keep a screenshot, for people to look at, where the variable SCREENSHOTS says."""
    if "SCREENSHOTS" in os.environ:
        folder = Path(os.environ["SCREENSHOTS"])
        folder.mkdir(parents=True, exist_ok=True)
        locator.screenshot(path=folder / f"{name}.png")


@pytest.mark.parametrize("theme", ["JupyterLab Dark", "JupyterLab Light"])
def test_words_are_readable_in_both_themes(scrubber, theme):
    page = scrubber.page
    page.evaluate("theme => { jupyterapp.commands.execute('apputils:change-theme', { theme }); }", theme)
    page.locator(f"body[data-jp-theme-name='{theme}']").wait_for(state="attached")
    for i, name in enumerate(("scrubber", "noise")):
        root = page.locator(".scrubber").nth(i)
        ratios = root.evaluate(CONTRAST)
        assert len(ratios) >= 5 and all(ratio >= 4.5 for _, ratio in ratios), ratios
        take_picture(root, f"{name}-{theme.split()[1].lower()}")
    take_picture(page.locator(".jp-Notebook"), f"page-{theme.split()[1].lower()}")


def test_the_noise_lab_changes_in_place(opened, tmp_path):
    page = opened[0]
    hands = Hands(page, page.locator(".scrubber").nth(1))
    hands.slider.fill("30")
    page.keyboard.press("1")
    cosine, marker = hands.canvas.evaluate(WHOLE), hands.root.locator("circle.marker")
    height = marker.get_attribute("cy")

    def wait_for_change(old: str) -> str:
        canvas = hands.canvas.element_handle()
        page.wait_for_function(f"([canvas, old]) => ({WHOLE})(canvas) !== old", arg=[canvas, old])
        return hands.canvas.evaluate(WHOLE)

    page.locator(".jp-OutputArea select").select_option("linear")
    linear = wait_for_change(cosine)
    assert hands.frame() == 30 and page.locator(".scrubber").count() == 2
    assert marker.get_attribute("cy") != height and marker.get_attribute("cx") == "60%"

    upload, words = page.locator(".upload input[type=file]"), page.locator(".upload [role=status]")
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(b"\x89PNG\r\n\x1a\nno picture")
    upload.set_input_files(damaged)
    words.filter(has_text="damaged.png is not a picture").wait_for()
    assert hands.canvas.evaluate(WHOLE) == linear

    # A photograph larger than the 10 MB that Jupyter's websocket carries, lying on its side as its EXIF says.
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (2500, 3300, 3), dtype=np.uint8))
    photo.paste((255, 0, 0), (0, 0, 1650, 2500))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter to the right: the red left half comes to stand on top
    photo.save(tmp_path / "photo.jpg", quality=98, subsampling=0, exif=exif)
    assert (tmp_path / "photo.jpg").stat().st_size > 10_000_000
    upload.set_input_files(tmp_path / "photo.jpg")
    words.filter(has_text="This is photo.jpg.").wait_for()
    wait_for_change(linear)
    hands.slider.focus()
    page.keyboard.press("Home")
    assert np.allclose(hands.canvas.evaluate(PIXEL), [255, 0, 0], atol=12)  # JPEG twice over


def test_without_widgets_the_strip_is_shown(opened):
    page, path, _ = opened
    page.evaluate("() => { jupyterapp.commands.execute('docmanager:save'); }")
    page.wait_for_function("() => !jupyterapp.shell.currentWidget.context.model.dirty")
    notebook = nbformat.read(path, as_version=4)
    tidy(notebook)  # as in the notebooks that are committed
    for cell in notebook["cells"]:
        data = cell["outputs"][0]["data"]
        strip = Image.open(io.BytesIO(base64.b64decode("".join(data["image/png"]))))
        assert strip.format == "PNG" and strip.width > 2 * strip.height
        assert "application/vnd.jupyter.widget-view+json" in data
        assert "Film strip" in "".join(data["text/plain"])
    html, _ = HTMLExporter().from_notebook_node(notebook)
    pictures = re.findall(r"<img[^>]*>", html)
    assert len(pictures) == len(notebook["cells"])
    assert all("Film strip" in picture and 'src="data:image/' in picture for picture in pictures)
