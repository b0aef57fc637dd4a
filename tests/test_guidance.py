"""Guidance: what the wrappers compute, how often they ask the network, and what they do to samples."""

import math
from typing import NamedTuple

import pytest
import torch

from course_lib.denoiser import Denoiser
from course_lib.guidance import cfg, conditioned, inpaint, interval
from course_lib.points import Mixture
from course_lib.runtime import CourseError, starting_noise
from course_lib.sampling import sample
from course_lib.schedulers import SCHEDULERS, SCHEDULES, Cosine, Flow, time_grid
from course_lib.unet import Cond, UNet, UNetSettings

pytestmark = pytest.mark.usefixtures("one_thread")


class Label(NamedTuple):
    """The conditioning of the toy networks below: one number a picture."""

    value: torch.Tensor


def label(value, count):
    return Label(torch.full((count,), float(value)))


class Toy:
    """A denoiser that depends on its conditioning, and remembers how many rows it was given each time."""

    schedule = Cosine()

    def __init__(self):
        self.rows = []

    def __call__(self, x, t, cond=None):
        self.rows.append(len(x))
        shift = 0.0 if cond is None else cond.value[:, None]
        return torch.tanh(x + shift) - t * shift


@pytest.fixture
def x():
    return torch.randn(4, 2, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("guidance", [-1.0, 0.0, 0.5, 1.0, 3.0, 7.5, 4])
def test_cfg_is_the_formula(x, guidance):
    toy, t = Toy(), 0.4
    prompt, nothing = toy(x, t, label(2, 4)), toy(x, t, label(0, 4))
    guided = cfg(toy, label(2, 4), label(0, 4), guidance)
    assert torch.allclose(guided(x, t), nothing + guidance * (prompt - nothing), atol=1e-6)
    assert guided.schedule is toy.schedule


def test_every_row_keeps_its_own_conditioning(x):
    toy, t = Toy(), 0.4
    prompts, nothings = Label(torch.tensor([1.0, 2.0, 3.0, 4.0])), Label(torch.tensor([-1.0, 0.0, 0.5, 0.0]))
    guided = cfg(toy, prompts, nothings, 3.0)(x, t)
    for row in range(4):
        one = slice(row, row + 1)
        alone = cfg(toy, Label(prompts.value[one]), Label(nothings.value[one]), 3.0)(x[one], t)
        assert torch.allclose(guided[one], alone, atol=1e-6)


@pytest.mark.parametrize("guidance, rows", [(1, [4]), (1.0, [4]), (0.0, [8]), (3.0, [8])])
def test_one_call_a_step_and_no_idle_rows_when_guidance_is_off(x, guidance, rows):
    toy = Toy()
    guided = cfg(toy, label(2, 4), label(0, 4), guidance)
    assert toy.rows == []
    out = guided(x, 0.4)
    assert toy.rows == rows
    if guidance == 1:
        assert torch.equal(out, conditioned(toy, label(2, 4))(x, 0.4))


def test_negative_prompt_pushes_away(x):
    """From the unwanted guess, through the wanted one, and on: `guidance` times as far."""
    toy, t = Toy(), 0.4
    unwanted, wanted = toy(x, t, label(-2, 4)), toy(x, t, label(1, 4))
    assert torch.allclose(cfg(toy, label(1, 4), label(-2, 4), 3.0)(x, t) - unwanted, 3 * (wanted - unwanted), atol=1e-6)


@pytest.mark.parametrize("guidance", [math.nan, math.inf, -math.inf])
def test_guidance_must_be_finite(guidance):
    with pytest.raises(CourseError, match=rf"guidance scale must be a finite number, but it is {guidance}\."):
        cfg(Toy(), label(1, 4), label(0, 4), guidance)


def test_mixing_guesses_is_mixing_predicted_noise(x):
    """What cfg's docstring says, on every path and at any scale."""
    for schedule in SCHEDULES.values():
        for t in (0.1, 0.6, 0.9):
            a, b = torch.tanh(x), 0.3 * x
            mixed = b + 5.0 * (a - b)
            eps_a, eps_b = schedule.eps_from_x0(x, a, t), schedule.eps_from_x0(x, b, t)
            expected = eps_b + 5.0 * (eps_a - eps_b)
            assert torch.allclose(schedule.eps_from_x0(x, mixed, t), expected, rtol=1e-3, atol=1e-4)


def test_interval(x):
    toy = Toy()
    guided, plain = cfg(toy, label(2, 4), label(0, 4), 5.0), conditioned(toy, label(2, 4))
    some = interval(guided, plain, 0.3, 0.7)
    for t in (0.3, 0.5, 0.7):
        assert torch.equal(some(x, t), guided(x, t))
    for t in (0.1, 0.29, 0.71, 1.0):
        assert torch.equal(some(x, t), plain(x, t))
    assert some.schedule is toy.schedule
    toy.rows.clear()
    list(sample(some, x, time_grid(toy.schedule, 10), SCHEDULERS["ddim"].rule))
    assert sorted(toy.rows) == [4] * 5 + [8] * 5  # 0.7, 0.6, 0.5, 0.4, 0.3 are guided


# ------------------------------------------------------------------------------------------------------ inpainting

KNOWN = torch.linspace(-0.9, 0.9, 3 * 8 * 8).reshape(1, 3, 8, 8)
MASK = torch.zeros(1, 1, 8, 8)
MASK[..., 3:] = 1  # the right part is to be painted


def smooth(x, t, cond=None):
    """A toy denoiser for pictures in which every pixel looks at its neighbours."""
    shift = 0.0 if cond is None else cond.value[:, None, None, None]
    return torch.tanh((x + x.roll(1, dims=3)) / 2 + shift)


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=lambda s: s.name)
@pytest.mark.parametrize("name", SCHEDULERS)
def test_inpaint_keeps_the_known_pixels(name, schedule):
    """Exactly with the rules whose last step is the guess itself. Euler and Heun add up slopes: on a straight path they
    round, and on a curved one their last, straight step leaves a little noise (0.003 on cosine, 0.05 on linear)."""
    denoise = Denoiser(lambda x, t: smooth(x, t), schedule, "x0")
    scheduler = SCHEDULERS[name]
    noise, sources = starting_noise([1, 2], (3, 8, 8))
    start = noise * schedule.sigma(1.0)
    painted = inpaint(denoise, KNOWN, MASK)
    steps = list(sample(painted, start, time_grid(schedule, 20, scheduler.spacing), scheduler.rule, sources))
    end, kept = steps[-1].x_next, MASK.expand(2, 3, 8, 8) == 0
    assert all(torch.equal(step.x0_hat[kept], KNOWN.expand(2, 3, 8, 8)[kept]) for step in steps)
    if name in ("ddpm", "ddim", "dpmpp_2m"):
        assert torch.equal(end[kept], KNOWN.expand(2, 3, 8, 8)[kept])
    else:
        left_over = {"flow": 1e-5, "edm": 1e-5, "cosine": 0.01, "linear": 0.1}[schedule.name]
        assert (end - KNOWN)[kept].abs().max() < left_over
    assert (end - KNOWN)[~kept].abs().max() > 0.1  # what was to be painted is not just copied
    assert painted.schedule is schedule


