"""From a prompt and a seed to a picture: a few lines over the floors below."""

import time
from dataclasses import dataclass, field
from functools import lru_cache
from numbers import Real
from pathlib import Path
from typing import Callable, Iterator, Mapping, NamedTuple, Sequence

import numpy as np
import torch
from torch import Tensor

from course_lib.denoiser import Denoiser
from course_lib.editing import check_emphasis, check_emphasised, emphasise
from course_lib.guidance import Steered, cfg, conditioned
from course_lib.layers import Cond
from course_lib.models import denoiser_from, text_from, vae_from, weights_for
from course_lib.pictures import to_tensor, to_uint8
from course_lib.runtime import CourseError, fingerprint, pick_device, starting_noise
from course_lib.sampling import Step, resample
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
    def encode(self, pictures: np.ndarray) -> Tensor:
        """uint8 pictures (N, 4 h, 4 w, 3) -> latents (N, C, h, w), on the CPU."""
        return self.vae.encode(to_tensor(pictures).to(self.device)).cpu()

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


@dataclass(frozen=True)
class _Counted(Denoiser):
    """A denoiser that notes how many pictures its network sees at each call."""

    seen: list[int] = field(default_factory=list)

    def output(self, x, t, cond=None):
        self.seen.append(len(x))
        return super().output(x, t, cond)


@dataclass(kw_only=True)
class Walk:
    """A way from noise to a picture that is about to begin.

    noise: unit noise (N, C, h, w) to start from; z: None, or the clean picture that is noised with it to the time
    ts[0]; ts, rule, sources: as for `sample`; rounds: how often each step is taken (`resample`).
    """

    noise: Tensor
    ts: list[float]
    rule: Callable[..., Tensor]
    sources: list[torch.Generator]
    z: Tensor | None = None
    rounds: int = 1


@dataclass(kw_only=True)
class Painting(Walk):
    """The way to what prompts say. All of it may still be changed before it begins: interventions do that.

    steer: from the model's denoiser to the one that is followed; at first `guide(prompts)`.
    """

    model: TextToImage
    prompts: list[str]
    negative_prompt: str
    guidance: float
    emphasis: Mapping[str, float]

    def __post_init__(self):
        self.texts: list[str] = []  # every prompt that was read, for the remarks
        self.steer = self.guide(self.prompts)

    def conds(self, *groups: Sequence[str]) -> list[Cond]:
        """The conditioning of each group of N prompts, and of N times the negative prompt, all padded to one length."""
        texts = [text for group in groups for text in group]
        for text in texts:
            check_text(text, "A prompt")
        self.texts += texts
        together = self.model.cond([*texts, *[self.negative_prompt] * len(groups[0])])
        *found, uncond = (Cond(*part) for part in zip(*(part.chunk(len(groups) + 1) for part in together)))
        if self.emphasis:
            found = [emphasise(cond, group, self.emphasis) for cond, group in zip(found, groups)]
        return [*found, uncond]

    def guide(self, prompts: Sequence[str]) -> Callable[[Denoiser], Steered]:
        """What steers a denoiser towards these N prompts, as strongly as was asked."""
        cond, uncond = self.conds(prompts)
        unwanted = read_prompt(self.negative_prompt).words
        if not self.emphasis and all(read_prompt(text).words == unwanted for text in prompts):
            return lambda denoise: conditioned(denoise, uncond)  # both guesses would be one: a single pass will do
        return self.towards(cond, uncond)

    def towards(self, cond: Cond, uncond: Cond) -> Callable[[Denoiser], Steered]:
        """What steers a denoiser towards `cond`, away from `uncond`."""
        if self.guidance == 0:
            return lambda denoise: conditioned(denoise, uncond)
        return lambda denoise: cfg(denoise, cond, uncond, self.guidance)


def _pair(prompts, seeds) -> tuple[list[str], list[int]]:
    """One prompt for each seed, one seed for each prompt; a single one of either goes with all of the other."""
    prompts = list(prompts) if isinstance(prompts, (list, tuple)) else [prompts]
    seeds = list(seeds) if isinstance(seeds, (list, tuple, range)) else [seeds]
    if not prompts or not seeds:
        raise CourseError(f"Give at least one {'seed' if prompts else 'prompt'}.")
    if len(prompts) == 1:
        prompts *= len(seeds)
    elif len(seeds) == 1:
        seeds *= len(prompts)
    if len(prompts) != len(seeds):
        raise CourseError(f"Give as many seeds as prompts, or one of either: here are {len(prompts)} prompts and "
                          f"{len(seeds)} seeds.")
    return prompts, seeds


def batches(prompts: Sequence[str], first_seed: int = 0, size: int = 32) -> Iterator[tuple[list[str], list[int]]]:
    """Many prompts as prompts and seeds for `generate`, `size` at a time: the first has the seed `first_seed`, the next
    the next, so that each picture is the same whatever the size."""
    for start in range(0, len(prompts), size):
        chunk = list(prompts[start:start + size])
        yield chunk, list(range(first_seed + start, first_seed + start + len(chunk)))


