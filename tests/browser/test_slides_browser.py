"""The slides of every chapter in a real browser, from a file, with the network off: all fits, and keys move on."""

import pytest
from real_lab import offline_page

from course_lib import notebooks
from course_lib.__main__ import main

LOCAL = ("file:", "data:")
OVERFULL = """() => [...document.querySelectorAll("section")].filter((slide) => {
  const edge = slide.getBoundingClientRect(), foot = slide.querySelector(".foot").getBoundingClientRect();
  const content = slide.querySelector(".content");
  return content.scrollHeight > content.clientHeight + 1 || content.scrollWidth > content.clientWidth + 1 ||
    [...content.querySelectorAll("*")].map((part) => part.getBoundingClientRect()).some((box) =>
      box.right > edge.right + 1 || box.bottom > foot.top + 1 || box.top < edge.top - 1 || box.left < edge.left - 1);
}).map((slide) => slide.id)"""
SMALL = """() => [...document.querySelectorAll(".content")].filter(
  (content) => parseFloat(getComputedStyle(content).fontSize) < 24).map((content) => content.parentNode.id)"""
SHOWN = """() => [...document.querySelectorAll("section")].filter(
  (slide) => getComputedStyle(slide).visibility === "visible").map((slide) => slide.id)"""


@pytest.fixture(scope="module")
def slides(tmp_path_factory):
    out = tmp_path_factory.mktemp("slides") / "slides"
    main(["slides", "--out", str(out)])
    return out


@pytest.fixture
def page(chrome):
    """A page of 1280 by 720; at the end nothing was asked of the network and nothing was complained of."""
    with offline_page(chrome, 1280, 720, LOCAL) as page:
        yield page


@pytest.mark.parametrize("path", sorted(notebooks.FOLDER.glob("*.ipynb")), ids=lambda path: path.stem)
def test_no_slide_is_overfull(page, slides, path):
    page.goto((slides / f"{path.stem}.html").as_uri())
    assert page.evaluate(OVERFULL) == []
    assert page.evaluate(SMALL) == [], "these have too many words to be read at the back of a room"
    number = page.locator("section").count()
    assert page.evaluate(SHOWN) == ["slide-1"]
    for place in range(2, number + 1):
        page.keyboard.press("ArrowRight")
    assert page.evaluate(SHOWN) == [f"slide-{number}"]


def test_keys_clicks_and_the_address_move(page, slides):
    page.goto((slides / "03_generate.html").as_uri())
    last = page.locator("section").count()
    for key, place in [("ArrowRight", 2), ("PageDown", 3), ("Space", 4), ("ArrowDown", 5), ("ArrowLeft", 4),
                       ("PageUp", 3), ("ArrowUp", 2), ("Shift+Space", 1), ("ArrowLeft", 1), ("End", last),
                       ("ArrowRight", last), ("Home", 1)]:
        page.keyboard.press(key)
        assert page.evaluate(SHOWN) == [f"slide-{place}"], key
        assert page.url.endswith(f"#{place}")
    page.mouse.click(900, 400)
    assert page.evaluate(SHOWN) == ["slide-2"]
    page.mouse.click(100, 400)
    assert page.evaluate(SHOWN) == ["slide-1"]
    page.goto((slides / "03_generate.html").as_uri() + "#7")
    page.reload()
    assert page.evaluate(SHOWN) == ["slide-7"]


@pytest.mark.parametrize("width, height", [(1920, 1080), (1024, 768), (800, 450)])
def test_it_fits_other_screens(page, slides, width, height):
    page.set_viewport_size({"width": width, "height": height})
    page.goto((slides / "03_generate.html").as_uri())
    assert page.evaluate(OVERFULL) == []


def test_print_has_a_slide_a_page_and_dark_is_dark(page, slides):
    page.goto((slides / "03_generate.html").as_uri())
    number = page.locator("section").count()
    assert page.pdf(prefer_css_page_size=True).count(b"/Type /Page\n") == number
    page.emulate_media(color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 23, 27)"
