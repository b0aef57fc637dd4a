"""Noise schedules, conversions between predictions, time grids, and the names a user may choose."""

import math

import pytest
import torch

from course_lib.runtime import CourseError
from course_lib.schedulers import (
    EDM, PREDICTIONS, RATIO_MAX, RATIO_MIN, SCHEDULERS, SCHEDULES, Cosine, Flow, Linear, ddim, ddpm, find_schedule,
    find_scheduler, time_grid,
)

pytestmark = pytest.mark.usefixtures("one_thread")

ALL = list(SCHEDULES.values())
TIMES = torch.tensor([1e-6, 1e-4, 0.003, 0.02, 0.1, 0.33, 0.5, 0.77, 0.9, 0.999], dtype=torch.float64)
METHODS = ["alpha", "sigma", "alpha_dot", "sigma_dot", "lam", "snr"]
each_schedule = pytest.mark.parametrize("schedule", ALL, ids=lambda s: s.name)


# ------------------------------------------------------------------------------------------------------ schedules

@each_schedule
@pytest.mark.parametrize("function", ["alpha", "sigma"])
def test_derivatives(schedule, function):
    t = TIMES.clone().requires_grad_()
    (slope,) = torch.autograd.grad(getattr(schedule, function)(t).sum() + 0 * t.sum(), t)
    assert torch.allclose(getattr(schedule, f"{function}_dot")(TIMES), slope, rtol=1e-9, atol=1e-12)


@each_schedule
def test_ends(schedule):
    assert schedule.alpha(0.0) == 1 and schedule.sigma(0.0) == 0 and schedule.lam(0.0) == math.inf
    least = {"linear": math.exp(-10.05), "cosine": 0, "flow": 0, "edm": 1}[schedule.name]  # exactly 0, not 6e-17
    assert schedule.alpha(1.0) ** (2 if schedule.name == "linear" else 1) == pytest.approx(least, rel=1e-12)
    assert (schedule.lam(1.0) == -math.inf) == (least == 0)


@each_schedule
def test_noise_only_grows(schedule):
    t = torch.linspace(0, 1, 2001, dtype=torch.float64)
    assert (schedule.sigma(t).diff() > 0).all() and (schedule.alpha(t).diff() <= 0).all()
    assert (schedule.lam(t).diff() < 0).all()
    assert torch.allclose(schedule.snr(TIMES), torch.exp(2 * schedule.lam(TIMES)), rtol=1e-12)


@pytest.mark.parametrize("schedule", [Linear(), Linear(0.3, 9.0), Cosine()], ids=repr)
def test_variance_preserving(schedule):
    t = torch.cat([torch.linspace(0, 1, 500, dtype=torch.float64), TIMES])
    assert torch.allclose(schedule.alpha(t) ** 2 + schedule.sigma(t) ** 2, torch.ones_like(t), rtol=0, atol=1e-15)


