"""Our trajectories are diffusers' trajectories, state by state, where both are set to compute the same mathematics.

Both sides get the same noise, schedule, grid and toy network. diffusers keeps its tables in float32; here they are
replaced by float64 ones, so that what is compared is the formulas. What then still rounds to float32 are three `step`
functions of diffusers (Euler, DPM-Solver++ and flow-match Euler), which cast the state: seen below as up to 4e-7.

k-diffusion's published samplers, written out below in its own variable (sigma / alpha), are a second opinion.
"""

import diffusers
import numpy as np
import pytest
import torch

from course_lib.denoiser import Denoiser
from course_lib.sampling import sample
from course_lib.schedulers import (
    EDM, RATIO_MIN, SCHEDULERS, Cosine, Flow, Linear, Schedule, ddim, ddpm, dpmpp_2m, euler, find_scheduler, heun,
    time_grid,
)

pytestmark = pytest.mark.usefixtures("one_thread")

EXACT = 1e-10  # diffusers stays in float64: observed at most 2e-14 (k-diffusion's formulas: 3e-12)
FLOAT32 = 1e-5  # diffusers' step casts the state to float32: observed at most 4e-7
SHAPE = (3, 2, 4, 4)
TYPES = {"eps": "epsilon", "v": "v_prediction", "x0": "sample"}
VP = [Linear(), Cosine()]


def network(x, t):
    """A toy prediction: curved in x, different at every t, and mixing neighbouring pixels."""
    t = torch.as_tensor(t, dtype=x.dtype).reshape(-1, 1, 1, 1)
    return torch.tanh((0.5 + t) * x + 0.7 * x.roll(1, dims=3)) - 0.3 * t * x + 0.1 * torch.cos(5 * t)


def unit_noise(count=1):
    source = torch.Generator().manual_seed(7)
    return [torch.randn(SHAPE, generator=source, dtype=torch.float64) for _ in range(count)]


def replay(noises):
    """A source of noise that gives the listed ones in turn, in place of the loop's own."""
    return iter(noises).__next__


def ours(denoise, x, ts, rule, noises=()):
    """All states, first and last included."""
    draw = replay(noises)
    steps = sample(denoise, x, ts, lambda *a, noise, **k: rule(*a, noise=draw, **k))
    return [x] + [step.x_next for step in steps]


def assert_same(mine, theirs, tolerance):
    assert len(mine) == len(theirs)
    for number, (a, b) in enumerate(zip(mine, theirs)):
        assert a.dtype == torch.float64 and torch.isfinite(a).all()
        difference = ((a - b).norm() / b.norm()).item()
        assert difference < tolerance, f"state {number} differs by {difference:.1e}"


# ------------------------------------------------------------------- diffusers' schedulers in variance-preserving x

def discrete(scheduler_class, schedule, count, end=1.0, prediction="eps", **settings):
    """A diffusers scheduler whose training times are ours at t = end (k + 1) / count, in float64."""
    times = [end * (k + 1) / count for k in range(count)]
    alpha_bar = torch.tensor([schedule.alpha(t) ** 2 for t in times], dtype=torch.float64)
    betas = 1 - alpha_bar / torch.cat([torch.ones(1, dtype=torch.float64), alpha_bar[:-1]])
    scheduler = scheduler_class(num_train_timesteps=count, trained_betas=betas.tolist(),
                                prediction_type=TYPES[prediction], **settings)
    assert torch.allclose(scheduler.alphas_cumprod.double(), alpha_bar, rtol=1e-4, atol=1e-7)
    scheduler.betas, scheduler.alphas, scheduler.alphas_cumprod = betas, 1 - betas, alpha_bar
    return scheduler, times


def ancestral_settings(kind):
    return dict(clip_sample=False, thresholding=False, timestep_spacing="trailing") | (
        dict(variance_type="fixed_small") if kind is diffusers.DDPMScheduler else dict(set_alpha_to_one=True))


