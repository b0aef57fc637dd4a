"""The latent lab: paint on a picture's latents and see what the VAE's decoder makes of it; what working small saves."""

import io
from typing import Callable, NamedTuple

import numpy as np
import torch
from torch import Tensor

from course_lib.evaluation import psnr
from course_lib.labs.brush import Brush, check_place, in_colours, stroke
from course_lib.labs.face import Face
from course_lib.labs.live import Live
from course_lib.labs.meter import Meter
from course_lib.labs.noise import SCENE
from course_lib.labs.upload import Upload
from course_lib.picturebook import render
from course_lib.pictures import open_picture, to_tensor, to_uint8
from course_lib.plots import Figure, pictures
from course_lib.runtime import CourseError, check_whole
from course_lib.vae import FACTOR

SIZE = 64
GAIN = 4  # changes of the picture are shown this many times larger, on mid-grey
VISIBLE = 0.05  # a pixel has changed to the eye if one of its colours has by this much (pictures span 2)
UNTOUCHED = "Nothing is painted: the latents as they are, decoded."


class Opened(NamedTuple):
    """A picture (3, H, W) in [-1, 1], its latents (C, H / 4, W / 4), and what is decoded from them, (3, H, W)."""

    x: Tensor
    z: Tensor
    x_hat: Tensor

    @property
    def note(self) -> str:
        """How much the squeeze alone has cost."""
        quality = psnr(to_uint8(self.x[None]), to_uint8(self.x_hat[None]))[0]
        return f"With nothing painted the VAE gives the picture back with a PSNR of {quality:.1f} dB."


@torch.inference_mode()
def open_latents(vae, picture: Tensor) -> Opened:
    """Squeeze a picture (3, H, W) in [-1, 1]. Raises CourseError if it is none, or its sides do not divide by 4."""
    if not isinstance(picture, Tensor) or picture.ndim != 3 or not picture.is_floating_point():
        raise CourseError("Give the lab one picture, a float tensor (3, H, W) in [-1, 1], such as x[0] of pages x.")
    z = vae.encode(picture[None].to(vae.shift.device))
    return Opened(picture.cpu(), z[0].cpu(), vae.decode(z)[0].cpu().clamp(-1, 1))


@torch.inference_mode()
def compute(vae, opened: Opened, push: Tensor) -> dict:
    """What becomes of the picture when `push` (C, h, w), as from `stroke`, is added to its latents.

    vae: its decode(z) takes latents of unit variance. Gives `picture` and `changed` (what differs from the picture with
    nothing painted, four times magnified, mid-grey is none), uint8 (H, W, 3), and `words` on how much it is. Raises
    CourseError if the push does not fit the latents.
    """
    if push.shape != opened.z.shape:
        raise CourseError(f"These latents have the shape {tuple(opened.z.shape)}, but what is added to them has "
                          f"{tuple(push.shape)}: make it with stroke(z.shape, ...).")
    if not push.any():
        x_hat, words = opened.x_hat, UNTOUCHED
    else:
        x_hat = vae.decode((opened.z + push)[None].to(vae.shift.device))[0].cpu().clamp(-1, 1)
        words = in_words(x_hat - opened.x_hat)
    picture, changed = to_uint8(torch.stack([x_hat, GAIN * (x_hat - opened.x_hat)]))
    return {"picture": picture, "changed": changed, "words": words}


def in_words(change: Tensor) -> str:
    """How much of a picture has changed, from the difference (3, H, W)."""
    seen = (change.abs().amax(dim=0) >= VISIBLE).float().mean().item()
    return f"{seen:.1%} of the pixels change visibly; the mean change is {change.abs().mean():.3f} of 2."


