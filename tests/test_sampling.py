"""The one loop: what it yields, how often it asks the network, and that a seed gives its picture in any company."""

import types

import pytest
import torch

from course_lib.denoiser import Denoiser
from course_lib.guidance import inpaint
from course_lib.points import Mixture
from course_lib.runtime import CourseError, random_source, starting_noise
from course_lib.sampling import Step, fresh_noise, resample, sample, slerp
from course_lib.schedulers import SCHEDULERS, Cosine, Flow, find_scheduler, time_grid
from course_lib.unet import UNet, UNetSettings

pytestmark = pytest.mark.usefixtures("one_thread")

CHOICES = [*((name, None) for name in SCHEDULERS), ("ddim", 0.5)]
each_scheduler = pytest.mark.parametrize("name, eta", CHOICES, ids=lambda value: str(value))


@pytest.fixture(scope="module")
def unet():
    """A small U-Net with random weights everywhere (a fresh one ends in zeros and would predict nothing)."""
    net = UNet(UNetSettings(channels=(16, 32), attention=(False, True))).requires_grad_(False)
    source = random_source(0)
    for parameter in net.parameters():
        fan_in = max(parameter[0].numel(), 1) if parameter.ndim > 1 else 25
        parameter.copy_(torch.randn(parameter.shape, generator=source) / fan_in**0.5)
    return net


def final_pictures(denoise, seeds, name, eta, dtype=torch.float32, steps=6):
    scheduler = find_scheduler(name, eta)
    ts = time_grid(denoise.schedule, steps, scheduler.spacing)
    noise, sources = starting_noise(seeds, (3, 16, 16))
    *_, end = sample(denoise, noise.to(dtype), ts, scheduler.rule, sources)
    return end.x_next


@each_scheduler
@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.float64, 1e-13)], ids=["single", "double"])
def test_a_seed_gives_its_picture_in_any_company(unet, name, eta, dtype, tolerance):
    """Up to rounding: the order in which a convolution adds up may depend on the batch. (Observed: 2e-7 and 6e-16.)"""
    net = unet.to(dtype)
    denoise = Denoiser(net, Cosine(), "v")
    alone = final_pictures(denoise, [7], name, eta, dtype)[0]
    for company in ([7, 8], [9, 8, 7, 0], [7] * 3, [*range(10, 16), 7]):
        batch = final_pictures(denoise, company, name, eta, dtype)
        for seed, picture in zip(company, batch):
            if seed == 7:
                worst = ((picture - alone).abs().max() / alone.abs().max()).item()
                assert worst < tolerance, f"{worst:.1e}"
        if company[0] != company[1]:
            assert (batch[0] - batch[1]).abs().max() > 0.1  # seeds do differ


def mixture(schedule):
    means = torch.tensor([[-1.0, 0.5], [1.0, -0.5]])
    return Mixture(means, torch.tensor([0.2, 0.3]), torch.tensor([0.5, 0.5]), schedule)


class Counted:
    """A denoiser that counts how often it is asked."""

    def __init__(self, denoise):
        self.denoise, self.schedule, self.calls = denoise, denoise.schedule, 0

    def __call__(self, x, t):
        self.calls += 1
        return self.denoise(x, t)


@each_scheduler
def test_steps_hang_together(name, eta):
    denoise, scheduler = mixture(Flow()), find_scheduler(name, eta)
    ts = time_grid(Flow(), 7, scheduler.spacing)
    noise, sources = starting_noise([1, 2, 3], (2,))
    steps = list(sample(denoise, noise, ts, scheduler.rule, sources))
    assert Step._fields == ("t", "s", "x", "x0_hat", "x_next")
    assert [step.t for step in steps] == ts[:-1] and [step.s for step in steps] == ts[1:]
    assert torch.equal(steps[0].x, noise)
    assert all(torch.equal(a.x_next, b.x) for a, b in zip(steps, steps[1:]))
    assert all(torch.equal(step.x0_hat, denoise(step.x, step.t)) for step in steps)
    assert all(step.x_next.shape == noise.shape and step.x_next.dtype == noise.dtype for step in steps)
    assert torch.isfinite(steps[-1].x_next).all()


