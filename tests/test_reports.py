"""The whole evaluation, on small networks with random weights: what it says does not depend on how good they are."""

import json
from dataclasses import asdict
from functools import partial

import numpy as np
import pytest
import torch
from commands import run

from course_lib import pipeline, reports
from course_lib.evaluation import SLOTS, frechet, reconstruction_psnr
from course_lib.models import vae_from, weights_for
from course_lib.oracle import Oracle, OracleSettings
from course_lib.pages import draw_pages, held_out
from course_lib.picturebook import encode_stated
from course_lib.runtime import CourseError, fingerprint, load_tensors, save_tensors
from course_lib.text import SharedSpace, TextSettings
from course_lib.tokenizer import tokenize
from course_lib.unet import UNet, UNetSettings
from course_lib.vae import VAE, VAESettings

pytestmark = pytest.mark.usefixtures("one_thread")
UNET = UNetSettings(picture=4, patch=2, channels=(32,), attention=(False,), words=32, pooled=32)
SMALL = {
    "vae": (VAE, VAESettings(encoder=16, decoder=(16, 16), blocks=1)),
    "text": (SharedSpace, TextSettings(width=32, depth=1, heads=2, shared=16, picture=(8, 8, 16))),
    "oracle": (Oracle, OracleSettings(trunk=(16, 16, 32), hidden=16)),
    "latent": (UNet, UNET),
    "pixels": (UNet, UNetSettings(channels=(32,), attention=(False,))),
}
MORE = {"latent": {"size": 16, "schedule": "cosine", "prediction": "v"},
        "pixels": {"size": 16, "schedule": "cosine", "prediction": "v", "data": "firstpages"}}


def save_small(folder, *names):
    for name in names:
        torch.manual_seed(len(name))
        kind, settings = SMALL[name]
        key = "unet" if kind is UNet else name
        save_tensors(folder / f"{name}.safetensors", kind(settings).state_dict(),
                     {key: asdict(settings), "trained": {"minutes": 0}} | MORE.get(name, {}))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    save_small(folder, *SMALL)
    return folder


@pytest.fixture(autouse=True)
def few_pages(monkeypatch, tmp_path):
    for name in ("ORACLE_PAGES", "RETRIEVAL_PAIRS", "VAE_PAGES", "PIXEL_PAGES", "PIXEL_SAMPLES"):
        monkeypatch.setattr(reports, name, 16)
    monkeypatch.setattr(reports, "DRAWN", 16)
    monkeypatch.setattr(reports, "WEIGHTS", tmp_path / "nothing is shipped")


