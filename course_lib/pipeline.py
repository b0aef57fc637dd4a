"""From a prompt and a seed to a picture: a few lines over the floors below."""

import time
from dataclasses import dataclass
from functools import lru_cache
from numbers import Real
from pathlib import Path
from typing import Callable, NamedTuple, Sequence

import numpy as np
import torch
from torch import Tensor

from course_lib.denoiser import Denoiser
from course_lib.guidance import cfg
from course_lib.layers import Cond
from course_lib.models import denoiser_from, text_from, vae_from, weights_for
from course_lib.pictures import to_uint8
from course_lib.runtime import CourseError, fingerprint, pick_device, starting_noise
from course_lib.sampling import Step, sample
from course_lib.schedulers import Schedule, find_scheduler, time_grid
from course_lib.text import SharedSpace
from course_lib.tokenizer import read_prompt, remarks, tokenize
from course_lib.vae import VAE

GUIDANCE = 3.0  # the scale unless another is asked for
MOST_GUIDANCE = 100  # far beyond use; without any limit numbers overflow
SIDE = 16  # latents along a side, for pictures of 64 pixels


@dataclass(frozen=True)
class Result:
    """What generating gave, and what it cost.

    pictures: uint8 (N, H, W, 3), one a prompt and seed; trajectory: every step, on the CPU, in latents if the model
    works in them; decode: latents or pixels (N, C, h, w), such as a step's x0_hat, -> uint8 pictures; nfe: network
    evaluations for each picture, of which guidance needs two a step; seconds: for all pictures together, from reading
    the prompts to decoding; remarks: sentences on words of the prompts that the model could not use.
    """

    pictures: np.ndarray
    trajectory: list[Step]
    decode: Callable[[Tensor], np.ndarray]
    schedule: Schedule
    prompts: list[str]
    seeds: list[int]
    scheduler: str
    nfe: int
    seconds: float
    remarks: list[str]

    @property
    def picture(self) -> np.ndarray:
        """The first picture, uint8 (H, W, 3)."""
        return self.pictures[0]


