"""The latent lab in a real JupyterLab: strokes by mouse and by key, what is decoded from them, and the way back."""

import time

import numpy as np
import pytest
import torch
from PIL import Image
from test_scrubber_browser import CONTRAST, SETTLE, take_picture

from course_lib.labs.brush import in_colours, stroke
from course_lib.labs.latent import UNTOUCHED, compute, open_latents
from course_lib.models import vae_from, weights_for
from course_lib.pages import held_out
from course_lib.pictures import open_picture, to_tensor

CELL = """\
import torch
from course_lib import labs
from course_lib.models import vae_from, weights_for
from course_lib.pages import held_out

lab = labs.latent(vae_from(*weights_for("vae"), torch.device("cpu")),
                  held_out(1)["pictures"][0].float() / 127.5 - 1, channel=0, place=(6, 9))
lab
"""
PIXELS = """canvas => [...canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data]
    .filter((_, i) => i % 4 < 3)"""
CELLS = "() => jupyterapp.shell.currentWidget.content.model.sharedModel.cells.length"
OUTSIDE = """root => {
    const [edge, parts] = [root.getBoundingClientRect().right + 1, root.querySelectorAll("canvas, label, button, input, span")];
    return [...parts].filter(part => part.getClientRects().length && part.getBoundingClientRect().right > edge)
        .map(part => part.className || part.tagName);
}"""
BIG = 4096  # bytes of all latents: a message with a painting is larger


class Hands:
    """The brush on the page, and the same latents in this process; `wanted` is what should be painted now."""

    def __init__(self, page, root, opened):
        self.page, self.root, self.vae, self.opened = page, root, opened.vae, opened.latents
        self.surface, self.status = root.locator(".surface"), root.locator("[role=status]")
        self.large, self.decoded = self.surface.locator("canvas"), root.locator(".stage canvas")
        self.sliders, self.maps = root.locator("input[type=range]"), root.locator(".channels canvas")
        self.undo, self.reset = (root.get_by_role("button", name=name, exact=True) for name in ("Undo", "Reset"))
        self.wanted = torch.zeros_like(self.opened.z)

    def brush(self, strength: float, size: int) -> None:
        self.sliders.nth(0).fill(str(strength))
        self.sliders.nth(1).fill(str(size))

    def at(self, row: float, column: float) -> tuple[float, float]:
        """The middle of a place on the page."""
        box = self.surface.bounding_box()
        return box["x"] + (column + 0.5) * box["width"] / 16, box["y"] + (row + 0.5) * box["height"] / 16

    def drag(self, path, seconds: float = 0) -> None:
        """A stroke by mouse: one event a place of the path, and nothing between two."""
        self.page.mouse.move(*self.at(*path[0]))
        self.page.mouse.down()
        for place in path[1:]:
            self.page.mouse.move(*self.at(*place))
            time.sleep(seconds / len(path))
        self.page.mouse.up()

    def pixels(self, canvas) -> np.ndarray:
        side = round((len(values := canvas.evaluate(PIXELS)) / 3) ** 0.5)
        return np.array(values).reshape(side, side, 3)

    def shows_latents(self, channel: int) -> None:
        z = (self.opened.z + self.wanted).numpy()
        assert np.abs(self.pixels(self.large) - in_colours(z[channel])).max() <= 1
        for i in range(4):
            assert np.abs(self.pixels(self.maps.nth(i)) - in_colours(z[i])).max() <= 1
        assert self.root.locator(".channels input").nth(channel).is_checked()
        assert f"Latent channel {channel}," in self.surface.get_attribute("aria-label")

    def waits_for_picture(self, view: str = "picture") -> None:
        """Until it is decoded. The words are looked at first: they come with the picture, and tell it from others."""
        shown = compute(self.vae, self.opened, self.wanted)
        words = self.root.locator(".words")
        deadline, wanted = time.monotonic() + 20, shown[view].astype(int)
        while words.inner_text() != shown["words"]:
            assert time.monotonic() < deadline, f"{words.inner_text()!r} is not {shown['words']!r}"
            time.sleep(0.05)
        while np.abs(self.pixels(self.decoded) - wanted).max() > 2:
            assert time.monotonic() < deadline, "the picture is another one"
            time.sleep(0.05)


