"""From a prompt and a seed to a picture: with small networks of the tests' own, and with the shipped weights."""

import math
from dataclasses import asdict
from itertools import pairwise

import numpy as np
import pytest
import torch
from small_models import AUTOENCODER, TEXT, UNET, small_text_to_image

from course_lib.data import PICTUREBOOKS, open_pictures
from course_lib.denoiser import Denoiser
from course_lib.pictures import to_tensor, to_uint8
from course_lib.pipeline import batches, generate, generate_pixels, load_denoiser, load_text_to_image
from course_lib.runtime import WEIGHTS, CourseError, fingerprint, load_tensors, load_weights, save_tensors, sha256
from course_lib.schedulers import SCHEDULERS, find_schedule, time_grid
from course_lib.tokenizer import tokenize
from course_lib.unet import UNet, UNetSettings

pytestmark = pytest.mark.usefixtures("one_thread")
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
    alone = generate_pixels(7, steps=6, scheduler=scheduler, model=model)
    together = generate_pixels([3, 7, 7], steps=6, scheduler=scheduler, model=model)
    again = generate_pixels([7], steps=6, scheduler=scheduler, model=model)
    assert (again.pictures == alone.pictures).all()
    assert torch.equal(together.trajectory[0].x[1], alone.trajectory[0].x[0])
    last = together.trajectory[-1].x_next
    torch.testing.assert_close(last[1:2], alone.trajectory[-1].x_next, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(last[1], last[2], rtol=1e-4, atol=1e-4)
    assert (last[0] - last[1]).abs().max() > 0.1
    assert np.abs(together.pictures[1].astype(int) - alone.picture).max() <= 1


def test_ddim_with_full_eta_is_ddpm_and_without_is_not(model):
    ddpm, full, none = (generate_pixels(1, steps=5, scheduler=name, eta=eta, model=model).trajectory[-1].x_next
                        for name, eta in (("ddpm", None), ("ddim", 1.0), ("ddim", 0.0)))
    assert torch.equal(ddpm, full) and (ddpm - none).abs().max() > 0.01
    assert torch.equal(none, generate_pixels(1, steps=5, scheduler="ddim", model=model).trajectory[-1].x_next)


@pytest.mark.parametrize("steps", [1, 2, 7])
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_the_cost_is_told_in_network_evaluations(model, scheduler, steps):
    result = generate_pixels([0, 1], steps=steps, scheduler=scheduler, model=model)
    assert result.nfe == (2 * steps - 1 if scheduler == "heun" else steps)
    assert len(result.trajectory) == steps and result.seconds > 0


def test_the_result_holds_the_pictures_and_the_way_to_them(model):
    result = generate_pixels(range(4, 6), steps=3, model=model)
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
    result = generate_pixels(range(8), steps=1, model=small_model(schedule, "x0"))
    assert result.trajectory[0].x.std() == pytest.approx(find_schedule(schedule).sigma(1.0), rel=0.05)


# ------------------------------------------------------------------------------------------------- text to image

@pytest.fixture(scope="module")
def painter():
    return small_text_to_image()


def last(result) -> torch.Tensor:
    return result.trajectory[-1].x_next


PROMPT = "a red house"
LONG = "a large green tree on the left and a small blue boat with a rainbow in the evening at sea"


def test_guidance_is_two_passes_and_a_mixture(painter):
    """DDIM with classifier-free guidance written out by hand (Song et al. 2021, eq. 12; Ho & Salimans 2022, eq. 6)."""
    made = generate(PROMPT, 5, steps=4, guidance=3.5, scheduler="ddim", negative_prompt="a cat", model=painter)
    schedule, text = painter.denoise.schedule, painter.space.text
    x = torch.randn((1, 4, 16, 16), generator=torch.Generator().manual_seed(5))
    for t, s in pairwise(time_grid(schedule, 4, "uniform")):
        alpha, sigma = schedule.alpha(t), schedule.sigma(t)
        v_prompt, v_without = (painter.denoise.network(x, torch.tensor([t]), text(tokenize([said])))
                               for said in (PROMPT, "a cat"))
        with_prompt, without = alpha * x - sigma * v_prompt, alpha * x - sigma * v_without
        x0_hat = without + 3.5 * (with_prompt - without)
        x = schedule.alpha(s) * x0_hat + schedule.sigma(s) * (x - alpha * x0_hat) / sigma
    torch.testing.assert_close(last(made), x, rtol=1e-3, atol=1e-3)
    pictures = ((painter.vae.decode(x).clamp(-1, 1) + 1) * 127.5).permute(0, 2, 3, 1)
    assert np.abs(made.pictures - pictures.numpy()).max() < 1.01
    assert made.picture.shape == (64, 64, 3) and made.pictures.dtype == np.uint8


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_prompt_and_a_seed_give_the_same_picture_in_any_company(painter, scheduler):
    options = {"steps": 4, "scheduler": scheduler, "model": painter, "guidance": 2}
    alone = generate(PROMPT, 7, **options)
    together = generate([LONG, PROMPT, "", LONG, PROMPT], [7, 7, 7, 3, 8], **options)
    torch.testing.assert_close(last(together)[1:2], last(alone), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(last(together)[2:3], last(generate("", 7, **options)), rtol=1e-4, atol=1e-4)
    for i, j in ((0, 1), (0, 3), (1, 2), (1, 4)):
        assert (last(together)[i] - last(together)[j]).abs().max() > 0.05, (i, j)
    assert np.abs(together.pictures[1].astype(int) - alone.picture).max() <= 1


def test_padding_changes_nothing(painter):
    """To rounding: one step, the guess alone, with the words filled up to three lengths."""
    x = torch.randn((1, 4, 16, 16), generator=torch.Generator().manual_seed(0))
    guesses = []
    for company in (PROMPT, LONG, "red " * 30):
        cond = painter.cond([PROMPT, company])
        guesses.append(painter.denoise(x, 0.7, type(cond)(*(part[:1] for part in cond))))
    assert painter.cond([PROMPT, "red " * 30]).words.shape[1] == 32
    for guess in guesses[1:]:
        torch.testing.assert_close(guess, guesses[0], rtol=1e-5, atol=1e-5)


def test_one_prompt_for_many_seeds_and_one_seed_for_many_prompts(painter):
    options = {"steps": 1, "model": painter}
    seeds = generate(PROMPT, range(2), **options)
    assert seeds.prompts == [PROMPT] * 2 and seeds.seeds == [0, 1] and seeds.pictures.shape == (2, 64, 64, 3)
    prompts = generate(("a cat", "", PROMPT), 4, **options)
    assert prompts.prompts == ["a cat", "", PROMPT] and prompts.seeds == [4] * 3
    both = generate(["a cat", PROMPT], (4, 5), **options)
    torch.testing.assert_close(last(both)[0], last(prompts)[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("prompt, options, passes", [
    (PROMPT, {"guidance": 1}, 1), (PROMPT, {"guidance": 0}, 1), (PROMPT, {"guidance": 2}, 2), ("", {"guidance": 4}, 1),
    ("a cat", {"negative_prompt": "A cat!"}, 1), ("teal", {}, 1), (["", PROMPT], {}, 2), (["", ""], {}, 1),
])
def test_two_passes_are_paid_for_only_where_they_differ(painter, prompt, options, passes):
    result = generate(prompt, steps=3, model=painter, **options)
    assert result.nfe == 3 * passes
    assert generate(prompt, steps=3, scheduler="heun", model=painter, **options).nfe == 5 * passes


def test_guidance_prompts_and_negative_prompts_change_the_picture(painter):
    def paint(prompt=PROMPT, **options):
        return last(generate(prompt, 1, **{"steps": 3, "model": painter} | options))

    plain, none = paint(guidance=1), paint("", guidance=1)
    for same in (paint(guidance=0), paint("teal qwzk", guidance=5)):
        torch.testing.assert_close(same, none, rtol=1e-4, atol=1e-4)
    far = paint(guidance=4)
    for other in (plain, none, paint("a blue boat"), paint(negative_prompt="a cat"), paint(guidance=-2)):
        assert (far - other).abs().max() > 0.05


def test_the_trajectory_is_of_latents_and_can_be_decoded(painter):
    result = generate(PROMPT, [1, 2], steps=3, model=painter)
    assert result.trajectory[0].x.shape == (2, 4, 16, 16) and result.scheduler == "dpmpp_2m"
    assert (result.decode(last(result)) == result.pictures).all() and result.seconds > 0
    assert result.decode(result.trajectory[0].x0_hat).shape == (2, 64, 64, 3)
    with torch.inference_mode():
        wanted = to_uint8(painter.vae.decode(last(result)))
    assert (wanted == result.pictures).all()


def test_what_the_model_could_not_use_is_told(painter):
    said = generate(["a teal house", "a teal house", PROMPT], negative_prompt="fog", steps=1, model=painter).remarks
    assert [sentence.split("'")[1] for sentence in said] == ["teal", "fog", "fog"]
    assert "close words it knows: green, blue." in said[0] and "empty prompt" in said[2]
    [said] = generate("red " * 500, steps=1, model=painter).remarks
    assert said == "The prompt is too long: it is cut after 30 words, before 'red'."
    cut, whole = (generate(text, 3, steps=2, model=painter) for text in ("red " * 500, "red " * 30))
    assert torch.equal(last(cut), last(whole)) and not whole.remarks


# ------------------------------------------------------------------------------------------- weights of one's own

@pytest.fixture
def own(tmp_path, painter):
    """Half-precision files as training leaves them; the latent one says on which others it was built."""
    def save(built_on):
        files = {"vae": (painter.vae, {"vae": asdict(AUTOENCODER)}), "text": (painter.space, {"text": asdict(TEXT)}),
                 "latent": (painter.denoise.network, {"size": 16, "schedule": "cosine", "prediction": "v",
                                                      "unet": asdict(UNET)})}
        for name, (network, settings) in files.items():
            tensors = {key: value.half() for key, value in network.state_dict().items()}
            if name == "latent" and built_on is not None:
                settings["built_on"] = {key: fingerprint(load_tensors(tmp_path / f"{key}.safetensors")[0])
                                        for key in ("vae", "text")} | built_on
            save_tensors(tmp_path / f"{name}.safetensors", tensors, settings)
        return tmp_path
    return save


@pytest.mark.parametrize("built_on", [None, {}])
def test_weights_of_ones_own_paint_as_they_did_in_training(own, painter, built_on):
    model = load_text_to_image(folder=own(built_on))
    assert model.shape == (4, 16, 16) and load_text_to_image("cpu", own(built_on)) is model
    made, wanted = (generate(PROMPT, 2, steps=2, model=each).picture for each in (model, painter))
    assert np.abs(made.astype(int) - wanted).mean() < 2  # of 255: the rounding to half precision


@pytest.mark.parametrize("other", ["vae", "text"])
def test_weights_that_do_not_belong_together_are_refused(own, other):
    with pytest.raises(CourseError, match=f"'latent' were trained on other '{other}' weights .* train latent$"):
        load_text_to_image(folder=own({other: "01234567"}))


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
        generate_pixels(**{"model": model, "steps": 2} | wrong)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong, words", [
    ({"seed": -1}, "The seed must be a whole number from 0"), ({"seed": 2**80}, "The seed must be"),
    ({"seed": 1.5}, "The seed must be"), ({"seed": [1, "2"]}, "The seed must be"), ({"seed": None}, "The seed must be"),
    ({"seed": []}, "at least one seed"), ({"prompt": []}, "at least one prompt"),
    ({"steps": 0}, "steps must be a whole number from 1 to 1000"), ({"steps": 10**9}, "steps"),
    ({"guidance": math.nan}, "guidance scale must be a finite number from -100 to 100, but it is nan"),
    ({"guidance": math.inf}, "guidance scale"), ({"guidance": -math.inf}, "guidance scale"),
    ({"guidance": 1e30}, "guidance scale"), ({"guidance": "3"}, "guidance scale"),
    ({"guidance": None}, "guidance scale"),
    ({"scheduler": "plms"}, "no scheduler 'plms': choose from ddpm, ddim"),
    ({"eta": 0.5}, "eta goes with the scheduler 'ddim'"), ({"eta": 2, "scheduler": "ddim"}, "eta"),
    ({"eta": math.nan, "scheduler": "ddim"}, "eta"),
    ({"prompt": 7}, "A prompt must be a text"), ({"prompt": None}, "A prompt must be a text"),
    ({"prompt": ["a cat", None]}, "A prompt must be a text"), ({"prompt": b"a cat"}, "A prompt must be a text"),
    ({"negative_prompt": ["a cat"]}, "The negative prompt must be a text"),
    ({"prompt": ["a cat", "a car"], "seed": [1, 2, 3]}, "2 prompts and 3 seeds"),
])
def test_a_bad_value_beside_a_prompt_gets_one_sentence(painter, wrong, words):
    with pytest.raises(CourseError, match=words) as caught:
        generate(**{"prompt": PROMPT, "model": painter, "steps": 2} | wrong)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200


@pytest.mark.parametrize("wrong", [{"model": "pixel"}, {"device": "gpu"}])
def test_unknown_weights_and_devices_get_the_choice(wrong):
    with pytest.raises(CourseError, match="choose") as caught:
        generate_pixels(steps=1, **wrong)
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
    pictures = generate_pixels(range(6), steps=20, scheduler="dpmpp_2m", device="cpu").pictures.astype(float)
    assert pictures.shape == (6, 32, 32, 3)
    spread = pictures.std(axis=(1, 2, 3))
    steps = np.abs(np.diff(pictures, axis=2)).mean(axis=(1, 2, 3))  # from a pixel to its neighbour
    assert (spread > 15).all(), "a picture is all but empty"
    assert (steps < 0.45 * spread).all(), "a picture is all but noise (for white noise this is 1.13)"
    apart = [np.abs(a - b).mean() for i, a in enumerate(pictures) for b in pictures[:i]]
    assert min(apart) > 10, "two seeds gave the same picture"


@pytest.fixture(scope="module")
def shipped_painter():
    if not all((WEIGHTS / f"{name}.safetensors").is_file() for name in ("latent", "text", "vae")):
        pytest.skip("no text-to-image weights are shipped yet")
    return load_text_to_image()


def test_the_shipped_text_to_image_weights_are_small_and_belong_together(shipped_painter):
    assert sum(value.numel() for value in load_weights("latent")[0].values()) <= 6_000_000
    assert (WEIGHTS / "latent.safetensors").stat().st_size <= 12_000_000
    for name in ("latent", "text", "vae"):
        tensors, _ = load_weights(name)
        assert {value.dtype for value in tensors.values()} == {torch.float16}, name


def test_the_shipped_model_heeds_the_prompt_the_seed_and_the_guidance(shipped_painter):
    asked = [("a red house at night", 1, 4), ("a red house by day", 1, 4), ("a red house at night", 2, 4),
             ("a red house at night", 1, 1)]
    night, day, other, plain = (generate(prompt, seed, steps=10, guidance=guidance).picture.astype(float)
                                for prompt, seed, guidance in asked)
    assert night[:16].mean() < 100 < day[:16].mean()  # the sky
    for picture in (other, plain):
        assert np.abs(picture - night).mean() > 3


def test_the_shipped_model_paints_the_colour_that_the_prompt_names(shipped_painter):
    """By the picture book's own paint, without the oracle: more of the named colour than any other has."""
    kinds = {"red": (214, 48, 46), "green": (52, 162, 82), "purple": (140, 78, 194)}
    prompts = [f"a large {colour} house in the middle in the snow by day" for colour in kinds]
    pictures = generate(prompts, 3, steps=15, guidance=4).pictures.astype(float)
    near = [[(np.abs(picture - paint).max(axis=2) < 45).mean() for picture in pictures] for paint in kinds.values()]
    assert (np.argmax(near, axis=1) == np.arange(len(kinds))).all(), near


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_batches_give_each_prompt_its_seed_whatever_their_size(size):
    prompts = tuple(f"prompt {i}" for i in range(7))
    made = list(batches(prompts, 40, size))
    pairs = [pair for chunk, seeds in made for pair in zip(chunk, seeds, strict=True)]
    assert pairs == list(zip(prompts, range(40, 47)))
    assert all(len(chunk) == size for chunk, _ in made[:-1]) and not list(batches([], 0, size))