@pytest.fixture(scope="module")
def whole(weights):
    """A report of every part, made once."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("ORACLE_PAGES", "RETRIEVAL_PAIRS", "VAE_PAGES", "PIXEL_PAGES", "PIXEL_SAMPLES", "DRAWN"):
            patch.setattr(reports, name, 16)
        return reports.evaluate(prompts=12, steps=2, folder=weights, progress=False)


def test_the_report_holds_every_figure_and_can_be_written_as_json(whole):
    assert json.loads(json.dumps(whole, allow_nan=False)) == whole
    assert set(whole) >= {"prompts", "attribute_accuracy", "exact", "exact_one_thing", "exact_two_things",
                          "unseen_exact", "per_attribute", "frechet", "frechet_floor", "vae_psnr_db",
                          "retrieval_at_1", "oracle", "seconds_per_picture", "device", "settings", "pixels"}
    assert whole["prompts"] == 12 and whole["unseen_prompts"] == 6 and "not_measured" not in whole
    assert set(whole["per_attribute"]) == set(SLOTS) == set(whole["times_stated"])
    assert whole["device"] == "cpu" and whole["seconds_per_picture"] > 0 and whole["pixels"]["nfe"] == 50


def test_the_settings_say_how_to_get_the_same_again(whole, weights):
    settings = whole["settings"]
    assert settings["steps"] == 2 and settings["guidance"] == pipeline.GUIDANCE and settings["first_page"] == 10**9
    for name in SMALL:
        assert settings["weights"][name]["fingerprint"] == fingerprint(weights_for(name, weights)[0])
    again = reports.evaluate(prompts=12, steps=2, folder=weights, progress=False, only=["latent"])
    assert again["settings"].pop("weights").keys() == {"latent", "text", "vae", "oracle"}
    again.pop("settings")
    assert {key: whole[key] for key in again} == again  # the same pictures, read the same


def test_prompts_are_first_captions_and_each_has_its_own_seed(weights, monkeypatch):
    asked = []
    paint = pipeline.generate

    def generate(prompts, seeds, *others, **named):
        asked.extend(zip(prompts, seeds))
        return paint(prompts, seeds, *others, **named)

    monkeypatch.setattr(pipeline, "generate", generate)
    monkeypatch.setattr(reports, "BATCH", 5)
    reports.evaluate(prompts=12, steps=1, seed=3, folder=weights, progress=False, only=["latent"])
    assert len(asked) == 18 and len({seed for _, seed in asked}) == 18
    assert [seed for _, seed in asked[:12]] == list(range(3_000_000, 3_000_012))
    for count, split, prompts in ((12, "train", asked[:12]), (6, "unseen", asked[12:])):
        tokens = held_out(count, split)["tokens"][:, 0]
        found = tokenize([prompt for prompt, _ in prompts])
        assert (tokens[:, :found.shape[1]] == found).all() and not tokens[:, found.shape[1]:].any()


def test_pictures_that_obey_get_full_marks_and_strangers_do_not(weights, monkeypatch):
    """The real pictures in place of painted ones, and their true scenes in place of the oracle's readings."""
    pages = {split: draw_pages(range(10**9, 10**9 + 16), split) for split in ("train", "unseen")}
    known = {picture.numpy().tobytes(): row.numpy() for part in pages.values()
             for picture, row in zip(part["pictures"].permute(0, 2, 3, 1).contiguous(), part["scenes"])}

    def read(oracle, pictures):
        scenes = np.stack([known.get(picture.tobytes(), np.full(20, -1, np.int8)) for picture in pictures])
        return reports.Reading(scenes, scenes * 0.0, (scenes[:, [4, 12]] != -1).sum(axis=1))

    monkeypatch.setattr(reports, "read", read)
    monkeypatch.setattr(reports.Prompted, "paint", lambda self: self.real)
    report = reports.evaluate(prompts=16, folder=weights, progress=False, only=["latent"])
    assert report["exact"] == report["unseen_exact"] == report["attribute_accuracy"] == 1
    assert report["exact_one_thing"] == report["exact_two_things"] == 1 == report["real_pictures"]["unseen_exact"]
    assert report["frechet"] == report["frechet_floor"] > 0  # real pictures, against other real ones
    assert report["chance"]["exact"] < 0.2 and 0 < report["chance"]["attribute_accuracy"] < 0.8
    assert report["vae_copies"]["exact"] == 0  # this VAE knows nothing: its copies are not in the book


def test_the_floor_compares_real_pictures_with_others_of_the_same_number(weights, monkeypatch):
    sets = []
    monkeypatch.setattr(reports, "frechet", lambda a, b: sets.append((a, b)) or frechet(a, b))
    reports.evaluate(prompts=12, steps=1, folder=weights, progress=False, only=["latent"])
    assert all(a.shape == b.shape == (12, 64) and torch.equal(b, sets[0][1]) for a, b in sets) and len(sets) == 3
    assert not torch.cdist(sets[1][0], sets[1][1]).min() == 0  # no picture is in both


def test_validation_measures_other_pages(weights):
    usual, other = (reports.evaluate(folder=weights, progress=False, only=["vae"], validation=flag)
                    for flag in (False, True))
    vae = vae_from(*weights_for("vae", weights), torch.device("cpu"))
    assert usual["vae_psnr_db"] == reconstruction_psnr(vae, held_out(16))["vae_psnr_db"] != other["vae_psnr_db"]
    assert other["settings"]["first_page"] == reports.VALIDATION_FROM > usual["settings"]["first_page"] + 200_000


