"""The exact denoiser of a mixture against brute force, and the shapes of points."""

import math

import pytest
import torch

from course_lib.points import SHAPES, Mixture, PointNet, draw_points
from course_lib.runtime import CourseError, random_source
from course_lib.schedulers import SCHEDULES, Cosine, Linear

pytestmark = pytest.mark.usefixtures("one_thread")

D = torch.float64
MEANS = torch.tensor([[-1.0, 0.3], [0.8, -0.7], [0.2, 1.1]], dtype=D)
STD, WEIGHTS = torch.tensor([0.25, 0.4, 0.3], dtype=D), torch.tensor([0.5, 0.2, 0.3], dtype=D)
each_schedule = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=lambda s: s.name)


def mixture(schedule):
    return Mixture(MEANS, STD, WEIGHTS, schedule)


def noisy(schedule, t, count=6):
    source = random_source(3)
    x0, eps = torch.randn(2, count, 2, generator=source, dtype=D)
    return schedule.add_noise(x0, eps, t)


@each_schedule
@pytest.mark.parametrize("t", [0.05, 0.3, 0.6, 0.95])
def test_denoiser_against_quadrature(schedule, t):
    """E[x0 | x] as an integral over a fine grid of clean points: sum x0 p(x0) p(x | x0) / sum p(x0) p(x | x0)."""
    axis = torch.arange(-4, 4, 0.02, dtype=D)
    if schedule.sigma(t) / max(schedule.alpha(t), 0.05) < 0.06:
        axis = torch.arange(-4, 4, 0.01, dtype=D)
    clean = torch.cartesian_prod(axis, axis)
    prior = sum(w / (2 * math.pi * s**2) * torch.exp(-((clean - m) ** 2).sum(1) / (2 * s**2))
                for m, s, w in zip(MEANS, STD, WEIGHTS))
    assert (prior.sum() * (axis[1] - axis[0]) ** 2).item() == pytest.approx(1, abs=1e-6)
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    for x in noisy(schedule, t):
        far = -((x - alpha * clean) ** 2).sum(1) / (2 * sigma**2)
        weight = prior * torch.exp(far - far.max())
        expected = (weight[:, None] * clean).sum(0) / weight.sum()
        assert torch.allclose(mixture(schedule)(x[None], t)[0], expected, atol=1e-6)


def test_responsibilities_against_counting():
    """Of many noised points that fall close to x, the share that came from each component."""
    exact, t, source = mixture(Cosine()), 0.35, random_source(0)
    chosen = torch.multinomial(WEIGHTS, 2_000_000, replacement=True, generator=source)
    x0 = MEANS[chosen] + STD[chosen, None] * torch.randn(len(chosen), 2, generator=source, dtype=D)
    x = Cosine().add_noise(x0, torch.randn(len(chosen), 2, generator=source, dtype=D), t)
    at = torch.tensor([[0.0, 0.2]], dtype=D)
    near = chosen[((x - at) ** 2).sum(1) < 0.1**2]
    shares = torch.bincount(near, minlength=3) / len(near)
    assert len(near) > 5000
    assert torch.allclose(exact.responsibilities(at, t)[0], shares.double(), atol=0.02)


@each_schedule
def test_responsibilities_add_up(schedule):
    t = torch.tensor([0.01, 0.2, 0.5, 0.8, 0.99, 1.0], dtype=D)
    share = mixture(schedule).responsibilities(noisy(schedule, t), t)
    assert share.shape == (6, 3) and (share >= 0).all()
    assert torch.allclose(share.sum(1), torch.ones(6, dtype=D))


@each_schedule
def test_one_time_a_point_is_the_same_as_one_at_a_time(schedule):
    t = torch.tensor([0.01, 0.2, 0.5, 0.8, 0.99, 1.0], dtype=D)
    x, exact = noisy(schedule, t), mixture(schedule)
    together = exact(x, t)
    assert together.shape == x.shape
    for number in range(len(t)):
        assert torch.allclose(exact(x[number:number + 1], t[number].item())[0], together[number], rtol=1e-9, atol=1e-9)


def test_at_the_ends():
    exact = mixture(Cosine())
    mean = (WEIGHTS[:, None] * MEANS).sum(0)
    assert torch.allclose(exact(noisy(Cosine(), 1.0), 1.0), mean.expand(6, 2))  # pure noise: the mean of everything
    x = noisy(Cosine(), 0.0)
    assert torch.allclose(exact(x, 0.0), x)  # no noise: nothing to guess


def test_a_point_cloud_recalls_its_points():
    cloud = draw_points("ring", 400, random_source(1))
    exact = Mixture.of_points(cloud, Linear())
    eps = torch.randn(400, 2, generator=random_source(2))
    near = exact(Linear().add_noise(cloud, eps, 0.001), 0.001)
    assert (torch.cdist(near, cloud).min(dim=1).values < 0.05).all()
    assert (near - cloud).norm(dim=1).mean() < 0.05
    double = Mixture.of_points(cloud.double(), Linear())
    x = Linear().add_noise(cloud, eps, 0.02)
    assert torch.allclose(exact(x, 0.02).double(), double(x.double(), 0.02), atol=1e-4)  # float32 is enough


def test_sample_has_the_mixtures_moments():
    drawn = mixture(Linear()).sample(200_000, random_source(5))
    mean = (WEIGHTS[:, None] * MEANS).sum(0)
    spread = (WEIGHTS[:, None] * (STD[:, None] ** 2 + MEANS**2)).sum(0) - mean**2
    assert drawn.shape == (200_000, 2) and drawn.dtype == D
    assert torch.allclose(drawn.mean(0), mean, atol=0.01) and torch.allclose(drawn.var(0), spread, rtol=0.02)
    assert torch.equal(drawn, mixture(Linear()).sample(200_000, random_source(5)))


@pytest.mark.parametrize("shape", SHAPES)
def test_draw_points(shape):
    points = draw_points(shape, 3000, random_source(0))
    assert points.shape == (3000, 2) and points.dtype == torch.float32
    assert (points.abs() <= 2).float().mean() > 0.98
    assert 0.3 < points.std() < 2
    assert torch.equal(points, draw_points(shape, 3000, random_source(0)))
    assert not torch.equal(points, draw_points(shape, 3000, random_source(1)))


def test_shapes_look_like_their_names():
    ring = draw_points("ring", 3000, random_source(0)).norm(dim=1)
    assert ring.mean().item() == pytest.approx(1.5, abs=0.01) and ring.std() < 0.1
    squares = draw_points("squares", 3000, random_source(0)).add(2).floor().long()
    assert (squares.sum(dim=1) % 2 == 0).all()  # one colour only ...
    assert len({tuple(field) for field in squares.tolist()}) == 8  # ... and all of its fields


def test_unknown_shape():
    with pytest.raises(CourseError, match="no shape called 'heart': choose from ring, moons, spiral, squares, face"):
        draw_points("heart", 10, random_source(0))


def test_point_net():
    net = PointNet()
    assert net(torch.zeros(5, 2), torch.linspace(0, 1, 5)).shape == (5, 2)
