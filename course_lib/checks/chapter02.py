"""Checks for chapter 02, Denoise."""

import math

import torch

from course_lib.checks.core import Wrong, check, close, expect_number, expect_tensor
from course_lib.denoiser import Denoiser
from course_lib.points import Mixture, PointNet, draw_points
from course_lib.runtime import random_source
from course_lib.schedulers import SCHEDULES
from course_lib.training import Trainee, fit

COSINE = SCHEDULES["cosine"]
TINY = (-2.0, 0.0, 0.0, 6.0)
STEPS, BATCH = 300, 256
LEVEL = 0.5


@check("Put a number in place of the dots.")
def first_guess(answer) -> str:
    number = expect_number(answer)
    clean = torch.tensor(TINY)[:, None]
    best = Mixture.of_points(clean, COSINE)(torch.zeros(1, 1), 1.0).item()
    if math.isclose(number, best, abs_tol=1e-3):
        return f"At t = 1 nothing of the point is left in x, so the best guess is the mean of all: {best:g}."
    if math.isclose(number, 0, abs_tol=1e-3):
        raise Wrong("0 is the nearest clean point, but near means nothing at t = 1: alpha is 0, x is noise alone.")
    if math.isclose(number, sum(set(TINY)) / len(set(TINY)), abs_tol=0.01):
        raise Wrong("That is the mean of the different values; the 0 is there twice, so it is twice as likely.")
    if math.isclose(number, (min(TINY) + max(TINY)) / 2, abs_tol=1e-3):
        raise Wrong("That is half way between the ends, but the best guess is the mean: every point counts.")
    raise Wrong(f"{number:g} is not it: with nothing known of the point, what is off by least in mean square?")


