"""Training: the average, the clipping, a loss whose best value is known, and stopping and going on at any moment."""

import math
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from course_lib import runtime
from course_lib.denoiser import Denoiser
from course_lib.models import denoiser_from
from course_lib.recipes import RECIPES, find_recipe, pixels, train
from course_lib.recipes.pixels import random_times
from course_lib.runtime import CourseError, load_pieces, load_tensors
from course_lib.schedulers import find_schedule
from course_lib.training import Trainee, fit, learning_rate
from course_lib.unet import UNet, UNetSettings

ROOT = Path(__file__).resolve().parents[1]
CPU = torch.device("cpu")
TINY = replace(RECIPES["pixels"], pages=64, size=16, batch=8,
               unet=UNetSettings(channels=(32, 32), attention=(False, True)))


def sentence(caught) -> str:
    text = str(caught.value)
    assert text and "\n" not in text
    return text


def same_tensors(a: dict, b: dict) -> None:
    assert a.keys() == b.keys()
    different = [key for key in a if not torch.equal(a[key], b[key])]
    assert not different, different


class OneNumber(nn.Module):
    """The simplest network: one weight a number."""

    def __init__(self, count: int = 4):
        super().__init__()
        self.weight = nn.Parameter(torch.arange(1.0, count + 1))


def pull(size: float):
    """A loss whose gradient is `size` times (1, 1, 1, ...), whatever the weights are."""

    def loss(network, step, source):
        return size * network.weight.sum(), 1

    return loss


# ------------------------------------------------------------------------------------------------------------ fit