class TextToImage(NamedTuple):
    """The parts of a text-to-image model: the denoiser of latents, the shared space, the VAE."""

    denoise: Denoiser
    space: SharedSpace
    vae: VAE

    @property
    def device(self) -> torch.device:
        return self.vae.shift.device

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of what the denoiser denoises, the latents (C, h, w) of one picture."""
        return self.vae.settings.latent, SIDE, SIDE

    @torch.inference_mode()
    def cond(self, prompts: Sequence[str]) -> Cond:
        """What steers the denoiser, for each prompt; the empty prompt stands for none."""
        return self.space.text(tokenize(prompts).to(self.device))

    @torch.inference_mode()
    def decode(self, z: Tensor) -> np.ndarray:
        """Latents (N, C, h, w), from any device -> uint8 pictures (N, 4 h, 4 w, 3)."""
        return to_uint8(self.vae.decode(z.to(self.device)))


def load_denoiser(name: str = "pixels", device: str = "cpu",
                  folder: Path | None = None) -> tuple[Denoiser, tuple[int, int, int]]:
    """The denoiser `name` and the shape (C, H, W) of what it denoises. Loaded once, then kept.

    device: as for `pick_device`. The CPU unless told, so that noise drawn there, which is all noise, fits as it is.
    folder: weights of your own, from `train`; None for the shipped ones.
    Raises CourseError for damaged weights, an unknown name or a device that is not there.
    """
    return _load_denoiser(name, str(pick_device(device)), folder)


@lru_cache(maxsize=4)
def _load_denoiser(name: str, device: str, folder: Path | None) -> tuple[Denoiser, tuple[int, int, int]]:
    tensors, settings = weights_for(name, folder)
    size = settings["size"]
    return denoiser_from(tensors, settings, torch.device(device)), (settings["unet"]["picture"], size, size)


def load_text_to_image(device: str = "cpu", folder: Path | None = None) -> TextToImage:
    """The text-to-image model, all its parts. Loaded once, then kept; arguments and errors as for `load_denoiser`."""
    return _load_text_to_image(str(pick_device(device)), folder)


@lru_cache(maxsize=2)
def _load_text_to_image(device: str, folder: Path | None) -> TextToImage:
    parts = {name: weights_for(name, folder) for name in ("latent", "text", "vae")}
    # A denoiser understands only the latents and the word states that it learned on.
    for name, mark in parts["latent"][1].get("built_on", {}).items():
        if fingerprint(parts[name][0]) != mark:
            raise CourseError(f"The weights 'latent' were trained on other '{name}' weights than the ones here: bring "
                              f"those back, or train again with: python -m course_lib train latent")
    build = {"latent": denoiser_from, "text": text_from, "vae": vae_from}
    return TextToImage(*(build[name](*parts[name], torch.device(device)) for name in parts))


class _Counted:
    """A network that counts how many pictures it has seen."""

    def __init__(self, network):
        self.network, self.seen = network, 0

    def __call__(self, x, *others):
        self.seen += len(x)
        return self.network(x, *others)


def _pair(prompts, seeds) -> tuple[list[str], list[int]]:
    """One prompt for each seed, one seed for each prompt; a single one of either goes with all of the other."""
    prompts = list(prompts) if isinstance(prompts, (list, tuple)) else [prompts]
    seeds = list(seeds) if isinstance(seeds, (list, tuple, range)) else [seeds]
    if not prompts or not seeds:
        raise CourseError(f"Give at least one {'seed' if prompts else 'prompt'}.")
    for prompt in prompts:
        _check_text(prompt, "A prompt")
    if len(prompts) == 1:
        prompts *= len(seeds)
    elif len(seeds) == 1:
        seeds *= len(prompts)
    if len(prompts) != len(seeds):
        raise CourseError(f"Give as many seeds as prompts, or one of either: here are {len(prompts)} prompts and "
                          f"{len(seeds)} seeds.")
    return prompts, seeds


def _check_text(value, name: str) -> None:
    if not isinstance(value, str):
        raise CourseError(f"{name} must be a text, such as \"a red house\", but it is {str(value)[:40]!r}.")


def check_guidance(guidance: float) -> None:
    """Raises CourseError if this is no guidance scale."""
    if not isinstance(guidance, Real) or isinstance(guidance, bool) or not abs(guidance) <= MOST_GUIDANCE:
        raise CourseError(f"The guidance scale must be a finite number from -{MOST_GUIDANCE} to {MOST_GUIDANCE}, "
                          f"but it is {guidance!r}.")


def generate(prompt: str | Sequence[str] = "", seed: int | Sequence[int] = 0, steps: int = 20,
             guidance: float = GUIDANCE, scheduler: str = "dpmpp_2m", negative_prompt: str = "",
             eta: float | None = None, model: TextToImage | None = None, device: str = "cpu") -> Result:
    """Paint what the prompt says. (diffusers: `num_inference_steps`, `guidance_scale`, `negative_prompt`.)

    prompt: in words of the picture book; empty for no prompt; seed: a whole number from 0. A list of either, or of
    both, is one batch. steps: 1 to 1000; guidance: the scale w from -100 to 100, 1 is off; scheduler: a name from
    `SCHEDULERS`; negative_prompt: one for all, what guidance steers away from; eta: 0 to 1, for "ddim" alone; model:
    your own, else the shipped one on `device`. Raises CourseError for a value out of range or damaged weights.
    """
    prompts, seeds = _pair(prompt, seed)
    _check_text(negative_prompt, "The negative prompt")
    check_guidance(guidance)
    model = load_text_to_image(device) if model is None else model
    begun = time.perf_counter()
    *read, unwanted = (read_prompt(text) for text in [*prompts, negative_prompt])
    both = model.cond([*prompts, *[negative_prompt] * len(prompts)])
    cond, uncond = (Cond(*half) for half in zip(*(part.chunk(2) for part in both)))
    if guidance == 0 or all(prompt.words == unwanted.words for prompt in read):
        cond, guidance = uncond, 1  # both guesses would be one: a single pass will do
    return _paint(model.denoise, lambda denoise: cfg(denoise, cond, uncond, guidance), model.decode, model.shape,
                  prompts, seeds, steps, scheduler, eta, remarks([*read, unwanted]), begun)


def generate_pixels(seed: int | Sequence[int] = 0, steps: int = 50, scheduler: str = "ddim", eta: float | None = None,
                    model: str | tuple[Denoiser, tuple[int, int, int]] = "pixels", device: str = "cpu") -> Result:
    """Paint small pictures of anything, in pixels, without a prompt.

    seed, steps, scheduler, eta: as for `generate`; model: the name of shipped weights, or a denoiser of your own with
    its pictures' shape (C, H, W); device: where shipped weights run.
    """
    prompts, seeds = _pair("", seed)
    denoise, shape = load_denoiser(model, device) if isinstance(model, str) else model
    return _paint(denoise, lambda denoise: denoise, to_uint8, shape, prompts, seeds, steps, scheduler, eta, [],
                  time.perf_counter())


def _paint(denoise: Denoiser, steer: Callable, decode: Callable[[Tensor], np.ndarray], shape: tuple[int, ...],
           prompts: list[str], seeds: list[int], steps: int, scheduler: str, eta: float | None,
           said: list[str], begun: float) -> Result:
    chosen, schedule = find_scheduler(scheduler, eta), denoise.schedule
    ts = time_grid(schedule, steps, chosen.spacing)
    noise, sources = starting_noise(seeds, shape)
    where = next(denoise.network.parameters()).device
    counted = _Counted(denoise.network)
    steered = steer(Denoiser(counted, schedule, denoise.prediction))
    with torch.inference_mode():
        steps_made = list(sample(steered, noise.to(where) * schedule.sigma(ts[0]), ts, chosen.rule, sources))
        trajectory = [Step(t, s, *(x.cpu() for x in tensors)) for t, s, *tensors in steps_made]
        pictures = decode(trajectory[-1].x_next)
    seconds = time.perf_counter() - begun
    nfe = counted.seen // len(seeds)
    return Result(pictures, trajectory, decode, schedule, prompts, seeds, scheduler, nfe, seconds, said)
