"""One notebook with every lab open: no complaint of the browser's, no serious fault for those who do not see or do not
use a mouse, nothing cut off, nothing left behind by a cell that runs again."""

import os
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe

from course_lib import labs

BEFORE = """\
import threading
import torch
from ipywidgets.widgets.widget import _instances
from course_lib import labs
from course_lib.data import open_pictures
from course_lib.models import vae_from, weights_for
from course_lib.pages import held_out
from course_lib.pipeline import generate_pixels, load_denoiser

shipped, _ = load_denoiser("pixels")
vae = vae_from(*weights_for("vae"), torch.device("cpu"))
"""
LABS = {
    "noise": "labs.noise()",
    "denoiser": "labs.denoiser(shipped, open_pictures('picturebook', size=32, limit=3).batch([0, 1, 2]), levels=5)",
    "field": "labs.field()",
    "scrub": "labs.scrub(generate_pixels(seed=[1, 4], steps=8))",
    "denoising": "labs.denoising(steps=8)",
    "guidance": "labs.guidance('a red house', scales=(0, 1, 4), steps=4)",
    "shared_space": "labs.shared_space(pages=held_out(20))",
    "latent": "labs.latent(vae)",
    "attention": "labs.attention('a small red house', steps=4)",
    "schedulers": "labs.schedulers(names=('ddim', 'heun'), counts=(1, 3))",
    "vary": "labs.vary()",
    "inpaint": "labs.inpaint()",
    "extend": "labs.extend(windows=1)",
    "between": "labs.between(count=3)",
    "edit": "labs.edit(steps=3)",
    "invert": "labs.invert(steps=6)",
}
AFTER = """\
print(len(_instances), "widgets,", sum(thread.name == "course_lib lab" for thread in threading.enumerate()), "threads")
"""
SOURCES = (BEFORE, *LABS.values(), AFTER)
SERIOUS = ("serious", "critical")
# The notebook's cells alone are ours; how JupyterLab builds its page is not.
OURS = {"include": [[".jp-OutputArea"]]}
WAIT_MS = 300_000  # for all of them, on a machine that has other things to do
DONE = "() => jupyterapp.shell.currentWidget.content.widgets.slice(1).every(cell => cell.model.outputs.length > 0)"
RUN_ALL = "() => jupyterapp.commands.execute('notebook:run-all-cells')"
IDLE = ".jp-Notebook-ExecutionIndicator[data-status=idle]"
OUTSIDE = """output => {
    const edge = output.getBoundingClientRect().right + 1;
    const parts = 'figure, img, figcaption, input, select, button, canvas, text, .caption, .note, label, .legend span';
    return [...output.querySelectorAll(parts)]
        .filter(part => part.getClientRects().length && part.getBoundingClientRect().right > edge)
        .map(part => part.outerHTML.slice(0, 90));
}"""
FOCUSABLE = "button, input:not([type=file]), select, [tabindex='0']"
# Whether a focused part looks other than it does without the focus: its own outline or shadow, or its neighbour's.
RING = """part => {
    const look = () => [part, part.nextElementSibling].filter(Boolean).map(node => {
        const style = getComputedStyle(node);
        return style.outlineStyle + style.outlineWidth + style.boxShadow + style.borderColor;
    }).join();
    part.blur();
    const before = look();
    part.focus({ focusVisible: true });
    return document.activeElement === part && look() !== before;
}"""


@pytest.fixture(scope="module")
def page(chrome, lab):
    with lab.notebook(chrome, "all_labs.ipynb", SOURCES, 14000) as (page, _):
        settle(page)
        yield page


def settle(page) -> None:
    """Until all cells have run and their labs stand on the page."""
    page.wait_for_function(DONE, timeout=WAIT_MS)
    page.locator(IDLE).wait_for(timeout=WAIT_MS)
    for i in range(1, 1 + len(LABS)):
        output(page, i).locator("canvas, img").first.wait_for()
    page.evaluate("() => new Promise(done => setTimeout(done, 500))")


def output(page, number: int):
    return page.locator(".jp-Notebook .jp-Cell").nth(number).locator(".jp-OutputArea-output").last


def keep(page, name: str) -> None:
    """Screenshots of every lab, for people to look at, where the variable SCREENSHOTS says."""
    if "SCREENSHOTS" in os.environ:
        folder = Path(os.environ["SCREENSHOTS"])
        folder.mkdir(parents=True, exist_ok=True)
        for i, lab in enumerate(LABS, 1):
            output(page, i).screenshot(path=folder / f"{lab}-{name}.png")


def test_every_lab_of_the_library_is_here():
    assert set(LABS) == set(labs.__all__) - {"Scrubber"}


@pytest.mark.parametrize("theme", ["JupyterLab Dark", "JupyterLab Light"])
def test_no_serious_fault_of_accessibility(page, theme):
    page.evaluate("theme => jupyterapp.commands.execute('apputils:change-theme', { theme })", theme)
    page.locator(f"body[data-jp-theme-name='{theme}']").wait_for(state="attached")
    page.mouse.move(0, 0)
    keep(page, theme.split()[1].lower())
    found = Axe().run(page, context=OURS)
    assert found.response["passes"], "nothing was looked at"
    faults = [f"{fault['id']} ({fault['impact']}): {node['html'][:160]} {node['failureSummary'][:200]}"
              for fault in found.response["violations"] if fault["impact"] in SERIOUS for node in fault["nodes"]]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("number, name", list(enumerate(LABS, 1)), ids=list(LABS))
def test_whatever_can_be_used_shows_its_focus_and_keeps_its_keys(page, number, name):
    parts = output(page, number).locator(FOCUSABLE)
    usable = [part for part in parts.all() if part.is_visible() and part.is_enabled()]
    assert len(usable) >= (1 if name == "shared_space" else 2)
    for part in usable:
        assert part.evaluate(RING), f"no focus to be seen on {part.evaluate('node => node.outerHTML')[:160]}"
        assert part.get_attribute("data-lm-suppress-shortcuts") == "true"


@pytest.mark.parametrize("width", [900, 420])
def test_nothing_is_cut_off(page, width):
    for i in range(1, 1 + len(LABS)):
        output(page, i).evaluate("(node, width) => { node.style.width = `${width}px`; node.style.flex = 'none'; }", width)
    page.evaluate("() => new Promise(done => setTimeout(done, 300))")
    keep(page, str(width))
    outside = {name: found for i, name in enumerate(LABS, 1) if (found := output(page, i).evaluate(OUTSIDE))}
    for i in range(1, 1 + len(LABS)):
        output(page, i).evaluate("node => node.removeAttribute('style')")
    assert not outside


def test_with_reduced_motion_no_lab_moves_by_itself(page):
    page.emulate_media(reduced_motion="reduce")
    buttons = page.locator(".play")
    assert buttons.count() >= 8
    page.locator(".play:not([aria-label='Next frame'])").first.wait_for(state="detached")  # they hear of it in a moment
    assert {button.get_attribute("aria-label") for button in buttons.all()} == {"Next frame"}
    page.emulate_media(reduced_motion="no-preference")
    page.locator(".play[aria-label=Play]").first.wait_for()


def test_cells_that_run_again_and_again_leave_nothing_behind(page):
    told = output(page, 1 + len(LABS))
    first, parts = told.inner_text(), page.locator(".lab-part").count()
    assert first.strip().endswith(", 0 threads")
    for _ in range(2):
        page.evaluate(RUN_ALL)
        settle(page)
    assert told.inner_text() == first and page.locator(".lab-part").count() == parts