def end_for(schedule, prediction, eta=0.0):
    """Where alpha is 0, a prediction of the noise says nothing about the picture; v does, there too.

    (And there diffusers' DDIM with eta = 1 takes the root of a number that rounds to just below 0.)
    """
    return 0.97 if isinstance(schedule, Cosine) and (prediction == "eps" or eta == 1) else 1.0


@pytest.mark.parametrize("prediction", ["eps", "v", "x0"])
@pytest.mark.parametrize("schedule", VP, ids=lambda s: s.name)
@pytest.mark.parametrize("grid", [[999], [999, 500], [999, 700, 210, 209, 3], list(range(999, -1, -37)),
                                  list(range(999, 0, -20))], ids=len)
def test_ddpm(schedule, prediction, grid):
    """Its grid may be any, even or not. Its last step adds noise of variance 1e-20 where ours is 0."""
    scheduler, times = discrete(diffusers.DDPMScheduler, schedule, 1000, end_for(schedule, prediction), prediction,
                                **ancestral_settings(diffusers.DDPMScheduler))
    scheduler.set_timesteps(timesteps=grid)
    (x,) = unit_noise()
    source, theirs = torch.Generator().manual_seed(3), [x]
    for k in grid:
        theirs.append(scheduler.step(network(theirs[-1], times[k]), k, theirs[-1], generator=source).prev_sample)
    source.manual_seed(3)
    noises = [torch.randn(SHAPE, generator=source, dtype=torch.float64) for _ in grid]
    mine = ours(Denoiser(network, schedule, prediction), x, [times[k] for k in grid] + [0.0], ddpm, noises)
    assert_same(mine[:-1], theirs[:-1], EXACT)
    assert_same(mine[-1:], theirs[-1:], 1e-9)


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("prediction", ["eps", "v", "x0"])
@pytest.mark.parametrize("schedule", VP, ids=lambda s: s.name)
@pytest.mark.parametrize("steps", [1, 2, 7, 13, 50])
def test_ddim(schedule, prediction, steps, eta):
    """diffusers steps to t - count // steps, so the count of training times is chosen to divide: odd steps too."""
    end = end_for(schedule, prediction, eta)
    scheduler, times = discrete(diffusers.DDIMScheduler, schedule, 20 * steps, end, prediction,
                                **ancestral_settings(diffusers.DDIMScheduler))
    scheduler.set_timesteps(steps)
    x, *noises = unit_noise(steps + 1)
    theirs, ts = [x], []
    for k, noise in zip(scheduler.timesteps.tolist(), noises):
        ts.append(times[k])
        output = network(theirs[-1], times[k])
        theirs.append(scheduler.step(output, k, theirs[-1], eta=eta,
                                     variance_noise=noise if eta else None).prev_sample)
    rule = find_scheduler("ddim", eta).rule
    assert_same(ours(Denoiser(network, schedule, prediction), x, ts + [0.0], rule, noises), theirs, EXACT)


@pytest.mark.parametrize("steps", [4, 25, 100])
def test_uniform_grid_is_ddims_trailing_grid(steps):
    """With the shipped grid and nothing set by hand, on the 1,000 times that a user of diffusers would have."""
    scheduler, times = discrete(diffusers.DDIMScheduler, Linear(), 1000, 1.0, "v",
                                **ancestral_settings(diffusers.DDIMScheduler))
    scheduler.set_timesteps(steps)
    (x,) = unit_noise()
    theirs = [x]
    for k in scheduler.timesteps.tolist():
        theirs.append(scheduler.step(network(theirs[-1], times[k]), k, theirs[-1]).prev_sample)
    ts = time_grid(Linear(), steps, SCHEDULERS["ddim"].spacing)
    assert_same(ours(Denoiser(network, Linear(), "v"), x, ts, SCHEDULERS["ddim"].rule), theirs, EXACT)


def test_noising_is_diffusers_noising():
    scheduler, times = discrete(diffusers.DDPMScheduler, Linear(), 1000)
    x0, eps = unit_noise(2)
    k = torch.tensor([0, 431, 999])
    t = torch.tensor(times, dtype=torch.float64)[k]
    assert torch.allclose(Linear().add_noise(x0, eps, t), scheduler.add_noise(x0, eps, k), rtol=EXACT, atol=EXACT)
    assert torch.allclose(Linear().target("v", x0, eps, t), scheduler.get_velocity(x0, eps, k), rtol=EXACT, atol=EXACT)


