"""The scrubber and the noise lab without a browser: what they send, show without widgets, and refuse."""

import base64
import io
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from lab_parts import change, unpack
from PIL import Image, ImageColor

from course_lib import labs, plots
from course_lib.labs.noise import CHOICES, LEVELS, compute
from course_lib.labs.scrubber import Scrubber, film_strip, parts_of, sprite_sheet
from course_lib.labs.trajectory import MOST_FRAMES
from course_lib.labs.upload import Upload
from course_lib.pictures import tile, to_uint8
from course_lib.runtime import CourseError
from course_lib.sampling import sample
from course_lib.schedulers import SCHEDULES, ddim, time_grid


def flat_frames(count: int, height: int = 16, width: int = 16) -> np.ndarray:
    """Frame i is one flat colour that belongs to i alone."""
    colours = np.array([[4 * i, 255 - 4 * i, 7 * i % 256] for i in range(count)], dtype=np.uint8)
    return np.broadcast_to(colours[:, None, None], (count, height, width, 3)).copy()


def noisy_frames(count: int, size: int, seed: int = 0) -> np.ndarray:
    x = np.random.default_rng(seed).standard_normal((count, size, size, 3))
    return ((x.clip(-1, 1) + 1) * 127.5).astype(np.uint8)


def labels_for(count: int) -> list[str]:
    return [f"step {i} of {count - 1}" for i in range(count)]


def trajectory(schedule, steps: int = 50, pictures: int = 1, size: int = 64) -> SimpleNamespace:
    """A real trajectory of the course's own loop, with a denoiser that knows where it is going."""
    source = torch.Generator().manual_seed(0)
    x0 = torch.rand(pictures, 3, size, size, generator=source) * 2 - 1

    def denoise(x, t):
        return x0 * (1 - 0.5 * t)

    denoise.schedule = schedule
    ts = time_grid(schedule, steps)
    x = schedule.sigma(ts[0]) * torch.randn(x0.shape, generator=source)
    return SimpleNamespace(trajectory=list(sample(denoise, x, ts, ddim)), schedule=schedule, decode=to_uint8)


@pytest.mark.parametrize("count, height, width",
                         [(1, 8, 8), (5, 16, 16), (51, 30, 30), (51, 12, 70), (7, 50, 9)])
def test_every_frame_comes_out_of_its_sheet(count, height, width):
    frames = flat_frames(count, height, width)
    shown = Scrubber({"picture": frames}, labels_for(count), "A picture.").shown
    assert shown["sheets"][0]["type"] == "image/png"
    assert np.array_equal(unpack(shown, 0), frames)


def test_noise_goes_as_jpeg_and_stays_faithful():
    frames = noisy_frames(51, 68)
    scrubber = Scrubber({"noise": frames}, labels_for(51), "Noise.")
    assert scrubber.shown["sheets"][0]["type"] == "image/jpeg"
    error = np.abs(unpack(scrubber.shown, 0).astype(int) - frames)
    assert error.mean() < 6  # of 255: JPEG's own rounding, and nothing of the neighbouring frames


def test_a_long_trajectory_stays_small():
    scrubber = labs.scrub(trajectory(SCHEDULES["cosine"]))
    assert sum(len(sheet["bytes"]) for sheet in scrubber.shown["sheets"]) < 1_500_000
    assert sum(map(len, scrubber.figure._repr_mimebundle_().values())) < 300_000  # this is what a saved notebook carries


