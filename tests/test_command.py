"""The commands: what they write, and that everything that can go wrong gets one sentence and exit status 2."""

import os
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from commands import run
from PIL import Image
from small_models import small_text_to_image

from course_lib import pipeline, recipes
from course_lib.denoiser import Denoiser
from course_lib.pictures import to_uint8
from course_lib.runtime import load_pieces, load_tensors, starting_noise
from course_lib.schedulers import find_schedule
from course_lib.unet import UNet, UNetSettings

ROOT = Path(__file__).resolve().parents[1]
PROMPT = "a red house"


@pytest.fixture
def small_model(monkeypatch):
    """In place of the shipped weights: the commands are the same whatever they paint."""
    network = UNet(UNetSettings(channels=(32,), attention=(False,))).eval().requires_grad_(False)
    pixels, painter = (Denoiser(network, find_schedule("cosine")), (3, 16, 16)), small_text_to_image()
    monkeypatch.setattr(pipeline, "load_denoiser", lambda name, device, folder=None: pixels)
    monkeypatch.setattr(pipeline, "load_text_to_image", lambda device, folder=None: painter)
    return SimpleNamespace(pixels=pixels, painter=painter)


@pytest.fixture
def small_recipe(monkeypatch):
    unet = UNetSettings(channels=(32,), attention=(False,))
    small = replace(recipes.RECIPES["pixels"], pages=8, size=16, batch=2, unet=unet)
    monkeypatch.setitem(recipes.RECIPES, "pixels", small)
    monkeypatch.setattr(recipes.pixels, "sample_few", partial(recipes.pixels.sample_few, steps=2))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# ------------------------------------------------------------------------------------------------------- generate

def test_generate_writes_the_picture_and_says_what_it_cost(tmp_path, small_model, capsys):
    out = tmp_path / "new folder" / "picture.png"
    assert run("generate", PROMPT, "--seed", 5, "--steps", 4, "--scheduler", "ddim", "--eta", 0.5, "--guidance", 4,
               "--negative", "a cat", "--out", out) == 0
    said = capsys.readouterr()
    assert "picture.png: seed 5, ddim, 4 steps, guidance 4, 8 network evaluations, " in said.out
    assert said.out.count("\n") == 1 and not said.err
    shown = np.asarray(Image.open(out))
    wanted = pipeline.generate(PROMPT, 5, 4, 4, "ddim", "a cat", 0.5, small_model.painter).picture
    assert shown.shape == (64, 64, 3) and (shown == wanted).all()


def test_generate_has_defaults_and_may_go_without_a_prompt(tmp_path, small_model, capsys):
    assert run("generate", "--out", tmp_path / "p.png") == 0
    assert "seed 0, dpmpp_2m, 20 steps, guidance 3, 20 network" in capsys.readouterr().out


def test_generate_paints_pixels_as_the_first_chapters_do(tmp_path, small_model, capsys):
    out = tmp_path / "p.png"
    assert run("generate", "--pixels", "--seed", 5, "--steps", 4, "--scheduler", "heun", "--out", out) == 0
    assert "seed 5, heun, 4 steps, 7 network evaluations" in capsys.readouterr().out
    wanted = pipeline.generate_pixels(5, 4, "heun", model=small_model.pixels).picture
    assert (np.asarray(Image.open(out)) == wanted).all()
    assert run("generate", "--pixels", "--out", out) == 0
    assert "seed 0, ddim, 50 steps, 50 network evaluations" in capsys.readouterr().out


@pytest.mark.parametrize("pixels", [True, False])
def test_generate_writes_a_strip_from_noise_to_picture(tmp_path, small_model, pixels):
    which, (size, scale) = ["--pixels"] if pixels else [PROMPT], (16, 8) if pixels else (64, 2)
    assert run("generate", *which, "--steps", 8, "--out", tmp_path / "p.png", "--strip", tmp_path / "s.png") == 0
    strip, picture = np.asarray(Image.open(tmp_path / "s.png")), np.asarray(Image.open(tmp_path / "p.png"))
    width = size * scale
    assert strip.shape[0] == width and strip.shape[1] == 5 * width + 4 * 2
    first, last = strip[::scale, :width:scale].astype(int), strip[::scale, -width::scale].astype(int)
    assert np.abs(last - picture).max() <= 1
    noise, _ = starting_noise([0], (3, 16, 16) if pixels else (4, 16, 16))
    wanted = to_uint8(noise)[0] if pixels else small_model.painter.decode(noise)[0]
    assert np.abs(first - wanted).max() <= 1
    assert names(tmp_path) == ["p.png", "s.png"]


