"""Every recipe at a tiny size: it trains, stops and goes on exactly, its weights load; `train all`; two processes."""

import math
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from course_lib import __main__, recipes
from course_lib.models import denoiser_from, oracle_from, text_from, vae_from
from course_lib.oracle import OracleSettings
from course_lib.pages import Pages, draw_pages
from course_lib.picturebook import (
    COLOURS, KINDS, PLACES, SIZES, SYNONYMS, Scene, Thing, caption, encode_scene, encode_stated, random_scene,
)
from course_lib.recipes import RECIPES, SHARES, train, train_all
from course_lib.recipes.ahead import Ahead
from course_lib.recipes.choosing import choose_alike, choose_rare, rare, shorten
from course_lib.recipes.latent import LatentRecipe, Latents, empty_some
from course_lib.recipes.oracle import OracleRecipe
from course_lib.recipes.reading import QUESTIONS, ReadingRecipe, belongings
from course_lib.recipes.text import TextRecipe
from course_lib.recipes.vae import VAERecipe
from course_lib.runtime import CourseError, fingerprint, load_pieces, load_tensors
from course_lib.text import TextSettings
from course_lib.tokenizer import END, PADDING, START, read_prompt
from course_lib.training import Trainee, fit
from course_lib.unet import UNetSettings
from course_lib.vae import VAESettings

ROOT = Path(__file__).resolve().parents[1]
CPU = torch.device("cpu")
pytestmark = pytest.mark.usefixtures("one_thread")

TINY = {"vae": VAERecipe(pages=64, batch=4, rare=1, vae=VAESettings(encoder=32, decoder=(32, 32), blocks=1)),
        "text": TextRecipe(pages=64, batch=8, alike=4,
                           text=TextSettings(width=32, depth=1, heads=2, shared=32, picture=(32, 32, 32))),
        "oracle": OracleRecipe(pages=64, batch=4, oracle=OracleSettings(trunk=(32, 32, 32), hidden=32)),
        "reading": ReadingRecipe(pages=64, batch=8, words=32, blocks=1),
        "latent": LatentRecipe(pages=64, batch=4, unet=UNetSettings(
            picture=4, patch=2, channels=(32,), attention=(True,), words=32, pooled=32, reading=1))}
