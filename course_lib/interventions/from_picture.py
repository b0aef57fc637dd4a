"""Beginning with a picture: vary it, paint a part of it anew, paint on beyond its edge."""

from dataclasses import replace

import numpy as np

from course_lib.guidance import inpaint
from course_lib.interventions.given import SIZE, check_picture, check_share, latent_mask, read_mask
from course_lib.pipeline import Painting, Result, generate
from course_lib.runtime import MAX_SEED, CourseError, check_whole

MOST_ROUNDS = 100
SIDES = ("right", "left", "bottom", "top")
STRIDE = SIZE // 2  # how far the window moves at most: half of what it shows is known
MOST_BY = 1024


def vary(picture: np.ndarray, prompt: str = "", strength: float = 0.6, seed: int = 0, **how) -> Result:
    """Image to image: noise the picture as far as time `strength`, then paint from there. (SDEdit, Meng et al. 2022.)

    picture: uint8 (64, 64, 3); strength: 0 gives it back as it is, 1 ignores it, in between the painting begins at the
    nearest of the scheduler's times; how: as for `generate`. Raises CourseError for what is out of range.
    """
    check_picture(picture)
    check_share(strength, "The strength")

    def begin(painting: Painting) -> None:
        first = min(range(len(painting.ts)), key=lambda i: abs(painting.ts[i] - strength))
        painting.ts = painting.ts[first:]
        if first:  # at t = 1 there is nothing left of a picture
            painting.z = painting.model.encode(picture[None])

    result = generate(prompt, seed, change=begin, **how)
    return result if result.trajectory else replace(result, pictures=picture[None].repeat(len(result.seeds), axis=0))


def fill(picture: np.ndarray, mask: np.ndarray, prompt: str = "", seed: int = 0, rounds: int = 1, exact: bool = True,
         **how) -> Result:
    """Inpainting: the model paints where the mask is 1, and what it guesses elsewhere is replaced by the picture.

    picture: uint8 (64, 64, 3); mask: bool or 0 to 1, (64, 64); prompt: what the whole picture shows; rounds: 1 to 100,
    how often each step is taken (RePaint, Lugmayr et al. 2022; see `sampling.resample`), 1 is once; exact: the pixels
    that are kept are the picture's own, a mask between 0 and 1 mixes; if False, all pixels come out of the VAE, which
    leaves a softer edge; how: as for `generate`.
    Raises CourseError for a mask that is empty or of another size, and for what is out of range.
    """
    check_picture(picture)
    mask, rounds = read_mask(mask), check_whole(rounds, "The number of rounds", 1, MOST_ROUNDS)

    def keep(painting: Painting) -> None:
        guided, device = painting.steer, painting.model.device
        known, painted = painting.model.encode(picture[None]).to(device), latent_mask(mask).to(device)
        painting.steer = lambda denoise: inpaint(guided(denoise), known, painted)
        painting.rounds = rounds

    result = generate(prompt, seed, change=keep, **how)
    return replace(result, pictures=composite(picture, result.pictures, mask)) if exact else result


def composite(picture: np.ndarray, painted: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """`painted` (N, H, W, 3) where the mask (H, W) is 1, `picture` (H, W, 3) where it is 0, bit for bit, uint8."""
    share = mask[:, :, None]
    return (share * painted + (1 - share) * picture).round().astype(np.uint8)


def extend(picture: np.ndarray, prompt: str = "", side: str = "right", by: int = 32, seed: int = 0, rounds: int = 1,
           **how) -> np.ndarray:
    """Outpainting: a window of 64 x 64 slides beyond the edge, and what is new in it is filled in.

    It moves by 32 pixels at most, so half of it is always known. picture: uint8 (64, 64, 3); side: "right", "left",
    "bottom" or "top"; by: how many pixels to add, 1 to 1024; the window that is i-th has the seed `seed + i`; prompt,
    rounds, how: as for `fill`. -> uint8 (64, 64 + by, 3), or (64 + by, 64, 3). Raises CourseError as `fill` does.
    """
    check_picture(picture)
    if side not in SIDES:
        raise CourseError(f"There is no side '{side}': choose from {', '.join(SIDES)}.")
    by = check_whole(by, "The number of pixels to add", 1, MOST_BY)
    seed = check_whole(seed, "The seed", 0, MAX_SEED - MOST_BY)
    axis, forward = int(side in ("right", "left")), side in ("right", "bottom")
    room = [(0, 0)] * 3
    room[axis] = (0, by) if forward else (by, 0)
    canvas = np.pad(picture, room, mode="edge")  # the encoder looks a little beyond what is known: no hard edge there
    for i, reached in enumerate(range(0, by, STRIDE)):
        new = min(STRIDE, by - reached)
        begin = reached + new if forward else by - reached - new
        window = np.moveaxis(canvas, axis, 0)[begin:begin + SIZE]
        mask = np.zeros((SIZE, SIZE))
        mask[SIZE - new:] = 1
        mask = mask if forward else mask[::-1]
        shown, chosen = np.moveaxis(window, 0, axis), np.moveaxis(mask, 0, axis)
        window[:] = np.moveaxis(fill(shown.copy(), chosen, prompt, seed + i, rounds, **how).picture, axis, 0)
    return canvas
