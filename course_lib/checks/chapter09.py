"""Checks for chapter 09, Latent diffusion."""

import numpy as np
import torch
from torch import Tensor

from course_lib.checks.core import Wrong, check, close, expect_number, expect_tensor
from course_lib.pictures import to_uint8
from course_lib.pipeline import Result
from course_lib.sampling import Step
from course_lib.schedulers import SCHEDULES, ddim

SAVING = 3 * 512 * 512 / (4 * 64 * 64)


@check("Put a number in place of the dots.")
def saving(answer) -> str:
    answer = expect_number(answer)
    if abs(answer - SAVING) < 0.01:
        return "48 times fewer: a 64th of the places, with four numbers in each instead of three."
    if abs(answer - 64) < 0.01:
        raise Wrong("64 times fewer places; but a latent has four numbers where a pixel has three.")
    if abs(answer - 8) < 0.01:
        raise Wrong("8 is the factor along one side; a picture has two, and channels besides.")
    if abs(answer - 64 * 4 / 3) < 0.5:
        raise Wrong("The channels go the other way: latents have more of them than pixels, so the saving is smaller.")
    if abs(answer * SAVING - 1) < 0.01:
        raise Wrong("That is the share that is left; how many times fewer is its inverse.")
    raise Wrong("Count channels x height x width of the picture, the same of the latent, and divide.")


@check("Fill in the body of my_speed_up: it returns how many times faster.")
def speed_up(function) -> str:
    for text, evaluation, decoder, before, after in ((0.002, 0.02, 0.03, 50, 10), (0.1, 0.01, 0.5, 20, 1),
                                                     (0.0, 0.1, 0.0, 8, 16)):
        def ratio(passes: int) -> float:
            return (text + passes * before * evaluation + decoder) / (text + passes * after * evaluation + decoder)

        got = function(text, evaluation, decoder, before, after)
        if got is None or got is ...:
            raise NotImplementedError
        got, case = expect_number(got, "The speed-up"), f"From {before} to {after} steps: "
        if np.isclose(got, ratio(2)):
            continue
        if np.isclose(got, before / after):
            raise Wrong(case + "only the U-Net gets faster; text encoder and decoder cost what they did.")
        if np.isclose(got, 1 / ratio(2)):
            raise Wrong(case + "that is after over before; how many times faster is the other way round.")
        if np.isclose(got, ratio(1)):
            raise Wrong(case + "with guidance there are two evaluations a step, not one.")
        raise Wrong(case + f"you get {got:.4g}; add up the seconds of each kind before and after, then divide.")
    return "What is paid once sets the limit: with fewer and fewer steps it is all that is left."


def _pull(z: Tensor, t: float, cond: Tensor) -> Tensor:
    """In place of a network: it pulls towards what it is told."""
    return 0.6 * z + (1 - t) * cond


@check("Fill in the body of my_latent_step: it returns the latent at s.")
def latent_step(function) -> str:
    schedule, source = SCHEDULES["cosine"], torch.Generator().manual_seed(0)

    def denoise(z, t, cond):
        return _pull(z, t, cond)

    denoise.schedule = schedule
    for t, s, guidance in ((0.9, 0.6, 3.0), (0.4, 0.0, 5.0)):
        z, cond, uncond = (torch.randn(1, 4, 4, 4, generator=source) for _ in range(3))
        told, untold = _pull(z, t, cond), _pull(z, t, uncond)

        def then(guess: Tensor) -> Tensor:
            return ddim(schedule, z, guess, t, s)

        guided = untold + guidance * (told - untold)
        got = expect_tensor(function(denoise, z, t, s, cond, uncond, guidance), z, "The new latent")
        if close(got, then(guided)):
            continue
        case = f"From t = {t} to s = {s} "
        if s > 0 and close(got, guided):
            raise Wrong(case + "you return the guess; there is still the step, ddim, to take towards it.")
        if close(got, then(told)):
            raise Wrong(case + "there is no guidance: the guess without the prompt is not used.")
        if close(got, then(told + guidance * (untold - told))):
            raise Wrong(case + "guidance goes the wrong way: start at the guess without the prompt.")
        if close(got, then(told + guidance * (told - untold))):
            raise Wrong(case + "start from the guess without the prompt: w = 1 must give the prompt's own guess.")
        if close(got, then(untold)):
            raise Wrong(case + "the prompt is not used at all.")
        raise Wrong(case + "the latent differs: two guesses, mixed as uncond + w (cond - uncond), then ddim.")
    return "This line, twenty times, is text-to-image; only the decoder is missing."


