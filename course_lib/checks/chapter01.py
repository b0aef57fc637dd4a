"""Checks for chapter 01, Noise."""

import math

import torch
from torch import Tensor

from course_lib.checks.core import Wrong, check, close, expect_number, expect_tensor
from course_lib.runtime import random_source
from course_lib.schedulers import SCHEDULES


def _pictures() -> tuple[Tensor, Tensor]:
    """x0 and eps, (2, 3, 4, 4) each, in float64: small stand-ins for pictures."""
    both = torch.randn(2, 2, 3, 4, 4, generator=random_source(20), dtype=torch.float64)
    return both[0], both[1]


def _name_mistake(found: Tensor, mistakes: dict[str, Tensor]) -> None:
    """Raise Wrong with the sentence whose mistaken result this is, if it is one of them."""
    for sentence, mistaken in mistakes.items():
        if close(found, mistaken):
            raise Wrong(sentence)


@check("Put a number between 0 and 1 in place of the dots.")
def noise_twice_as_strong(answer) -> str:
    t = expect_number(answer)
    if not 0 < t < 1:
        raise Wrong(f"Times lie between 0, the data, and 1, the noise, but you put {t:g}.")
    cosine, lam = SCHEDULES["cosine"], math.log(1 / 2)
    right = cosine.t_of_lam(lam)
    if abs(t - right) < 0.011:
        return f"At t = {right:.3f} the noise is twice as strong as the picture: sigma = 2 alpha."
    mistakes = {
        "There the picture is twice as strong as the noise, the other way round.": cosine.t_of_lam(-lam),
        "There the noise has twice the picture's variance; sigma = 2 alpha is twice its standard deviation.":
            cosine.t_of_lam(lam / 2),
        "That is the time on the flow schedule; we ask for cosine.": SCHEDULES["flow"].t_of_lam(lam),
        "That is the time on the linear schedule; we ask for cosine.": SCHEDULES["linear"].t_of_lam(lam),
    }
    for sentence, time in mistakes.items():
        if abs(t - time) < 0.006:
            raise Wrong(sentence)
    ratio = math.exp(-cosine.lam(t))
    raise Wrong(f"At t = {t:g} sigma / alpha is {ratio:.2f}, and it should be 2: try "
                f"{'a later' if ratio < 2 else 'an earlier'} time.")


@check("Write the body of my_add_noise, then run the cell again.")
def add_noise(student) -> str:
    x0, eps = _pictures()
    for alpha_bar in (0.64, 0.3, 1.0):
        x0_given, eps_given = x0.clone(), eps.clone()
        x = student(x0_given, eps_given, torch.tensor(alpha_bar, dtype=torch.float64))
        expect_tensor(x, x0, "What my_add_noise returns")
        if not torch.equal(x0_given, x0) or not torch.equal(eps_given, eps):
            raise Wrong("my_add_noise changes the x0 or eps that it is given: make a new tensor instead of "
                        "writing into the old one.")
        alpha, sigma = alpha_bar**0.5, (1 - alpha_bar) ** 0.5
        if close(x, alpha * x0 + sigma * eps):
            continue
        _name_mistake(x, {
            "The two factors are swapped: alpha_bar belongs to the picture, 1 - alpha_bar to the noise.":
                sigma * x0 + alpha * eps,
            "Both factors lack the square root: alpha_bar is a variance, and what multiplies is its root.":
                alpha_bar * x0 + (1 - alpha_bar) * eps,
            "The picture's factor lacks the square root: it should be the root of alpha_bar.":
                alpha_bar * x0 + sigma * eps,
            "The noise's factor lacks the square root: it should be the root of 1 - alpha_bar.":
                alpha * x0 + (1 - alpha_bar) * eps,
            "The noise's factor is not 1 - alpha: the squares of both factors add up to 1, not the factors.":
                alpha * x0 + (1 - alpha) * eps,
            "The noise is not scaled: multiply eps by the root of 1 - alpha_bar.": alpha * x0 + eps,
            "The picture is not shrunk: multiply x0 by the root of alpha_bar.": x0 + sigma * eps,
            "The noise is taken away, not added: look at the sign.": alpha * x0 - sigma * eps,
            "You took alpha_bar for alpha: alpha is its root, and sigma the root of 1 - alpha_bar.":
                alpha_bar * x0 + (1 - alpha_bar**2) ** 0.5 * eps,
        })
        raise Wrong(f"With alpha_bar = {alpha_bar:g} the picture should be multiplied by {alpha:.3f} and the "
                    f"noise by {sigma:.3f}, but the result is another one.")
    return "One jump to any noise level: alpha times the picture plus sigma times the noise."