@each_schedule
def test_more_noise_on_top_is_as_much_noise_in_one_jump(schedule):
    """The picture's share and the noise's variance, exactly: coefficients of x0, of the noise there was, of the new."""
    for s, t in ((0.0, 0.4), (0.2, 0.5), (0.5, 0.9), (0.6, 1.0), (0.3, 0.3)):
        one, none = torch.ones(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
        of_x0 = schedule.add_more_noise(schedule.add_noise(one, none, s), none, s, t)
        of_old = schedule.add_more_noise(schedule.add_noise(none, one, s), none, s, t)
        of_new = schedule.add_more_noise(none, one, s, t)
        assert of_x0.item() == pytest.approx(schedule.alpha(t), abs=1e-9)
        assert (of_old**2 + of_new**2).item() == pytest.approx(schedule.sigma(t) ** 2, abs=1e-9)


@each_schedule
def test_t_of_lam_inverts_lam(schedule):
    t = torch.cat([TIMES, torch.linspace(0.001, 0.9999, 500, dtype=torch.float64)])
    assert torch.allclose(schedule.t_of_lam(schedule.lam(t)), t, rtol=1e-9, atol=0)
    lam = torch.linspace(-4, 8, 100, dtype=torch.float64)
    assert torch.allclose(schedule.lam(schedule.t_of_lam(lam)), lam, rtol=0, atol=1e-9)
    assert schedule.t_of_lam(schedule.lam(0.4)) == pytest.approx(0.4, rel=1e-12)


@each_schedule
@pytest.mark.parametrize("method", [*METHODS, "t_of_lam"])
def test_floats_in_floats_out_tensors_in_tensors_out(schedule, method):
    function = getattr(schedule, method)
    as_floats = [function(t) for t in TIMES.tolist()]
    assert all(type(value) is float for value in as_floats)
    assert type(function(1)) is float  # whole numbers too
    assert torch.allclose(function(TIMES), torch.tensor(as_floats, dtype=torch.float64), rtol=1e-14)
    single = function(TIMES.float().reshape(2, 5))
    assert single.dtype == torch.float32 and single.shape == (2, 5)
    assert torch.allclose(single.double().flatten(), function(TIMES), rtol=2e-3)


def test_linear_is_the_limit_of_ddpms_thousand_steps():
    """Ho et al. 2020: alpha_bar is the product of 1 - beta. Measured: alpha differs by at most 0.00105, and lam by at
    most 0.0474 (under 5 % in sigma / alpha), the most at the very first of the thousand times."""
    k = torch.arange(1, 1001, dtype=torch.float64)
    discrete = torch.cumprod(1 - torch.linspace(0.0001, 0.02, 1000, dtype=torch.float64), dim=0).sqrt()
    assert (Linear().alpha(k / 1000) - discrete).abs().max() < 0.0011
    assert (Linear().lam(k / 1000) - discrete.log() + (1 - discrete**2).sqrt().log()).abs().max() < 0.048
    steps = 100_000  # finer and finer steps of the same rate come closer and closer
    fine = torch.linspace(0.1, 20, steps, dtype=torch.float64) / steps
    assert abs(torch.log1p(-fine).sum().item() / 2 - math.log(Linear().alpha(1.0))) < 1e-3


# ----------------------------------------------------------------------------------------------------- conversions

def pictures(seed=0, count=len(TIMES)):
    source = torch.Generator().manual_seed(seed)
    return torch.randn(2, count, 3, 4, 4, generator=source, dtype=torch.float64)


@each_schedule
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_predictions_round_trip(schedule, prediction):
    x0, eps = pictures()
    x = schedule.add_noise(x0, eps, TIMES)
    output = schedule.target(prediction, x0, eps, TIMES)
    back = schedule.to_x0(prediction, output, x, TIMES)
    assert torch.allclose(back, x0, rtol=1e-6, atol=1e-9)
    noisy_enough = TIMES >= 0.003  # in the first instants, x holds too little noise to be found again exactly
    assert torch.allclose(schedule.eps_from_x0(x, back, TIMES)[noisy_enough], eps[noisy_enough], atol=1e-6)
    for number, t in enumerate(TIMES.tolist()):  # a float for all is the same as one time a picture
        one = slice(number, number + 1)
        assert torch.allclose(schedule.to_x0(prediction, output[one], x[one], t), back[one], rtol=1e-12, atol=1e-12)
        assert torch.allclose(schedule.add_noise(x0[one], eps[one], t), x[one], rtol=1e-13)


@each_schedule
def test_velocity_is_the_slope_of_the_path(schedule):
    x0, eps = pictures()
    h = 1e-4 * TIMES
    after, before = schedule.add_noise(x0, eps, TIMES + h), schedule.add_noise(x0, eps, TIMES - h)
    slope = (after - before) / (2 * h)[:, None, None, None]
    x = schedule.add_noise(x0, eps, TIMES)
    assert torch.allclose(schedule.target("flow", x0, eps, TIMES), slope, rtol=1e-5, atol=1e-5)
    late = TIMES > 0.01
    assert torch.allclose(schedule.velocity(x[late], x0[late], TIMES[late]), slope[late], rtol=1e-5, atol=1e-5)


def test_u_and_v():
    x0, eps = pictures()
    assert torch.allclose(Flow().target("flow", x0, eps, TIMES), eps - x0)
    v = Cosine().target("v", x0, eps, TIMES)
    assert torch.allclose(Cosine().target("flow", x0, eps, TIMES), v * math.pi / 2)
    assert not torch.allclose(Linear().target("flow", x0, eps, TIMES), Linear().target("v", x0, eps, TIMES), rtol=0.1)


# ------------------------------------------------------------------------------------------------------------ grids

@each_schedule
@pytest.mark.parametrize("spacing", ["uniform", "log_snr", "karras"])
@pytest.mark.parametrize("steps", [1, 2, 3, 20, 1000])
def test_time_grid(schedule, spacing, steps):
    ts = time_grid(schedule, steps, spacing)
    assert len(ts) == steps + 1 and all(type(t) is float for t in ts)
    assert ts[0] == 1.0 and ts[-1] == 0.0
    assert all(later < t for t, later in zip(ts, ts[1:]))
    if spacing == "uniform":
        assert ts == pytest.approx([1 - i / steps for i in range(steps + 1)])
    elif steps > 1:
        ratios = [schedule.sigma(t) / schedule.alpha(t) for t in ts[1:-1]]
        assert ratios[-1] == pytest.approx(RATIO_MIN)
        start = min(RATIO_MAX, schedule.sigma(1.0) / max(schedule.alpha(1.0), 1e-300))
        spaced = [f ** (1 / 7) if spacing == "karras" else math.log(f) for f in [start, *ratios]]
        even = (spaced[-1] - spaced[0]) / (steps - 1)
        assert [b - a for a, b in zip(spaced, spaced[1:])] == pytest.approx([even] * (steps - 1))


def test_karras_paper_grid():
    """EDM's table 1: sigma_i = (80^(1/7) + i/(N-1) (0.01^(1/7) - 80^(1/7)))^7."""
    n = 18
    theirs = [(80 ** (1 / 7) + i / (n - 1) * (0.01 ** (1 / 7) - 80 ** (1 / 7))) ** 7 for i in range(n)] + [0]
    assert [EDM().sigma(t) for t in time_grid(EDM(), n, "karras")] == pytest.approx(theirs)


@pytest.mark.parametrize("steps", [0, -3, 1001, 2.5, 2.0, True, "ten", None, math.nan])
def test_steps_that_make_no_sense(steps):
    with pytest.raises(CourseError, match=r"number of steps must be a whole number from 1 to 1000, but it is .+\."):
        time_grid(Linear(), steps)


def test_numpy_whole_numbers_are_whole_numbers():
    import numpy as np

    assert time_grid(Linear(), np.int64(4)) == time_grid(Linear(), 4)


# ------------------------------------------------------------------------------------------------------------ names

@pytest.mark.parametrize("call, message", [
    (lambda: find_schedule("cosinus"), "no noise schedule 'cosinus': choose from linear, cosine, flow, edm"),
    (lambda: find_scheduler("plms"), "no scheduler 'plms': choose from ddpm, ddim, euler, heun, dpmpp_2m"),
    (lambda: find_scheduler("heun", 0.5), "eta goes with the scheduler 'ddim'"),
    (lambda: find_scheduler("ddim", 1.2), "between 0 and 1, but it is 1.2"),
    (lambda: find_scheduler("ddim", -0.1), "between 0 and 1, but it is -0.1"),
    (lambda: find_scheduler("ddim", math.nan), "between 0 and 1, but it is nan"),
    (lambda: time_grid(Linear(), 5, "cubic"), "no time spacing 'cubic': choose from uniform, log_snr, karras"),
    (lambda: Linear().target("noise", *pictures(), TIMES), "no prediction type 'noise': choose from eps, x0, v, flow"),
    (lambda: Linear().to_x0("noise", *pictures(), TIMES), "no prediction type 'noise': choose from eps, x0, v, flow"),
])
def test_unknown_names(call, message):
    with pytest.raises(CourseError) as error:
        call()
    assert message in str(error.value) and str(error.value).endswith(".")


def test_names_find_what_they_say():
    assert {name: find_schedule(name).name for name in SCHEDULES} == {name: name for name in SCHEDULES}
    assert all(find_scheduler(name) is SCHEDULERS[name] for name in SCHEDULERS)
    assert SCHEDULERS["dpmpp_2m"].spacing == "log_snr"
    assert find_scheduler("ddim", 0.3).rule.keywords == {"eta": 0.3}


# ------------------------------------------------------------------------------------------------------- step rules

@each_schedule
@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_denoiser_that_knows_the_answer_is_led_back_to_it(schedule, name):
    """With x0_hat = x0 the path is the forward process backwards: every state is alpha x0 + sigma (some unit noise)."""
    x0, eps = pictures(count=1)
    scheduler, ts = SCHEDULERS[name], time_grid(schedule, 6, "log_snr")
    t, s = ts[2], ts[3]
    x = schedule.add_noise(x0, eps, t)
    there = scheduler.rule(schedule, x, x0, t, s, denoise=lambda x, t: x0, noise=lambda: eps, previous=None)
    if name in ("ddim", "dpmpp_2m") or (schedule.name in ("flow", "edm") and name != "ddpm"):
        assert torch.allclose(there, schedule.add_noise(x0, eps, s), rtol=1e-10, atol=1e-12)
    home = scheduler.rule(schedule, x, x0, t, 0.0, denoise=None, noise=lambda: eps, previous=None)
    if name in ("ddpm", "ddim", "dpmpp_2m"):
        assert torch.equal(home, x0)


@each_schedule
@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
def test_ddim_keeps_the_variance_at_every_eta(schedule, eta):
    """Whatever eta, the noise in the next state has variance sigma(s)^2: old and fresh shares add up in squares."""
    t, s = 0.6, 0.35
    zero, one = torch.zeros(1, 1, dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64)
    kept = ddim(schedule, schedule.sigma(t) * one, zero, t, s, eta=eta, noise=lambda: zero).item()
    fresh = ddim(schedule, zero, zero, t, s, eta=eta, noise=lambda: one).item()
    assert kept**2 + fresh**2 == pytest.approx(schedule.sigma(s) ** 2, rel=1e-12)
    assert (fresh == 0) == (eta == 0)


@each_schedule
def test_ddpm_is_bayes_posterior(schedule):
    """q(x_s | x_t, x0) from Bayes' rule: the product of N(x_s; alpha_s x0, sigma_s^2) and N(x_t; ratio x_s, rest)."""
    t, s, x0, x = 0.7, 0.45, 0.8, -1.3
    ratio = schedule.alpha(t) / schedule.alpha(s)
    rest = schedule.sigma(t) ** 2 - (ratio * schedule.sigma(s)) ** 2
    precision = 1 / schedule.sigma(s) ** 2 + ratio**2 / rest
    mean = (schedule.alpha(s) * x0 / schedule.sigma(s) ** 2 + ratio * x / rest) / precision
    at, guess = torch.tensor([[x]], dtype=torch.float64), torch.tensor([[x0]], dtype=torch.float64)
    zero, one = torch.zeros_like(at), torch.ones_like(at)
    centre = ddpm(schedule, at, guess, t, s, noise=lambda: zero).item()
    assert centre == pytest.approx(mean, rel=1e-10)
    spread = ddpm(schedule, at, guess, t, s, noise=lambda: one).item() - centre
    assert spread == pytest.approx(precision**-0.5, rel=1e-10)


def test_eps_prediction_at_alpha_zero_is_refused_in_a_sentence():
    x = torch.zeros(2, 2)
    with pytest.raises(CourseError, match="a network that predicts eps cannot start at t = 1 on 'cosine'"):
        SCHEDULES["cosine"].to_x0("eps", x, x, 1.0)
