"""The compute meter: what it says agrees with what can be counted, and what it measures it measures aside."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from course_lib.bench import WORDS
from course_lib.costs import operations
from course_lib.labs.live import Dropped
from course_lib.labs.meter import GUIDED, MEASURED, STEPS, Meter, calls, compute, measure, rows
from course_lib.layers import Cond
from course_lib.recipes import RECIPES
from course_lib.unet import UNet
from course_lib.vae import VAE, VAESettings

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def vae():
    with torch.random.fork_rng(devices=[]):
        return VAE(VAESettings(encoder=8, decoder=(8, 8), blocks=1)).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def work(vae):
    return calls(vae)


def test_what_is_counted_agrees_with_costs(vae, work):
    costs = compute(work)
    assert costs["numbers"] == (64 * 64 * 3, 16 * 16 * 4, 0)
    settings = RECIPES["latent"].unet
    with torch.device("meta"), torch.no_grad():
        network, z = UNet(settings), torch.ones(1, 4, 16, 16)
        cond = Cond(torch.ones(1, WORDS, settings.words), torch.ones(1, WORDS).bool(), torch.ones(1, settings.pooled))
        evaluation = operations(lambda: network(z, torch.ones(1), cond))
    with torch.no_grad():
        decoder = operations(lambda: vae.decode(torch.zeros(1, 4, 16, 16)))
    assert costs["step"].latents == GUIDED * evaluation
    assert costs["picture"].latents == STEPS * costs["step"].latents + decoder and costs["picture"].decoder == decoder
    assert costs["picture"].pixels == STEPS * costs["step"].pixels
    assert 16 < costs["step"].pixels / costs["step"].latents < 30  # 16 times the places, and more for attention


def test_what_is_measured_is_positive_and_adds_up(work):
    timed = measure(work, rounds=1)
    step, picture = timed["step_ms"], timed["picture_ms"]
    assert min(step.pixels, step.latents, picture.decoder) > 0 and step.pixels > step.latents
    assert picture.pixels == pytest.approx(STEPS * step.pixels)
    assert picture.latents == pytest.approx(STEPS * step.latents + picture.decoder)


def test_measuring_ends_when_nobody_waits(work):
    asked = []

    def check() -> None:
        asked.append(1)
        if len(asked) == 3:
            raise Dropped

    with pytest.raises(Dropped):
        measure(work, check)
    assert len(asked) == 3


def test_bars_are_told_in_numbers(work):
    drawn = rows(compute(work))
    assert [row["head"].split()[0] for row in drawn] == ["Numbers", "Operations", "Operations"]
    assert (drawn[0]["pixels"], drawn[0]["latents"], drawn[0]["times"]) == ("12,288", "1,024", "12 × less")
    assert all(0 < row["share"] < 0.2 and 0 <= row["decoder"] < row["share"] for row in drawn)
    assert "the decoder" in drawn[2]["latents"]


def test_the_meter_works_aside_and_draws_nothing_from_the_learners_random_source(vae):
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    meter = Meter(vae)
    assert meter.rows[0]["pixels"] == "12,288"  # known at once
    meter.thread.join(120)
    assert not meter.thread.is_alive() and meter.said == MEASURED and len(meter.rows) == 5
    assert torch.equal(torch.get_rng_state(), state) and torch.get_num_threads() == threads
    meter.close()


def test_a_closed_meter_ends(vae):
    meter = Meter(vae)
    meter.close()
    meter.thread.join(60)
    assert not meter.thread.is_alive() and meter.said != MEASURED
    assert not any(thread.name == "course_lib meter" for thread in threading.enumerate())


def test_python_ends_in_peace_while_it_measures():
    code = ("import torch, time; from course_lib.labs.meter import Meter; from course_lib.vae import VAE; "
            "meter = Meter(VAE().eval()); time.sleep(0.5)")
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1], capture_output=True, text=True,
                          timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