def test_the_strip_shows_the_first_and_the_last_of_five():
    strip = film_strip(flat_frames(51), labels_for(51), "Colours.").image
    row = np.asarray(strip)[strip.height // 3]
    changes = np.flatnonzero(np.any(row[1:] != row[:-1], axis=1)) + 1
    seen = [row[i].tolist() for i in changes if row[i].tolist() != PAPER]
    assert seen == [flat_frames(51)[i, 0, 0].tolist() for i in (0, 12, 25, 38, 50)]
    assert np.asarray(strip).min() < 60  # the captions


@pytest.mark.parametrize("count, height, width", [(1, 16, 16), (3, 64, 64), (51, 64, 526), (51, 300, 300)])
def test_a_strip_has_a_page_s_width(count, height, width):
    assert film_strip(flat_frames(count, height, width), labels_for(count), "Colours.").image.width < 1100


def test_places_without_widgets_get_the_strip_with_its_alt_text():
    for lab in (Scrubber({"picture": flat_frames(51)}, labels_for(51), "A \"test\" & more."), labs.noise()):
        bundle = lab._repr_mimebundle_()
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        shown = getattr(lab, "scrubber", lab).shown
        assert Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).format == "PNG"
        alt = ElementTree.fromstring(data["text/html"].removesuffix(">") + "/>").get("alt")
        assert alt in data["text/plain"] and alt.startswith(shown["alt"]) and shown["labels"][-1] in alt
        assert data["application/vnd.jupyter.widget-view+json"]["model_id"]
        assert "0x" not in repr(lab)  # no address, so that outputs are the same on every run


PAPER = list(ImageColor.getrgb(plots.PAPER))
good = {"picture": flat_frames(5)}


@pytest.mark.parametrize("views, labels, options, sentence", [
    ({}, [], {}, "at least one view"),
    ({"picture": flat_frames(5).astype(float)}, labels_for(5), {}, "'picture' must be a uint8 array"),
    ({"picture": flat_frames(5)[0]}, labels_for(5), {}, "must be a uint8 array (n, H, W, 3)"),
    ({"picture": flat_frames(5)[..., :1]}, labels_for(5), {}, "must be a uint8 array (n, H, W, 3)"),
    ({"picture": [1, 2]}, labels_for(2), {}, "not a list"),
    ({"picture": flat_frames(5)[:0]}, [], {}, "are empty"),
    (good | {"guess": flat_frames(4)}, labels_for(5), {}, "All views must have one shape"),
    (good, labels_for(4), {}, "5 frames, 4 labels"),
    (good, labels_for(5), {"start": 5}, "frame 0 to 4, not 5"),
    (good, labels_for(5), {"curve": {"label": "λ", "lines": {"λ": [1, 2]}, "range": (0, 1)}}, "5 frames, 2 values"),
    ({"picture": np.zeros((300, 1, 20_000, 3), np.uint8)}, labels_for(300), {}, "too much for a browser"),
])
def test_what_does_not_fit_is_refused_in_a_sentence(views, labels, options, sentence):
    with pytest.raises(CourseError) as caught:
        Scrubber(views, labels, "A picture.", **options)
    assert sentence in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", SCHEDULES)
def test_scrub_shows_every_step_on_every_schedule(name):
    schedule = SCHEDULES[name]
    result = trajectory(schedule, steps=10, pictures=3, size=16)
    shown = labs.scrub(result, alt="Three pictures.").shown
    assert shown["names"] == ["noisy picture", "guess at the clean picture", "predicted noise"]
    assert (shown["height"], shown["width"], len(shown["labels"])) == (16, 3 * 16 + 2 * 2, 11)
    assert shown["labels"][0].startswith("step 0 of 10 · noise level t = 1.00 (0% picture)")
    assert shown["labels"][10] == "step 10 of 10 · noise level t = 0.00 (100% picture)"
    noisy, guess, noise = (unpack(shown, view) for view in range(3))
    step = result.trajectory[4]
    assert np.array_equal(guess[4][:, :16], to_uint8(step.x0_hat)[0])
    assert np.array_equal(noisy[10], tile(to_uint8(result.trajectory[-1].x_next), columns=3))
    assert np.array_equal(guess[10], noisy[10])
    assert np.array_equal(noise[10], noise[9])
    if name != "edm":
        assert np.array_equal(noisy[4], tile(to_uint8(step.x), columns=3))
    # On every schedule unit noise is predicted at the start, where there is nothing else.
    eps = (noise[0][:, :16] / 127.5 - 1) * 3
    assert abs(eps.std() - 1) < 0.1
    assert np.all(noisy[5][:, 16:18] == 255)  # the gap


