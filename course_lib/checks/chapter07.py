"""Checks for chapter 07, Prompts."""

import math
from functools import cache

import torch
from torch.nn import functional as F

from course_lib.checks.core import Wrong, check, close, expect_number, expect_tensor, expect_whole
from course_lib.guidance import Steered
from course_lib.pictures import to_tensor
from course_lib.pipeline import generate
from course_lib.points import Mixture
from course_lib.runtime import random_source
from course_lib.sampling import sample
from course_lib.schedulers import ddim, time_grid
from course_lib.tokenizer import read_prompt

PROMPT, SEEDS, STEPS, DARKER = "a large white castle in a meadow", (0, 1, 2, 3), 10, 0.1
SURE, MOST, PARTICLES = 0.9, 0.98, 1000


@check("Put one of the letters \"a\", \"b\", \"c\" or \"d\" in place of the dots.")
def nothing(answer) -> str:
    letter = str(answer).strip().lower()
    if letter == "b":
        return ("At w = 0 the sum is uncond + 0 (cond - uncond): the guess without a prompt, at every step, from the "
                "same noise. So it is the unprompted picture of this seed.")
    if letter == "a":
        raise Wrong("No picture at all would mean no guess at all; but at w = 0 one of the two guesses is left. Which?")
    if letter == "c":
        raise Wrong("To be pushed away from the prompt, w must be below 0: there the arrow is turned round.")
    if letter == "d":
        raise Wrong("A prompt at half strength is what w = 0.5 gives; put 0 into uncond + w (cond - uncond).")
    raise Wrong(f"The answer is one of the letters a, b, c and d, but you put {answer!r}.")


@check("Fill in the body of my_guidance: it returns the guided guess.")
def guide(function) -> str:
    source = random_source(0)
    prompted, unprompted = (torch.randn(2, 4, 3, 3, generator=source) for _ in range(2))
    for w in (3.0, 0.0, 1.0):
        got = expect_tensor(function(prompted.clone(), unprompted.clone(), w), prompted, "The guided guess")
        if close(got, unprompted + w * (prompted - unprompted)):
            continue
        case = f"With w = {w:g} "
        for wrong, words in (
                (prompted + w * (prompted - unprompted), "you start from the prompted guess, as Ho & Salimans do; then "
                 "w = 0 would be off. Here 1 is off: start from the unprompted one."),
                (prompted + w * (unprompted - prompted), "the two guesses have changed places: the arrow leads from "
                 "the unprompted to the prompted one."),
                (unprompted + w * (unprompted - prompted), "the arrow is turned round: you push away from it."),
                (unprompted + w * prompted, "you add the whole prompted guess; add w times its difference from the "
                 "unprompted one."),
                (w * (prompted - unprompted), "you return the push alone; it starts from the unprompted guess.")):
            if close(got, wrong):
                raise Wrong(case + words)
        raise Wrong(case + "the guess differs: go from the unprompted guess, w times as far as the prompted one is.")
    return "Classifier-free guidance, in one line: w = 0 ignores the prompt, w = 1 is off, and beyond 1 it insists."


@check("Put a whole number in place of the dots.")
def evaluations(answer) -> str:
    answer = expect_whole(answer, 0, 10_000)
    guided, plain = 12, 18
    if answer == guided + plain:
        raise Wrong("30 is the number of steps. Both guesses of a guided step do go through the network together, "
                    "but as two inputs: twice the work, and counted twice.")
    if answer == 2 * (guided + plain):
        raise Wrong("60 would be guidance at all steps; where w is 1 the second guess is multiplied by 0, so it is not "
                    "made.")
    if answer == 2 * plain + guided:
        raise Wrong("48: you have doubled the plain steps; it is the 12 guided ones that need two evaluations each.")
    if answer != 2 * guided + plain:
        raise Wrong(f"Two evaluations for each guided step, one for each other step: not {answer}.")
    return "12 × 2 + 18 = 42 instead of 60: guidance where it counts is also cheaper."


