"""Each check of chapter 09 against right answers, usual mistakes and the unfilled stub."""

import numpy as np
import pytest
import torch

from course_lib.checks import chapter09
from course_lib.schedulers import ddim


def right_speed_up(text, evaluation, decoder, before, after):
    return (text + 2 * before * evaluation + decoder) / (text + 2 * after * evaluation + decoder)


def right_step(denoise, z, t, s, cond, uncond, guidance):
    without = denoise(z, t, uncond)
    return ddim(denoise.schedule, z, without + guidance * (denoise(z, t, cond) - without), t, s)


def right_film(result):
    guesses = torch.cat([step.x0_hat[:1] for step in result.trajectory])
    return np.concatenate([result.decode(guesses), result.pictures[:1]])


def film_of(name, first=slice(0, 1), last=True):
    def film(result):
        frames = result.decode(torch.cat([getattr(step, name)[first] for step in result.trajectory]))
        return np.concatenate([frames, result.pictures[:1]]) if last else frames
    return film


def step_by(mix):
    def step(denoise, z, t, s, cond, uncond, guidance):
        return ddim(denoise.schedule, z, mix(denoise(z, t, cond), denoise(z, t, uncond), guidance), t, s)
    return step


def switch_by(choose):
    return lambda early, late, when: lambda x, t: choose(early, late, when, t)(x, t)


@pytest.mark.parametrize("check, stub", [
    (chapter09.saving, ...), (chapter09.speed_up, lambda *_: None), (chapter09.latent_step, lambda *_: None),
    (chapter09.film, lambda *_: None), (chapter09.switch, lambda *_: None)])
def test_stubs_are_not_tried(check, stub):
    assert check(stub).status == "not tried"


@pytest.mark.parametrize("check, right", [
    (chapter09.saving, 48), (chapter09.speed_up, right_speed_up), (chapter09.latent_step, right_step),
    (chapter09.film, right_film),
    (chapter09.switch, switch_by(lambda early, late, when, t: early if t > when else late))])
def test_right_answers(check, right):
    verdict = check(right)
    assert verdict.status == "passed", verdict


@pytest.mark.parametrize("check, wrong, hint", [
    (chapter09.saving, 64, "four numbers"),
    (chapter09.saving, 8, "one side"),
    (chapter09.saving, 256 / 3, "other way"),
    (chapter09.saving, 1 / 48, "inverse"),
    (chapter09.saving, 50, "divide"),
    (chapter09.saving, "many", "a number"),
    (chapter09.speed_up, lambda text, evaluation, decoder, before, after: before / after, "cost what they did"),
    (chapter09.speed_up, lambda *costs: 1 / right_speed_up(*costs), "other way round"),
    (chapter09.speed_up, lambda text, once, *rest: right_speed_up(text, once / 2, *rest), "two evaluations"),
    (chapter09.speed_up, lambda *_: 7, "add up"),
    (chapter09.latent_step, lambda denoise, z, t, s, cond, uncond, w: denoise(z, t, uncond)
     + w * (denoise(z, t, cond) - denoise(z, t, uncond)), "still the step"),
    (chapter09.latent_step, step_by(lambda told, untold, w: told), "no guidance"),
    (chapter09.latent_step, step_by(lambda told, untold, w: untold), "not used at all"),
    (chapter09.latent_step, step_by(lambda told, untold, w: told + w * (untold - told)), "wrong way"),
    (chapter09.latent_step, step_by(lambda told, untold, w: told + w * (told - untold)), "start from"),
    (chapter09.latent_step, step_by(lambda told, untold, w: (told + untold) / 2), "mixed as"),
    (chapter09.latent_step, lambda *_: 3.0, "torch tensor"),
    (chapter09.film, film_of("x"), "noisy latents"),
    (chapter09.film, film_of("x_next"), "x_next"),
    (chapter09.film, film_of("x0_hat", last=False), "finished picture is missing"),
    (chapter09.film, film_of("x0_hat", slice(None)), "first of each step"),
    (chapter09.film, lambda result: right_film(result)[::-1], "in order"),
    (chapter09.film, lambda result: right_film(result) / 255, "uint8"),
    (chapter09.film, lambda result: torch.cat([step.x0_hat for step in result.trajectory]), "result.decode"),
    (chapter09.film, lambda result: right_film(result)[:2], "shape"),
    (chapter09.switch, switch_by(lambda early, late, when, t: late if t > when else early), "t is large"),
    (chapter09.switch, switch_by(lambda early, late, when, t: early if t >= when else late), "exactly"),
    (chapter09.switch, switch_by(lambda early, late, when, t: lambda x, t: early(x, t) + late(x, t)), "neither"),
    (chapter09.switch, lambda early, late, when: torch.ones(1), "define one inside"),
    (chapter09.switch, lambda early, late, when: lambda x, t: None, "returns nothing"),
    (chapter09.switch, lambda early, late, when: 1 / 0, "ZeroDivisionError"),
])
def test_wrong_answers_get_a_sentence_that_helps(check, wrong, hint):
    verdict = check(wrong)
    assert verdict.status == "failed" and hint in verdict.message, verdict