def test_the_average_follows_as_its_formula_says():
    trainee = Trainee(OneNumber(), lr=0.1)
    wanted = trainee.network.weight.detach().clone().double()
    for progress in fit(trainee, pull(1.0), steps=40, ema=0.5):
        step = progress.step - 1
        follow = min(0.5, (1 + step) / (10 + step))
        wanted = follow * wanted + (1 - follow) * trainee.network.weight.detach().double()
        torch.testing.assert_close(trainee.average.weight.double(), wanted, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(trainee.average.weight, trainee.network.weight)
    assert not trainee.average.weight.requires_grad


@pytest.mark.parametrize("size, clip, norm", [(100.0, 1.0, 1.0), (100.0, 7.0, 7.0), (0.05, 1.0, 0.1)])
def test_gradients_longer_than_the_limit_are_shortened_and_others_are_not(size, clip, norm):
    trainee = Trainee(OneNumber(4))
    norms = []
    trainee.optimizer.register_step_pre_hook(lambda *_: norms.append(trainee.network.weight.grad.norm().item()))
    for _ in fit(trainee, pull(size), steps=2, clip=clip):
        pass
    assert norms == pytest.approx([norm, norm], rel=1e-5)


def test_the_learning_rate_rises_stays_and_falls():
    assert [learning_rate(0, 0), learning_rate(0.1, 49), learning_rate(0.1, 99)] == [0.01, 0.5, 1.0]
    assert learning_rate(0.66, 5000) == 1.0 and learning_rate(1.0, 5000) == pytest.approx(0, abs=1e-12)
    assert learning_rate(2 / 3 + 1 / 6, 5000) == pytest.approx(0.5)
    assert learning_rate(1.2, 5000) == pytest.approx(0, abs=1e-12)


class Affine(nn.Module):
    """A network for points that ignores the time: enough where there is only one."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, x, t):
        return self.layer(x)


@pytest.mark.parametrize("prediction", ["v", "eps", "x0"])
def test_the_loss_comes_down_to_the_best_that_is_possible(prediction):
    """Points from N(m, s^2), at t = 1/2 of the cosine schedule, where alpha^2 = sigma^2 = 1/2.

    x and the target are jointly Gaussian, so the best guess is affine and its error is var(y) - cov(x, y)^2 / var(x).
    """
    mean, spread, half = torch.tensor([0.5, -1.0]), 0.4, 0.5
    var_x = half * spread**2 + half
    var_y, cov = {"v": (half + half * spread**2, half - half * spread**2), "eps": (1.0, math.sqrt(half)),
                  "x0": (spread**2, math.sqrt(half) * spread**2)}[prediction]
    best = var_y - cov**2 / var_x

    def loss(network, step, source, count=256):
        x0 = mean + spread * torch.randn(count, 2, generator=source)
        eps = torch.randn(count, 2, generator=source)
        return Denoiser(network, find_schedule("cosine"), prediction).loss(x0, eps, torch.full((count,), 0.5)), count

    torch.manual_seed(0)
    trainee = Trainee(Affine(), lr=0.03)
    losses = [progress.loss for progress in fit(trainee, loss, steps=500, ema=0.99)]
    with torch.no_grad():
        final = loss(trainee.average, 0, torch.Generator().manual_seed(99), count=200_000)[0].item()
    assert final == pytest.approx(best, rel=0.01)
    assert sum(losses[:10]) / 10 > 1.5 * best


def test_how_long_must_be_said_once_and_be_more_than_nothing():
    for wrong in ({}, {"steps": 5, "minutes": 1}, {"steps": 0}, {"minutes": 0}, {"minutes": float("nan")},
                  {"steps": -1}):
        with pytest.raises(CourseError, match="either steps or minutes") as caught:
            next(fit(Trainee(OneNumber()), pull(1.0), **wrong))
        sentence(caught)


def test_minutes_end_the_training_and_only_training_counts():
    trainee = Trainee(OneNumber())

    def slow(network, step, source):
        time.sleep(0.02)
        return network.weight.sum(), 5

    for progress in fit(trainee, slow, minutes=0.2 / 60):
        time.sleep(0.05)  # what the caller does meanwhile
    assert progress.done == 1 and 0.2 <= trainee.seconds < 0.4 and 3 <= progress.step <= 10
    assert trainee.pictures == 5 * progress.step and 20 < progress.pictures_per_second <= 250


def test_the_state_is_saved_on_the_way_and_at_the_end():
    trainee, saved = Trainee(OneNumber()), []
    for _ in fit(trainee, pull(1.0), steps=3, save=lambda: saved.append(trainee.step), save_every=0.0):
        pass
    assert saved == [1, 2, 3, 3]


@pytest.mark.parametrize("how", ["break", "KeyboardInterrupt", "RuntimeError"])
def test_the_state_is_saved_however_the_loop_ends(how):
    trainee, saved = Trainee(OneNumber()), []
    before = signal.getsignal(signal.SIGINT)

    def consume():
        for progress in fit(trainee, pull(1.0), steps=100, save=lambda: saved.append(trainee.step)):
            if progress.step == 3:
                if how == "break":
                    break
                raise {"KeyboardInterrupt": KeyboardInterrupt, "RuntimeError": RuntimeError}[how]

    if how == "break":
        consume()
    else:
        with pytest.raises((KeyboardInterrupt, RuntimeError)):
            consume()
    assert saved == [3] and signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_loss_that_is_no_number_stops_the_training_and_saves_nothing_over_the_last_state(number):
    trainee, saved = Trainee(OneNumber()), []

    def breaks_down(network, step, source):
        return (number if step == 2 else 1.0) * network.weight.sum(), 1

    with pytest.raises(CourseError, match="The loss at step 2 is .*--resume"):
        for _ in fit(trainee, breaks_down, steps=5, save=lambda: saved.append(trainee.step)):
            pass
    assert saved == [] and trainee.step == 2 and trainee.network.weight.isfinite().all()


def test_ctrl_c_waits_for_the_end_of_a_step():
    trainee, saved = Trainee(OneNumber()), []

    def press(*_):
        if trainee.step == 2:
            signal.raise_signal(signal.SIGINT)

    trainee.optimizer.register_step_pre_hook(press)
    with pytest.raises(KeyboardInterrupt):
        for _ in fit(trainee, pull(1.0), steps=100, save=lambda: saved.append(trainee.step)):
            pass
    assert trainee.step == 3 and saved == [3]  # the third step is whole
    assert trainee.optimizer.state[trainee.network.weight]["step"] == 3


def test_ctrl_c_before_the_weights_are_touched_does_not_wait():
    trainee, saved = Trainee(OneNumber()), []

    def interrupted(network, step, source):
        if step == 2:
            signal.raise_signal(signal.SIGINT)
        return network.weight.sum(), 1

    with pytest.raises(KeyboardInterrupt):
        for _ in fit(trainee, interrupted, steps=100, save=lambda: saved.append(trainee.step)):
            pass
    assert trainee.step == 2 and saved == [2] and trainee.pictures == 2
    assert trainee.optimizer.state[trainee.network.weight]["step"] == 2


def test_a_paused_training_leaves_ctrl_c_alone():
    run = fit(Trainee(OneNumber()), pull(1.0), steps=100)
    next(run)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    run.close()


def test_the_network_learns_in_training_mode_and_is_left_ready_for_use():
    trainee, modes = Trainee(OneNumber()), []

    def loss(network, step, source):
        modes.append(network.training)
        return network.weight.sum(), 1

    list(fit(trainee, loss, steps=2))
    assert modes == [True, True] and not trainee.network.training and not trainee.average.training


# ------------------------------------------------------------------------------------------- stopping and going on

def some_trainee(weights_seed: int) -> Trainee:
    torch.manual_seed(weights_seed)
    return Trainee(UNet(TINY.unet), lr=TINY.lr, seed=3)


@pytest.fixture(scope="module")
def loss():
    with replace(TINY, batch=4).learning(Path(), CPU) as loss:
        yield loss


def test_a_run_that_stopped_and_went_on_equals_one_that_never_stopped(tmp_path, loss):
    whole = some_trainee(0)
    list(fit(whole, loss, steps=12))

    first = some_trainee(0)
    for progress in fit(first, loss, steps=12):
        if progress.step == 5:
            break
    first.save(tmp_path / "state.json", {"a": (1, 2)})
    second = some_trainee(77)  # other weights: everything must come from the file
    second.seed = 1234
    second.load(tmp_path / "state.json", {"a": (1, 2)})
    assert second.step == 5 and second.seed == 3 and second.pictures == 20
    list(fit(second, loss, steps=12))

    same_tensors(second.network.state_dict(), whole.network.state_dict())
    same_tensors(second.average.state_dict(), whole.average.state_dict())
    for one, other in zip(second.network.parameters(), whole.network.parameters()):
        same_tensors(second.optimizer.state[one], whole.optimizer.state[other])
    assert (second.step, second.pictures) == (whole.step, whole.pictures) == (12, 48)


def test_another_seed_is_another_run(loss):
    a, b = some_trainee(0), some_trainee(0)
    b.seed = 4
    list(fit(a, loss, steps=2))
    list(fit(b, loss, steps=2))
    assert not torch.equal(a.network.enter[1].weight, b.network.enter[1].weight)


def test_every_step_draws_afresh():
    drawn = []

    def loss(network, step, source):
        drawn.append(torch.rand((), generator=source).item())
        return network.weight.sum(), 1

    for seed in (0, 1):
        trainee = Trainee(OneNumber(), seed=seed)
        list(fit(trainee, loss, steps=20))
    assert len(set(drawn)) == 40


def test_times_are_spread_over_every_noise_level():
    t = random_times(1000, torch.Generator().manual_seed(0))
    assert t.min() > 0 and t.max() < 1
    assert torch.histc(t, 10, 0, 1).sub(100).abs().max() <= 1  # one in every thousandth of the way
    again = random_times(1000, torch.Generator().manual_seed(1))
    assert not torch.equal(t, again)


# ---------------------------------------------------------------------------------------------------------- train

def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


ALL = ["pixels-samples.png", "pixels.safetensors", "pixels.state-1of1.safetensors", "pixels.state.json"]


def plain(folder: Path) -> list[str]:
    """The files' names without the marks that tell one state's pieces from another's."""
    return sorted(re.sub(r"state-[0-9a-f]{8}-", "state-", name) for name in names(folder))


def finished(out: Path, steps: int = 3, **options):
    for progress in train(TINY, out, CPU, steps=steps, sheets=1, **options):
        pass
    return progress


def test_training_leaves_weights_state_and_samples_and_nothing_else(tmp_path):
    assert finished(tmp_path / "new").step == 3
    assert plain(tmp_path / "new") == ALL


def test_the_weights_file_is_float16_and_tells_how_to_use_it(tmp_path):
    finished(tmp_path)
    tensors, settings = load_tensors(tmp_path / "pixels.safetensors")
    state, _ = load_pieces(tmp_path / "pixels.state.json")
    assert {value.dtype for value in tensors.values()} == {torch.float16}
    same_tensors(tensors, {key.removeprefix("average."): value.half() for key, value in state.items()
                           if key.startswith("average.")})
    trained = settings.pop("trained")
    assert trained["steps"] == 3 and trained["pictures"] == 24 and trained["device"] == "cpu"
    assert settings["size"] == 16 and settings["schedule"] == "cosine" and settings["unet"]["channels"] == [32, 32]
    denoise = denoiser_from(tensors, settings, CPU)
    assert denoise.network.settings == TINY.unet and denoise.prediction == "v" and denoise.schedule.name == "cosine"
    x = torch.randn(1, 3, 16, 16)
    assert denoise(x, 0.5).shape == x.shape
    assert not any(parameter.requires_grad for parameter in denoise.network.parameters())


def test_the_sheet_of_samples_is_always_the_same(tmp_path):
    network = UNet(TINY.unet).eval()
    sheets = [TINY.sheet(network, tmp_path) for _ in range(2)]
    assert sheets[0].dtype.name == "uint8" and sheets[0].shape[2] == 3 and (sheets[0] == sheets[1]).all()


def test_a_resumed_command_equals_one_that_never_stopped(tmp_path):
    finished(tmp_path / "whole", 12)
    run = train(TINY, tmp_path / "parts", CPU, steps=12, sheets=0)
    for progress in run:
        if progress.step == 5:
            break
    run.close()
    assert load_pieces(tmp_path / "parts" / "pixels.state.json")[1]["training"]["step"] == 5
    finished(tmp_path / "parts", 12, resume=True)
    for load, name in ((load_tensors, "pixels.safetensors"), (load_pieces, "pixels.state.json")):
        same_tensors(load(tmp_path / "whole" / name)[0], load(tmp_path / "parts" / name)[0])
    assert names(tmp_path / "whole") == names(tmp_path / "parts")  # the pieces are named after what is in them
    assert (tmp_path / "whole" / ALL[0]).read_bytes() == (tmp_path / "parts" / ALL[0]).read_bytes()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_run_that_is_done_has_nothing_left_to_do(tmp_path):
    finished(tmp_path)
    state = load_pieces(tmp_path / "pixels.state.json")[0]
    assert list(train(TINY, tmp_path, CPU, steps=3, resume=True)) == []
    same_tensors(load_pieces(tmp_path / "pixels.state.json")[0], state)


def test_an_earlier_run_is_not_overwritten_unasked(tmp_path):
    finished(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(CourseError, match="--resume, or choose another --out") as caught:
        finished(tmp_path)
    assert "pixels.state.json" in sentence(caught) and contents(tmp_path) == before


def test_resuming_with_other_settings_is_refused(tmp_path):
    finished(tmp_path)
    before = contents(tmp_path)
    for other in (replace(TINY, prediction="eps"), replace(TINY, unet=UNetSettings(channels=(32,), attention=(True,)))):
        with pytest.raises(CourseError, match="other settings") as caught:
            next(train(other, tmp_path, CPU, steps=5, resume=True))
        sentence(caught)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("which", ["*.state.json", "*.state-*.safetensors"])
@pytest.mark.parametrize("keep", [0, 100, -50, None])
def test_resuming_from_a_damaged_state_is_refused(tmp_path, which, keep):
    finished(tmp_path)
    [path] = tmp_path.glob(which)
    if keep is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:keep])
    before = contents(tmp_path)
    with pytest.raises(CourseError, match="damaged|missing|There is no file") as caught:
        next(train(TINY, tmp_path, CPU, steps=5, resume=True))
    assert str(path) in sentence(caught) and contents(tmp_path) == before