# ------------------------------------------------------------------------------- schedulers that take any sigma grid

def ratio(schedule, t):
    return schedule.sigma(t) / schedule.alpha(t)


def grid_for(schedule, steps, spacing):
    """A grid without the times where alpha is 0, at which sigma / alpha is infinite."""
    ts = time_grid(schedule, steps, spacing)
    return [min(0.99, ts[0])] + ts[1:] if schedule.alpha(ts[0]) == 0 else ts


def sigma_grid(schedule, ts):
    return torch.tensor([ratio(schedule, t) for t in ts], dtype=torch.float64)


GRIDS = [(1, "uniform"), (2, "log_snr"), (7, "uniform"), (10, "karras"), (15, "log_snr"), (40, "uniform"),
         (51, "log_snr")]


def set_sigmas(scheduler, sigmas, steps):
    scheduler.set_timesteps(steps)
    scheduler.sigmas = sigmas
    scheduler.set_begin_index(0)
    return scheduler.timesteps


@pytest.mark.parametrize("prediction", ["eps", "v"])
@pytest.mark.parametrize("schedule", VP, ids=lambda s: s.name)
@pytest.mark.parametrize("steps, spacing", GRIDS)
def test_euler_in_sigma_space_is_ddim(schedule, prediction, steps, spacing):
    """diffusers' Euler moves x / alpha along sigma / alpha; a straight step there is DDIM's step here."""
    ts = grid_for(schedule, steps, spacing)
    sigmas = sigma_grid(schedule, ts)
    scheduler = diffusers.EulerDiscreteScheduler(prediction_type=TYPES[prediction], timestep_spacing="linspace",
                                                 final_sigmas_type="zero", interpolation_type="linear")
    timesteps = set_sigmas(scheduler, sigmas, steps)
    (x,) = unit_noise()
    alphas = [schedule.alpha(t) for t in ts]
    theirs = [x / alphas[0]]
    for t, timestep in zip(ts, timesteps):
        output = network(scheduler.scale_model_input(theirs[-1], timestep), t)
        theirs.append(scheduler.step(output, timestep, theirs[-1]).prev_sample)
    theirs = [alpha * state for alpha, state in zip(alphas, theirs)]
    assert_same(ours(Denoiser(network, schedule, prediction), x, ts, ddim), theirs, FLOAT32)


def edm_network(edm, prediction):
    """The toy network for EDM's path. Its v, eps - sigma x0, is the unit-variance v times sqrt(1 + sigma^2)."""
    def scaled(x, t):
        return network(x, t) * torch.sqrt(1 + edm.sigma(t) ** 2).reshape(-1, 1, 1, 1)

    return Denoiser(scaled if prediction == "v" else network, edm, prediction)


