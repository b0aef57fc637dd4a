"""An exported site in a real browser with the network off: its pages open as files, and its scrubbers scrub."""

import pytest
from real_lab import offline_page
from small_site import LAST, colour, write_chapters

from course_lib.__main__ import main

PIXEL = "canvas => [...canvas.getContext('2d').getImageData(9, 9, 1, 1).data].slice(0, 3)"
LOCAL = ("file:", "data:", "blob:")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("course")
    main(["site", *map(str, write_chapters(folder)), "--out", str(folder / "site")])
    return folder / "site"


@pytest.fixture
def page(chrome, site):
    """The first page of the site; at the end nothing was asked of the network and nothing was complained of."""
    with offline_page(chrome, 1000, 900, LOCAL) as page:
        page.goto((site / "index.html").as_uri())
        yield page


def test_scrubbing_needs_no_kernel_and_no_network(page):
    page.get_by_role("link", name="01 · First").click()
    page.locator(".scrubber canvas[aria-label]").nth(1).wait_for()
    for number, blue in enumerate((100, 200)):
        scrubber = page.locator(".scrubber").nth(number)
        canvas, slider = scrubber.locator("canvas"), scrubber.locator("input[type=range]")
        assert canvas.evaluate(PIXEL) == colour(20, blue)
        slider.focus()
        for key, frame in (("ArrowRight", 21), ("ArrowLeft", 20), ("End", LAST), ("Home", 0), ("PageUp", 5)):
            page.keyboard.press(key)
            assert canvas.evaluate(PIXEL) == colour(frame, blue)
            assert scrubber.locator(".caption").inner_text() == f"frame {frame} of 50"


def test_a_box_shows_what_works_without_a_kernel(page):
    page.get_by_role("link", name="01 · First").click()
    box = page.locator(".widget-vbox.my-box")
    box.locator("canvas[aria-label]").wait_for()
    assert box.locator("b").inner_text() == "Some words"
    assert box.locator("input[type=range]").count() == 1  # the scrubber's own; the slider that needs a kernel is not
    assert page.locator(".widget img").count() == 0  # the film strips have gone


def test_formulae_are_set(page):
    page.get_by_role("link", name="01 · First").click()
    fraction = page.locator(".formula mfrac").bounding_box()
    over, under = (page.locator(".formula mfrac > *").nth(i).bounding_box() for i in range(2))
    assert fraction["height"] > 20 and over["y"] + over["height"] <= under["y"] + 1


@pytest.mark.parametrize("width", [420, 1000])
def test_pages_fit_their_window(page, width):
    page.set_viewport_size({"width": width, "height": 900})
    for step in ("01 · First", "02 · Second →", "Contents"):
        page.get_by_role("link", name=step).first.click()
        page.wait_for_load_state()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.url.endswith("index.html")


def test_without_scripts_the_strip_is_seen(chrome, site):
    context = chrome.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((site / "01_first.html").as_uri())
    assert page.locator(".widget img[alt*='Film strip']").is_visible()
    context.close()
