"""The latent lab: what is painted on the latents is decoded, changes what is near it, and can be taken back."""

import io
import threading
import time

import numpy as np
import pytest
import torch
from PIL import Image

from course_lib import labs
from course_lib.labs.brush import LATENT_RANGE, MOST, STOPS, Brush, in_colours, places_between, push_from, stroke
from course_lib.labs.latent import GAIN, UNTOUCHED, compute, open_latents
from course_lib.models import vae_from, weights_for
from course_lib.pages import held_out
from course_lib.pictures import to_uint8
from course_lib.runtime import CourseError, random_source
from course_lib.vae import VAE, VAESettings

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def vae():
    """A small one, not trained: whatever it decodes, the lab must show it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = VAE(VAESettings(latent=3, encoder=8, decoder=(8, 8), blocks=1)).eval().requires_grad_(False)
    network.scale.fill_(0.5)
    return network


@pytest.fixture(scope="module")
def picture():
    return torch.rand(3, 24, 16, generator=random_source(0)) * 2 - 1


@pytest.fixture
def lab(vae, monkeypatch):
    """A lab without its meter's thread, which would only take time."""
    monkeypatch.setattr(threading.Thread, "start", only_labs(threading.Thread.start))
    opened = labs.latent(vae, torch.zeros(3, 16, 16), channel=1, place=(0, 3))
    yield opened
    opened.close()


def only_labs(start):
    return lambda thread: None if thread.name == "course_lib meter" else start(thread)


# ------------------------------------------------------------------------------------------------------- the strokes

def test_a_stroke_covers_every_place_on_its_way_once():
    push = stroke((2, 6, 8), 1, [(1, 1), (4, 7), (4, 2), (4, 5)], 2.5)
    assert not push[0].any() and set(push.unique().tolist()) == {0.0, 2.5}  # it crosses itself and adds no more
    assert push[1, 4, 2:].all() and push[1].any(dim=0).tolist() == [False] + 7 * [True]
    steps = places_between((1, 1), (4, 7))
    assert steps[0] == (1, 1) and steps[-1] == (4, 7)
    assert all(max(abs(a - c), abs(b - d)) == 1 for (a, b), (c, d) in zip(steps, steps[1:]))
    assert places_between((2, 2), (2, 2))[0] == (2, 2)