@check("Fill in the body of my_attention: it returns what each place is told, (P, d).")
def attention(function) -> str:
    source = random_source(0)
    for size, kept in ((16, [True] * 5), (4, [True, True, True, False, False])):
        q, k, v = (torch.randn(count, size, generator=source) for count in (7, 5, 5))
        mask = torch.tensor(kept)
        got = expect_tensor(function(q, k, v, mask), q, "What the places are told")
        if close(got, F.scaled_dot_product_attention(q, k, v, attn_mask=mask)):
            continue
        scores, blocked = q @ k.T / math.sqrt(size), ~mask
        case = "Where every key is a word, " if all(kept) else "With two keys that are padding, "
        if not got.isfinite().all():
            raise Wrong(case + "some answers are not finite: set the scores of padding to -inf, and no others.")
        wrong = {
            "the scores are not divided by sqrt(d).": (q @ k.T).masked_fill(blocked, -math.inf).softmax(dim=1) @ v,
            "the scores are divided by d, not by sqrt(d).":
                (q @ k.T / size).masked_fill(blocked, -math.inf).softmax(dim=1) @ v,
            "the shares of each word add up to 1, but those of each place should: softmax along dim=1.":
                scores.masked_fill(blocked, -math.inf).softmax(dim=0) @ v,
            "there is no softmax: the scores themselves are used as shares.": scores @ v,
            "the mask is not used: padding has its say.": scores.softmax(dim=1) @ v,
            "the mask comes after the softmax, so the shares no longer add up to 1: mask the scores.":
                (scores.softmax(dim=1) * mask) @ v,
            "the scores of padding become 0, but exp(0) is 1: they must be -inf.":
                (scores * mask).softmax(dim=1) @ v,
            "the mask is the wrong way round: True is a word.": scores.masked_fill(mask, -math.inf).softmax(dim=1) @ v}
        for words, value in wrong.items():
            if close(got, value):
                raise Wrong(case + words)
        raise Wrong(case + "the answer differs: scores, mask, softmax over the words, then the mean of the values.")
    return "The same as PyTorch's own scaled_dot_product_attention."


def obedience(w: float, prompted: Mixture, everything: Mixture) -> tuple[float, float]:
    """What guidance does to 1,000 particles in the plane: (the share of those of which one can be at least 90 % sure
    that they are what was asked for, their spread as a root mean square distance from their mean).

    The first components of `everything` must be those of `prompted`.
    """
    guided = Steered(lambda x, t: everything(x, t) + w * (prompted(x, t) - everything(x, t)), everything.schedule)
    noise = torch.randn(PARTICLES, 2, generator=random_source(0))
    *_, last = sample(guided, noise, time_grid(everything.schedule, 20), ddim)
    end = last.x_next
    asked_for = everything.responsibilities(end, 0.0)[:, :len(prompted.means)].sum(dim=1)
    spread = (end - end.mean(dim=0)).square().sum(dim=1).mean().sqrt()
    return (asked_for >= SURE).float().mean().item(), spread.item()


@check("Put a number in place of the dots, to one decimal.")
def enough(answer, prompted, everything) -> str:
    w = expect_number(answer)
    if not math.isfinite(w) or abs(10 * w - round(10 * w)) > 1e-6 or not 0 <= w <= 20:
        raise Wrong(f"The answer is a guidance scale from 0 to 20, to one decimal, but you put {answer!r}.")
    here, spread = obedience(w, prompted, everything)
    if here < MOST:
        raise Wrong(f"At w = {w:g} it is {here:.1%} of the particles, less than {MOST:.0%}: push a little more.")
    if w > 0 and obedience(w - 0.1, prompted, everything)[0] >= MOST:
        raise Wrong(f"At w = {w:g} it is {here:.1%}, but the spread is only {spread:.2f}; a smaller w is enough, too.")
    _, before = obedience(1.0, prompted, everything)
    return (f"w = {w:g}: {here:.1%} obey, and the spread is {spread:.2f} (at w = 1: {before:.2f}). A little goes a "
            "long way; more only costs variety.")


@cache
def brightness(negative_prompt: str = "") -> float:
    """The mean of all pixels, from -1 (black) to 1 (white), of four pictures of a castle with this negative prompt."""
    made = generate(PROMPT, SEEDS, STEPS, negative_prompt=negative_prompt).pictures
    return to_tensor(made).mean().item()


@check("Put a negative prompt, a text, in place of the dots.")
def darker(answer) -> str:
    if not isinstance(answer, str):
        raise Wrong(f"A negative prompt is a text, but you put {answer!r}.")
    said = read_prompt(answer)
    if not said.words:
        what = "Nothing in it is a word that the model knows, so it" if said.unknown else "An empty negative prompt"
        raise Wrong(f"{what} changes nothing: say what the pictures should not look like.")
    ignored = [word for word in said.unknown if word in ("no", "not", "without", "never")]
    if ignored:
        raise Wrong(f"'{ignored[0]}' is not among the model's words, and it is not needed: a negative prompt names "
                    "what should NOT be there.")
    before, after = brightness(), brightness(answer)
    told = f"The mean brightness goes from {before:.2f} to {after:.2f}"
    if after > before + DARKER / 2:
        raise Wrong(f"{told}: brighter! A negative prompt pushes away from what it says. What do bright pages have in "
                    "common?")
    if after > before - DARKER:
        raise Wrong(f"{told}; the exercise asks for {DARKER:g} less. Which words belong to bright pages?")
    return f"{told}: every step was pushed away from '{answer}'."
