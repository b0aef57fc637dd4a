"""The main job, as a newcomer does it: open the first chapter, and scrub through a picture that came out of noise."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from course_lib.pipeline import generate_pixels
from course_lib.runtime import ROOT

CHAPTER = "00_start_here.ipynb"
# The picture as it is shown, brought back to its own 32 pixels a side.
PIXELS = """canvas => {
    const small = document.createElement("canvas");
    small.width = small.height = 32;
    const pen = small.getContext("2d");
    pen.imageSmoothingEnabled = false;
    pen.drawImage(canvas, 0, 0, 32, 32);
    return [...pen.getImageData(0, 0, 32, 32).data];
}"""


@pytest.fixture(scope="module")
def page(chrome, lab):
    shutil.copy(ROOT / "notebooks" / CHAPTER, lab.folder)
    context = chrome.new_context(viewport={"width": 1280, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(90_000)
    lab.run_all(page, CHAPTER)
    page.locator(".scrubber canvas[aria-label]").first.wait_for()
    yield page
    context.close()


def shown(canvas) -> np.ndarray:
    return np.array(canvas.evaluate(PIXELS)).reshape(32, 32, 4)[..., :3].astype(int)


def test_scrubbing_leads_from_noise_to_the_picture_that_the_shipped_model_makes(page):
    canvas, slider = page.locator(".scrubber canvas").first, page.locator(".scrubber input[type=range]").first
    slider.focus()
    page.keyboard.press("Home")
    static = shown(canvas)
    page.keyboard.press("End")
    finished = shown(canvas)
    wanted = generate_pixels(seed=129, steps=50).picture.astype(int)
    # The frames travel as JPEG where PNG would be large; its losses are far below what tells two pictures apart.
    assert np.abs(finished - wanted).mean() < 4
    assert np.abs(static - wanted).mean() > 50

    distances = []
    page.keyboard.press("Home")
    for _ in range(5):
        distances.append(np.abs(shown(canvas) - wanted).mean())
        for _ in range(10):
            page.keyboard.press("ArrowRight")
    assert distances == sorted(distances, reverse=True)  # every ten steps are nearer to it


def test_every_cell_of_the_chapter_ran_without_an_error(page):
    page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for()
    assert page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.error']").count() == 0
    if "SCREENSHOTS" in os.environ:
        page.screenshot(path=Path(os.environ["SCREENSHOTS"]) / "first_chapter.png")


def test_on_the_next_day_the_scrubber_is_there_before_any_cell_is_run(page, lab):
    count = page.locator(".scrubber").count()
    page.evaluate("() => jupyterapp.commands.execute('docmanager:save')")
    page.wait_for_function("() => !jupyterapp.shell.currentWidget.context.model.dirty")
    lab.open(page, CHAPTER)
    canvas = page.locator(".scrubber canvas[aria-label]").first
    canvas.wait_for()
    assert page.locator(".scrubber").count() == count
    assert page.get_by_text("Error displaying widget").count() == 0
    page.locator(".scrubber input[type=range]").first.focus()
    page.keyboard.press("End")
    finished = shown(canvas)
    page.keyboard.press("Home")
    assert np.abs(shown(canvas) - finished).mean() > 50
