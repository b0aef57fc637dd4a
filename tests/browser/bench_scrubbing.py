"""What a scrub costs, measured in the browser: from a key press to the new picture on the screen.

    python tests/browser/bench_scrubbing.py

Opens a notebook in a real JupyterLab with two ways to look through the same 51 frames, of 64 x 64 pixels as the course's
models paint them: the course's Scrubber, which shows them at 256 x 256, and the usual one, ipywidgets' `interact` with a
matplotlib figure of the usual size. Keys are pressed at random moments of a display frame, as people press them. Prints,
for each: the median and the 95th percentile over all changes, how many of 50 frames are shown while a key repeats at
30 Hz, the messages to the kernel, and the bytes that the frames take on the way to the browser; and the ratio of the
medians. The Scrubber is never slower than the display's next frame, on average half a frame away (8 ms at 60 Hz), so the
ratio tells how slow the usual way is on a machine: more so on a busy one.
"""

import json
import tempfile
from pathlib import Path

import numpy as np
from real_lab import find_browser, running_browser, running_lab

FRAMES, ROUNDS, CHANGES, RATE = 51, 3, 40, 30
# A trajectory's noisy frames, with the number of the frame written into a block of flat colour at the corner.
FRAMES_CELL = f"""\
import numpy as np
from course_lib.labs.noise import SCENE, render
from course_lib.labs.scrubber import Scrubber

page = np.asarray(render(SCENE, 64)).astype(float)
noise = np.random.default_rng(0).normal(127.5, 64, page.shape)
shares = np.linspace(0, 1, {FRAMES})[:, None, None, None]
frames = np.sqrt(shares) * (page - 127.5) + np.sqrt(1 - shares) * (noise - 127.5) + 127.5
frames = frames.clip(0, 255).astype(np.uint8)
for i in range({FRAMES}):
    frames[i, :16, :16] = (5 * i, 128, 128)
labels = [f"step {{i}} of {FRAMES - 1}" for i in range({FRAMES})]
"""
SCRUBBER_CELL = """\
scrubber = Scrubber({"noisy picture": frames}, labels, alt="A picture coming out of noise.", start=0, display_size=256)
print("bytes:", sum(len(sheet["bytes"]) for sheet in scrubber.shown["sheets"]))
scrubber
"""
INTERACT_CELL = f"""\
import matplotlib.pyplot as plt
from ipywidgets import IntSlider, interact

def show(frame):
    plt.imshow(frames[frame])
    plt.axis("off")
    plt.show()

interact(show, frame=IntSlider(0, 0, {FRAMES - 1}))
"""
# Which frame is on the screen: read from the block of colour, as seen at the start of a display frame. A fresh <img> has
# to be decoded before it can be read, as it must be before it can be seen.
READER = """() => {
    const dot = Object.assign(document.createElement('canvas'), {width: 1, height: 1});
    const pen = dot.getContext('2d', {willReadFrequently: true});
    window.sliderOf = (kind) => document.querySelector(
        kind === 'scrubber' ? '.scrubber input[type=range]' : '.widget-interact .noUi-handle');
    window.frameShown = (kind) => {
        const source = document.querySelector(kind === 'scrubber' ? '.scrubber canvas' : '.widget-interact img');
        if (!source || (source.tagName === 'IMG' && !source.complete)) return -1;
        const scale = (source.naturalWidth || source.width) / 64;
        pen.drawImage(source, 5 * scale, 5 * scale, 6 * scale, 6 * scale, 0, 0, 1, 1);
        const [r, g, b] = pen.getImageData(0, 0, 1, 1).data;
        return Math.abs(g - 128) < 9 && Math.abs(b - 128) < 9 ? Math.round(r / 5) : -1;
    };
}"""
PRESS = """async ([kind, key, changes]) => {
    const target = sliderOf(kind);
    target.focus();
    const frame = () => new Promise(requestAnimationFrame);
    let ticking = true; // a page at rest draws no frames, and the first one after it comes early: keep them coming
    const tick = () => ticking && requestAnimationFrame(tick);
    tick();
    const times = [];
    for (let i = 0; i < changes; i += 1) {
        await new Promise(done => setTimeout(done, 20 + 40 * Math.random()));
        const before = frameShown(kind);
        const begun = performance.now();
        target.dispatchEvent(new KeyboardEvent('keydown', {key, code: key, bubbles: true, cancelable: true}));
        for (;;) {
            await frame();
            const now = frameShown(kind);
            if (now >= 0 && now !== before) break;
            if (performance.now() - begun > 5000) return null;
        }
        times.push(performance.now() - begun);
    }
    ticking = false;
    return times;
}"""
HOLD = """async ([kind, key, presses, rate]) => {
    const target = sliderOf(kind);
    target.focus();
    const seen = new Set([frameShown(kind)]);
    let watching = true;
    const watch = () => {
        const now = frameShown(kind);
        if (now >= 0) seen.add(now);
        if (watching) requestAnimationFrame(watch);
    };
    requestAnimationFrame(watch);
    for (let i = 0; i < presses; i += 1) {
        target.dispatchEvent(new KeyboardEvent('keydown', {
            key, code: key, bubbles: true, cancelable: true, repeat: i > 0}));
        await new Promise(done => setTimeout(done, 1000 / rate));
    }
    await new Promise(done => setTimeout(done, 60));
    watching = false;
    return seen.size - 1;
}"""