@pytest.mark.parametrize("prompt, words", [
    ("a teal house", ["The model was never taught 'teal'; close words it knows: green, blue."]),
    ("teal", ["The model was never taught 'teal'", "empty prompt"]),
    ("red " * 500, ["The prompt is too long: it is cut after 30 words, before 'red'."]),
    ("", []), (PROMPT, []),
])
def test_generate_paints_what_it_can_and_says_what_it_left_out(tmp_path, small_model, capsys, prompt, words):
    assert run("generate", prompt, "--steps", 1, "--out", tmp_path / "p.png") == 0
    said = capsys.readouterr()
    lines = said.err.splitlines()
    assert len(lines) == len(words) and all(word in line for word, line in zip(words, lines))
    assert said.out.count("\n") == 1 and names(tmp_path) == ["p.png"]


@pytest.mark.parametrize("arguments, words", [
    (["--seed", "-1"], "The seed must be a whole number"), (["--seed", str(2**80)], "The seed must be"),
    (["--steps", "0"], "The number of steps must be"), (["--steps", "-3"], "The number of steps must be"),
    (["--guidance", "nan"], "The guidance scale must be"), (["--guidance", "inf"], "The guidance scale must be"),
    (["--eta", "2"], "eta goes with"), (["--eta", "nan", "--scheduler", "ddim"], "eta goes with"),
    (["--eta", "0.5", "--scheduler", "heun"], "eta goes with"), (["--scheduler", "plms"], "no scheduler 'plms'"),
    (["--pixels", "--seed", "-1"], "The seed must be"), (["--pixels", "--eta", "2"], "eta goes with"),
    (["--pixels", PROMPT], "paints without a prompt"), (["--pixels", "--guidance", "2"], "paints without a prompt"),
    (["--pixels", "--negative", "rain"], "paints without a prompt"),
    (["--weights", "no such folder"], "There is no latent.safetensors in no such folder"),
    (["--weights", "no such folder", "--pixels"], "There is no pixels.safetensors in no such folder"),
])
def test_generate_refuses_bad_values_and_writes_nothing(tmp_path, small_model, capsys, arguments, words):
    assert run("generate", *arguments, "--out", tmp_path / "new" / "p.png") == 2
    said = capsys.readouterr()
    assert words in said.err and said.err.count("\n") == 1 and not said.out and not names(tmp_path)


@pytest.mark.parametrize("arguments", [["--seed", "x"], ["--seed", "1.5"], ["--steps", ""], ["--eta", "much"],
                                       ["--guidance", "strong"], ["--colour", "red"], [PROMPT, "a second prompt"]])
def test_generate_refuses_what_is_no_number_or_option(tmp_path, small_model, capsys, arguments):
    assert run("generate", *arguments, "--out", tmp_path / "p.png") == 2
    assert "error:" in capsys.readouterr().err and not names(tmp_path)


@pytest.mark.parametrize("option", ["--out", "--strip"])
def test_generate_refuses_a_place_that_cannot_be_written_to_before_it_paints(tmp_path, monkeypatch, capsys, option):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("not a folder")
    (tmp_path / "locked").mkdir()
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "locked" and access(path, mode))
    monkeypatch.setattr(pipeline, "load_text_to_image", lambda *_: pytest.fail("it loads the model first"))
    for place, words in ((tmp_path / "file" / "p.png", "choose a folder that you may write to"),
                         (tmp_path / "file" / "deep" / "p.png", "choose a folder that you may write to"),
                         (tmp_path / "locked" / "p.png", "choose a folder that you may write to"),
                         (tmp_path, "choose another place"), ("", "choose another place")):
        assert run("generate", "--steps", 1, option, place) == 2
        said = capsys.readouterr().err
        assert words in said and said.count("\n") == 1
    assert run("generate", "--out", "same.png", "--strip", tmp_path / "same.png") == 2
    assert "give each its own place" in capsys.readouterr().err
    assert names(tmp_path) == ["file", "locked"] and not names(tmp_path / "locked")


# ---------------------------------------------------------------------------------------------------------- train

def test_train_says_when_it_is_done_and_that_there_is_nothing_left(tmp_path, small_recipe, capsys):
    arguments = ["train", "pixels", "--minutes", 0.002, "--device", "cpu", "--out", tmp_path / "run"]
    assert run(*arguments) == 0
    assert "Done:" in capsys.readouterr().out
    kept = [name for name in names(tmp_path / "run") if ".state-" not in name]
    assert kept == ["pixels-samples.png", "pixels.safetensors", "pixels.state.json"]
    assert run(*arguments) == 2  # not over the earlier run
    said = capsys.readouterr().err
    assert "go on with it by --resume, or choose another --out" in said and "Traceback" not in said
    assert run(*arguments, "--resume") == 0
    assert "has had its 0.002 minutes: give more to go on" in capsys.readouterr().out
    seconds = load_pieces(tmp_path / "run" / "pixels.state.json")[1]["training"]["seconds"]
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
        patch.setattr(recipes.pixels, "open_pictures", interrupted)
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
    done = shell("generate", "--pixels", "--seed", 3, "--steps", 8, "--device", "cpu", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("picture.png: seed 3, ddim, 8 steps, 8 network evaluations")
    assert np.asarray(Image.open(tmp_path / "picture.png")).shape == (32, 32, 3)


