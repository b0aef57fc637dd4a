"""Interventions: where they must agree with `generate` exactly, what they must keep, and what they refuse."""

import io
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image
from small_models import small_text_to_image

from course_lib.editing import align, inject
from course_lib.guidance import cfg
from course_lib.interventions import (between_prompts, between_seeds, extend, fill, invert, repaint, save_film, swap,
                                      turn, vary)
from course_lib.interventions.given import latent_mask
from course_lib.pictures import open_picture
from course_lib.pipeline import generate
from course_lib.runtime import CourseError, starting_noise
from course_lib.schedulers import SCHEDULERS, time_grid

pytestmark = pytest.mark.usefixtures("one_thread")
PROMPT, OTHER = "a small red house at night", "a large blue boat by day"
PICTURE = (np.indices((64, 64)).sum(0)[..., None] * np.array([1, 2, 3]) % 256).astype(np.uint8)
MASK = np.zeros((64, 64), bool)
MASK[10:40, 30:50] = True


@pytest.fixture(scope="module")
def model():
    return small_text_to_image()


@pytest.fixture
def how(model):
    return {"steps": 4, "model": model}


def last(result):
    return result.trajectory[-1].x_next


def same(found, wanted):
    """Bit for bit, in every picture and every step."""
    assert (found.pictures == wanted.pictures).all() and len(found.trajectory) == len(wanted.trajectory)
    for step, other in zip(found.trajectory, wanted.trajectory):
        assert step.t == other.t and torch.equal(step.x, other.x) and torch.equal(step.x_next, other.x_next)


# -------------------------------------------------------------------------------------------------------- vary

@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_no_strength_gives_the_picture_back_and_full_strength_ignores_it(how, scheduler):
    how |= {"scheduler": scheduler, "negative_prompt": "a cat", "guidance": 2}
    nothing = vary(PICTURE, PROMPT, 0, **how)
    assert (nothing.pictures == PICTURE[None]).all() and nothing.nfe == 0 and not nothing.trajectory
    same(vary(PICTURE, PROMPT, 1, seed=3, **how), generate(PROMPT, 3, **how))


@pytest.mark.parametrize("strength, first", [(0.99, 0), (0.6, 2), (0.75, 1), (0.26, 3), (0.1, 4)])
def test_the_strength_is_the_time_at_which_the_painting_begins(how, model, strength, first):
    found = vary(PICTURE, PROMPT, strength, seed=3, scheduler="ddim", guidance=1, **how)
    ts = time_grid(model.denoise.schedule, 4)[first:]
    assert [step.t for step in found.trajectory] == ts[:-1] and found.nfe == 4 - first
    if 0 < first < 4:  # by hand: noise the latents, then DDIM
        noise, _ = starting_noise([3], model.shape)
        schedule, cond = model.denoise.schedule, model.cond([PROMPT])
        x = schedule.alpha(ts[0]) * model.encode(PICTURE[None]) + schedule.sigma(ts[0]) * noise
        torch.testing.assert_close(found.trajectory[0].x, x)
        for t, s in pairwise(ts):
            x0_hat = model.denoise(x, t, cond)
            x = schedule.alpha(s) * x0_hat + schedule.sigma(s) * (x - schedule.alpha(t) * x0_hat) / schedule.sigma(t)
        torch.testing.assert_close(last(found), x, rtol=1e-3, atol=1e-3)


# -------------------------------------------------------------------------------------------------------- fill

@pytest.mark.parametrize("rounds", [1, 3])
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_filling_keeps_the_rest_with_every_scheduler_guidance_and_negative_prompt(how, model, scheduler, rounds):
    how |= {"scheduler": scheduler, "negative_prompt": "clouds", "guidance": 3}
    made = fill(PICTURE, MASK, PROMPT, 5, rounds, **how)
    assert (made.picture[~MASK] == PICTURE[~MASK]).all()
    assert (made.picture[MASK] != PICTURE[MASK]).mean() > 0.5
    evaluations = (7 if scheduler == "heun" else 4) + (rounds - 1) * 3 * (2 if scheduler == "heun" else 1)
    assert made.nfe == 2 * evaluations and len(made.trajectory) == 3 * rounds + 1
    kept = (latent_mask(MASK) == 0).expand(1, 4, -1, -1)
    z = model.encode(PICTURE[None])
    for step in made.trajectory:
        assert torch.equal(step.x0_hat[kept], z[kept])
    for other in ({"negative_prompt": "a cat"}, {"guidance": 1}):
        assert (last(fill(PICTURE, MASK, PROMPT, 5, rounds, **how | other)) - last(made)).abs().max() > 1e-3
    plain = fill(PICTURE, MASK, PROMPT, 5, rounds, exact=False, **how)
    assert (plain.picture == model.decode(last(plain))[0]).all() and torch.equal(last(plain), last(made))