class LatentLab(Face):
    """The face: a button for a picture of one's own, the brush, the meter. `z` are the latents as they are painted."""

    def __init__(self, vae, picture: Tensor, channel: int, place: tuple[int, int] | None):
        self.vae, opened = vae, open_latents(vae, picture)
        channels, rows, columns = opened.z.shape
        self.channel = check_whole(channel, "The channel", 0, channels - 1)
        self.place = check_place((rows // 2, columns // 2) if place is None else place, rows, columns)
        self.live = Live(self.answer, self._done, self._failed, lambda busy: None)
        self.brush = Brush(self._paint)
        self._open(opened)
        self.meter = Meter(vae)
        super().__init__(Upload(self.take), self.brush, self.meter)

    @property
    def z(self) -> Tensor:
        """The latents with all that is painted on them, (1, C, h, w)."""
        return (self.opened.z + self.push)[None]

    def _open(self, opened: Opened) -> None:
        self.live.close()  # nobody waits for the old picture any more
        self.opened, self.push = opened, torch.zeros_like(opened.z)
        with self.brush.hold_sync():
            self.brush.begin(opened.z, to_uint8(opened.x[None])[0], self.channel, self.place, opened.note)
            self.brush.show(**compute(self.vae, opened, self.push), push=self.push)

    def take(self, name: str, file: bytes) -> None:
        """Go on with another picture, from its file."""
        height, width = self.opened.x.shape[1:]
        if height != width:
            raise CourseError("This lab was opened with a picture that is not square: open it anew to bring your own.")
        self._open(open_latents(self.vae, to_tensor(open_picture(io.BytesIO(file), height, name)[None])[0]))

    def _paint(self, push: Tensor) -> None:
        """Have the latents with `push` (C, h, w) added decoded and shown; the latest request wins."""
        self.push = push
        self.live.ask((self.opened, push))

    def answer(self, request: tuple[Opened, Tensor], check: Callable[[], None]) -> tuple[Opened, dict]:
        opened, push = request
        return opened, compute(self.vae, opened, push) | {"push": push}

    def _done(self, result: tuple[Opened, dict]) -> None:
        opened, shown = result
        if opened is self.opened:
            self.brush.show(**shown)

    def _failed(self, sentence: str) -> None:
        self.brush.message = sentence

    @property
    def figure(self) -> Figure:
        """A picture, its channels, a stroke on one of them, and what becomes of the picture."""
        row, column = self.place
        columns = self.opened.z.shape[2]
        path = [(row, max(0, column - 2)), (row, min(columns - 1, column + 2))]
        push = stroke(self.opened.z.shape, self.channel, path, 3.0)
        after = compute(self.vae, self.opened, push)
        maps = [*self.opened.z, (self.opened.z + push)[self.channel]]
        maps = [in_colours(channel.numpy()).repeat(FACTOR, axis=0).repeat(FACTOR, axis=1) for channel in maps]
        page, given_back = to_uint8(torch.stack([self.opened.x, self.opened.x_hat]))
        names = [f"channel {i}" for i in range(len(self.opened.z))]
        return pictures([page, *maps[:-1], given_back, maps[-1], after["picture"], after["changed"]], (
            f"A page and the channels of its latent, small maps of blue (below 0) and orange (above). Below, the page "
            f"given back; channel {self.channel} with a stroke of five numbers, each pushed up by 3; the page that is "
            f"decoded then, with a coloured streak at that place; and what changed: next to nothing elsewhere."),
            titles=["the page", *names, "given back", f"a stroke of +3 on channel {self.channel}", "decoded then",
                    f"what changed, {GAIN} times"], columns=1 + len(names))

    def close(self) -> None:
        self.live.close()
        super().close()

    def __repr__(self) -> str:
        return f"LatentLab({int((self.push != 0).sum())} of {self.push.numel():,} latents painted)"


def latent(vae, picture: Tensor | None = None, channel: int = 0, place: tuple[int, int] | None = None) -> LatentLab:
    """Paint on the latents of a picture, and see at once what the decoder makes of it. Below, what working small saves.

    vae: encode(x) -> z (N, C, H / 4, W / 4), of unit variance, and decode(z) -> x. picture: (3, H, W) in [-1, 1], None
    for a page of the picture book; channel, place: the channel that is chosen and the (row, column) on which the
    keyboard's brush stands at first, None for the middle. Raises CourseError if one of these is not there.
    """
    if picture is None:
        picture = to_tensor(np.array(render(SCENE, SIZE))[None])[0]
    return LatentLab(vae, picture, channel, place)
