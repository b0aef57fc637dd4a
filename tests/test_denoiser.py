"""A network of any prediction type becomes the same guess at the clean picture; its loss is least at the best one."""

import pytest
import torch

from course_lib.denoiser import Denoiser
from course_lib.points import Mixture
from course_lib.runtime import CourseError
from course_lib.schedulers import PREDICTIONS, SCHEDULES

pytestmark = pytest.mark.usefixtures("one_thread")

D = torch.float64
each_schedule = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=lambda s: s.name)
each_prediction = pytest.mark.parametrize("prediction", PREDICTIONS)


def mixture(schedule):
    return Mixture(torch.tensor([[-1.0, 0.3], [0.8, -0.7]], dtype=D), torch.tensor([0.3, 0.4], dtype=D),
                   torch.tensor([0.6, 0.4], dtype=D), schedule)


def randn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=D)


def best_network(exact, prediction):
    """What a perfect network of this type answers: it sees x scaled to unit variance, so it first undoes that."""
    schedule = exact.schedule

    def network(x_scaled, t):
        x = x_scaled * torch.sqrt(schedule.alpha(t) ** 2 + schedule.sigma(t) ** 2)[:, None]
        x0_hat = exact(x, t)
        return schedule.target(prediction, x0_hat, schedule.eps_from_x0(x, x0_hat, t), t)

    return network


@each_schedule
@each_prediction
def test_every_prediction_type_gives_the_same_guess(schedule, prediction):
    exact, t = mixture(schedule), torch.tensor([0.02, 0.2, 0.5, 0.7, 0.95], dtype=D)
    x = schedule.add_noise(randn(5, 2), randn(5, 2, seed=1), t)
    denoise = Denoiser(best_network(exact, prediction), schedule, prediction)
    assert torch.allclose(denoise(x, t), exact(x, t), rtol=1e-8, atol=1e-10)
    assert torch.allclose(denoise(x, 0.3), exact(x, 0.3), rtol=1e-8, atol=1e-10)  # one time for all


@each_schedule
@each_prediction
def test_loss_is_least_at_the_exact_denoiser(schedule, prediction):
    """The target's conditional mean minimises the squared error: at it, nudging the output either way costs the same.

    The slope of the loss along fixed directions is 0 up to the scatter of a finite sample, and the curvature is not.
    """
    exact, count = mixture(schedule), 20_000
    source = torch.Generator().manual_seed(4)
    x0 = exact.sample(count, source)
    eps = torch.randn(count, 2, generator=source, dtype=D)
    t = 0.05 + 0.85 * torch.rand(count, generator=source, dtype=D)
    best = best_network(exact, prediction)

    nudge = torch.zeros(3, dtype=D, requires_grad=True)

    def nudged(x, t):
        return best(x, t) + nudge[0] + nudge[1] * torch.tanh(x) + nudge[2] * torch.sin(6 * t)[:, None]

    def loss():
        return Denoiser(nudged, schedule, prediction).loss(x0, eps, t)

    least = loss()
    (slope,) = torch.autograd.grad(least, nudge)
    assert (slope.abs() < 0.03 * max(1.0, least.sqrt().item())).all(), slope
    for direction in torch.eye(3, dtype=D):
        for sign in (-0.5, 0.5):
            nudge.data = sign * max(1.0, least.sqrt().item()) * direction
            assert loss() > least + 0.01


@each_schedule
def test_input_has_unit_variance_for_data_of_unit_variance(schedule):
    seen = {}

    def network(x, t):
        seen["x"], seen["t"] = x, t
        return x

    for t in (0.01, 0.4, 0.98):
        Denoiser(network, schedule, "x0").output(schedule.add_noise(randn(4000, 4), randn(4000, 4, seed=2), t), t)
        assert seen["x"].var().item() == pytest.approx(1, abs=0.04)
        assert seen["t"].shape == (4000,) and (seen["t"] == t).all()


def test_variance_preserving_input_is_left_alone():
    x = randn(3, 2)
    assert torch.allclose(Denoiser(lambda x, t: x, SCHEDULES["linear"], "x0")(x, 0.3), x, rtol=1e-14)


def test_conditioning_reaches_the_network_only_when_there_is_some():
    calls = []
    denoise = Denoiser(lambda *given: calls.append(given) or given[0], SCHEDULES["flow"], "x0")
    denoise(randn(2, 2), 0.5)
    denoise(randn(2, 2), 0.5, "a house")
    assert len(calls[0]) == 2 and calls[1][2] == "a house"


def test_single_precision_stays_single():
    out = Denoiser(lambda x, t: x, SCHEDULES["edm"], "v")(torch.randn(2, 3, 4, 4), torch.tensor([0.2, 0.9]))
    assert out.dtype == torch.float32 and out.shape == (2, 3, 4, 4)


def test_unknown_prediction_type():
    with pytest.raises(CourseError, match="no prediction type 'noise': choose from eps, x0, v, flow"):
        Denoiser(lambda x, t: x, SCHEDULES["flow"], "noise")(randn(1, 2), 0.5)