def test_a_full_mask_is_plain_generating_and_a_soft_one_mixes(how):
    same(fill(PICTURE, np.ones((64, 64)), PROMPT, 5, **how), generate(PROMPT, 5, **how))
    soft = np.zeros((64, 64))
    soft[:, 32:] = 0.25
    made, painted = (fill(PICTURE, soft, PROMPT, 5, exact=exact, **how).picture for exact in (True, False))
    assert (made[:, :32] == PICTURE[:, :32]).all()
    assert np.abs(made - (0.75 * PICTURE + 0.25 * painted))[:, 32:].max() <= 0.5


def test_a_latent_is_painted_if_any_of_its_pixels_is():
    mask = np.zeros((64, 64))
    mask[7, 8], mask[63, 0] = 1, 0.01
    wanted = torch.zeros(16, 16)
    wanted[1, 2] = wanted[15, 0] = 1
    assert torch.equal(latent_mask(mask)[0, 0], wanted)


@pytest.mark.parametrize("side, by", [("right", 20), ("left", 20), ("top", 33), ("bottom", 70), ("right", 64)])
def test_extending_keeps_the_picture_and_adds_what_fill_paints(how, side, by):
    how |= {"steps": 2}
    wide = extend(PICTURE, PROMPT, side, by, 3, **how)
    flat = side in ("right", "left")
    assert wide.shape == ((64, 64 + by, 3) if flat else (64 + by, 64, 3)) and wide.dtype == np.uint8
    # From here on as if it were the right side: turn it there.
    turned = wide if flat else wide.swapaxes(0, 1)
    turned = turned if side in ("right", "bottom") else turned[:, ::-1]
    picture = PICTURE if flat else PICTURE.swapaxes(0, 1)
    picture = picture if side in ("right", "bottom") else picture[:, ::-1]
    assert (turned[:, :64] == picture).all()
    edge = turned[:, 63:64]
    for reached in range(0, by, 32):  # each piece is painted, not just the edge carried on
        assert (turned[:, 64 + reached:64 + min(reached + 32, by)] != edge).any(axis=2).mean() > 0.5
    if side == "right" and by == 20:
        window = np.concatenate([PICTURE[:, 20:], np.repeat(PICTURE[:, -1:], 20, axis=1)], axis=1)
        assert (fill(window, np.arange(64) >= np.full((64, 1), 44), PROMPT, 3, **how).picture == wide[:, 20:]).all()


# ----------------------------------------------------------------------------------------------------- between

@pytest.mark.parametrize("how_else", [{}, {"scheduler": "ddpm", "negative_prompt": "a cat"}, {"guidance": 0}])
def test_a_row_ends_in_the_two_pictures_that_generate_gives(how, how_else):
    how |= how_else
    for row, ends in ((between_seeds(PROMPT, (3, 4), 5, **how), [(PROMPT, 3), (PROMPT, 4)]),
                      (between_prompts((PROMPT, OTHER), 3, 5, **how), [(PROMPT, 3), (OTHER, 3)])):
        assert row.pictures.shape == (5, 64, 64, 3) and last(row).shape == (5, 4, 16, 16)
        for i, (prompt, seed) in zip((0, -1), ends):
            end = generate(prompt, seed, **how)
            assert (row.pictures[i] == end.picture).all() and torch.equal(last(row)[i], last(end)[0])
            assert row.nfe == end.nfe and row.prompts[i] == prompt and row.seeds[i] == seed
        assert (row.decode(last(row)) == row.pictures).mean() > 0.99
    assert between_seeds(PROMPT, (3, 4), 2, **how).pictures.shape == (2, 64, 64, 3)


def test_neighbours_of_a_row_are_nearer_than_its_ends(how):
    for row in (between_seeds(PROMPT, (3, 4), 9, **how), between_prompts((PROMPT, OTHER), 3, 9, **how)):
        z = last(row).flatten(1)
        apart = (z[-1] - z[0]).norm()
        assert apart > 0 and all((b - a).norm() < 0.6 * apart for a, b in pairwise(z))