def _result() -> Result:
    """Of three steps and two pictures, with a decoder that makes four pixels along a side of every latent."""
    source = torch.Generator().manual_seed(1)

    def decode(z: Tensor) -> np.ndarray:
        return to_uint8(z[:, :3].repeat_interleave(4, dim=2).repeat_interleave(4, dim=3))

    steps = []
    for t in (1.0, 0.7, 0.4):
        x, x0_hat, x_next = (0.5 * torch.randn(2, 4, 16, 16, generator=source) for _ in range(3))
        steps.append(Step(t, t - 0.3, x, x0_hat, x_next))
    pictures = decode(steps[-1].x_next)
    return Result(pictures, steps, decode, SCHEDULES["cosine"], ["a house"] * 2, [0, 1], "ddim", 6, 0.1, [])


@check("Fill in the body of my_film: it returns pictures, uint8.")
def film(function) -> str:
    result = _result()
    got = function(result)
    if got is None or got is ...:
        raise NotImplementedError
    if isinstance(got, Tensor):
        raise Wrong("These are latents or a tensor: result.decode makes pictures of latents, as an array.")
    got, count = np.asarray(got), len(result.trajectory)

    def decoded(name: str) -> np.ndarray:
        return np.concatenate([result.decode(getattr(step, name)[:1]) for step in result.trajectory])

    guesses = decoded("x0_hat")
    if got.shape == guesses.shape and np.array_equal(got, guesses):
        raise Wrong("The finished picture is missing: put result.pictures[:1] at the end.")
    if got.shape[:1] == (2 * count + 2,) or got.shape[:1] == (2 * count + 1,) or got.shape[:1] == (2 * count,):
        raise Wrong("These are the films of all pictures; take the first of each step: step.x0_hat[:1].")
    if got.shape != (count + 1, 64, 64, 3):
        raise Wrong(f"The film should have the shape {(count + 1, 64, 64, 3)}, but it has {got.shape}.")
    if got.dtype != np.uint8:
        raise Wrong(f"The pictures should be uint8, but they are {got.dtype}: let result.decode make them.")
    if np.array_equal(got[:-1], decoded("x")):
        raise Wrong("This is the film of the noisy latents, x; the guesses are x0_hat.")
    if np.array_equal(got[:-1], decoded("x_next")):
        raise Wrong("This is the film of x_next, the latents after each step; the guesses are x0_hat.")
    if not np.array_equal(got[:-1], guesses):
        raise Wrong("The frames are not the decoded guesses: decode step.x0_hat[:1] of each step, in order.")
    if not np.array_equal(got[-1], result.pictures[0]):
        raise Wrong("The last frame should be the finished picture, result.pictures[0].")
    return "A film of what the model had in mind."


@check("Fill in the body of my_switch: it returns a function of x and t.")
def switch(function) -> str:
    x = torch.ones(1, 4, 2, 2)
    calls = []

    def named(name: str, value: float):
        def denoise(x, t):
            calls.append((name, t))
            return value * x
        return denoise

    switched = function(named("early", 2.0), named("late", 3.0), 0.5)
    if switched is None or switched is ...:
        raise NotImplementedError
    if isinstance(switched, Tensor) or not callable(switched):
        raise Wrong("my_switch should return a function of x and t, not an answer: define one inside, and return it.")
    for t in (1.0, 0.7, 0.5, 0.2):
        calls.clear()
        wanted = "early" if t > 0.5 else "late"
        got = switched(x, t)
        if got is None:
            raise Wrong("The function inside returns nothing: it should return what early or late answers.")
        got = expect_tensor(got, x, f"The answer at t = {t}")
        if close(got, x * (5 - (2 if wanted == "early" else 3))):
            if t == 0.5:
                raise Wrong("At t = when, exactly, `late` should answer: early only while t > when.")
            raise Wrong(f"With when = 0.5, at t = {t}, `{wanted}` should answer: t falls from 1 to 0, so early is "
                        "where t is large.")
        if not close(got, x * (2 if wanted == "early" else 3)):
            raise Wrong(f"At t = {t} the answer is neither that of early nor that of late: hand x and t on as they "
                        "are.")
        if any(time != t for _, time in calls):
            raise Wrong(f"At t = {t} you ask about another time: hand t on as it is.")
    return "Two sentences in one painting. What is asked early settles the layout."