def test_scrub_thins_out_a_thousand_steps_and_refuses_none():
    shown = labs.scrub(trajectory(SCHEDULES["linear"], steps=1000, size=8)).shown
    assert len(shown["labels"]) == MOST_FRAMES
    assert shown["labels"][0].startswith("step 0 of 1000")
    assert shown["labels"][-1].startswith("step 1000 of 1000")
    with pytest.raises(CourseError, match="no steps"):
        labs.scrub(SimpleNamespace(trajectory=[], schedule=SCHEDULES["flow"], decode=to_uint8))


def test_scrub_decodes_what_the_model_paints_in():
    result = trajectory(SCHEDULES["cosine"], steps=3, size=8)
    result.decode = lambda z: 255 - to_uint8(z).repeat(4, axis=1).repeat(4, axis=2)  # a "VAE" that can be foreseen
    shown = labs.scrub(result).shown
    assert (shown["height"], shown["width"]) == (32, 32)
    noisy, guess, _ = (unpack(shown, view) for view in range(3))
    assert np.array_equal(noisy[1][::4, ::4], 255 - to_uint8(result.trajectory[1].x)[0])
    assert np.array_equal(guess[2][3::4, 3::4], 255 - to_uint8(result.trajectory[2].x0_hat)[0])


@pytest.mark.parametrize("name", CHOICES)
def test_the_noisy_picture_is_the_signal_plus_the_noise(name):
    picture = flat_frames(30, 24, 24)[29]
    result = compute(picture, name)
    noisy, signal, noise = result["views"].values()
    assert noisy.shape == (LEVELS, 24, 24, 3) and len(result["labels"]) == LEVELS
    assert np.array_equal(noisy[0], picture)
    assert np.all(np.abs(noise[0] - 127.5) < 1)
    i = 15
    total = signal[i].astype(float) + noise[i] - 127.5
    inside = (noise[i] > 0) & (noise[i] < 255)  # where nothing was clipped on the way
    assert np.abs(noisy[i][inside] - total.clip(0, 255)[inside]).max() <= 2
    schedule = SCHEDULES[name]
    alpha, sigma = schedule.alpha(0.3), schedule.sigma(0.3)
    assert result["labels"][i].startswith(f"t = 0.30 · α = {alpha:.2f} · σ = {sigma:.2f}")
    [y] = result["curve"]["lines"].values()
    assert y[i] == pytest.approx(schedule.lam(0.3)) and y == sorted(y, reverse=True) and np.isfinite(y).all()
    assert len(result["curve"]["others"]) == len(CHOICES) - 1


def test_the_noise_lab_goes_on_in_place_with_another_schedule_another_noise_and_another_picture():
    lab = labs.noise(schedule="cosine", size=32)
    scrubber, before = lab.scrubber, lab.scrubber.shown
    change(lab, schedule="flow", seed=3)
    assert lab.scrubber is scrubber and scrubber.shown["sheets"] != before["sheets"]
    wanted = compute(lab.picture, "flow", 3)
    assert scrubber.shown["curve"]["lines"] == wanted["curve"]["lines"] and scrubber.shown["labels"] == wanted["labels"]
    file = io.BytesIO()
    Image.new("RGB", (50, 40), (200, 10, 30)).save(file, "PNG")
    lab.upload._arrived(None, {"name": "red.png"}, [memoryview(file.getvalue())])
    assert lab.live.wait(10)
    assert lab.upload.message == "This is red.png." and np.all(lab.picture == (200, 10, 30))
    assert np.all(np.abs(unpack(scrubber.shown, 1)[0] - (200., 10, 30)) < 3)  # the signal where nothing is lost yet
    lab.upload._arrived(None, {"name": "bad.png"}, [b"no picture"])
    assert "bad.png cannot be read" in lab.upload.message and np.all(lab.picture == (200, 10, 30))


def test_the_noise_lab_tells_a_mistake_and_keeps_what_it_shows():
    lab = labs.noise(size=32)
    before = lab.scrubber.shown
    change(lab, seed=-1)
    assert lab.controls.wrong and "from 0 to" in lab.controls.message and lab.scrubber.shown is before
    change(lab, seed=2)
    assert not lab.controls.wrong and not lab.controls.message and lab.scrubber.shown is not before