STAGES = [(TINY[name], share) for name, share in SHARES.items()]


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder where each of the five has been trained for two steps."""
    out = tmp_path_factory.mktemp("trained")
    for name in SHARES:
        assert [progress.step for progress in train(TINY[name], out, CPU, steps=2, sheets=0)] == [1, 2]
    return out


def link_data(trained: Path, out: Path) -> Path:
    """A folder with the pages that are drawn already, and the weights that the latents need."""
    out.mkdir()
    for path in trained.glob("pages-*"):
        (out / path.name).symlink_to(path)
    for name in ("vae", "text"):
        (out / f"{name}.safetensors").write_bytes((trained / f"{name}.safetensors").read_bytes())
    return out


# ------------------------------------------------------------------------------------------------- each by itself

def test_the_shares_make_up_the_whole_time_in_an_order_that_works():
    assert math.isclose(sum(SHARES.values()), 1) and set(SHARES) < set(RECIPES) and list(SHARES)[-1] == "latent"


def test_weights_load_and_give_what_their_kind_gives(trained):
    read = {name: load_tensors(trained / f"{name}.safetensors") for name in SHARES}
    x, ids = torch.zeros(2, 3, 64, 64), torch.tensor([[START, END]])
    vae, text = vae_from(*read["vae"], CPU), text_from(*read["text"], CPU)
    z = vae.encode(x)
    assert z.shape == (2, 4, 16, 16) and vae.decode(z).shape == x.shape
    assert text(ids, x).shape == (1, 2)
    denoise = denoiser_from(*read["latent"], CPU)
    cond = text.text(ids.expand(2, -1))
    assert denoise(z, 0.5, cond).shape == z.shape and denoise.prediction == "v"
    assert len(oracle_from(*read["oracle"], CPU)(x)) == 2
    assert all(settings["trained"]["steps"] == 2 and settings["model"] == name for name, (_, settings) in read.items())


@pytest.mark.parametrize("name", SHARES)
def test_a_run_that_stopped_and_went_on_equals_one_that_never_stopped(trained, tmp_path, name):
    whole, parts = link_data(trained, tmp_path / "whole"), link_data(trained, tmp_path / "parts")
    list(train(TINY[name], whole, CPU, steps=12, sheets=0))
    run = train(TINY[name], parts, CPU, steps=12, sheets=0)
    while next(run).step < 5:
        pass
    run.close()
    assert [progress.step for progress in train(TINY[name], parts, CPU, steps=12, resume=True, sheets=0)][0] == 6
    (a, _), (b, counts) = (load_pieces(out / f"{name}.state.json") for out in (whole, parts))
    assert counts["training"]["step"] == 12 and a.keys() == b.keys()
    assert not [key for key in a if not torch.equal(a[key], b[key])]


@pytest.mark.parametrize("name", ["vae", "oracle", "reading"])
def test_a_few_pages_are_soon_learned(trained, name):
    recipe = replace(TINY[name], lr=3e-3)
    torch.manual_seed(0)
    with recipe.learning(trained, CPU) as loss:
        def same_batch(network, step, source):
            return loss(network, 0, torch.Generator().manual_seed(0))

        steps = 120 if name == "reading" else 60
        losses = [progress.loss for progress in fit(Trainee(recipe.network(), lr=3e-3), same_batch, steps=steps)]
    assert losses[-1] < 0.6 * losses[0]


def test_settling_gives_latents_of_mean_nought_and_variance_one(trained):
    vae = vae_from(*load_tensors(trained / "vae.safetensors"), CPU)
    with torch.no_grad():
        z = vae.encode(draw_pages(range(256))["pictures"].float() / 127.5 - 1)
    assert z.mean(dim=(0, 2, 3)).abs().max() < 0.02 and (z.std(dim=(0, 2, 3)) - 1).abs().max() < 0.02


def test_latents_are_those_of_the_pages_and_are_kept(trained, monkeypatch):
    weights, settings = load_tensors(trained / "vae.safetensors")
    vae, pages = vae_from(weights, settings, CPU), Pages(trained, 64)
    pages.require(64)
    chosen = torch.tensor([3, 60])
    z = Latents(pages, vae, fingerprint(weights)).batch(chosen)
    with torch.no_grad():
        torch.testing.assert_close(z, vae.encode(pages.pictures(chosen)), rtol=2e-3, atol=2e-3)
    again = Latents(pages, vae, fingerprint(weights))
    monkeypatch.setattr(again, "_encode", lambda _: pytest.fail("they are encoded a second time"))
    assert torch.equal(again.batch(chosen), z)


def test_rare_pages_are_those_of_a_hand_or_a_sign(trained):
    scenes = [random_scene(i) for i in range(200)]
    found = rare(torch.from_numpy(np.stack([encode_scene(scene) for scene in scenes])))
    assert found.tolist() == [bool({thing.kind for thing in scene.things} & {"hand", "sign"}) for scene in scenes]
    pages = Pages(trained, 64)
    pages.require(64)
    chosen = choose_rare(pages, torch.arange(40), 16)
    assert rare(pages["scenes"][chosen[:16]]).all() and chosen[16:].tolist() == list(range(16, 40))


def test_each_word_is_asked_about_its_own_thing():
    scene = Scene("day", "sea", "clear", "sun", (Thing("house", "red", "small", "left"),
                                                 Thing("boat", "blue", "large", "right")))
    own = [{word for value in values for phrase in SYNONYMS[value] for word in phrase.split()[-1:]}
           for values in (("house", "red", "small"), ("boat", "blue", "large"))]
    for seed in range(40):
        text, stated = caption(scene, seed)
        ids, said = torch.tensor([read_prompt(text).ids]), torch.from_numpy(encode_stated(stated)).long()[None]
        found = {name: answers[0, 1:-1].tolist() for name, answers in belongings(ids, said).items()}
        assert set(found) == set(QUESTIONS)
        for i, word in enumerate(read_prompt(text).words):
            thing = next((j for j in (0, 1) if word in own[j]), None)
            for name, values in (("kind", KINDS), ("colour", COLOURS), ("size", SIZES), ("place", PLACES)):
                value = stated.get(f"thing{thing}.{name}")
                assert found[name][i] == (values.index(value) if value else -1), (text, word, name)
            side = ("left", "right").index(stated["relation"]) if "relation" in stated and thing is not None else -1
            assert found["relation"][i] == (side if side == -1 or thing == 0 else 1 - side), (text, word)


def test_of_two_things_alike_nothing_is_asked():
    scene = Scene("day", "sea", "clear", "sun", (Thing("cat", "red", "small", "left"),
                                                 Thing("cat", "blue", "small", "right")))
    text, stated = caption(scene, 3)
    found = belongings(torch.tensor([read_prompt(text).ids]), torch.from_numpy(encode_stated(stated)).long()[None])
    asked = {word: found["kind"][0, i].item() for i, word in enumerate(read_prompt(text).words, 1)}
    assert asked["cat"] == -1 and asked["blue"] == KINDS.index("cat"), text  # which cat is blue can be told


def test_the_denoiser_begins_with_the_reading_that_was_trained(trained, tmp_path):
    learned = load_tensors(trained / "reading.safetensors")[0]
    network = TINY["latent"].network()
    TINY["latent"].begin(network, tmp_path)
    assert not network.reading[0].out.weight.any()  # nothing there: it leaves the words as they are
    TINY["latent"].begin(network, trained)
    assert learned["reading.0.out.weight"].any()
    for key, value in network.reading.state_dict().items():
        assert torch.equal(value, learned[f"reading.{key}"].float())


def test_a_damaged_piece_of_latents_is_made_anew(trained):
    weights, settings = load_tensors(trained / "vae.safetensors")
    vae, pages = vae_from(weights, settings, CPU), Pages(trained, 64)
    pages.require(64)
    z = Latents(pages, vae, "spoiled!").batch(torch.arange(64))
    [path] = trained.glob("pages-*/latents-spoiled!/*")
    path.write_bytes(path.read_bytes()[:500])
    assert torch.equal(Latents(pages, vae, "spoiled!").batch(torch.arange(64)), z)
    assert path.stat().st_size > 500


def test_some_prompts_are_emptied_and_all_are_cut_to_the_longest():
    tokens = torch.full((1000, 32), PADDING)
    tokens[:, :5] = torch.tensor([START, 7, 8, 9, END])
    emptied = shorten(empty_some(tokens, 0.1, torch.Generator().manual_seed(0)))
    empty = (emptied[:, 1] == END)
    assert emptied.shape == (1000, 8) and 70 < empty.sum() < 130
    assert (emptied[empty, 2:] == PADDING).all() and torch.equal(emptied[~empty], tokens[~empty, :8])


def test_likes_are_put_together(trained):
    pages = Pages(trained, 64)
    pages.require(64)
    chosen = torch.arange(40)
    alike = choose_alike(pages, chosen, 16)
    kinds = pages["scenes"][:, [4, 12]].sort(dim=1).values
    assert torch.equal(alike[16:], chosen[16:]) and torch.equal(alike[[0, 8]], chosen[[0, 8]])
    for start in (0, 8):
        assert (kinds[alike[start:start + 8]] == kinds[start]).all()


# --------------------------------------------------------------------------------------------------------- ahead

def test_a_batch_made_ahead_is_the_one_that_would_be_made_now():
    def prepare(step, source):
        return [torch.rand(3, generator=source) + step]

    def loss(network, x):
        return (network.weight * x).sum()

    weights = []
    for threaded in (False, True):
        torch.manual_seed(0)
        trainee = Trainee(nn.Linear(3, 1, bias=False), lr=0.1)
        with Ahead(prepare, loss, 3, CPU, threaded) as ahead:
            for progress in fit(trainee, ahead, steps=10):
                if progress.step == 4:
                    break
            list(fit(trainee, ahead, steps=10))
        weights.append(trainee.network.weight.detach())
    assert torch.equal(*weights) and trainee.pictures == 30


def test_what_goes_wrong_ahead_is_told():
    def prepare(step, source):
        raise CourseError("The disk is full.")

    with Ahead(prepare, None, 3, CPU, threaded=True) as ahead, pytest.raises(CourseError, match="The disk is full"):
        ahead(nn.Linear(1, 1), 0, torch.Generator().manual_seed(0))


# ------------------------------------------------------------------------------------------------------ train all

def all_of_it(out: Path, minutes: float = 0.004, **options):
    for name, run in train_all(STAGES, out, CPU, minutes=minutes, sheets=0, **options):
        for progress in run:
            yield name, progress


def kept(out: Path, name: str) -> tuple[bool, bool]:
    """Whether there is a state, whether there are weights."""
    return (out / f"{name}.state.json").exists(), (out / f"{name}.safetensors").exists()


def test_all_trains_one_after_the_other_and_puts_finished_states_away(trained, tmp_path):
    out = link_data(trained, tmp_path / "out")
    (out / "vae.safetensors").unlink(), (out / "text.safetensors").unlink()
    order = [name for name, _ in all_of_it(out)]
    assert list(dict.fromkeys(order)) == list(SHARES)
    assert [kept(out, name) for name in SHARES] == [(False, True)] * 4 + [(True, True)]
    assert len(list(out.glob("*.state-*"))) == 1
    with pytest.raises(CourseError, match="vae.safetensors is from an earlier run: go on with it by --resume"):
        list(all_of_it(out))
    assert not list(all_of_it(out, resume=True))
    going_on = all_of_it(out, resume=True, minutes=100)
    assert next(going_on)[0] == "latent"  # the last can go on
    going_on.close()


def test_all_goes_on_where_it_stopped(trained, tmp_path):
    out = link_data(trained, tmp_path / "out")
    (out / "vae.safetensors").unlink(), (out / "text.safetensors").unlink()
    for name, run in train_all(STAGES, out, CPU, minutes=0.004, sheets=0):
        if name == "text":
            step = next(run).step
            run.close()
            break
        list(run)
    assert [kept(out, name) for name in ("vae", "text", "oracle")] == [(False, True), (True, True), (False, False)]
    went_on = list(all_of_it(out, resume=True))
    assert list(dict.fromkeys(name for name, _ in went_on))[-3:] == ["oracle", "reading", "latent"]
    assert "vae" not in dict(went_on)
    assert went_on[0][0] == "oracle" or went_on[0][1].step == step + 1


def test_all_refuses_what_does_not_fit_together(trained, tmp_path):
    with pytest.raises(CourseError, match="no run in .* to go on with"):
        list(all_of_it(tmp_path, resume=True))
    (tmp_path / "vae.safetensors").write_bytes((trained / "vae.safetensors").read_bytes())
    other = [(replace(TINY["vae"], kl=1.0), 1.0)]
    with pytest.raises(CourseError, match="other settings"):
        list(train_all(other, tmp_path, CPU, minutes=1, resume=True))


def test_the_command_trains_all_and_says_how_long_the_network_waited(trained, tmp_path, monkeypatch, capsys):
    out = link_data(trained, tmp_path / "out")
    (out / "vae.safetensors").unlink(), (out / "text.safetensors").unlink()
    for name, recipe in TINY.items():
        monkeypatch.setitem(recipes.RECIPES, name, recipe)
        monkeypatch.setattr(type(recipe), "sheet", lambda *_: None)
    arguments = ["train", "all", "--minutes", "0.004", "--device", "cpu", "--out", str(out)]
    __main__.main(arguments)
    said = capsys.readouterr()
    for name in SHARES:
        assert f"Training {name} on cpu" in said.out and f"Done: {name}, " in said.out and name in said.err
    assert "kept waiting for its pictures" in said.out
    with pytest.raises(SystemExit, match="2"):
        __main__.main(arguments)
    assert "--resume" in capsys.readouterr().err
    __main__.main([*arguments, "--resume"])
    assert "vae has had its share of the 0.004 minutes" in capsys.readouterr().out


# -------------------------------------------------------------------------------------------- several processes

TOGETHER = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
sys.path.insert(0, sys.argv[1])
from test_recipes import TINY
from course_lib import parallel
from course_lib.recipes import train
if __name__ == "__main__":
    device = parallel.start("auto" if torch.cuda.is_available() else "cpu")
    for name in ("vae", "text", "oracle", "reading", "latent"):
        for progress in train(TINY[name], Path(sys.argv[2]), device, steps=3, sheets=0):
            pass
    parallel.stop()
"""


def test_two_processes_train_as_one(trained, tmp_path):
    """Equal to rounding: the sums are taken in another order. Muon makes much of little, hence the loose bound."""
    out, alone = link_data(trained, tmp_path / "two"), link_data(trained, tmp_path / "one")
    for folder in (out, alone):
        for name in ("vae", "text"):
            (folder / f"{name}.safetensors").unlink()
    script = tmp_path / "together.py"
    script.write_text(TOGETHER)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-addr",
                           "127.0.0.1", "--master-port", str(port), str(script), str(ROOT / "tests"), str(out)],
                          env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    for name in SHARES:
        list(train(TINY[name], alone, CPU, steps=3, sheets=0))
        (a, one), (b, two) = (load_pieces(folder / f"{name}.state.json") for folder in (alone, out))
        assert one["training"]["step"] == two["training"]["step"] == 3
        assert one["training"]["pictures"] == two["training"]["pictures"]
        for key in a:
            torch.testing.assert_close(a[key], b[key], rtol=1e-3, atol=2e-5, msg=f"{name}: {key}")
