"""The latent lab: poke a page's latents, at one place or everywhere, and see what the VAE's decoder makes of it."""

import io
from typing import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from course_lib.labs.controls import Number, Slider, Toggle
from course_lib.labs.face import LiveFace
from course_lib.labs.noise import SCENE
from course_lib.labs.scrubber import Scrubber
from course_lib.labs.upload import Upload
from course_lib.picturebook import render
from course_lib.pictures import open_picture, to_tensor, to_uint8
from course_lib.plots import Figure
from course_lib.runtime import CourseError, check_whole
from course_lib.vae import FACTOR

MIDDLE = 10  # the frame where nothing is added; as many lie on either side
LIMIT = 4.0  # in standard deviations of a latent
LATENT_RANGE = 3.0  # latents are shown as grey from -3 to 3 standard deviations
GAIN = 4  # small changes of the picture are shown this many times larger, on mid-grey
SIZE = 64
TITLE = "Strength added to the latents"
ALT = "A page decoded from its latents, one of which is pushed down or up with the slider."


def on_grid(place: tuple[int, int] | None, rows: int, columns: int) -> Tensor:
    """(rows, columns) of zeros, with a one at the place; or all ones, if it is None."""
    if place is None:
        return torch.ones(rows, columns)
    if not isinstance(place, (tuple, list)) or len(place) != 2:
        raise CourseError(f"A place is (row, column), such as (8, 8), or None for all places, but it is {place!r}.")
    grid = torch.zeros(rows, columns)
    grid[check_whole(place[0], "The row", 0, rows - 1), check_whole(place[1], "The column", 0, columns - 1)] = 1
    return grid


def compute(vae, picture: Tensor, channel: int = 0, place: tuple[int, int] | None = (8, 8)) -> dict:
    """The picture as 21 strengths from -4 to 4 are added to a latent channel, at one place or everywhere.

    vae: encode(x) -> z (N, C, H / 4, W / 4), of unit variance, and decode(z) -> x. picture: (3, H, W) in [-1, 1];
    channel: 0 to C - 1; place: (row, column) on the latents' grid, or None for all places. Gives the Scrubber's
    `views` ("picture", "what changed": mid-grey is no change; "latent channel": mid-grey is 0) and `labels`, which
    carry the mean change over the page (pictures span 2, from -1 to 1). Raises CourseError if the place or the
    channel is not there.
    """
    if not isinstance(picture, Tensor) or picture.ndim != 3 or not picture.is_floating_point():
        raise CourseError("Give the lab one picture, a float tensor (3, H, W) in [-1, 1], such as x[0] of pages x.")
    where = next(vae.parameters()).device
    strengths = torch.arange(-MIDDLE, MIDDLE + 1) * (LIMIT / MIDDLE)  # the one in the middle is exactly 0
    with torch.inference_mode():
        z = vae.encode(picture[None].to(where))
        push = torch.zeros_like(z[0])
        push[check_whole(channel, "The channel", 0, len(push) - 1)] = on_grid(place, *push.shape[1:]).to(where)
        poked = z + strengths.to(where).reshape(-1, 1, 1, 1) * push
        x = vae.decode(poked).cpu()
    change = x - x[MIDDLE]
    shown = F.interpolate(poked[:, channel:channel + 1].cpu() / LATENT_RANGE, size=x.shape[2:], mode="nearest")
    views = {"picture": x, "what changed": GAIN * change, "latent channel": shown}
    labels = [f"{strength:+.1f} · the page changes by {size:.3f}".replace("-", "−")
              for strength, size in zip(strengths.tolist(), change.abs().mean(dim=(1, 2, 3)).tolist())]
    return {"views": {name: np.ascontiguousarray(to_uint8(view)) for name, view in views.items()}, "labels": labels}


class LatentLab(LiveFace):
    """The face: which channel, which place, a picture of one's own, and the scrubber, whose slider is the strength."""

    def __init__(self, vae, picture: Tensor, channel: int, place: tuple[int, int] | None):
        self.vae, self.picture = vae, picture
        self.scrubber = Scrubber(**compute(vae, picture, channel, place), alt=ALT, start=2 * MIDDLE, title=TITLE)
        rows, columns = (side // FACTOR for side in picture.shape[1:])
        row, column = place or (rows // 2, columns // 2)
        super().__init__(self.scrubber, beside=Upload(self.take),
                         channel=Number("Channel", channel, 0, vae.settings.latent - 1),
                         row=Slider("Row", row, 0, rows - 1), column=Slider("Column", column, 0, columns - 1),
                         everywhere=Toggle("The whole channel", place is None))

    @property
    def figure(self) -> Figure:
        return self.scrubber.strip

    def take(self, name: str, file: bytes) -> None:
        """Go on with another picture, from its file."""
        height, width = self.picture.shape[1:]
        if height != width:
            raise CourseError("This lab was opened with a picture that is not square: open it anew to bring your own.")
        self.picture = to_tensor(open_picture(io.BytesIO(file), height, name)[None])[0]
        self.ask(self.controls.values)

    def answer(self, values: dict, check: Callable[[], None]) -> dict:
        place = None if values["everywhere"] else (values["row"], values["column"])
        return compute(self.vae, self.picture, values["channel"], place)

    def show(self, result: dict) -> str:
        self.scrubber.show(**result, alt=ALT, title=TITLE)
        return ""

    def __repr__(self) -> str:
        return f"LatentLab({self.controls.values})"


def latent(vae, picture: Tensor | None = None, channel: int = 0, place: tuple[int, int] | None = (8, 8)) -> LatentLab:
    """Poke the latents of a picture: drag to push one channel down or up, at one place or (place=None) everywhere.

    picture: (3, H, W) in [-1, 1], None for a page of the picture book; the other arguments are those of `compute`.
    """
    if picture is None:
        picture = to_tensor(np.array(render(SCENE, SIZE))[None])[0]
    return LatentLab(vae, picture, channel, place)