def _weigh(distance: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
    return torch.softmax(-distance, dim=1) @ clean


@check("Fill in the body of my_best_guess: it returns a tensor of the shape of x.")
def best_guess(function) -> str:
    source = random_source(0)
    clean = draw_points("moons", 60, source)
    for t, far in ((0.4, 0.0), (0.8, 0.0), (0.05, 3.0)):  # the last x are far from all points
        alpha, sigma = COSINE.alpha(t), COSINE.sigma(t)
        x = COSINE.add_noise(clean[:20], torch.randn(20, 2, generator=source), t) + far
        got = expect_tensor(function(x, clean, alpha, sigma), x, "The guess")
        if close(got, Mixture.of_points(clean, COSINE)(x, t), 1e-3):
            continue
        case = f"With alpha = {alpha:.2f} and sigma = {sigma:.2f} "
        if far:
            case = f"Far from the data, with sigma = {sigma:.2f}, "
        square, without_alpha = torch.cdist(x, alpha * clean) ** 2, torch.cdist(x, clean) ** 2
        likelihood = torch.exp(-square / (2 * sigma**2))
        if not got.isfinite().all():
            raise Wrong(case + "some guesses are not finite: exp of a large negative number is 0, and 0 / 0 is "
                        "nan; torch.softmax takes care of that.")
        if close(got, _weigh(without_alpha / (2 * sigma**2), clean), 1e-3):
            raise Wrong(case + "you compare x with the clean points themselves; x was shrunk, so compare it with "
                        "alpha * clean.")
        if close(got, _weigh(-square / (2 * sigma**2), clean), 1e-3):
            raise Wrong(case + "the far points get the most weight: the exponent lacks its minus sign.")
        if close(got, clean[square.argmin(dim=1)], 1e-3):
            raise Wrong(case + "you return the nearest point; the best guess is an average of all, near ones first.")
        if close(got, _weigh(square / (2 * sigma), clean), 1e-3):
            raise Wrong(case + "the exponent has sigma where it needs sigma**2, the variance.")
        if close(got, _weigh(square / sigma**2, clean), 1e-3):
            raise Wrong(case + "the 2 is missing from the exponent: -distance**2 / (2 * sigma**2).")
        if close(got, _weigh(square.sqrt() / (2 * sigma**2), clean), 1e-3):
            raise Wrong(case + "the exponent has the distance where it needs its square.")
        if close(got, likelihood @ clean, 1e-3):
            raise Wrong(case + "the weights do not add up to 1: divide each row by its sum, or use softmax.")
        if close(got, torch.softmax(-square / (2 * sigma**2), dim=0) @ clean, 1e-3):
            raise Wrong(case + "the weights add up to 1 over the noisy points; for each x they should do so over "
                        "the data set (dim=1).")
        if close(got, alpha * Mixture.of_points(clean, COSINE)(x, t), 1e-3):
            raise Wrong(case + "you average the shrunk points; they give the weights, but the average is of the "
                        "clean ones.")
        raise Wrong(case + "the guess differs: weights from -|x - alpha p|**2 / (2 sigma**2), then the average "
                    "of clean.")
    return "The best guess there is, at weak noise and at strong."


class _Watched(PointNet):
    """Remembers what it was given."""

    def forward(self, x, t):
        self.seen = (x, t)
        return super().forward(x, t)


@check("Fill in the body of my_loss: it returns one number, as a tensor.")
def loss(function) -> str:
    source = random_source(0)
    with torch.random.fork_rng(devices=[]):  # the learner's own random numbers go on as they were
        torch.manual_seed(0)
        network = _Watched()
    x0, eps = draw_points("face", 64, source), torch.randn(64, 2, generator=source)
    t = torch.rand(64, generator=source)
    x = COSINE.add_noise(x0, eps, t)
    wanted = Denoiser(network, COSINE, "eps").loss(x0, eps, t)
    del network.seen
    got = function(network, x0, eps, t)
    if isinstance(got, torch.Tensor) and got.shape == eps.shape:
        raise Wrong("You return an error for every number; the loss is their mean, one number.")
    got = expect_tensor(got, wanted, "The loss")
    if not hasattr(network, "seen"):
        raise Wrong("The network was never asked: call network(x, t) with the noisy x.")
    given, times = network.seen
    if given.shape == x0.shape and close(given, x0):
        raise Wrong("You gave the network the clean x0; it must see the noisy x only.")
    if given.shape == x.shape and not close(given, x):
        raise Wrong("The network was given something else than the noisy x: cosine.add_noise(x0, eps, t).")
    if times.shape == t.shape and not close(times, t):
        raise Wrong("The network was given other times than t.")
    if close(got, wanted):
        if not got.requires_grad:
            raise Wrong("The number is right, but no gradient can flow back from it: leave it attached.")
        return f"{got.item():.4f}, as the library has it: DDPM's loss in three lines."
    answer = network(x, t)
    v = COSINE.target("v", x0, eps, t)
    for target, words in ((x0, "the clean x0"), (x, "the noisy x"), (v, "v")):
        if close(got, ((answer - target) ** 2).mean()):
            raise Wrong(f"You compare the network's answer with {words}; it is asked for the noise, eps.")
    if close(got, ((answer - eps) ** 2).sum()):
        raise Wrong("You take the sum of the squared errors; the loss is their mean, whatever the batch's size.")
    if close(got, (answer - eps).abs().mean()):
        raise Wrong("You take the mean of the absolute errors; square them.")
    if close(got, (answer - eps).mean()):
        raise Wrong("You take the mean of the plain errors, where plus and minus cancel; square them first.")
    raise Wrong(f"The loss is {got.item():.4f} and should be {wanted.item():.4f}: "
                "the mean of (network(x, t) - eps) ** 2.")


def _trained(times) -> Denoiser:
    """A PointNet that has practised on the face for a second or two, at the times that `times` draws."""
    data = draw_points("face", 1000, random_source(0))

    def point_loss(network, step, source):
        x0 = data[torch.randint(len(data), (BATCH,), generator=source)]
        eps = torch.randn(x0.shape, generator=source)
        return Denoiser(network, COSINE, "x0").loss(x0, eps, times(BATCH, source)), BATCH

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        trainee = Trainee(PointNet(), lr=3e-3)
    for _ in fit(trainee, point_loss, steps=STEPS, ema=0.98):
        pass
    return Denoiser(trainee.average, COSINE, "x0")


@torch.no_grad()
def _times_the_best(denoise: Denoiser, t: float) -> float:
    """Its mean squared error at time t, as a multiple of the best possible one."""
    source = random_source(1)
    data = draw_points("face", 1000, random_source(0))
    x = COSINE.add_noise(data, torch.randn(data.shape, generator=source), t)
    best = Mixture.of_points(data, COSINE)
    error, floor = (((guess(x, t) - data) ** 2).mean() for guess in (denoise, best))
    return (error / floor).item()


@check("Fill in the body of my_times: it returns `count` times.")
def one_level(function) -> str:
    times = expect_tensor(function(BATCH, random_source(0)), torch.zeros(BATCH), "The times")
    if not times.is_floating_point():
        raise Wrong(f"The times should be floating-point numbers, but they are {times.dtype}.")
    if times.min() < 0 or times.max() > 1:
        raise Wrong(f"Times lie between 0 and 1, but yours go from {times.min():g} to {times.max():g}.")
    denoise = _trained(function)
    measured = {t: _times_the_best(denoise, t) for t in (0.1, LEVEL, 0.9)}
    told = "; ".join(f"{ratio:.2f} times the best possible error at t = {t}" for t, ratio in measured.items())
    if times.max() - times.min() > 1e-6:
        raise Wrong(f"Your times differ from one another, so it practised at more than one level: {told}.")
    if abs(times[0].item() - LEVEL) > 1e-6:
        raise Wrong(f"All your times are {times[0]:g}, but the exercise asks for {LEVEL}. Still: {told}.")
    return f"Measured: {told}. It is good at the one thing that it practised."
