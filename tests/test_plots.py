"""Figures carry their words, keep their pixels, and stay small."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image, ImageColor

from course_lib import plots
from course_lib.runtime import CourseError

NOISE = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)


def decoded(bundle: dict, kind: str) -> np.ndarray:
    data = bundle["image/png"] if kind == "png" else re.search(r"base64,([^\"]+)", bundle["text/html"])[1]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))


def test_alt_text_is_in_the_html_and_escaped():
    bundle = plots.pictures(NOISE, alt='a "boat" & <sea>')._repr_mimebundle_()
    assert 'alt="a &quot;boat&quot; &amp; &lt;sea&gt;"' in bundle["text/html"]
    assert bundle["text/plain"] == '[figure: a "boat" & <sea>]'


def test_a_figure_without_alt_text_is_refused():
    with pytest.raises(CourseError, match="alt text"):
        plots.pictures(NOISE, alt=" ")


def test_pixels_stay_exact_and_the_png_shows_nearly_the_same():
    bundle = plots.pictures(NOISE, alt="noise", columns=3)._repr_mimebundle_()
    png, webp = decoded(bundle, "png"), decoded(bundle, "webp")
    assert png.shape == webp.shape and np.abs(png.astype(int) - webp).mean() < 20  # 128 colours, for pure noise
    top = plots.MARGIN + 128 + plots.MARGIN  # the second row's first picture, every pixel four times as large
    assert np.array_equal(webp[top:top + 128:4, plots.MARGIN:plots.MARGIN + 128:4], NOISE[3])


def test_titles_take_room_below_each_picture_and_long_ones_wrap():
    plain, titled, long = (plots.pictures(NOISE, alt="x", titles=titles).image.size
                           for titles in ((), ["t = 1"] * 6, ["a title far too long for one line"] * 6))
    assert plain[0] == titled[0] == long[0] and plain[1] < titled[1] < long[1]


def test_only_rows_that_have_titles_get_room_for_them():
    heights = [plots.pictures(NOISE, alt="x", titles=["t"] * count, columns=3).image.size[1] for count in (0, 3, 6)]
    assert heights[1] - heights[0] == heights[2] - heights[1] == plots.LINE


@pytest.mark.parametrize("make", [
    lambda: plots.curves([1, 2, 3], {"a": [1, 2, 3], "b": [3, float("inf"), 1]}, alt="two lines", dots=True),
    lambda: plots.bars({"a": 3, "b": 40_000}, alt="two bars", log_x=True),
    lambda: plots.intervals({"a": {"x": (0.1, 0, 0.3)}, "b": {"x": (0, 0, 0.1), "y": (1, 0.9, 1)}}, alt="three shares"),
    lambda: plots.points({"one": np.zeros((5, 2)), "two": np.ones((5, 2))}, alt="dots", background=np.zeros((3, 2))),
    lambda: plots.field(np.zeros((4, 2)), {"f": np.ones((4, 2))}, alt="arrows", paths=np.zeros((3, 2, 2)))])
def test_drawn_figures_show_something_on_the_card_and_stay_small(make):
    bundle = make()._repr_mimebundle_()
    picture = decoded(bundle, "png")
    assert picture.std() > 5 and len(bundle["image/png"]) + len(bundle["text/html"]) < 100_000


@pytest.mark.parametrize("highest, plain", [(5, True), (500, False)])
def test_a_logarithmic_axis_within_one_power_of_ten_has_plain_numbers(monkeypatch, highest, plain):
    monkeypatch.setattr(plots.Figure, "of_canvas", lambda canvas, alt: canvas)
    axis, = plots.curves([1, 2], {"a": [1, highest]}, alt="a line", log_y=True).axes
    numbers = [tick.get_text() for tick in axis.get_yticklabels(which="both")]
    assert ("2" in numbers) is plain and any("^" in number for number in numbers) is not plain


def has_colour(bundle: dict, colour: str) -> bool:
    return bool((np.abs(decoded(bundle, "png").astype(int) - ImageColor.getrgb(colour)).max(axis=2) < 12).any())


def test_every_panel_has_its_dots_and_its_arrows():
    cloud, colour = np.random.default_rng(0).uniform(-0.3, 0.3, (500, 2)), plots.COLOURS  # dense: one solid patch
    for count in (1, 2):
        figure = plots.points({f"panel {i}": cloud for i in range(count)}, alt="dots")
        assert has_colour(figure._repr_mimebundle_(), colour[0])
        seen = np.asarray(figure.image.convert("RGB")).astype(int)
        dots = np.abs(seen - ImageColor.getrgb(colour[0])).max(axis=2) < 12
        halves = np.array_split(dots, count, axis=1)
        assert all(half.any() for half in halves)
    assert has_colour(plots.field(cloud, {"f": cloud + 1}, alt="arrows")._repr_mimebundle_(), colour[1])
    assert has_colour(plots.curves([1, 2], {"a": [1, 2]}, alt="a line")._repr_mimebundle_(), colour[0])


def test_particles_of_two_kinds_stand_over_arrows_and_data():
    cloud = np.random.default_rng(0).uniform(-3, 3, (60, 2))

    def figure(kinds):
        return plots.particles({"t": cloud}, np.array(kinds), "particles", cloud[:9], [1 - cloud[:9]], inches=4)

    bundle = figure([0, 1] * 30)._repr_mimebundle_()
    assert has_colour(bundle, plots.COLOURS[0]) and has_colour(bundle, plots.COLOURS[1])
    assert has_colour(bundle, "#8A8A8A") and not has_colour(figure([0] * 60)._repr_mimebundle_(), plots.COLOURS[1])
    with pytest.raises(ValueError):
        plots.particles({"t": cloud, "s": cloud}, np.zeros(60, int), "particles", cloud, [cloud])


@pytest.mark.parametrize("log_x", [False, True])
def test_a_larger_value_has_a_longer_bar_below_the_one_before(log_x):
    figure = plots.bars({"small": 10, "large": 1000}, alt="bars", log_x=log_x)
    seen = np.asarray(figure.image.convert("RGB")).astype(int)
    first, second = (np.argwhere(np.abs(seen - ImageColor.getrgb(colour)).max(axis=2) < 12)
                     for colour in plots.COLOURS[:2])
    assert first[:, 0].max() < second[:, 0].min() and np.ptp(first[:, 1]) < np.ptp(second[:, 1])


def test_a_share_lies_within_its_interval_and_the_larger_further_right():
    rows = {"row": {"low": (0.2, 0.05, 0.4), "high": (0.8, 0.7, 0.85)}}
    seen = np.asarray(plots.intervals(rows, alt="two shares", chance=0.5).image.convert("RGB")).astype(int)
    found = []
    for colour in plots.COLOURS[:2]:
        full = np.argwhere(np.abs(seen - ImageColor.getrgb(colour)).max(axis=2) < 12)
        found.append(full[full[:, 1] < seen.shape[1] * 0.75])  # without the legend
    low, high = found
    assert low[:, 1].mean() < high[:, 1].mean() and low[:, 0].max() < high[:, 0].min()


def test_lines_differ_in_more_than_colour():
    assert len(set(map(str, plots.DASHES))) == len(plots.COLOURS) == len(set(plots.COLOURS))


def test_heatmaps_share_one_scale():
    """The same value has the same colour in every panel: a table of ones beside one of zeros and ones."""
    mixed = np.eye(2)
    one = np.asarray(plots.heatmaps({"mixed": mixed, "ones": np.ones((2, 2))}, "two tables").image.convert("RGB"))
    bright = np.asarray(ImageColor.getrgb("#fee838"))  # the lightest of cividis
    dark = np.asarray(ImageColor.getrgb("#00224e"))
    near = [(np.abs(one.astype(int) - colour).sum(axis=2) < 24).mean() for colour in (bright, dark)]
    assert 2.5 < near[0] / near[1] < 4  # six light cells to two dark ones, and a little of the scale


def test_clusters_give_each_group_and_star_a_place():
    groups = {name: np.random.default_rng(i).normal(i, 0.1, (20, 2)) for i, name in enumerate("abcdefghij")}
    plain, starred = (np.asarray(plots.clusters(groups, "ten clouds", marked).image.convert("RGB"))
                      for marked in (None, {"here": np.array([4.0, 4.0])}))
    ink = np.asarray(ImageColor.getrgb(plots.INK))
    dark = [(np.abs(image.astype(int) - ink).sum(axis=2) < 30).sum() for image in (plain, starred)]
    assert dark[1] > dark[0] + 20