@pytest.mark.parametrize("prediction", ["eps", "v"])
@pytest.mark.parametrize("rule", [euler, ddim, heun], ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("steps, spacing", GRIDS)
def test_euler_and_heun_on_the_edm_path(rule, prediction, steps, spacing):
    edm = EDM(sigma_max=157.0)
    ts = time_grid(edm, steps, spacing)
    sigmas = sigma_grid(edm, ts)
    x = unit_noise()[0] * edm.sigma(1.0)
    if rule is heun:
        scheduler = diffusers.HeunDiscreteScheduler(beta_start=0.0001, beta_end=0.02, timestep_spacing="linspace",
                                                    prediction_type=TYPES[prediction])
        sigmas = torch.cat([sigmas[:1], sigmas[1:-1].repeat_interleave(2), sigmas[-1:]])
    else:
        scheduler = diffusers.EulerDiscreteScheduler(prediction_type=TYPES[prediction])
    timesteps = set_sigmas(scheduler, sigmas, steps)
    assert len(timesteps) == (2 * steps - 1 if rule is heun else steps)
    theirs, state = [x], x
    for number, timestep in enumerate(timesteps):
        t = (sigmas[number] / edm.sigma_max).item()
        output = network(scheduler.scale_model_input(state, timestep), t)
        state = scheduler.step(output, timestep, state).prev_sample
        if rule is not heun or number % 2 == 1 or number == len(timesteps) - 1:  # Heun: after both of its halves
            theirs.append(state)
    assert_same(ours(edm_network(edm, prediction), x, ts, rule), theirs, EXACT if rule is heun else FLOAT32)


@pytest.mark.parametrize("prediction", ["eps", "v", "x0"])
@pytest.mark.parametrize("schedule", VP, ids=lambda s: s.name)
@pytest.mark.parametrize("steps, spacing", GRIDS)
def test_dpmpp_2m(schedule, prediction, steps, spacing):
    ts = grid_for(schedule, steps, spacing)
    scheduler = diffusers.DPMSolverMultistepScheduler(
        solver_order=2, algorithm_type="dpmsolver++", solver_type="midpoint", final_sigmas_type="zero",
        prediction_type=TYPES[prediction])
    timesteps = set_sigmas(scheduler, sigma_grid(schedule, ts), steps)
    (x,) = unit_noise()
    theirs = [x]
    for t, timestep in zip(ts, timesteps):
        theirs.append(scheduler.step(network(theirs[-1], t), timestep, theirs[-1]).prev_sample)
    assert_same(ours(Denoiser(network, schedule, prediction), x, ts, dpmpp_2m), theirs, FLOAT32)


@pytest.mark.parametrize("rule", [euler, ddim], ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("steps", [1, 2, 7, 10, 33])
def test_flow_match_euler(rule, steps):
    flow = Flow()
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=1)
    scheduler.set_timesteps(sigmas=np.linspace(1, 1 / steps, steps))
    ts = time_grid(flow, steps)
    assert torch.allclose(scheduler.sigmas, torch.tensor(ts), atol=1e-7)
    scheduler.sigmas = torch.tensor(ts, dtype=torch.float64)
    (x,) = unit_noise()
    theirs = [x]
    for t, timestep in zip(ts, scheduler.timesteps):
        unit_variance = theirs[-1] / (flow.alpha(t) ** 2 + flow.sigma(t) ** 2) ** 0.5
        theirs.append(scheduler.step(network(unit_variance, t), timestep, theirs[-1]).prev_sample)
    assert_same(ours(Denoiser(network, flow, "flow"), x, ts, rule), theirs, FLOAT32)


# ----------------------------------------------------------------------------------------- k-diffusion's formulas

def sample_euler(model, x, sigmas):
    states = [x]
    for sigma, sigma_next in zip(sigmas[:-1], sigmas[1:]):
        d = (x - model(x, sigma)) / sigma
        x = x + d * (sigma_next - sigma)
        states.append(x)
    return states


def sample_heun(model, x, sigmas):
    states = [x]
    for sigma, sigma_next in zip(sigmas[:-1], sigmas[1:]):
        d = (x - model(x, sigma)) / sigma
        dt = sigma_next - sigma
        if sigma_next == 0:
            x = x + d * dt
        else:
            x_2 = x + d * dt
            d_2 = (x_2 - model(x_2, sigma_next)) / sigma_next
            x = x + (d + d_2) / 2 * dt
        states.append(x)
    return states


def sample_dpmpp_2m(model, x, sigmas):
    states, old_denoised = [x], None
    for i in range(len(sigmas) - 1):
        denoised = model(x, sigmas[i])
        h = sigmas[i].log() - sigmas[i + 1].log()
        denoised_d = denoised
        if old_denoised is not None and sigmas[i + 1] > 0:
            r = (sigmas[i - 1].log() - sigmas[i].log()) / h
            denoised_d = (1 + 1 / (2 * r)) * denoised - 1 / (2 * r) * old_denoised
        x = sigmas[i + 1] / sigmas[i] * x - (-h).expm1() * denoised_d
        old_denoised = denoised
        states.append(x)
    return states


def get_sigmas_karras(n, sigma_min, sigma_max, rho=7.0):
    ramp = torch.linspace(0, 1, n, dtype=torch.float64)
    min_inv_rho, max_inv_rho = sigma_min ** (1 / rho), sigma_max ** (1 / rho)
    return (max_inv_rho + ramp * (min_inv_rho - max_inv_rho)) ** rho


def get_sigmas_exponential(n, sigma_min, sigma_max):
    return torch.linspace(np.log(sigma_max), np.log(sigma_min), n, dtype=torch.float64).exp()


@pytest.mark.parametrize("schedule", [Linear(), Cosine(), Flow(), EDM(), EDM(157.0)], ids=repr)
@pytest.mark.parametrize("rule, theirs", [(ddim, sample_euler), (dpmpp_2m, sample_dpmpp_2m), (heun, sample_heun)],
                         ids=["ddim", "dpmpp_2m", "heun"])
@pytest.mark.parametrize("steps, spacing", GRIDS)
def test_k_diffusion(schedule, rule, theirs, steps, spacing):
    """ddim and dpmpp_2m are the same on every path; heun's parabola is in the path's own time, so on EDM's only."""
    if rule is heun and not isinstance(schedule, EDM):
        schedule = EDM(sigma_max=30.0)
    ts = grid_for(schedule, steps, spacing)
    sigmas = sigma_grid(schedule, ts)
    alphas = [schedule.alpha(t) for t in ts]
    denoise = Denoiser(network, schedule, "x0")

    def model(x, sigma):
        t = ts[int((sigmas - sigma).abs().argmin())]
        return denoise(x * schedule.alpha(t), t)

    x = unit_noise()[0] * schedule.sigma(ts[0])
    states = theirs(model, x / alphas[0], sigmas)
    assert_same(ours(denoise, x, ts, rule), [alpha * state for alpha, state in zip(alphas, states)], EXACT)


@pytest.mark.parametrize("schedule", [Linear(), EDM()], ids=lambda s: s.name)
@pytest.mark.parametrize("steps", [2, 5, 18, 101])
def test_grids_are_k_diffusions(schedule, steps):
    first = ratio(schedule, 1.0)
    for spacing, theirs in [("karras", get_sigmas_karras), ("log_snr", get_sigmas_exponential)]:
        mine = sigma_grid(schedule, time_grid(schedule, steps, spacing))
        assert torch.allclose(mine[:-1], theirs(steps, RATIO_MIN, first), rtol=1e-9), spacing
        assert mine[-1] == 0


# ------------------------------------------------------------------------------- numbers from diffusers' own tests

class Discrete(Schedule):
    """DDPM's 1,000 betas as they are; t = (k + 1) / 1000."""

    alpha_bar = torch.cumprod(1 - torch.linspace(0.0001, 0.02, 1000, dtype=torch.float64), dim=0)

    def alpha(self, t):
        return self.alpha_bar[round(1000 * float(torch.as_tensor(t).flatten()[0])) - 1].sqrt() + 0 * torch.as_tensor(t)

    def sigma(self, t):
        return torch.sqrt(1 - self.alpha(t) ** 2)

    alpha_dot = sigma_dot = t_of_lam = None  # dpmpp_2m asks for none of them


@pytest.mark.parametrize("prediction, mean", [("eps", 0.3301), ("v", 0.2251)])
def test_published_figures(prediction, mean):
    """The mean that diffusers' own tests expect of DPM-Solver++ after ten steps of the toy model x k / (k + 1).

    Theirs is set to stop at the last sigma and to stay second order there; so does a grid that ends at t = 1 / 1000.
    """
    x = (torch.arange(768, dtype=torch.float64).reshape(3, 8, 8, 4) / 768).permute(3, 0, 1, 2)
    grid = [int(k) for k in np.linspace(0, 999, 11).round()[::-1]]
    index = {(k + 1) / 1000: k for k in grid}
    denoise = Denoiser(lambda x, t: x * index[t[0].item()] / (index[t[0].item()] + 1), Discrete(), prediction)
    assert ours(denoise, x, list(index), dpmpp_2m)[-1].abs().mean().item() == pytest.approx(mean, abs=5e-5)
