"""Back to the noise: which starting noise would have become this picture?"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from course_lib.interventions.given import check_picture
from course_lib.pipeline import Painting, Result, TextToImage, check_text, generate
from course_lib.sampling import Step
from course_lib.schedulers import RATIO_MIN


@dataclass(frozen=True)
class Inversion:
    """noise: unit noise (1, C, h, w), from which `repaint` starts; trajectory: every step on the way up, t < s.

    picture, prompt, guidance, model: what was inverted, and how. nfe, seconds, remarks: as in `Result`.
    """

    noise: Tensor
    trajectory: list[Step]
    picture: np.ndarray
    prompt: str
    guidance: float
    model: TextToImage | None
    device: str
    nfe: int
    seconds: float
    remarks: list[str]


def invert(picture: np.ndarray, prompt: str = "", steps: int = 50, guidance: float = 1.0,
           model: TextToImage | None = None, device: str = "cpu") -> Inversion:
    """DDIM backwards, from the picture up to noise. (Song et al. 2021, section 4.3; Mokady et al. 2023, section 3.1.)

    Each step takes the noise that the model sees at the time it comes from for that at the time it goes to, so the
    error falls with more steps; guidance beyond 1 makes it larger. picture: uint8 (64, 64, 3); prompt: what it shows.
    The options are those of `generate`, and so are the errors raised.
    """
    check_picture(picture)
    check_text(prompt, "A prompt")

    def climb(painting: Painting) -> None:
        nearly_clean = painting.model.denoise.schedule.t_of_lam(-np.log(RATIO_MIN))  # at t = 0 no noise is to be seen
        painting.ts = [min(nearly_clean, painting.ts[-2] / 2), *reversed(painting.ts[:-1])]
        painting.z, painting.noise = painting.model.encode(picture[None]), torch.zeros_like(painting.noise)

    result = generate(prompt, 0, steps, guidance, "ddim", model=model, device=device, change=climb)
    last = result.trajectory[-1]
    return Inversion(last.x_next / result.schedule.sigma(last.s), result.trajectory, picture, prompt, guidance, model,
                     device, result.nfe, result.seconds, result.remarks)


def repaint(inversion: Inversion, prompt: str | None = None, **how) -> Result:
    """Paint from the noise that was found. The same prompt, guidance and steps give the picture back, nearly.

    prompt: another one edits the picture; None for the one it was inverted with. how: as for `generate`, but unless
    told otherwise, as the inversion went: "ddim" with its steps, guidance and model.
    """
    def begin(painting: Painting) -> None:
        painting.noise = inversion.noise

    as_before = {"steps": len(inversion.trajectory), "scheduler": "ddim", "guidance": inversion.guidance,
                 "model": inversion.model, "device": inversion.device}
    return generate(inversion.prompt if prompt is None else prompt, change=begin, **as_before | how)