@each_scheduler
@pytest.mark.parametrize("steps", [1, 2, 9])
def test_number_of_evaluations(name, eta, steps):
    denoise, scheduler = Counted(mixture(Flow())), find_scheduler(name, eta)
    noise, sources = starting_noise([4], (2,))
    list(sample(denoise, noise, time_grid(Flow(), steps, scheduler.spacing), scheduler.rule, sources))
    assert denoise.calls == (2 * steps - 1 if name == "heun" else steps)


def test_the_loop_waits_to_be_asked():
    denoise = Counted(mixture(Flow()))
    walk = sample(denoise, torch.zeros(1, 2), time_grid(Flow(), 5), SCHEDULERS["ddim"].rule)
    assert isinstance(walk, types.GeneratorType) and denoise.calls == 0
    first = next(walk)
    assert denoise.calls == 1 and first.t == 1.0
    next(walk)
    assert denoise.calls == 2


def test_the_given_noise_is_left_as_it_was():
    noise, sources = starting_noise([5, 6], (2,))
    before = noise.clone()
    for name, scheduler in SCHEDULERS.items():
        list(sample(mixture(Flow()), noise, time_grid(Flow(), 4, scheduler.spacing), scheduler.rule, sources))
        assert torch.equal(noise, before), name


@each_scheduler
def test_the_same_seed_is_the_same_picture_and_another_is_not(name, eta):
    scheduler = find_scheduler(name, eta)

    def end(seed):
        noise, sources = starting_noise([seed], (2,))
        *_, step = sample(mixture(Flow()), noise, time_grid(Flow(), 5, scheduler.spacing), scheduler.rule, sources)
        return step.x_next

    assert torch.equal(end(11), end(11)) and not torch.equal(end(11), end(12))


@pytest.mark.parametrize("name, eta", [("ddpm", None), ("ddim", 0.5)])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_one_random_source_a_picture(name, eta, count):
    scheduler = find_scheduler(name, eta)
    sources = [random_source(seed) for seed in range(count)]
    with pytest.raises(ValueError, match=f"Give one random source a picture: 2 pictures, {count} sources."):
        list(sample(mixture(Flow()), torch.zeros(2, 2), time_grid(Flow(), 3), scheduler.rule, sources))


def test_schedulers_without_randomness_need_no_source():
    for name, scheduler in SCHEDULERS.items():
        if name != "ddpm":
            list(sample(mixture(Flow()), torch.ones(2, 2), time_grid(Flow(), 3, scheduler.spacing), scheduler.rule))


def test_fresh_noise_comes_from_each_pictures_own_source():
    x = torch.zeros(2, 3, 4, 4, dtype=torch.float64)
    both = fresh_noise(x, [random_source(1), random_source(2)])
    assert both.shape == x.shape and both.dtype == x.dtype
    assert torch.equal(both[1:], fresh_noise(x[1:], [random_source(2)]))
    assert not torch.equal(both[0], both[1])


def test_starting_noise():
    noise, sources = starting_noise([3, 0, 3], (3, 8, 8))
    assert noise.shape == (3, 3, 8, 8) and noise.dtype == torch.float32 and len(sources) == 3
    assert torch.equal(noise[0], noise[2]) and not torch.equal(noise[0], noise[1])
    assert torch.equal(noise[1], starting_noise([0], (3, 8, 8))[0][0])
    going_on = torch.randn(3, 8, 8, generator=sources[0])
    assert not torch.equal(going_on, noise[0])  # it draws on from where it stopped, not the same again


@pytest.mark.parametrize("seed", [-1, 1.5, True, "7", None, 2**63])
def test_seeds_that_make_no_sense(seed):
    with pytest.raises(CourseError, match=r"The seed must be a whole number from 0 to \d+, but it is .+\."):
        random_source(seed)


@each_scheduler
def test_samples_land_on_the_data(name, eta):
    """A mixture's own samples: half of them about each mean, with its spread. (Fresh noise needs more steps: at 30, its
    samples have four fifths of the spread.)"""
    denoise, scheduler = mixture(Cosine()), find_scheduler(name, eta)
    noise, sources = starting_noise(list(range(600)), (2,))
    ts = time_grid(Cosine(), 120 if name == "ddpm" or eta else 30, scheduler.spacing)
    *_, end = sample(denoise, noise, ts, scheduler.rule, sources)
    left = (end.x_next - denoise.means[0]).norm(dim=1) < (end.x_next - denoise.means[1]).norm(dim=1)
    assert left.float().mean().item() == pytest.approx(0.5, abs=0.07)
    for number, group in enumerate((left, ~left)):
        assert torch.allclose(end.x_next[group].mean(0), denoise.means[number], atol=0.08)
        assert torch.allclose(end.x_next[group].std(0), denoise.std[number].expand(2), rtol=0.2)