def test_a_row_from_a_prompt_to_itself_stays_where_it_is(how):
    z = last(between_prompts((PROMPT, PROMPT), 3, 4, **how))
    torch.testing.assert_close(z, z[:1].expand_as(z), rtol=1e-3, atol=1e-3)
    z = last(between_seeds(PROMPT, (3, 3), 4, **how))
    torch.testing.assert_close(z, z[:1].expand_as(z), rtol=1e-3, atol=1e-3)


# ------------------------------------------------------------------------------------------------ other words

@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_turning_at_either_end_is_one_prompt_alone(how, scheduler):
    how |= {"scheduler": scheduler, "negative_prompt": "clouds"}
    same(turn(PROMPT, OTHER, 0, 3, **how), generate(OTHER, 3, **how))
    same(turn(PROMPT, OTHER, 4, 3, **how), generate(PROMPT, 3, **how))
    both = turn(PROMPT, OTHER, 2, 3, **how)
    old = generate(PROMPT, 3, **how)
    assert torch.equal(both.trajectory[1].x0_hat, old.trajectory[1].x0_hat)
    assert (both.trajectory[2].x0_hat - old.trajectory[2].x0_hat).abs().max() > 1e-3
    assert both.nfe == old.nfe


def test_several_seeds_are_one_batch(how):
    for paint in (lambda seed: turn(PROMPT, OTHER, 2, seed, **how),
                  lambda seed: vary(PICTURE, PROMPT, 0.9, seed, **how),
                  lambda seed: fill(PICTURE, MASK, PROMPT, seed, 2, **how)):
        both = paint([3, 4])
        for i, seed in enumerate((3, 4)):
            torch.testing.assert_close(last(both)[i:i + 1], last(paint(seed)), rtol=1e-3, atol=1e-3)
    assert (vary(PICTURE, PROMPT, 0, [3, 4], **how).pictures == PICTURE).all(axis=(1, 2, 3)).tolist() == [True, True]


def test_a_turn_to_or_from_no_prompt_saves_the_second_pass(how):
    assert turn(PROMPT, "", 1, 3, **how).nfe == 2 + 3 and turn("", PROMPT, 1, 3, **how).nfe == 1 + 6


def test_remarks_are_of_both_prompts(how):
    assert "teal" in turn(PROMPT, "a teal house", 2, **how).remarks[0]
    assert "teal" in between_prompts((PROMPT, "a teal house"), 0, 3, **how).remarks[0]


@pytest.mark.parametrize("guidance", [1, 3])
def test_a_swap_that_keeps_nothing_is_plain_generating(how, guidance):
    how |= {"guidance": guidance}
    same(swap(PROMPT, OTHER, 0, 3, **how), generate([PROMPT, OTHER], [3, 3], **how))


@pytest.mark.parametrize("guidance", [1, 3])
def test_a_swap_against_steps_by_hand(how, model, guidance):
    """Two of four steps of DDIM with the attention taken over, then two without; the first picture stays its own."""
    found = swap(PROMPT, OTHER, 0.5, 3, scheduler="ddim", guidance=guidance, negative_prompt="rain", **how)
    cond, uncond = (type(model.cond([""]))(*part) for part in zip(*(
        part.chunk(2) for part in model.cond([PROMPT, OTHER, "rain", "rain"]))))
    injected = inject(model.denoise, align(PROMPT, OTHER))
    x, schedule = starting_noise([3, 3], model.shape)[0], model.denoise.schedule
    for i, (t, s) in enumerate(pairwise(time_grid(schedule, 4))):
        x0_hat = cfg(injected if i < 2 else model.denoise, cond, uncond, guidance)(x, t)
        x = schedule.alpha(s) * x0_hat + schedule.sigma(s) * (x - schedule.alpha(t) * x0_hat) / schedule.sigma(t)
    torch.testing.assert_close(last(found), x, rtol=1e-3, atol=1e-3)
    plain = generate([PROMPT, OTHER], [3, 3], scheduler="ddim", guidance=guidance, negative_prompt="rain", **how)
    torch.testing.assert_close(last(found)[0], last(plain)[0], rtol=1e-3, atol=1e-3)
    assert (last(found)[1] - last(plain)[1]).abs().max() > 1e-3 and found.nfe == plain.nfe


