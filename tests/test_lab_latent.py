"""The latent lab's frames are what the VAE decodes; its controls lead to other ones."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from course_lib import labs
from course_lib.labs.latent import GAIN, LATENT_RANGE, LIMIT, MIDDLE, compute
from course_lib.pictures import to_uint8
from course_lib.runtime import CourseError, random_source
from course_lib.vae import VAE, VAESettings

pytestmark = pytest.mark.usefixtures("one_thread")
STRENGTHS = 2 * MIDDLE + 1
VIEWS = ("picture", "what changed", "latent channel")


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


def by_hand(vae, picture, strength, poke):
    z = vae.encode(picture[None])
    poke(z, strength)
    return vae.decode(z)


@pytest.mark.parametrize("place", [(4, 1), None])
@pytest.mark.parametrize("frame", [0, MIDDLE, STRENGTHS - 3])
def test_a_frame_is_the_decoded_poke(vae, picture, place, frame):
    strength = -LIMIT + 2 * LIMIT * frame / (STRENGTHS - 1)

    def poke(z, by):
        if place is None:
            z[:, 2] += by
        else:
            z[0, 2, 4, 1] += by

    views = compute(vae, picture, channel=2, place=place)["views"]
    assert tuple(views) == VIEWS and {v.shape for v in views.values()} == {(STRENGTHS, 24, 16, 3)}
    wanted, unpoked = by_hand(vae, picture, strength, poke), vae.decode(vae.encode(picture[None]))
    assert np.abs(views["picture"][frame].astype(int) - to_uint8(wanted)[0]).max() <= 1
    assert np.abs(views["what changed"][frame].astype(int) - to_uint8(GAIN * (wanted - unpoked))[0]).max() <= 1


def test_the_latent_channel_is_shown_as_it_was_poked(vae, picture):
    z = vae.encode(picture[None])[0, 1]
    shown = compute(vae, picture, channel=1, place=(0, 3))["views"]["latent channel"]
    z[0, 3] += LIMIT
    assert np.abs(shown[-1, ::4, ::4, 0].astype(int) - to_uint8(z[None, None] / LATENT_RANGE)[0, ..., 0]).max() <= 1
    differs = (shown[0] != shown[-1]).any(axis=-1)
    assert differs[:4, 12:].all() and differs.sum() == 16  # one latent is four by four pixels


def test_labels_say_how_strong_and_how_much_changes(vae, picture):
    labels = compute(vae, picture, place=(2, 2))["labels"]
    poked = by_hand(vae, picture, LIMIT, lambda z, strength: z[0, 0, 2, 2].add_(strength))
    change = (poked - vae.decode(vae.encode(picture[None]))).abs().mean()
    assert labels[0].startswith("−4.0 ·") and labels[MIDDLE] == "+0.0 · the page changes by 0.000"
    assert len(labels) == STRENGTHS and labels[-1] == f"+4.0 · the page changes by {change:.3f}"


@pytest.mark.parametrize("given, words", [
    ({"channel": 3}, "The channel must be a whole number from 0 to 2"), ({"channel": 0.5}, "The channel"),
    ({"place": (6, 0)}, "The row must be a whole number from 0 to 5"), ({"place": (0, 4)}, "The column"),
    ({"place": 3}, r"A place is \(row, column\)"), ({"place": (1, 2, 3)}, "A place is"),
    ({"picture": torch.zeros(1, 3, 16, 16)}, "one picture"), ({"picture": np.zeros((3, 16, 16))}, "one picture"),
    ({"picture": torch.zeros(3, 16, 18)}, "divisible by 4")])
def test_bad_input_is_told_in_a_sentence(vae, picture, given, words):
    with pytest.raises(CourseError, match=words):
        compute(vae, **({"picture": picture, "place": None} | given))


def test_the_controls_lead_to_other_frames(vae, picture):
    lab = labs.latent(vae, picture, channel=0, place=(2, 2))

    def shows(channel, place):
        wanted = labs.Scrubber(**compute(vae, picture, channel, place), alt="x").shown
        return lab.scrubber.shown["sheets"] == wanted["sheets"] and lab.scrubber.shown["labels"] == wanted["labels"]

    assert shows(0, (2, 2)) and (lab.row.max, lab.column.max, list(lab.channel.options)) == (5, 3, [0, 1, 2])
    lab.channel.value = 1
    assert shows(1, (2, 2))
    lab.row.value, lab.column.value = 5, 0
    assert shows(1, (5, 0)) and not lab.row.disabled
    lab.everywhere.value = True
    assert shows(1, None) and lab.row.disabled and lab.column.disabled
    assert repr(lab) == "LatentLab(channel=1, place=None)"


def test_the_learners_own_picture_takes_the_place_of_the_page(vae):
    lab = labs.latent(vae, torch.zeros(3, 16, 16), place=None)
    before, file = lab.scrubber.shown["sheets"], io.BytesIO()
    Image.new("RGB", (40, 20), "red").save(file, "PNG")
    lab.take("red.png", file.getvalue())
    assert lab.picture.shape == (3, 16, 16) and lab.picture[0].min() == 1 and lab.picture[1].max() == -1
    assert lab.scrubber.shown["sheets"] != before
    with pytest.raises(CourseError, match="cannot be read"):
        lab.take("broken.png", b"nothing")


def test_without_widgets_there_is_a_strip_with_words(vae):
    lab = labs.latent(vae, place=None)
    data = lab._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data and "image/png" in data
    assert "from −4.0" in lab.scrubber.strip.alt
    assert all(control.description for control in (lab.channel, lab.everywhere, lab.row, lab.column))