def test_resuming_from_the_weights_or_from_nothing_is_refused(tmp_path):
    with pytest.raises(CourseError, match="There is no file"):
        next(train(TINY, tmp_path, CPU, steps=5, resume=True))
    finished(tmp_path)
    (tmp_path / "pixels.safetensors").replace(tmp_path / "pixels.state.json")
    with pytest.raises(CourseError, match="damaged or not a file of this course") as caught:
        next(train(TINY, tmp_path, CPU, steps=5, resume=True))
    sentence(caught)


# ---------------------------------------------------------------------------------------------- a state in pieces

def some_state(seed: int) -> dict:
    source = torch.Generator().manual_seed(seed)
    return {f"layer{i}": torch.randn(100 + 37 * i, generator=source) for i in range(8)}


def test_a_large_state_is_written_as_small_pieces_of_about_equal_size(tmp_path):
    runtime.save_pieces(tmp_path / "a.state.json", some_state(0), {"step": 1}, limit=2000)
    pieces = list(tmp_path.glob("*.safetensors"))
    total = sum(4 * len(value) for value in some_state(0).values())
    assert len(pieces) in (-(-total // 2000), 1 - (-total // 2000)) and len(names(tmp_path)) == len(pieces) + 1
    assert max(path.stat().st_size for path in pieces) < 2000 + 1000  # the header comes on top
    tensors, settings = runtime.load_pieces(tmp_path / "a.state.json")
    same_tensors(tensors, some_state(0))
    assert settings == {"step": 1}


def test_every_state_of_text_to_image_fits_what_a_lent_gpu_gives_back():
    for recipe in RECIPES.values():
        trainee = Trainee(recipe.network())
        sizes = {name: 8 * parameter.numel() for name, parameter in trainee.network.named_parameters()}
        matrices = [p for group in trainee.optimizer.param_groups if group["muon"] for p in group["params"]]
        sizes["momentum"] = 4 * sum(p.numel() for p in trainee.network.parameters())
        assert matrices and sum(sizes.values()) < 60 * 2**20, recipe.name


@pytest.mark.parametrize("dies_at", range(1, 5))
def test_a_kill_while_saving_leaves_the_earlier_state_whole(tmp_path, monkeypatch, dies_at):
    """A kill is an exception that comes at one of the moments when a file is put in its place."""
    path, calls = tmp_path / "a.state.json", []
    runtime.save_pieces(path, some_state(0), {"step": 1}, limit=3000)
    replace_file = os.replace

    def killed(a, b):
        calls.append(b)
        if len(calls) == dies_at:
            raise KeyboardInterrupt
        replace_file(a, b)

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        runtime.save_pieces(path, some_state(1), {"step": 2}, limit=3000)
    monkeypatch.undo()
    tensors, settings = runtime.load_pieces(path)
    same_tensors(tensors, some_state(0))
    assert settings == {"step": 1}
    runtime.save_pieces(path, some_state(2), {"step": 3}, limit=3000)  # and the next one clears up
    same_tensors(runtime.load_pieces(path)[0], some_state(2))
    assert len(names(tmp_path)) == 4


def test_a_kill_while_the_old_pieces_are_removed_leaves_the_later_state_whole(tmp_path, monkeypatch):
    path = tmp_path / "a.state.json"
    runtime.save_pieces(path, some_state(0), {}, limit=3000)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(runtime, "_remove_pieces", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        runtime.save_pieces(path, some_state(1), {}, limit=3000)
    same_tensors(runtime.load_pieces(path)[0], some_state(1))


def test_pieces_of_two_states_are_not_taken_for_one(tmp_path):
    for seed in (0, 1):
        runtime.save_pieces(tmp_path / str(seed) / "a.state.json", some_state(seed), {}, limit=3000)
    first, second = (sorted((tmp_path / str(seed)).glob("*1of*")) for seed in (0, 1))
    first[0].write_bytes(second[0].read_bytes())
    with pytest.raises(CourseError, match="do not belong together"):
        runtime.load_pieces(tmp_path / "0" / "a.state.json")


def test_another_models_state_is_left_alone(tmp_path):
    runtime.save_pieces(tmp_path / "a.state.json", some_state(0), {})
    runtime.save_pieces(tmp_path / "b.state.json", some_state(1), {})
    runtime.remove_pieces(tmp_path / "b.state.json")
    same_tensors(runtime.load_pieces(tmp_path / "a.state.json")[0], some_state(0))
    assert len(names(tmp_path)) == 2


# ------------------------------------------------------------------------------------------------------ bad input

def test_a_folder_that_cannot_be_written_to_is_noticed_before_anything_is_done(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setattr(pixels, "open_pictures", lambda *_, **__: pytest.fail("the pictures are drawn first"))
    with pytest.raises(CourseError, match="choose a folder that you may write to") as caught:
        next(train(TINY, tmp_path / "file" / "run", CPU, steps=5))
    sentence(caught)
    assert names(tmp_path) == ["file"]


def test_an_unknown_recipe_gets_the_choice():
    with pytest.raises(CourseError, match="no model called 'pixel' to train: choose from pixels.*, or all") as caught:
        find_recipe("pixel")
    sentence(caught)


# ------------------------------------------------------------------------------- the real command, the real Ctrl-C

TINY_COMMAND = """
import signal, sys
from dataclasses import replace
signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background would ignore it
import torch
torch.set_num_threads(1)
from course_lib import __main__, recipes
from course_lib.unet import UNetSettings
recipes.RECIPES["pixels"] = replace(recipes.RECIPES["pixels"], pages=64, size=16, batch=8,
                                    unet=UNetSettings(channels=(32, 32), attention=(False, True)))
__main__.main(sys.argv[1:])
"""


@pytest.mark.skipif(os.name != "posix", reason="only POSIX can send Ctrl-C to one process")
def test_ctrl_c_keeps_a_state_that_goes_on(tmp_path):
    out, log = tmp_path / "run", tmp_path / "log"
    command = [sys.executable, "-u", "-c", TINY_COMMAND, "train", "pixels", "--device", "cpu", "--out", str(out)]
    with open(log, "w") as said:
        process = subprocess.Popen([*command, "--minutes", "5"], cwd=ROOT, stdout=said, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 60
        while "step 2" not in log.read_text() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130, log.read_text()
    finally:
        process.kill()
    text = log.read_text()
    assert "Traceback" not in text and f"all is kept in {out}. Go on with the same command and --resume" in text
    assert set(plain(out)) - {"pixels-samples.png"} == set(ALL[1:])
    tensors, settings = load_pieces(out / "pixels.state.json")
    step = settings["training"]["step"]
    assert step >= 20 and {float(value) for key, value in tensors.items() if key.endswith(".step")} == {step}
    for progress in train(TINY, out, CPU, steps=step + 2, resume=True):
        assert progress.step > step
    assert progress.step == step + 2