def test_five_moments_cells_and_a_note_are_sent_as_they_were_given():
    cells = {"columns": 2, "gap": 2, "heads": ["left", "right"], "texts": ["", "a house"], "wrap": True}
    given = {"strip": True, "cells": cells, "note": "40 evaluations"}
    shown = Scrubber({"a": flat_frames(51)}, labels_for(51), "Two.", **given).shown
    assert shown["strip"] == [0, 12, 25, 38, 50] and shown["cells"] == cells and shown["note"] == "40 evaluations"
    assert Scrubber({"a": flat_frames(3)}, labels_for(3), "One.", strip=True).shown["strip"] == [0, 1, 2]
    assert Scrubber({"a": flat_frames(3)}, labels_for(3), "One.").shown["strip"] == []


def test_without_widgets_pictures_side_by_side_stand_with_their_words():
    pages = [np.full((16, 16, 3), value, np.uint8) for value in (0, 90, 180)]
    frames = np.stack([tile(pages, columns=2)] * 2)
    cells = {"columns": 2, "gap": 2, "heads": ["one", "two", "three"], "texts": ["", "a house", ""], "wrap": True}
    assert all(np.array_equal(part, page) for part, page in zip(parts_of(frames[1], cells), pages))
    figure = Scrubber({"picture": frames}, ["0", "1"], "Three.", cells=cells).figure
    assert "one; two; three" in figure.alt and "1." in figure.alt
    colours = {colour for _, colour in figure.image.convert("RGB").getcolors(100_000)}
    assert {(90, 90, 90), (180, 180, 180)} <= colours


def test_without_widgets_views_to_be_compared_are_all_shown():
    views = {name: flat_frames(3) + shift for shift, name in enumerate(("the guess", "red", "house"))}
    figure = Scrubber(views, labels_for(3), "Words.", hover=True, start=1).figure
    assert "the guess, red, house" in figure.alt and "step 1 of 2" in figure.alt
    colours = {colour for _, colour in figure.image.convert("RGB").getcolors(100_000)}
    assert {tuple(frames[1, 0, 0].tolist()) for frames in views.values()} <= colours


def test_the_noise_lab_refuses_in_a_sentence():
    for options, sentence in (({"schedule": "karras"}, "choose from linear, cosine, flow"),
                              ({"size": 8}, "from 16 to 256"),
                              ({"picture": "nowhere.png"}, "nowhere.png"),
                              ({"picture": np.zeros((4, 4))}, "a uint8 array")):
        with pytest.raises(CourseError, match=sentence):
            labs.noise(**options)


def test_running_a_cell_again_closes_what_it_made_before(monkeypatch):
    shell = SimpleNamespace()
    monkeypatch.setattr("course_lib.labs.cells.get_ipython", lambda: shell)

    def run(cell: str, message: str) -> Scrubber:
        shell.parent_header = {"metadata": {"cellId": cell}, "header": {"msg_id": message}}
        return Scrubber({"picture": flat_frames(2)}, labels_for(2), "A picture.")

    def closed(*scrubbers: Scrubber) -> list[bool]:
        return [scrubber.comm is None for scrubber in scrubbers]

    first, second, elsewhere = run("a", "1"), run("a", "1"), run("b", "2")
    assert closed(first, second, elsewhere) == [False, False, False]
    run("a", "3")
    assert closed(first, second, elsewhere) == [True, True, False]
    run("b", "4")
    assert closed(first, second, elsewhere) == [True, True, True]


def test_an_upload_that_fails_twice_is_told_twice():
    def refuse(name, file):
        raise CourseError("No.")

    upload, told = Upload(refuse), []
    upload.observe(lambda change: told.append(change["new"]), "message")
    for _ in range(2):
        upload._arrived(None, {"name": "x"}, [b""])
    assert told == ["No.", "", "No."]


def test_a_sheet_is_no_larger_than_a_browser_decodes():
    _, file, cell, columns = sprite_sheet(flat_frames(64, 32, 8 * 34))
    sheet = Image.open(io.BytesIO(file))
    assert sheet.width == columns * cell[0] and max(sheet.size) < 4 * min(sheet.size)
