"""Between two pictures: a row of them from one starting noise to another, or from one prompt to another."""

from dataclasses import replace
from typing import Sequence

import numpy as np
import torch

from course_lib.editing import blend
from course_lib.pipeline import Painting, Result, check_text, generate
from course_lib.runtime import CourseError, check_whole, starting_noise
from course_lib.sampling import Step, slerp

MOST = 100  # pictures of a row


def between_seeds(prompt: str = "", seeds: Sequence[int] = (0, 1), count: int = 9, **how) -> Result:
    """One prompt, from one seed's picture to another's: the starting noises in between lie on an arc (`slerp`).

    seeds: two; count: 2 to 100 pictures, of which the first and the last are those of `generate`; how: as for
    `generate`. Raises CourseError for what is out of range.
    """
    a, b = _two(seeds, "seeds")

    def between(painting: Painting, shares: np.ndarray) -> None:
        noise = starting_noise([a, b], painting.model.shape)[0]
        painting.noise = torch.stack([slerp(*noise, share) for share in shares])

    return _row((prompt, prompt), (a, b), count, between, how)


def between_prompts(prompts: Sequence[str] = ("", ""), seed: int = 0, count: int = 9, **how) -> Result:
    """One seed, from one prompt's picture to another's: in between, the words' states are mixed (`editing.blend`).

    prompts: two; count, how: as for `between_seeds`. Raises CourseError for what is out of range.
    """
    a, b = _two(prompts, "prompts")
    def between(painting: Painting, shares: np.ndarray) -> None:
        *ends, uncond = painting.conds([a] * len(shares), [b] * len(shares))
        cond = blend(*ends, torch.tensor(shares, dtype=torch.float32, device=painting.model.device))
        painting.steer = painting.towards(cond, uncond)

    return _row((a, b), (seed, seed), count, between, how)


def _two(values: Sequence, name: str) -> tuple:
    if not isinstance(values, (list, tuple)) or len(values) != 2:
        raise CourseError(f"Give two {name} to go between, as a pair, but this is {values!r}.")
    return tuple(values)


def _row(prompts: tuple[str, str], seeds: tuple[int, int], count: int, between, how: dict) -> Result:
    """The ends, each painted alone, as `generate` paints it: in company it might round otherwise. Then the rest."""
    for prompt in prompts:
        check_text(prompt, "A prompt")
    count = check_whole(count, "The number of pictures", 2, MOST)
    shares = np.linspace(0, 1, count)
    # Both prompts count as read at either end: a word to emphasise may stand in one of them alone.
    first, last = (generate(prompt, seed, change=lambda painting: painting.texts.extend(prompts), **how)
                   for prompt, seed in zip(prompts, seeds))
    if count == 2:
        return join([first, last])
    halves = [int(share > 0.5) for share in shares[1:-1]]
    middle = generate([prompts[half] for half in halves], [seeds[half] for half in halves],
                      change=lambda painting: between(painting, shares[1:-1]), **how)
    return join([first, middle, last])


def join(results: Sequence[Result]) -> Result:
    """Several results of the same steps as one; nfe is the most that one of their pictures needed."""
    trajectory = [Step(steps[0].t, steps[0].s, *(torch.cat([step[i] for step in steps]) for i in (2, 3, 4)))
                  for steps in zip(*(result.trajectory for result in results))]
    said = [sentence for result in results for sentence in result.remarks]
    return replace(results[0], pictures=np.concatenate([result.pictures for result in results]), trajectory=trajectory,
                   prompts=[text for result in results for text in result.prompts],
                   seeds=[seed for result in results for seed in result.seeds],
                   nfe=max(result.nfe for result in results), seconds=sum(result.seconds for result in results),
                   remarks=list(dict.fromkeys(said)))