class Opened:
    """The same weights and the same page as in the cell."""

    def __init__(self):
        self.vae = vae_from(*weights_for("vae"), torch.device("cpu"))
        self.latents = open_latents(self.vae, held_out(1)["pictures"][0].float() / 127.5 - 1)


@pytest.fixture(scope="module")
def opened(chrome, lab):
    """The page with the lab run, what it sent, and the latents."""
    with lab.notebook(chrome, "brush.ipynb", [CELL], 1500) as (page, sent):
        page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for()
        page.locator(".brush .surface").wait_for()
        yield page, sent, Opened()


@pytest.fixture
def hands(opened):
    """The lab as a newly opened one stands, but for what can be undone."""
    page, _, latents = opened
    hands = Hands(page, page.locator(".jp-Notebook .brush"), latents)
    hands.surface.focus()
    page.keyboard.press("1")
    hands.root.get_by_label("picture", exact=True).check()
    if hands.reset.get_attribute("aria-disabled") == "false":
        hands.reset.click()
    hands.brush(3, 1)
    hands.shows_latents(0)
    hands.waits_for_picture()
    return hands


def test_a_stroke_by_mouse_is_seen_at_once_and_then_decoded(hands):
    path = [(2, 2), (4, 12), (9, 6)]
    hands.brush(-3, 2)
    hands.drag(path)
    hands.wanted = stroke((4, 16, 16), 0, path, -3, 2)
    hands.shows_latents(0)  # without waiting
    hands.waits_for_picture()
    for view in ("what changed", "original", "picture"):
        hands.root.get_by_label(view, exact=True).check()
        if view == "what changed":
            changed = compute(hands.vae, hands.opened, hands.wanted)["changed"].astype(int)
            assert np.abs(hands.pixels(hands.decoded) - changed).max() <= 3
        assert view.split()[0] in hands.decoded.get_attribute("aria-label").lower()
    hands.drag([(5, 5), (5, 30), (20, 30)])  # out over the edge
    hands.wanted[0, 5:7, 5:] -= 3
    hands.shows_latents(0)
    hands.page.mouse.move(*hands.at(10, 10))  # once let go, the mouse paints no more
    hands.shows_latents(0)
    take_picture(hands.root, "brush")


def test_while_it_paints_it_sends_now_and_then(hands, opened):
    sent = opened[1]
    before, begun = len(sent), time.monotonic()
    path = [(row, column) for row in (3, 4, 5) for column in (range(16) if row % 2 else range(15, -1, -1))]
    hands.drag(path, seconds=0.6)
    lasted = time.monotonic() - begun
    hands.wanted = stroke((4, 16, 16), 0, path, 3)
    hands.waits_for_picture()
    paintings = [frame for frame in sent[before:] if len(frame) > BIG]
    assert 3 <= len(paintings) <= lasted / 0.06 + 3 and all(len(frame) < 2 * BIG for frame in paintings)


def test_painting_by_keyboard(hands):
    cells = hands.page.evaluate(CELLS)
    hands.page.mouse.move(*hands.at(6, 9))
    hands.surface.focus()
    for key in ("ArrowRight", "ArrowDown", "Space", "ArrowLeft", "ArrowUp", "ArrowUp", "Enter"):
        hands.page.keyboard.press(key)
    hands.wanted[0, 7, 10] += 3
    hands.wanted[0, 5, 9] += 3
    hands.shows_latents(0)
    hands.status.filter(has_text="Painted, row 5, column 9").wait_for(state="attached")
    hands.waits_for_picture()
    for channel in (2, 0, 3):
        hands.page.keyboard.press(str(channel + 1))
        hands.shows_latents(channel)
    hands.page.keyboard.press("Space")
    hands.wanted[3, 5, 9] += 3
    hands.shows_latents(3)
    for key in [*"abdm", *["ArrowUp"] * 20, *["ArrowLeft"] * 20, "Space"]:
        hands.page.keyboard.press(key)
    hands.wanted[3, 0, 0] += 3
    hands.shows_latents(3)
    hands.waits_for_picture()
    assert hands.page.evaluate(CELLS) == cells == 1  # the keys meant nothing to the notebook


