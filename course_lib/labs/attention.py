"""The attention lab: point at a word of the prompt, and see which places of the picture ask it, at every step."""

import math
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from course_lib.attention import attention_maps
from course_lib.labs.controls import Number, Slider, Text
from course_lib.labs.prompted import PromptLab, check_prompt
from course_lib.labs.trajectory import moment
from course_lib.pipeline import TextToImage, generate, load_text_to_image
from course_lib.runtime import CourseError
from course_lib.tokenizer import read_prompt

PLAIN = "the guess"  # the view without a word
GLOW = np.array([213, 94, 0])  # orange, as in the figures
SMALLEST_RANGE = 1e-6  # below this a word is asked everywhere alike
CURVE_LABEL = "How much of their attention the places give to all words together, step by step."
NOTE = ("The model's guess at each step, in grey; orange where a word is asked, stretched for each step to the word's "
        "own range. The layers see 8 by 8 places or fewer.")


def compute(prompt: str, seed: int = 0, steps: int = 20, guidance: float = 3.0,
            model: TextToImage | None = None) -> dict:
    """For each word of the prompt, where the picture asks it, at every step of a painting.

    Gives the Scrubber's `views`: "the guess", and for each word the guess in grey with orange where the word is asked
    (attention.attention_maps, the mean over heads and layers); `labels`; `curve`, the share of all attention that goes
    to the prompt's words; `remarks`; `maps` (steps, words, h, w), the shares themselves. Raises CourseError without a
    word that the model knows, or for whatever `generate` refuses.
    """
    check_prompt(prompt)
    words = read_prompt(prompt).words
    if not words:
        raise CourseError("There is no word in this prompt that the model was taught: try \"a red house at night\".")
    model = load_text_to_image() if model is None else model
    result = generate(prompt, seed, steps, guidance, model=model)
    cond = model.cond([prompt])
    maps = torch.stack([attention_maps(model.denoise, step.x.to(model.device), step.t, cond)[0, 1:1 + len(words)].cpu()
                        for step in result.trajectory])  # the mark of the start is no word
    guesses = np.concatenate([result.decode(step.x0_hat) for step in result.trajectory])
    views = {PLAIN: guesses} | {name: glow(guesses, maps[:, i]) for i, name in enumerate(numbered(words))}
    shares = maps.mean(dim=(2, 3)).sum(dim=1).tolist()
    return {"views": views, "labels": [moment(i, steps, step.t, result.schedule)
                                       for i, step in enumerate(result.trajectory)],
            "curve": {"label": CURVE_LABEL, "range": (0, math.ceil(10 * max(shares)) / 10),
                      "lines": {"all words": shares}},
            "hover": True, "note": NOTE, "remarks": result.remarks, "maps": maps}


def numbered(words: tuple[str, ...]) -> list[str]:
    """The words, each a name of its own: the second "a" is "a (2)"."""
    seen: dict[str, int] = {}
    names = []
    for word in words:
        seen[word] = seen.get(word, 0) + 1
        names.append(word if seen[word] == 1 else f"{word} ({seen[word]})")
    return names


def glow(pictures: np.ndarray, shares: Tensor) -> np.ndarray:
    """Pictures uint8 (n, H, W, 3) in grey, orange where the shares (n, h, w) are large: each from its least up."""
    low, high = (f(shares, dim=(1, 2), keepdim=True) for f in (torch.amin, torch.amax))
    weight = (shares - low) / (high - low).clamp(min=SMALLEST_RANGE)
    weight = interpolate(weight[:, None], size=pictures.shape[1], mode="bilinear")[:, 0, :, :, None].numpy()
    grey = 90 + 0.6 * pictures.mean(axis=3, keepdims=True)
    return ((1 - weight) * grey + weight * (0.75 * GLOW + 0.25 * grey)).astype(np.uint8)


def attention(prompt: str = "a small red house on the left at night", seed: int = 0, steps: int = 20,
              guidance: float = 3.0, model: TextToImage | None = None) -> PromptLab:
    """Point at the words of a prompt, or step through them by keys; the arguments are those of `compute`."""
    return PromptLab(partial(compute, guidance=guidance), "Where each word of \"{prompt}\" is asked.", model,
                     steps // 2, prompt=Text("Prompt", prompt), seed=Number("Seed", seed, dice=True),
                     steps=Slider("Steps", steps, 2, 50))