def test_emphasis_of_one_changes_nothing_and_of_more_does(how):
    plain = last(generate(PROMPT, 3, **how))
    torch.testing.assert_close(last(generate(PROMPT, 3, emphasis={"red": 1}, **how)), plain, rtol=1e-4, atol=1e-4)
    for weight in (0, 5):
        assert (last(generate(PROMPT, 3, emphasis={"red": weight}, **how)) - plain).abs().max() > 1e-3
    loud = generate([PROMPT, OTHER], 3, emphasis={"red": 5}, **how)  # where the word is not, nothing changes
    torch.testing.assert_close(last(loud)[1:], last(generate(OTHER, 3, **how)), rtol=1e-3, atol=1e-3)


def test_emphasis_goes_with_every_intervention(how):
    for paint in (lambda **how: vary(PICTURE, PROMPT, 0.9, **how), lambda **how: fill(PICTURE, MASK, PROMPT, **how),
                  lambda **how: turn(PROMPT, OTHER, 2, **how), lambda **how: turn(OTHER, PROMPT, 2, **how),
                  lambda **how: swap(PROMPT, OTHER, **how), lambda **how: between_seeds(PROMPT, count=3, **how),
                  lambda **how: repaint(invert(PICTURE, steps=3, model=how["model"]), PROMPT, guidance=2, **how),
                  lambda **how: between_prompts((PROMPT, OTHER), count=3, **how)):
        plain, loud = paint(**how), paint(emphasis={"red": 8}, **how)
        assert (last(loud) - last(plain)).abs().max() > 1e-3


# ----------------------------------------------------------------------------------------------------- inversion

def test_inversion_comes_back_the_nearer_the_smaller_its_steps(model):
    errors = []
    for steps in (5, 20, 80):
        there = invert(PICTURE, PROMPT, steps, model=model)
        back = repaint(there)
        assert there.nfe == back.nfe == steps and len(back.trajectory) == steps
        assert there.noise.shape == (1, 4, 16, 16) and all(step.t < step.s for step in there.trajectory)
        errors.append((last(back) - model.encode(PICTURE[None])).square().mean().sqrt().item())
    assert errors[0] > 1.5 * errors[1] > 1.5**2 * errors[2] and errors[2] < 0.05, errors
    loose = invert(PICTURE, PROMPT, 20, 3.0, model)
    assert (last(repaint(loose)) - model.encode(PICTURE[None])).square().mean().sqrt() > errors[1]
    other = repaint(there, OTHER, guidance=2)
    assert other.nfe == 160 and (last(other) - last(back)).abs().max() > 0.01


# ---------------------------------------------------------------------------------------------------------- films

def test_a_film_holds_its_frames(tmp_path):
    frames = [np.full((8, 6, 3), value, np.uint8) for value in (0, 90, 200)]
    for there_and_back, values in ((False, [0, 90, 200]), (True, [0, 90, 200, 90])):
        path = save_film(frames, tmp_path / "new" / "film.gif", 0.2, there_and_back)
        with Image.open(path) as film:
            assert film.n_frames == len(values) and film.info["loop"] == 0 and film.size == (6, 8)
            for i, value in enumerate(values):
                film.seek(i)
                assert film.info["duration"] == 200
                assert np.abs(np.asarray(film.convert("RGB")).astype(int) - value).max() <= 2
    assert [file.name for file in path.parent.iterdir()] == ["film.gif"]


@pytest.mark.parametrize("frames, seconds", [
    ([], 0.1), ([PICTURE.astype(float)], 0.1), ([PICTURE, PICTURE[:8]], 0.1), ([PICTURE[..., 0]], 0.1),
    ([PICTURE], 0), ([PICTURE], math.nan), ([PICTURE], "fast"), ([PICTURE], 1e9)])
def test_a_film_that_cannot_be_is_refused_and_nothing_is_written(tmp_path, frames, seconds):
    with pytest.raises(CourseError):
        save_film(frames, tmp_path / "film.gif", seconds)
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------------------------------------------ bad input

EMPTY = np.zeros((64, 64))


