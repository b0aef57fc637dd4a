"""The commands: what they write, and that everything that can go wrong gets one sentence and exit status 2."""

import os
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from course_lib import __main__, pipeline, recipes
from course_lib.denoiser import Denoiser
from course_lib.pictures import to_uint8
from course_lib.runtime import load_tensors, starting_noise
from course_lib.schedulers import find_schedule
from course_lib.unet import UNet, UNetSettings

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def small_model(monkeypatch):
    """In place of the shipped weights: the commands are the same whatever they paint."""
    network = UNet(UNetSettings(channels=(32,), attention=(False,))).eval().requires_grad_(False)
    denoise = Denoiser(network, find_schedule("cosine"))
    monkeypatch.setattr(pipeline, "load_denoiser", lambda name, device: (denoise, (3, 16, 16)))


@pytest.fixture
def small_recipe(monkeypatch):
    unet = UNetSettings(channels=(32,), attention=(False,))
    small = replace(recipes.RECIPES["pixels"], pictures=8, size=16, batch=2, unet=unet)
    monkeypatch.setitem(recipes.RECIPES, "pixels", small)
    monkeypatch.setattr(recipes, "sample_sheet", partial(recipes.sample_sheet, count=1, steps=1))


def run(*arguments) -> int:
    """The command's exit status, run in this process."""
    try:
        __main__.main([str(argument) for argument in arguments])
    except SystemExit as end:
        return end.code
    return 0


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# ------------------------------------------------------------------------------------------------------- generate

def test_generate_writes_the_picture_and_says_what_it_cost(tmp_path, small_model, capsys):
    out = tmp_path / "new folder" / "picture.png"
    assert run("generate", "--seed", 5, "--steps", 4, "--scheduler", "heun", "--out", out) == 0
    said = capsys.readouterr().out
    assert "seed 5, heun, 4 steps, 7 network evaluations" in said and said.count("\n") == 1
    shown = np.asarray(Image.open(out))
    assert shown.shape == (16, 16, 3)
    denoise, shape = pipeline.load_denoiser("pixels", "cpu")
    assert (shown == pipeline.generate(5, 4, "heun", model=(denoise, shape)).picture).all()


def test_generate_writes_a_strip_from_noise_to_picture(tmp_path, small_model):
    assert run("generate", "--steps", 8, "--out", tmp_path / "p.png", "--strip", tmp_path / "s.png") == 0
    strip, picture = np.asarray(Image.open(tmp_path / "s.png")), np.asarray(Image.open(tmp_path / "p.png"))
    width = 16 * 4
    assert strip.shape[0] == width and strip.shape[1] == 5 * width + 4 * 2
    assert (strip[::4, -width::4] == picture).all()
    noise = to_uint8(starting_noise([0], (3, 16, 16))[0])[0]
    assert (strip[::4, :width:4] == noise).all()


@pytest.mark.parametrize("arguments, words", [
    (["--seed", "-1"], "The seed must be a whole number"), (["--seed", str(2**80)], "The seed must be"),
    (["--steps", "0"], "The number of steps must be"), (["--steps", "-3"], "The number of steps must be"),
    (["--eta", "2"], "eta goes with"), (["--eta", "nan"], "eta goes with"),
    (["--eta", "0.5", "--scheduler", "heun"], "eta goes with"), (["--scheduler", "plms"], "no scheduler 'plms'"),
])
def test_generate_refuses_bad_values_and_writes_nothing(tmp_path, small_model, capsys, arguments, words):
    assert run("generate", *arguments, "--out", tmp_path / "p.png") == 2
    said = capsys.readouterr()
    assert words in said.err and said.err.count("\n") == 1 and not said.out and not names(tmp_path)


@pytest.mark.parametrize("arguments", [["--seed", "x"], ["--seed", "1.5"], ["--steps", ""], ["--eta", "much"],
                                       ["--colour", "red"]])
def test_generate_refuses_what_is_no_number_or_option(tmp_path, small_model, capsys, arguments):
    assert run("generate", *arguments, "--out", tmp_path / "p.png") == 2
    assert "error:" in capsys.readouterr().err and not names(tmp_path)


def test_generate_refuses_a_place_that_cannot_be_written_to(tmp_path, small_model, capsys):
    (tmp_path / "file").write_text("not a folder")
    assert run("generate", "--steps", 1, "--out", tmp_path / "file" / "p.png") == 2
    assert "choose a folder that you may write to" in capsys.readouterr().err
    assert run("generate", "--steps", 1, "--out", tmp_path) == 2
    assert "choose another place" in capsys.readouterr().err
    assert names(tmp_path) == ["file"]


