"""Interventions with the shipped weights: they do what they are for, as the oracle reads it."""

import numpy as np
import pytest
import torch

from course_lib.evaluation import read
from course_lib.interventions import fill, invert, repaint, swap
from course_lib.models import oracle_from
from course_lib.picturebook import COLOURS, main_caption, random_scene, render
from course_lib.picturebook.labels import FIRST, OF_A_THING, WIDTH
from course_lib.pipeline import generate, load_text_to_image
from course_lib.runtime import load_weights

pytestmark = pytest.mark.usefixtures("one_thread")
COLOUR = FIRST + list(OF_A_THING).index("colour")


@pytest.fixture(scope="module")
def oracle():
    return oracle_from(*load_weights("oracle"), torch.device("cpu"))


def test_inversion_finds_the_noise_the_better_the_smaller_its_steps():
    scene = random_scene(5)
    picture, prompt = render(scene), main_caption(scene)
    z = load_text_to_image().encode(picture[None])
    errors = []
    for steps, guidance in ((10, 1.0), (40, 1.0), (10, 3.0)):
        back = repaint(invert(picture, prompt, steps, guidance))
        errors.append((back.trajectory[-1].x_next - z).square().mean().sqrt().item())
    coarse, fine, guided = errors
    assert fine < 0.1 and fine < coarse / 2 and guided > coarse, errors  # latents have a spread of 1


def test_a_swap_keeps_more_of_the_picture_and_obeys_the_new_word(oracle):
    pairs = [(f"a {old} {kind}", f"a {new} {kind}") for old, new, kind in (
        ("red", "blue", "house"), ("green", "red", "car"), ("blue", "yellow", "castle"), ("yellow", "purple", "car"))]
    apart, obeyed = {}, {}
    for keep in (0, None):
        how = {} if keep is None else {"keep": keep}
        made = np.stack([swap(*pair, seed=10 + i, steps=12, **how).pictures for i, pair in enumerate(pairs)])
        apart[keep] = np.abs(made[:, 0].astype(float) - made[:, 1]).mean()
        found = read(oracle, made[:, 1]).scenes[:, COLOUR]
        obeyed[keep] = np.mean([COLOURS[colour] == pair[1].split()[1] for colour, pair in zip(found, pairs)])
    assert apart[None] < 0.8 * apart[0] and obeyed[None] >= 0.75, (apart, obeyed)


def test_what_is_filled_in_is_what_the_prompt_says(oracle):
    mask = np.zeros((64, 64), bool)
    mask[16:, 40:] = True
    page = generate("a small red house on the left by day", 1, steps=12).picture
    cars = [fill(page, mask, f"a small red house on the left and a large {colour} car on the right by day", seed,
                  steps=12).picture for seed, colour in enumerate(("blue", "green", "yellow", "purple"))]
    there = read(oracle, np.stack(cars)).things
    assert (there == 2).sum() >= 3 and all((car[~mask] == page[~mask]).all() for car in cars)


def test_a_word_that_counts_for_more_is_obeyed_more(oracle):
    """The second colour of two, which the model is apt to confuse: out of sight, and loud."""
    prompts = [f"a {COLOURS[i]} house on the left and a {COLOURS[i - 3]} car on the right" for i in range(8)]
    right = {}
    for weight in (0, 20):
        pictures = np.concatenate([generate(prompt, i, steps=10, emphasis={COLOURS[i - 3]: weight}).pictures
                                   for i, prompt in enumerate(prompts)])
        scenes = read(oracle, pictures).scenes
        second = scenes[:, COLOUR + WIDTH]
        right[weight] = np.mean([colour == COLOURS.index(COLOURS[i - 3]) for i, colour in enumerate(second)])
    assert right[20] > right[0] + 0.2, right