def test_undo_gives_back_the_very_same(hands):
    hands.page.mouse.move(*hands.at(2, 2))
    hands.surface.focus()
    for _ in range(3):
        hands.page.keyboard.press("Space")
    hands.wanted[0, 2, 2] = 8  # no more than that
    hands.shows_latents(0)
    hands.waits_for_picture()
    hands.page.keyboard.press("Backspace")
    hands.wanted[0, 2, 2] = 6
    hands.shows_latents(0)
    hands.waits_for_picture()
    hands.reset.click()
    hands.wanted[0, 2, 2] = 0
    hands.waits_for_picture()
    assert hands.reset.get_attribute("aria-disabled") == "true"
    for number in (6, 3, 0):  # the reset can be taken back, too; what the kernel drew in between has lost nothing
        hands.undo.click()
        hands.wanted[0, 2, 2] = number
        hands.shows_latents(0)
        hands.waits_for_picture()
    hands.sliders.nth(0).fill("0")
    hands.drag([(1, 1), (8, 8)])
    hands.shows_latents(0)  # a stroke of strength 0 changes nothing
    assert hands.root.locator(".words").inner_text() == UNTOUCHED


def test_another_view_of_the_lab_shows_the_same_painting(hands):
    page = hands.page
    hands.drag([(2, 2), (2, 9)])
    hands.wanted = stroke((4, 16, 16), 0, [(2, 2), (2, 9)], 3)
    hands.waits_for_picture()
    page.evaluate("() => jupyterapp.commands.execute('notebook:create-output-view')")
    other = Hands(page, page.locator(".jp-LinkedOutputView .brush"), Opened())
    other.wanted = hands.wanted
    other.surface.wait_for()
    other.shows_latents(0)
    other.waits_for_picture()
    other.undo.click()
    hands.wanted = other.wanted = torch.zeros_like(hands.wanted)
    for each in (hands, other):
        each.shows_latents(0)
        each.waits_for_picture()
    close_views(page)


def close_views(page) -> None:
    page.evaluate("""() => [...jupyterapp.shell.widgets('main')].forEach(widget => {
        if (widget.node.querySelector('.jp-LinkedOutputView')) widget.dispose();
    })""")
    page.locator(".jp-LinkedOutputView").wait_for(state="detached")


def test_on_a_page_without_a_kernel_it_can_be_looked_at(hands):
    page = hands.page
    page.evaluate("() => { document.documentElement.dataset.kernel = 'none'; }")
    page.evaluate("() => jupyterapp.commands.execute('notebook:create-output-view')")
    other = Hands(page, page.locator(".jp-LinkedOutputView .brush"), Opened())
    other.root.get_by_text("To paint, open the chapter in JupyterLab").wait_for()
    other.drag([(2, 2), (2, 9)])
    other.root.get_by_label("channel 2").check()
    other.shows_latents(2)  # nothing was painted
    other.waits_for_picture()
    assert other.surface.get_attribute("tabindex") is None and other.surface.get_attribute("role") == "img"
    page.evaluate("() => { delete document.documentElement.dataset.kernel; }")
    close_views(page)