@pytest.mark.parametrize("paint, words", [
    (lambda **how: vary(PICTURE[:32], **how), r"must be an array of uint8, \(64, 64, 3\), .*open_picture\(path, 64\)"),
    (lambda **how: vary(PICTURE.astype(float), **how), "float64"),
    (lambda **how: vary(PICTURE[..., 0], **how), r"uint8, \(64, 64\)"),
    (lambda **how: vary("house.png", **how), "this is str"),
    (lambda **how: vary(np.zeros((3000, 4000, 3), np.uint8), **how), r"\(3000, 4000, 3\)"),
    (lambda **how: vary(PICTURE, strength=2, **how), "strength must be a number from 0 to 1, but it is 2"),
    (lambda **how: vary(PICTURE, strength=math.nan, **how), "strength"),
    (lambda **how: vary(PICTURE, strength="half", **how), "strength"),
    (lambda **how: fill(PICTURE, EMPTY, **how), "mask is empty"),
    (lambda **how: fill(PICTURE, EMPTY[:16], **how), r"mask must be an array of \(64, 64\) numbers"),
    (lambda **how: fill(PICTURE, PICTURE, **how), "mask must be"),
    (lambda **how: fill(PICTURE, None, **how), "mask must be"),
    (lambda **how: fill(PICTURE, EMPTY + 2, **how), "between 0, keep, and 1, paint"),
    (lambda **how: fill(PICTURE, EMPTY + math.nan, **how), "between 0"),
    (lambda **how: fill(PICTURE, MASK, rounds=0, **how), "rounds must be a whole number from 1 to 100, but it is 0"),
    (lambda **how: fill(PICTURE, MASK, rounds=1.5, **how), "rounds"),
    (lambda **how: extend(PICTURE, side="up", **how), "no side 'up': choose from right, left, bottom, top"),
    (lambda **how: extend(PICTURE, by=0, **how), "pixels to add must be a whole number from 1"),
    (lambda **how: extend(PICTURE, by=10**6, **how), "pixels to add"),
    (lambda **how: extend(PICTURE, seed="seven", **how), "The seed must be"),
    (lambda **how: between_seeds([PROMPT, OTHER], **how), "A prompt must be a text"),
    (lambda **how: invert(PICTURE, [PROMPT, OTHER], **how), "A prompt must be a text"),
    (lambda **how: between_seeds(PROMPT, (1,), **how), "two seeds"),
    (lambda **how: between_seeds(PROMPT, 1, **how), "two seeds"),
    (lambda **how: between_seeds(PROMPT, (1, -1), **how), "The seed must be"),
    (lambda **how: between_seeds(PROMPT, count=1, **how), "pictures must be a whole number from 2 to 100"),
    (lambda **how: between_prompts("ab", **how), "two prompts"),
    (lambda **how: between_prompts((PROMPT, 7), **how), "A prompt must be a text"),
    (lambda **how: turn(PROMPT, OTHER, 5, **how), "prompt changes must be a whole number from 0 to 4, but it is 5"),
    (lambda **how: turn(PROMPT, OTHER, -1, **how), "prompt changes"),
    (lambda **how: turn(PROMPT, None, 1, **how), "A prompt must be a text"),
    (lambda **how: swap(PROMPT, OTHER, 1.5, **how), "keep must be a number from 0 to 1"),
    (lambda **how: swap(PROMPT, None, **how), "A prompt must be a text"),
    (lambda **how: generate(PROMPT, emphasis={"green": 2}, **how), "no 'green' to emphasise"),
    (lambda **how: turn(PROMPT, OTHER, 1, emphasis={"green": 2}, **how), "no 'green' to emphasise"),
    (lambda **how: generate(PROMPT, emphasis={"red": -2}, **how), "emphasis of 'red'"),
    (lambda **how: invert(PICTURE[1:], **how), "A picture must be"),
    (lambda **how: invert(PICTURE, guidance=math.nan, **how), "guidance scale"),
    (lambda **how: repaint(invert(PICTURE, **how), 7), "A prompt must be a text"),
])
def test_bad_input_gets_one_sentence(how, paint, words):
    with pytest.raises(CourseError, match=words) as caught:
        paint(**how)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200


def test_pictures_of_all_kinds_are_brought_to_size_or_refused_in_one_sentence(how):
    def file(mode="RGB", size=(90, 70), kind="PNG"):
        stored = io.BytesIO()
        Image.new(mode, size).save(stored, kind)
        return stored

    for stored in (file(), file("L"), file("RGBA"), file("P"), file("CMYK", kind="JPEG"), file("1"),
                   file(size=(4000, 3000), kind="JPEG")):
        assert vary(open_picture(stored, 64), strength=0.9, **how).picture.shape == (64, 64, 3)
    whole = file().getvalue()
    for broken in (whole[:len(whole) // 2], b"", b"no picture"):
        with pytest.raises(CourseError, match="cannot be read as a picture") as caught:
            open_picture(io.BytesIO(broken), 64, "cut.png")
        assert "\n" not in str(caught.value)