@pytest.mark.parametrize("size, covered", [(1, "3:4"), (2, "3:5"), (3, "2:5"), (4, "2:6"), (5, "1:6")])
def test_a_brush_is_a_square_of_its_size(size, covered):
    first, last = map(int, covered.split(":"))
    wanted = torch.zeros(1, 8, 8)
    wanted[0, first:last, first:last] = -4
    assert torch.equal(stroke((1, 8, 8), 0, [(3, 3)], -4, size), wanted)
    corner = stroke((1, 8, 8), 0, [(0, 7)], 1, size)  # cut off at the edges
    assert (corner != 0).sum() == (1 + size // 2) * (1 + (size - 1) // 2)


@pytest.mark.parametrize("given, words", [
    ({"channel": 3}, "The channel must be a whole number from 0 to 2"), ({"channel": 0.5}, "The channel"),
    ({"path": [(6, 0)]}, "The row must be a whole number from 0 to 5"), ({"path": [(0, 0), (0, 4)]}, "The column"),
    ({"path": [3]}, r"A place is \(row, column\)"), ({"path": [(1, 2, 3)]}, "A place is"),
    ({"strength": 4.5}, "The strength of a stroke is a number from -4 to 4"), ({"strength": float("nan")}, "strength"),
    ({"size": 6}, "The size of the brush must be a whole number from 1 to 5")])
def test_a_stroke_that_cannot_be_is_told_in_a_sentence(given, words):
    with pytest.raises(CourseError, match=words):
        stroke((3, 6, 4), **({"channel": 0, "path": [(2, 2)], "strength": 1} | given))


def test_colours_tell_signs_apart_and_grow_darker_on_both_sides():
    colours = in_colours(np.array([-9.0, -LATENT_RANGE, 0, LATENT_RANGE, 9]))
    assert colours.tolist() == [list(STOPS[i]) for i in (0, 0, 3, -1, -1)]
    light = np.array(STOPS) @ (0.2126, 0.7152, 0.0722)
    assert (np.diff(light[:4]) > 20).all() and (np.diff(light[3:]) < -20).all()


# ------------------------------------------------------------------------------------------- what becomes of a picture

def test_the_picture_is_what_the_vae_decodes(vae, picture):
    opened = open_latents(vae, picture)
    push = stroke(opened.z.shape, 2, [(4, 1)], -3)
    z = vae.encode(picture[None])
    plain = vae.decode(z).clamp(-1, 1)
    z[0, 2, 4, 1] -= 3
    wanted = vae.decode(z).clamp(-1, 1)
    shown = compute(vae, opened, push)
    assert shown["picture"].shape == (24, 16, 3)
    assert np.abs(shown["picture"].astype(int) - to_uint8(wanted)[0]).max() <= 1
    assert np.abs(shown["changed"].astype(int) - to_uint8(GAIN * (wanted - plain))[0]).max() <= 1
    assert f"the mean change is {(wanted - plain).abs().mean():.3f} of 2" in shown["words"]


def test_strength_0_changes_nothing_and_undoing_gives_the_very_same_picture(vae, picture):
    opened = open_latents(vae, picture)
    still = compute(vae, opened, stroke(opened.z.shape, 0, [(2, 2)], 0))
    assert (still["changed"] == 128).all() and still["words"] == UNTOUCHED
    assert np.array_equal(still["picture"], to_uint8(opened.x_hat[None])[0])
    first, second = (stroke(opened.z.shape, channel, [(2, 2)], 1.7) for channel in (0, 1))
    before, after = compute(vae, opened, first), compute(vae, opened, first + second)
    undone = compute(vae, opened, first)
    assert not np.array_equal(after["picture"], before["picture"])
    assert all(np.array_equal(undone[name], before[name]) for name in before)


def test_a_stroke_changes_what_is_near_it():
    """Through the shipped weights: beyond 8 pixels, a few hundredths of the change under the stroke are left."""
    trained = vae_from(*weights_for("vae"), torch.device("cpu"))
    pages = held_out(4)["pictures"].float() / 127.5 - 1
    rows, columns = torch.arange(64)[:, None], torch.arange(64)[None]
    away = torch.maximum(torch.maximum(24 - rows, rows - 27), torch.maximum(28 - columns, columns - 39)).clamp(min=0)
    left = []
    for page in pages:
        opened = open_latents(trained, page)
        for channel in range(4):
            push = stroke(opened.z.shape, channel, [(6, 7), (6, 9)], 3)  # pixels 24 to 27 down, 28 to 39 across
            changed = compute(trained, opened, push)["changed"].astype(float)
            change = torch.from_numpy(np.abs(changed - 128).mean(axis=2))
            left.append((change[away > 8].mean() / change[away == 0].mean()).item())
    assert max(left) < 0.12 and np.mean(left) < 0.06
    # But not nothing: the decoder's group normalisation looks at the whole page.
    assert min(left) > 0


@pytest.mark.parametrize("wrong, words", [
    (torch.zeros(1, 3, 16, 16), "one picture"), (np.zeros((3, 16, 16)), "one picture"),
    (torch.zeros(3, 16, 16, dtype=torch.uint8), "one picture"), (torch.zeros(3, 16, 18), "divisible by 4")])
def test_what_is_no_picture_is_told_in_a_sentence(vae, wrong, words):
    with pytest.raises(CourseError, match=words):
        labs.latent(vae, wrong)


@pytest.mark.parametrize("given, words", [({"channel": 3}, "The channel"), ({"place": (6, 0)}, "The row"),
                                          ({"place": 3}, "A place is")])
def test_a_channel_or_place_that_is_not_there_is_told_in_a_sentence(vae, picture, given, words):
    with pytest.raises(CourseError, match=words):
        labs.latent(vae, picture, **given)


def test_a_push_of_another_shape_is_told_in_a_sentence(vae, picture):
    with pytest.raises(CourseError, match=r"shape \(3, 6, 4\).*\(3, 4, 6\)"):
        compute(vae, open_latents(vae, picture), torch.zeros(3, 4, 6))


# ------------------------------------------------------------------------------------------------------------ the lab

def sent(lab, push: torch.Tensor, page: int | None = None) -> None:
    """As if the browser had sent this."""
    page = lab.brush.opened["page"] if page is None else page
    lab.brush._handle_custom_msg({"page": page}, [memoryview(push.numpy().tobytes())])


def shows(lab, push: torch.Tensor) -> bool:
    assert lab.live.wait(20)
    wanted, shown = compute(lab.vae, lab.opened, push), lab.brush.shown
    return (all(shown[name] == wanted[name].tobytes() for name in ("picture", "changed"))
            and shown["words"] == wanted["words"] and shown["push"] == push.numpy().tobytes())


def test_what_the_browser_paints_is_decoded(lab):
    push = stroke(lab.opened.z.shape, 1, [(0, 0), (3, 3)], 2)
    assert shows(lab, torch.zeros_like(push)) and (lab.brush.opened["channel"], lab.brush.opened["place"]) == (1, [0, 3])
    assert lab.brush.opened["z"] == lab.opened.z.numpy().tobytes() and "PSNR of" in lab.brush.opened["note"]
    sent(lab, push)
    assert shows(lab, push) and torch.equal(lab.z, lab.opened.z[None] + push) and "4 of 48" in repr(lab)
    opened = lab.brush.opened
    sent(lab, torch.zeros_like(push))
    assert shows(lab, torch.zeros_like(push)) and lab.brush.shown["words"] == UNTOUCHED
    assert lab.brush.opened is opened  # an answer opens nothing anew: the browser keeps what it can undo


def test_the_latest_strokes_win(lab, monkeypatch):
    pushes = [stroke(lab.opened.z.shape, 0, [(row, 0)], 2) for row in (0, 1, 2, 3)]
    gate, decoded = threading.Event(), []
    answer = lab.answer

    def slow(request, check):
        decoded.append(request[1])
        gate.wait(20)
        return answer(request, check)

    monkeypatch.setattr(lab.live, "work", slow)
    sent(lab, pushes[0])
    end = time.monotonic() + 20
    while not decoded and time.monotonic() < end:
        time.sleep(0.01)
    for push in pushes[1:]:
        sent(lab, push)
    gate.set()
    assert shows(lab, pushes[-1])
    assert len(decoded) == 2 and decoded[0].equal(pushes[0]) and decoded[1].equal(pushes[-1])


def test_what_arrives_damaged_is_told_and_the_picture_stays(lab):
    push = stroke(lab.opened.z.shape, 1, [(1, 1)], 3)
    sent(lab, push)
    assert shows(lab, push)
    sent(lab, push[:2])
    assert "did not arrive whole" in lab.brush.message and shows(lab, push)
    sent(lab, torch.full_like(push, float("inf")))
    assert "no finite number" in lab.brush.message and shows(lab, push)
    sent(lab, torch.zeros_like(push))
    assert shows(lab, torch.zeros_like(push)) and lab.brush.message == ""
    assert push_from((100 * push).numpy().tobytes(), push.shape).max() == MOST


def test_the_learners_own_picture_takes_the_place_of_the_page(lab):
    push = stroke(lab.opened.z.shape, 0, [(1, 1)], 3)
    sent(lab, push)
    assert shows(lab, push)
    before, file = lab.brush.opened, io.BytesIO()
    Image.new("RGB", (40, 20), "red").save(file, "PNG")
    lab.take("red.png", file.getvalue())
    assert lab.opened.x.shape == (3, 16, 16) and lab.opened.x[0].min() == 1 and lab.opened.x[1].max() == -1
    assert lab.brush.opened["page"] == before["page"] + 1 and lab.brush.opened["z"] != before["z"]
    assert shows(lab, torch.zeros_like(push))  # nothing is painted on it
    sent(lab, push, page=before["page"])  # was under way when the picture changed
    assert shows(lab, torch.zeros_like(push))
    with pytest.raises(CourseError, match="cannot be read"):
        lab.take("broken.png", b"nothing")
    sent(lab, push)
    assert shows(lab, push)


def test_a_picture_that_is_not_square_stays(vae, picture):
    opened = labs.latent(vae, picture)
    opened.meter.close()
    with pytest.raises(CourseError, match="not square"):
        opened.take("red.png", b"")
    assert opened.brush.opened["place"] == [3, 2]
    opened.close()


def test_closing_leaves_no_thread_and_no_widget(lab):
    sent(lab, torch.ones_like(lab.opened.z))
    lab.close()
    assert lab.live.wait(20) and lab.brush.comm is None and lab.meter.comm is None


def test_without_widgets_there_is_a_figure_with_words(vae, lab):
    data = lab._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data and "image/png" in data
    assert "channel 1 with a stroke" in lab.figure.alt and 'alt="A page and the channels' in data["text/html"]


def test_the_brush_waits_for_its_first_picture():
    assert Brush(lambda push: None).opened == {}
