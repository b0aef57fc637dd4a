"""From a seed to a picture: with a small network of the tests' own, and with the weights that are shipped."""

import math

import numpy as np
import pytest
import torch

from course_lib.data import PICTUREBOOKS, open_pictures
from course_lib.denoiser import Denoiser
from course_lib.pictures import to_tensor, to_uint8
from course_lib.pipeline import generate, load_denoiser
from course_lib.runtime import WEIGHTS, CourseError, load_weights, sha256
from course_lib.schedulers import SCHEDULERS, find_schedule
from course_lib.unet import UNet, UNetSettings

SHAPE = (3, 16, 16)


def small_model(schedule: str = "cosine", prediction: str = "v") -> tuple[Denoiser, tuple[int, int, int]]:
    """A network with random weights everywhere: no picture-book page comes out of it, but every rule of the game."""
    source = torch.Generator().manual_seed(0)
    network = UNet(UNetSettings(channels=(32, 32), attention=(False, True))).eval().requires_grad_(False)
    for parameter in network.parameters():
        if not parameter.any():
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=source))
    return Denoiser(network, find_schedule(schedule), prediction), SHAPE


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return small_model()


# ------------------------------------------------------------------------------------------------ what comes out

@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_seed_gives_the_same_picture_alone_and_in_a_batch(model, scheduler):
    alone = generate(7, steps=6, scheduler=scheduler, model=model)
    together = generate([3, 7, 7], steps=6, scheduler=scheduler, model=model)
    again = generate([7], steps=6, scheduler=scheduler, model=model)
    assert (again.pictures == alone.pictures).all()
    assert torch.equal(together.trajectory[0].x[1], alone.trajectory[0].x[0])
    last = together.trajectory[-1].x_next
    torch.testing.assert_close(last[1:2], alone.trajectory[-1].x_next, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(last[1], last[2], rtol=1e-4, atol=1e-4)
    assert (last[0] - last[1]).abs().max() > 0.1
    assert np.abs(together.pictures[1].astype(int) - alone.picture).max() <= 1


def test_ddim_with_full_eta_is_ddpm_and_without_is_not(model):
    ddpm, full, none = (generate(1, steps=5, scheduler=name, eta=eta, model=model).trajectory[-1].x_next
                        for name, eta in (("ddpm", None), ("ddim", 1.0), ("ddim", 0.0)))
    assert torch.equal(ddpm, full) and (ddpm - none).abs().max() > 0.01
    assert torch.equal(none, generate(1, steps=5, scheduler="ddim", model=model).trajectory[-1].x_next)


@pytest.mark.parametrize("steps", [1, 2, 7])
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_the_cost_is_told_in_network_evaluations(model, scheduler, steps):
    result = generate([0, 1], steps=steps, scheduler=scheduler, model=model)
    assert result.nfe == (2 * steps - 1 if scheduler == "heun" else steps)
    assert len(result.trajectory) == steps and result.seconds > 0


def test_the_result_holds_the_pictures_and_the_way_to_them(model):
    result = generate(range(4, 6), steps=3, model=model)
    assert result.pictures.shape == (2, 16, 16, 3) and result.pictures.dtype == np.uint8
    assert (result.picture == result.pictures[0]).all() and result.seeds == [4, 5] and result.scheduler == "ddim"
    ts = [step.t for step in result.trajectory] + [result.trajectory[-1].s]
    assert ts[0] == 1 and ts[-1] == 0 and ts == sorted(ts, reverse=True)
    for before, after in zip(result.trajectory, result.trajectory[1:]):
        assert torch.equal(before.x_next, after.x) and before.s == after.t
    assert (to_uint8(result.trajectory[-1].x_next) == result.pictures).all()
    assert not result.trajectory[0].x.requires_grad


@pytest.mark.parametrize("schedule", ["linear", "cosine", "flow", "edm"])
def test_the_noise_to_start_from_is_as_strong_as_the_schedule_says(schedule):
    result = generate(range(8), steps=1, model=small_model(schedule, "x0"))
    assert result.trajectory[0].x.std() == pytest.approx(find_schedule(schedule).sigma(1.0), rel=0.05)


# ---------------------------------------------------------------------------------------------------- bad values

@pytest.mark.parametrize("wrong, words", [
    ({"seed": -1}, "The seed must be a whole number from 0"), ({"seed": 2**80}, "The seed must be"),
    ({"seed": 1.5}, "The seed must be"), ({"seed": math.nan}, "The seed must be"), ({"seed": "7"}, "The seed must be"),
    ({"seed": True}, "The seed must be"), ({"seed": [1, None]}, "The seed must be"),
    ({"seed": []}, "at least one seed"),
    ({"seed": np.array([1, 2])}, "The seed must be"),
    ({"steps": 0}, "The number of steps must be a whole number from 1 to 1000"), ({"steps": 1001}, "steps"),
    ({"steps": 2.5}, "steps"), ({"steps": math.nan}, "steps"), ({"steps": "10"}, "steps"), ({"steps": True}, "steps"),
    ({"scheduler": "ddmi"}, "no scheduler 'ddmi': choose from ddpm, ddim"), ({"scheduler": ""}, "no scheduler"),
    ({"eta": 2}, "eta .* between 0 and 1"), ({"eta": -0.1}, "eta"), ({"eta": math.nan}, "eta"),
    ({"eta": 0.5, "scheduler": "heun"}, "eta goes with the scheduler 'ddim'"),
    ({"eta": 0.0, "scheduler": "ddpm"}, "eta goes with the scheduler 'ddim'"),
])
def test_a_bad_value_gets_one_sentence(model, wrong, words):
    with pytest.raises(CourseError, match=words) as caught:
        generate(**{"model": model, "steps": 2} | wrong)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", [{"model": "pixel"}, {"device": "gpu"}])
def test_unknown_weights_and_devices_get_the_choice(wrong):
    with pytest.raises(CourseError, match="choose") as caught:
        generate(steps=1, **wrong)
    assert "\n" not in str(caught.value)


# ------------------------------------------------------------------------------------------- the shipped weights

def test_every_shipped_file_has_its_recorded_sum_and_the_other_way_round():
    recorded = dict(reversed(line.split()) for line in (WEIGHTS / "SHA256SUMS").read_text().splitlines())
    assert recorded.keys() == {path.name for path in WEIGHTS.glob("*.safetensors")}
    for name, digest in recorded.items():
        assert sha256(WEIGHTS / name) == digest, name


@pytest.fixture(scope="module")
def shipped():
    return load_denoiser("pixels", "cpu")


def test_the_shipped_weights_are_small_and_tell_what_they_are(shipped):
    tensors, settings = load_weights("pixels")
    assert sum(value.numel() for value in tensors.values()) <= 2_000_000
    assert {value.dtype for value in tensors.values()} == {torch.float16}
    assert settings["size"] == 32 and settings["data"] in PICTUREBOOKS and settings["trained"]["pictures"] > 100_000
    denoise, shape = shipped
    assert shape == (3, 32, 32) and denoise.schedule.name == settings["schedule"]
    assert load_denoiser("pixels", "cpu")[0] is denoise  # loaded once


def test_the_shipped_model_knows_pages_it_has_never_seen(shipped):
    """Its guess at a noisy page must beat by far the best guess that looks at each pixel alone."""
    denoise, _ = shipped
    x0 = to_tensor(to_uint8(open_pictures(load_weights("pixels")[1]["data"], 32, "test", limit=48).batch(slice(None))))
    eps = torch.randn(x0.shape, generator=torch.Generator().manual_seed(0))
    variance = x0.var()
    for t, share in ((0.2, 0.13), (0.5, 0.12), (0.8, 0.21)):
        x = denoise.schedule.add_noise(x0, eps, t)
        with torch.inference_mode():
            error = (denoise(x, t) - x0).square().mean()
        alpha, sigma = denoise.schedule.alpha(t), denoise.schedule.sigma(t)
        alone = variance * sigma**2 / (alpha**2 * variance + sigma**2)  # the best affine guess, pixel by pixel
        assert error < share * alone, (t, (error / alone).item())


def test_the_shipped_model_paints_pictures_and_not_noise(shipped):
    pictures = generate(range(6), steps=20, scheduler="dpmpp_2m", device="cpu").pictures.astype(float)
    assert pictures.shape == (6, 32, 32, 3)
    spread = pictures.std(axis=(1, 2, 3))
    steps = np.abs(np.diff(pictures, axis=2)).mean(axis=(1, 2, 3))  # from a pixel to its neighbour
    assert (spread > 15).all(), "a picture is all but empty"
    assert (steps < 0.45 * spread).all(), "a picture is all but noise (for white noise this is 1.13)"
    apart = [np.abs(a - b).mean() for i, a in enumerate(pictures) for b in pictures[:i]]
    assert min(apart) > 10, "two seeds gave the same picture"