# ---------------------------------------------------------------------------------------------------------- train

def test_train_says_when_it_is_done_and_that_there_is_nothing_left(tmp_path, small_recipe, capsys):
    arguments = ["train", "pixels", "--minutes", 0.002, "--device", "cpu", "--out", tmp_path / "run"]
    assert run(*arguments) == 0
    assert "Done:" in capsys.readouterr().out
    assert names(tmp_path / "run") == ["pixels-samples.png", "pixels.safetensors", "pixels.state.safetensors"]
    assert run(*arguments) == 2  # not over the earlier run
    said = capsys.readouterr().err
    assert "go on with it by --resume, or choose another --out" in said and "Traceback" not in said
    assert run(*arguments, "--resume") == 0
    assert "has had its 0.002 minutes: give more to go on" in capsys.readouterr().out
    seconds = load_tensors(tmp_path / "run" / "pixels.state.safetensors")[1]["training"]["seconds"]
    arguments[3] = seconds / 60 + 0.002
    assert run(*arguments, "--resume") == 0
    assert "Done:" in capsys.readouterr().out


@pytest.mark.parametrize("minutes", ["0", "-1", "nan", "inf", "soon"])
def test_train_refuses_a_time_that_is_none(tmp_path, small_recipe, capsys, minutes):
    assert run("train", "pixels", "--minutes", minutes, "--out", tmp_path / "run") == 2
    assert "is not a number above 0" in capsys.readouterr().err and not names(tmp_path)


@pytest.mark.parametrize("arguments, words", [
    (["train", "pixel", "--minutes", "1"], "choose from pixels"),
    (["train", "pixels", "--minutes", "1", "--resume"], "There is no file"),
    (["train", "pixels", "--minutes", "1", "--device", "tpu"], "choose auto, cpu, cuda or mps"),
])
def test_train_refuses_what_it_does_not_know_and_writes_nothing(tmp_path, small_recipe, capsys, arguments, words):
    assert run(*arguments, "--out", tmp_path / "run") == 2
    assert words in capsys.readouterr().err and not names(tmp_path)


def test_notebooks_refuses_a_file_that_is_not_there(capsys):
    assert run("notebooks", "nothing.ipynb") == 2
    assert "There is no notebook nothing.ipynb" in capsys.readouterr().err


def test_ctrl_c_while_the_pictures_are_drawn_can_be_resumed(tmp_path, small_recipe, capsys, monkeypatch):
    arguments = ["train", "pixels", "--minutes", 0.002, "--device", "cpu", "--out", tmp_path]

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(recipes, "open_pictures", interrupted)
        assert run(*arguments) == 130
    assert "Go on with the same command and --resume" in capsys.readouterr().out
    assert run(*arguments, "--resume") == 0
    assert load_tensors(tmp_path / "pixels.safetensors")[1]["trained"]["steps"] > 0


# -------------------------------------------------------------------------------------------- as the shell sees it

def shell(*arguments, cwd: Path) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, "-m", "course_lib", *map(str, arguments)], cwd=cwd, env=environment,
                          capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("arguments, words", [
    (["generate", "--scheduler", "plms"],
     "There is no scheduler 'plms': choose from ddpm, ddim, euler, heun, dpmpp_2m."),
    (["train", "pixels", "--minutes", "1", "--device", "cpu", "--out", "file/run"],
     "choose a folder that you may write"),
])
def test_an_error_is_one_sentence_and_exit_status_two(tmp_path, arguments, words):
    (tmp_path / "file").write_text("not a folder")
    done = shell(*arguments, cwd=tmp_path)
    assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr
    assert names(tmp_path) == ["file"]


def test_help_and_no_command():
    top = shell("--help", cwd=ROOT)
    assert top.returncode == 0 and all(name in top.stdout for name in ("generate", "train", "notebooks"))
    assert shell(cwd=ROOT).returncode == 2


def test_generate_with_the_shipped_weights(tmp_path):
    done = shell("generate", "--seed", 3, "--steps", 8, "--device", "cpu", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("picture.png: seed 3, ddim, 8 steps, 8 network evaluations")
    assert np.asarray(Image.open(tmp_path / "picture.png")).shape == (32, 32, 3)