# ---------------------------------------------------------------------------------------------------- the command

evaluate = partial(run, "evaluate", "--device", "cpu")


def test_the_command_prints_one_json_object_or_a_table(weights, capsys):
    arguments = ["--weights", weights, "--prompts", 4, "--steps", 1, "--only", "latent, vae,text"]
    assert evaluate(*arguments, "--json") == 0
    said = capsys.readouterr()
    report = json.loads(said.out)
    assert report["prompts"] == 4 and "oracle" not in report and "painting 4 prompts" in said.err
    assert evaluate(*arguments) == 0
    said = capsys.readouterr().out
    assert f"{report['vae_psnr_db']} dB" in said and "recall at 1" in said and "never seen in training" in said
    assert f"{100 * report['attribute_accuracy']:.1f} %" in said and "Not measured" not in said


def test_the_table_of_a_whole_report(whole):
    said = reports.as_table(whole)
    for words in ("Painted from 12 held-out prompts (2 steps, guidance 3, dpmpp_2m, seed 0)", "The oracle, on 16",
                  "The pixel model, on 16", "One picture:", "read as", "fewer than 256 pictures means little"):
        assert words in said
    assert max(map(len, said.splitlines())) <= 110
    assert "means little" not in reports.as_table(whole | {"prompts": 512})


def test_weights_that_are_not_there_are_named_and_the_rest_is_measured(tmp_path, capsys):
    save_small(tmp_path, "vae")
    assert evaluate("--weights", tmp_path, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["vae_psnr_db"] > 0 and set(report["not_measured"]) == {"oracle", "text", "latent", "speed", "pixels"}
    assert "latent and text and oracle" in report["not_measured"]["latent"]
    assert evaluate("--weights", tmp_path, "--only", "vae,text") == 0
    assert "Not measured: text. There are no weights called text yet" in capsys.readouterr().out


@pytest.mark.parametrize("arguments, words", [
    (["--prompts", "0"], "The number of prompts must be"), (["--prompts", "-3"], "The number of prompts must be"),
    (["--prompts", str(2**80)], "The number of prompts must be"), (["--steps", "0"], "The number of steps must be"),
    (["--guidance", "nan"], "The guidance scale must be"), (["--scheduler", "plms"], "no scheduler 'plms'"),
    (["--seed", "-1"], "The seed must be"), (["--seed", str(2**80)], "The seed must be"),
    (["--device", "tpu"], "choose auto, cpu, cuda or mps"), (["--only", "unet"], "no part 'unet' of the evaluation"),
    (["--only", ""], "choose from oracle, vae"), (["--weights", "nowhere"], "There is no folder nowhere"),
    (["--only", "oracle"], "Nothing can be measured. There are no weights called oracle yet"),
    (["--only", "pixels", "--validation"], "has no validation pages"),
])
def test_bad_input_gets_a_sentence(arguments, words, capsys):
    assert evaluate(*arguments, "--json") == 2
    said = capsys.readouterr()
    assert words in said.err and said.err.count("\n") == 1 and not said.out


@pytest.mark.parametrize("arguments", [["--prompts", "many"], ["--guidance", "much"], ["--pictures", "5"]])
def test_what_is_no_number_or_option_is_refused(arguments, capsys):
    assert evaluate(*arguments) == 2
    assert "error:" in capsys.readouterr().err


def test_damaged_weights_are_an_error_not_a_gap(tmp_path, capsys):
    save_small(tmp_path, "vae")
    path = tmp_path / "vae.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    assert evaluate("--weights", tmp_path, "--only", "vae") == 2
    assert "is damaged" in capsys.readouterr().err
    with pytest.raises(CourseError):
        load_tensors(path)


def test_every_prompt_of_a_report_names_its_things():
    stated = held_out(32)["stated"][:, 0]
    assert set(stated[:, -1].tolist()) == {1, 2} and encode_stated({"thing0.kind": "cat"})[-1] == 1