def notebook(sources: tuple[str, ...]) -> str:
    cells = [{"cell_type": "code", "id": f"cell{i}", "metadata": {}, "outputs": [], "execution_count": None,
              "source": source} for i, source in enumerate(sources)]
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "cells": cells,
                       "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}}})


def measure(page, kind: str, sent: list) -> dict:
    """Median and 95th percentile in milliseconds, frames shown of 50 at 30 Hz, messages to the kernel."""
    times, before = [], len(sent)
    for _ in range(ROUNDS):
        for key in ("ArrowRight", "ArrowLeft"):
            took = page.evaluate(PRESS, [kind, key, CHANGES])
            assert took is not None, f"{kind}: a key press changed nothing for five seconds"
            times += took[1:]  # the first one warms up
    shown = page.evaluate(HOLD, [kind, "ArrowRight", FRAMES - 1, RATE])
    return {"median": float(np.median(times)), "p95": float(np.percentile(times, 95)), "shown": shown,
            "messages": len(sent) - before}


def run() -> dict[str, dict]:
    """Both ways, one after the other, in one JupyterLab."""
    path = find_browser()
    assert path, "There is no Chromium or Chrome on this machine: install one, or set CHROME to its path."
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryDirectory() as folder:
        Path(folder, "bench.ipynb").write_text(notebook((FRAMES_CELL, SCRUBBER_CELL, INTERACT_CELL)))
        with running_browser(path) as browser, running_lab(Path(home), Path(folder)) as lab:
            page, sent = browser.new_page(viewport={"width": 1100, "height": 1400}), []
            page.set_default_timeout(90_000)
            page.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(frame)))
            lab.run_all(page, "bench.ipynb")
            page.evaluate(READER)
            page.wait_for_function("() => frameShown('scrubber') === 0 && frameShown('interact') === 0")
            page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for(state="attached")
            size = int(page.get_by_text("bytes:").last.inner_text().split(":")[1])
            return {"scrubber": measure(page, "scrubber", sent) | {"bytes": size},
                    "interact": measure(page, "interact", sent)}


if __name__ == "__main__":
    found = run()
    for name, figures in found.items():
        print(f"{name:>9}: median {figures['median']:6.1f} ms, 95th percentile {figures['p95']:6.1f} ms, "
              f"{figures['shown']:2d} of {FRAMES - 1} frames shown at {RATE} Hz, {figures['messages']} messages to the "
              "kernel"
              + (f", {figures['bytes'] / 1e6:.2f} MB to the browser" if "bytes" in figures else ""))
    print(f"    ratio: {found['interact']['median'] / found['scrubber']['median']:.1f}")