# ------------------------------------------------------------------------------------------------- taken again

def gaussian(correlation: float) -> Denoiser:
    """The exact denoiser of two numbers of variance 1 that go together."""
    covariance = torch.tensor([[1, correlation], [correlation, 1.0]])

    def guess(x, t):
        alpha, sigma = Cosine().alpha(t[:1]), Cosine().sigma(t[:1])
        return x @ torch.linalg.solve(alpha**2 * covariance + sigma**2 * torch.eye(2), alpha * covariance)

    return Denoiser(guess, Cosine(), "x0")


@each_scheduler
def test_once_is_the_plain_loop(unet, name, eta):
    denoise, scheduler = Denoiser(unet, Cosine(), "v"), find_scheduler(name, eta)
    ts = time_grid(Cosine(), 4, scheduler.spacing)
    made = []
    for loop, rounds in ((sample, ()), (resample, (1,))):
        noise, sources = starting_noise([1, 2], (3, 16, 16))
        made.append(list(loop(denoise, noise, ts, scheduler.rule, sources, *rounds)))
    plain, once = made
    assert len(plain) == len(once) == 4
    assert all(torch.equal(a.x_next, b.x_next) for a, b in zip(plain, once))


@each_scheduler
def test_every_step_but_the_last_is_taken_as_often_as_told(name, eta):
    calls = []
    denoise = Denoiser(lambda x, t: calls.append(t[0].item()) or torch.tanh(x), Cosine(), "x0")
    scheduler = find_scheduler(name, eta)
    ts = time_grid(Cosine(), 4, scheduler.spacing)
    noise, sources = starting_noise([1], (2,))
    steps = list(resample(denoise, noise, ts, scheduler.rule, sources, 3))
    assert [step.t for step in steps] == [t for t in ts[:3] for _ in range(3)] + [ts[3]]
    assert len(calls) == (19 if name == "heun" else 10)
    for before, after in zip(steps, steps[1:]):  # up again with fresh noise, or on from where it stands
        assert torch.equal(before.x_next, after.x) == (after.t == before.s)


def test_taken_again_what_is_painted_fits_what_is_known():
    """Two numbers with correlation 0.9, of which the first is known to be 1.5: the second is 1.35 on average. (The
    textbook's conditional Gaussian.) One round makes too little of what is known: 0.9."""
    known, mask = torch.tensor([[1.5, 0.0]]), torch.tensor([[0.0, 1.0]])
    denoise, count, found = inpaint(gaussian(0.9), known, mask), 2000, {}
    for rounds in (1, 2, 10):
        noise, sources = starting_noise(list(range(count)), (2,))
        *_, end = resample(denoise, noise, time_grid(Cosine(), 20), SCHEDULERS["ddpm"].rule, sources, rounds)
        assert torch.equal(end.x_next[:, 0], torch.full((count,), 1.5))
        found[rounds] = end.x_next[:, 1].mean().item()
    assert found[1] < 1.0 < found[2] < 1.2 and found[10] == pytest.approx(1.35, abs=0.09), found


# ------------------------------------------------------------------------------------------------ between noises

@pytest.mark.parametrize("seeds", [(1, 2), (3, 3)])
def test_the_arc_goes_from_noise_to_noise_and_stays_noise(seeds):
    a, b = starting_noise(list(seeds), (4, 16, 16))[0]
    assert torch.equal(slerp(a, b, 0.0), a) and torch.equal(slerp(a, b, 1.0), b)
    torch.testing.assert_close(slerp(a, b, 0.3), slerp(b, a, 0.7))
    for share in (0.25, 0.5, 0.75):
        assert slerp(a, b, share).std() == pytest.approx(1, abs=0.05)
        if seeds == (1, 2):  # its angle to the start grows evenly
            angles = [torch.acos(torch.cosine_similarity(a.flatten(), other.flatten(), dim=0)).item()
                      for other in (slerp(a, b, share), b)]
            assert angles[0] == pytest.approx(share * angles[1], abs=0.03)  # the lengths differ a little
