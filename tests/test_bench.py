"""The benchmark says what it measured. Never how fast: a test that waits for a fast machine fails on a slow one."""

import json
import sys

import pytest
import torch

from course_lib import __main__, bench
from course_lib.denoiser import Denoiser
from course_lib.pipeline import TextToImage
from course_lib.schedulers import find_schedule
from course_lib.text import SharedSpace, TextSettings
from course_lib.unet import UNet, UNetSettings
from course_lib.vae import VAE, VAESettings

SMALL = UNetSettings(picture=4, patch=2, channels=(16, 16), attention=(False, True), words=32, pooled=32)


@pytest.fixture(autouse=True)
def small(monkeypatch, one_thread):
    """Small matrices and one core: this machine may be busy."""
    monkeypatch.setattr(bench, "SIDE", 32)
    monkeypatch.setattr(bench.os, "cpu_count", lambda: 1)


@pytest.fixture(scope="module")
def model() -> TextToImage:
    text = TextSettings(width=32, depth=1, heads=2, shared=16, picture=(16, 16, 16))
    parts = UNet(SMALL), SharedSpace(text), VAE(VAESettings(encoder=16, decoder=(16, 16), blocks=1))
    unet, space, vae = (part.eval().requires_grad_(False) for part in parts)
    return TextToImage(Denoiser(unet, find_schedule("cosine")), space, vae)


def test_all_is_measured_beside_diffusers(model):
    pytest.importorskip("diffusers")
    figures = bench.bench(1, SMALL, (1,), model)
    assert figures == json.loads(json.dumps(figures))
    assert set(figures) == {"gflop_per_second", "cores", "unet", "decode_ms", "picture"}
    unet = figures["unet"]
    assert set(unet["batches"]) == {"1"} and set(unet["batches"]["1"]) == {"ours_ms", "diffusers_ms", "ratio"}
    assert unet["batches"]["1"]["ratio"] == pytest.approx(unet["batches"]["1"]["ours_ms"]
                                                          / unet["batches"]["1"]["diffusers_ms"])
    assert unet["parameters"]["ours"] < 100_000 < 1_000_000 < unet["parameters"]["diffusers"]
    assert unet["gflop"]["ours"] < unet["gflop"]["diffusers"]
    assert figures["picture"]["weights"] == "given" and figures["picture"]["cores"] == figures["cores"] == 1
    assert set(figures["decode_ms"]) == {"1"} and set(figures["gflop_per_second"]) == {"one core", "all cores"}
    said = bench.in_words(figures)
    assert all(part in said for part in ("batch 1:", "ratio", "at most 0.6)", "at most 6 M", "at most 0.6 s",
                                         "with given weights", "on one core")), said
    assert "not installed" not in said


def test_without_diffusers_the_rest_is_measured_and_a_sentence_says_how_to_get_it(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    figures = bench.bench(1, SMALL, (1, 2), model)
    assert set(figures["unet"]["batches"]["2"]) == {"ours_ms"} and set(figures["unet"]["parameters"]) == {"ours"}
    said = bench.in_words(figures)
    assert "is not installed: python start.py test installs it." in said and ", ratio" not in said


def test_the_number_of_cores_is_put_back():
    before = torch.get_num_threads()
    with pytest.raises(RuntimeError), bench.threads(before + 1):
        assert torch.get_num_threads() == before + 1
        raise RuntimeError
    assert torch.get_num_threads() == before


def test_the_fresh_model_has_the_shape_that_is_shipped():
    model = bench.fresh_model()
    assert sum(parameter.numel() for parameter in model.denoise.network.parameters()) <= bench.PARAMETERS
    assert model.cond(["a red house"]).words.shape == (1, 5, model.denoise.network.settings.words)


def test_the_command_prints_words_or_one_json_object(model, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    figures = bench.bench(1, SMALL, (1,), model)
    monkeypatch.setattr(bench, "bench", lambda rounds: figures if rounds == 7 else None)
    __main__.main(["bench", "--rounds", "7"])
    assert capsys.readouterr().out.strip() == bench.in_words(figures)
    __main__.main(["bench", "--rounds", "7", "--json"])
    assert json.loads(capsys.readouterr().out) == figures


@pytest.mark.parametrize("rounds", ["0", "1001"])
def test_the_command_refuses_a_bad_number_of_rounds(rounds, capsys):
    with pytest.raises(SystemExit) as end:
        __main__.main(["bench", "--rounds", rounds])
    said = capsys.readouterr()
    assert end.value.code == 2 and "The number of rounds must be a whole number" in said.err and not said.out