def test_inpaint_composes_with_cfg():
    denoise = Denoiser(smooth, Flow(), "x0")
    noise, _ = starting_noise([1, 2], (3, 8, 8))
    guided = cfg(denoise, label(0.5, 2), label(0, 2), 4.0)
    *_, end = sample(inpaint(guided, KNOWN, MASK), noise, time_grid(Flow(), 8), SCHEDULERS["ddim"].rule)
    kept = MASK.expand(2, 3, 8, 8) == 0
    assert torch.equal(end.x_next[kept], KNOWN.expand(2, 3, 8, 8)[kept])
    *_, plain = sample(inpaint(conditioned(denoise, label(0.5, 2)), KNOWN, MASK), noise, time_grid(Flow(), 8),
                       SCHEDULERS["ddim"].rule)
    assert (end.x_next - plain.x_next)[~kept].abs().max() > 0.05  # and the painted part is guided


def test_a_soft_mask_mixes():
    half = inpaint(Denoiser(smooth, Flow(), "x0"), KNOWN, torch.tensor(0.25))
    x = torch.zeros(1, 3, 8, 8)
    assert torch.allclose(half(x, 0.5), 0.75 * KNOWN)


# -------------------------------------------------------------------------------------------------- what it is for

class TwoClasses:
    """Exact denoisers of two overlapping classes, and of both together where the conditioning says 0."""

    schedule = Cosine()
    means, std = torch.tensor([[-0.5, 0.0], [0.5, 0.0]]), torch.tensor([0.5, 0.5])

    def __call__(self, x, t, cond):
        of = [Mixture(self.means, self.std, torch.tensor(weights), self.schedule)(x, t)
              for weights in ([0.5, 0.5], [1.0, 0.0], [0.0, 1.0])]
        return torch.stack(of, dim=1)[torch.arange(len(x)), cond.value.long()]


def test_guidance_moves_samples_towards_the_class():
    count = 300
    noise, _ = starting_noise(list(range(count)), (2,))
    away, share = [], []
    for guidance in (0.0, 1.0, 2.0, 4.0):
        denoise = cfg(TwoClasses(), label(2, count), label(0, count), guidance)
        *_, end = sample(denoise, noise, time_grid(Cosine(), 25), SCHEDULERS["ddim"].rule)
        away.append(end.x_next[:, 0].mean().item())
        share.append((end.x_next[:, 0] > 0).float().mean().item())
    assert away == sorted(away) and share == sorted(share)
    assert away[0] == pytest.approx(0, abs=0.1) and away[1] == pytest.approx(0.5, abs=0.1)  # both classes; this class
    assert share[1] == pytest.approx(0.84, abs=0.06)  # a normal curve one standard deviation off
    assert share[2] > 0.93 and share[3] > 0.97 and away[3] > 0.8


def test_guidance_through_a_real_network():
    net = UNet(UNetSettings(channels=(8, 16), attention=(False, True), words=6, pooled=5)).requires_grad_(False)
    source = torch.Generator().manual_seed(0)
    for parameter in net.parameters():
        parameter.copy_(0.2 * torch.randn(parameter.shape, generator=source))
    denoise = Denoiser(net, Cosine(), "v")
    conds = [Cond(torch.randn(2, 4, 6, generator=source), torch.tensor([[True] * 4, [True, True, False, False]]),
                  torch.randn(2, 5, generator=source)) for _ in range(2)]
    x = torch.randn(2, 3, 8, 8, generator=source)
    guided = cfg(denoise, *conds, 5.0)(x, 0.6)
    prompt, nothing = denoise(x, 0.6, conds[0]), denoise(x, 0.6, conds[1])
    assert (prompt - nothing).abs().max() > 1e-3
    assert torch.allclose(guided, nothing + 5.0 * (prompt - nothing), rtol=1e-4, atol=1e-4)