def check_text(value, name: str) -> None:
    """Raises CourseError if this is no text."""
    if not isinstance(value, str):
        raise CourseError(f"{name} must be a text, such as \"a red house\", but it is {str(value)[:40]!r}.")


def check_guidance(guidance: float) -> None:
    """Raises CourseError if this is no guidance scale."""
    if not isinstance(guidance, Real) or isinstance(guidance, bool) or not abs(guidance) <= MOST_GUIDANCE:
        raise CourseError(f"The guidance scale must be a finite number from -{MOST_GUIDANCE} to {MOST_GUIDANCE}, "
                          f"but it is {guidance!r}.")


def generate(prompt: str | Sequence[str] = "", seed: int | Sequence[int] = 0, steps: int = 20,
             guidance: float = GUIDANCE, scheduler: str = "dpmpp_2m", negative_prompt: str = "",
             eta: float | None = None, model: TextToImage | None = None, device: str = "cpu",
             emphasis: Mapping[str, float] | None = None,
             change: Callable[[Painting], None] = lambda painting: None) -> Result:
    """Paint what the prompt says. (diffusers: `num_inference_steps`, `guidance_scale`, `negative_prompt`.)

    prompt: in words of the picture book; empty for no prompt; seed: a whole number from 0. A list of either, or of
    both, is one batch. steps: 1 to 1000; guidance: the scale w from -100 to 100, 1 is off; scheduler: a name from
    `SCHEDULERS`; negative_prompt: one for all, what guidance steers away from; eta: 0 to 1, for "ddim" alone; model:
    your own, else the shipped one on `device`; emphasis: {"red": 2} lets the word count twice as much, 0 to 100;
    change: called with the `Painting` before it begins. Raises CourseError for a value out of range or damaged weights.
    """
    prompts, seeds = _pair(prompt, seed)
    check_text(negative_prompt, "The negative prompt")
    check_guidance(guidance)
    emphasis = {} if emphasis is None else emphasis
    check_emphasis(emphasis)
    model = load_text_to_image(device) if model is None else model
    begun = time.perf_counter()
    painting = Painting(**_walk(model.denoise.schedule, model.shape, seeds, steps, scheduler, eta), model=model,
                        prompts=prompts, negative_prompt=negative_prompt, guidance=guidance, emphasis=emphasis)
    change(painting)
    check_emphasised(emphasis, painting.texts)
    said = remarks([read_prompt(text) for text in [*painting.texts, negative_prompt]])
    return _paint(model.denoise, painting.steer, painting, model.decode, prompts, seeds, scheduler, said, begun)


def generate_pixels(seed: int | Sequence[int] = 0, steps: int = 50, scheduler: str = "ddim", eta: float | None = None,
                    model: str | tuple[Denoiser, tuple[int, int, int]] = "pixels", device: str = "cpu") -> Result:
    """Paint small pictures of anything, in pixels, without a prompt.

    seed, steps, scheduler, eta: as for `generate`; model: the name of shipped weights, or a denoiser of your own with
    its pictures' shape (C, H, W); device: where shipped weights run.
    """
    prompts, seeds = _pair("", seed)
    denoise, shape = load_denoiser(model, device) if isinstance(model, str) else model
    begun = time.perf_counter()
    walk = Walk(**_walk(denoise.schedule, shape, seeds, steps, scheduler, eta))
    return _paint(denoise, lambda denoise: denoise, walk, to_uint8, prompts, seeds, scheduler, [], begun)


def _walk(schedule: Schedule, shape: tuple[int, ...], seeds: list[int], steps: int, scheduler: str,
          eta: float | None) -> dict:
    chosen = find_scheduler(scheduler, eta)
    ts = time_grid(schedule, steps, chosen.spacing)
    noise, sources = starting_noise(seeds, shape)
    return {"noise": noise, "sources": sources, "ts": ts, "rule": chosen.rule}


def _paint(denoise: Denoiser, steer: Callable[[Denoiser], Steered], walk: Walk, decode: Callable[[Tensor], np.ndarray],
           prompts: list[str], seeds: list[int], scheduler: str, said: list[str], begun: float) -> Result:
    schedule, where = denoise.schedule, next(denoise.network.parameters()).device
    counted = _Counted(denoise.network, schedule, denoise.prediction)
    t = walk.ts[0]
    x = walk.noise * schedule.sigma(t) if walk.z is None else schedule.add_noise(walk.z, walk.noise, t)
    with torch.inference_mode():
        steps_made = list(resample(steer(counted), x.to(where), walk.ts, walk.rule, walk.sources, walk.rounds))
        trajectory = [Step(t, s, *(x.cpu() for x in tensors)) for t, s, *tensors in steps_made]
        pictures = decode(trajectory[-1].x_next if trajectory else x)
    seconds = time.perf_counter() - begun
    nfe = sum(counted.seen) // len(seeds)
    return Result(pictures, trajectory, decode, schedule, prompts, seeds, scheduler, nfe, seconds, said)