@check("Write the body of my_recover, then run the cell again.")
def recover(student) -> str:
    x0, eps = _pictures()
    for name, t in (("cosine", 0.3), ("linear", 0.6), ("flow", 0.6), ("edm", 0.05)):
        schedule = SCHEDULES[name]
        x, alpha, sigma = schedule.add_noise(x0, eps, t), schedule.alpha(t), schedule.sigma(t)
        found = expect_tensor(student(x.clone(), eps.clone(), t, schedule), x0, "What my_recover returns")
        if close(found, x0):
            continue
        assumed = f"This assumes alpha^2 + sigma^2 = 1, which fails on the {name} schedule: ask it for"
        _name_mistake(found, {
            "The noise is taken away, but the picture is still shrunk: divide by alpha at the end.":
                x - sigma * eps,
            "The noise has to be taken away, but you add it: look at the sign.": (x + sigma * eps) / alpha,
            "Only sigma times eps was added, but you take all of eps away.": (x - eps) / alpha,
            "Divide all of it by alpha, not only x: mind the brackets.": x / alpha - sigma * eps,
            "Divide all of it by alpha, not only the noise: mind the brackets.": x - sigma * eps / alpha,
            "The two numbers are swapped: sigma belongs to the noise, alpha to the picture.":
                (x - alpha * eps) / sigma,
            f"{assumed} alpha.": (x - sigma * eps) / abs(1 - sigma**2) ** 0.5,
            f"{assumed} sigma.": (x - (1 - alpha**2) ** 0.5 * eps) / alpha,
        })
        error = (found - x0).abs().max()
        raise Wrong(f"On the {name} schedule at t = {t:g} the result is off by up to {error:.2g}: solve "
                    "x = alpha x0 + sigma eps for x0.")
    cosine, t = SCHEDULES["cosine"], 0.95
    error = (student(cosine.add_noise(x0, eps, t), eps + 0.01, t, cosine) - x0).abs().mean()
    return (f"Known noise, known picture, on four schedules. At t = {t:g} on cosine an error of 0.01 in eps "
            f"becomes one of {error:.2f} in x0: the stronger the noise, the better one has to know it.")


@check("Write the body of my_betas, then run the cell again.")
def betas(student) -> str:
    for name, count in (("cosine", 10), ("flow", 7), ("linear", 50)):
        alpha = SCHEDULES[name].alpha(torch.arange(1, count + 1, dtype=torch.float64) / count)
        found = student(alpha.clone())
        if isinstance(found, Tensor) and found.shape == (count - 1,):
            raise Wrong(f"For {count} alphas there are {count} betas, but you give {count - 1}: the first "
                        "step, from 1 to alpha[0], is missing.")
        expect_tensor(found, alpha, "What my_betas returns")
        before = torch.cat([torch.ones(1, dtype=torch.float64), alpha[:-1]])
        wanted = 1 - (alpha / before) ** 2
        if close(found, wanted):
            continue
        if close(found[1:], wanted[1:]):
            raise Wrong(f"All betas but the first are right. The first leads from 1 to {alpha[0]:.4f}: its "
                        f"beta is {wanted[0]:.4f}, but yours is {found[0]:.4f}.")
        _name_mistake(found, {
            "The square is missing: a step multiplies alpha**2 by 1 - beta, and alpha only by its root.":
                1 - alpha / before,
            "That is the noise after all steps so far; beta is what one step adds: compare neighbours.":
                1 - alpha**2,
            "That is 1 - beta, the part that is kept: take it away from 1.": (alpha / before) ** 2,
            "That is the root of beta, the noise's standard deviation: beta is its variance.": wanted.sqrt(),
        })
        if (found < 0).any():
            raise Wrong("Some of your betas are negative: divide each alpha**2 by the one before it, not the "
                        "other way round.")
        first = int((~((found - wanted).abs() <= 1e-4)).nonzero()[0])  # so that nan counts as wrong
        raise Wrong(f"On the {name} schedule in {count} steps, beta[{first}] should be {wanted[first]:.4f}, "
                    f"but yours is {found[first]:.4f}.")
    return "Three curves of alpha, rebuilt step by step: any falling curve can be walked."