def test_a_picture_of_ones_own(hands, tmp_path):
    page = hands.page
    hands.drag([(2, 2), (2, 9)])
    ramp = np.linspace(0, 255, 256).astype(np.uint8)
    own = np.stack(np.broadcast_arrays(ramp[None], ramp[:, None], np.uint8(80)), axis=-1)
    Image.fromarray(own).save(tmp_path / "own.png")
    page.locator(".upload input[type=file]").set_input_files(tmp_path / "own.png")
    page.locator(".upload [role=status]").filter(has_text="This is own.png.").wait_for()
    before, hands.opened = hands.opened, open_latents(
        hands.vae, to_tensor(open_picture(tmp_path / "own.png", 64)[None])[0])
    hands.wanted = torch.zeros_like(hands.wanted)
    hands.waits_for_picture()
    hands.shows_latents(0)
    assert hands.root.locator(".note").inner_text() == hands.opened.note != before.note
    assert hands.undo.get_attribute("aria-disabled") == "true"  # those were strokes on another picture
    hands.drag([(8, 2), (8, 4)])
    hands.wanted = stroke((4, 16, 16), 0, [(8, 2), (8, 4)], 3)
    hands.shows_latents(0)
    hands.waits_for_picture()
    (tmp_path / "broken.png").write_bytes(b"no picture")
    page.locator(".upload input[type=file]").set_input_files(tmp_path / "broken.png")
    page.locator(".upload [role=status]").filter(has_text="broken.png is not a picture").wait_for()
    hands.shows_latents(0)
    page.evaluate("() => { jupyterapp.commands.execute('notebook:run-all-cells'); }")  # back to the page
    page.locator(".note").filter(has_text=before.note).wait_for()
    page.locator(".jp-Notebook .brush").wait_for()


def test_the_meter_tells_its_numbers(hands):
    meter = hands.page.locator(".meter")
    meter.get_by_text("Milliseconds here, one guided step").wait_for()
    words = meter.inner_text()
    assert "12,288" in words and "1,024" in words and "12 × less" in words and "the decoder" in words
    widths = [bar.bounding_box()["width"] for bar in meter.locator(".filled").all()]
    assert len(widths) == 10 and all(0 < latents < pixels / 5 for pixels, latents in zip(widths[::2], widths[1::2]))


@pytest.mark.parametrize("theme", ["JupyterLab Dark", "JupyterLab Light"])
def test_words_are_readable_in_both_themes(hands, theme):
    page = hands.page
    page.evaluate("theme => { jupyterapp.commands.execute('apputils:change-theme', { theme }); }", theme)
    page.locator(f"body[data-jp-theme-name='{theme}']").wait_for(state="attached")
    marked = CONTRAST.replace(
        "'.title, .views span, .caption, .smoothing, .curve-name'",
        "'.title, .head, .views span, .words, .legend, .hint, .note, .field label, output, .number, b'")
    assert ".hint" in marked
    for root in (hands.root, page.locator(".meter")):
        ratios = root.evaluate(marked)
        assert len(ratios) >= 5 and all(ratio >= 4.5 for _, ratio in ratios), ratios


@pytest.mark.parametrize("width", [700, 380, 300])
def test_it_fits_where_it_stands(hands, width):
    output = hands.root.locator("xpath=ancestor::div[contains(@class, 'jp-OutputArea-output')][1]")
    output.evaluate("(node, width) => { node.style.width = `${width}px`; node.style.flex = 'none'; }", width)
    hands.page.evaluate(SETTLE)
    for root in (hands.root, hands.page.locator(".meter")):
        assert root.bounding_box()["width"] <= width and root.evaluate(OUTSIDE) == []
    surface, stage = hands.surface.bounding_box(), hands.root.locator(".stage").bounding_box()
    assert (stage["y"] > surface["y"] + surface["height"]) == (width < 640)
    hands.drag([(1, 1), (14, 14)])
    hands.wanted = stroke((4, 16, 16), 0, [(1, 1), (14, 14)], 3)
    hands.shows_latents(0)
    output.evaluate("node => node.removeAttribute('style')")
