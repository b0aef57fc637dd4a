"""The compute meter: what denoising costs on pixels, and on latents, counted and timed on this machine."""

import threading
from dataclasses import replace
from typing import Callable, NamedTuple

import anywidget
import torch
import traitlets
from torch import Tensor

from course_lib.bench import WORDS
from course_lib.costs import interleaved, operations
from course_lib.labs.assets import joined
from course_lib.labs.live import Dropped
from course_lib.layers import Cond
from course_lib.pipeline import SIDE
from course_lib.recipes import RECIPES
from course_lib.runtime import random_source
from course_lib.unet import UNet
from course_lib.vae import FACTOR

STEPS = 20  # of a whole picture
GUIDED = 2  # evaluations a step: with the sentence and without, in one batch
ROUNDS = 3  # how often each is timed
NOTE = ("One shape of U-Net for both: {0} × {0} × 3 pixels, {1} × {1} × {2} latents. A guided step asks it twice, "
        "with the sentence and without. Operations are multiplications and additions.")
WAITING = "The milliseconds are being measured."
MEASURED = "Milliseconds: a step's is the middle of three on this machine, a picture's is added up from that."


class Cost(NamedTuple):
    """Of one thing: on pixels; on latents, all told; how much of that is the decoder's."""

    pixels: float
    latents: float
    decoder: float = 0.0


def numbers(channels: int) -> Cost:
    """How many numbers a picture consists of; channels: of the latents."""
    return Cost(3 * (SIDE * FACTOR) ** 2, channels * SIDE**2)


def whole(step: Cost, decoder: float) -> Cost:
    """A whole picture, from one step: on latents the decoder comes once, at the end."""
    return Cost(STEPS * step.pixels, STEPS * step.latents + decoder, decoder)


@torch.no_grad()
def guided_step(channels: int, side: int, device: torch.device) -> Callable[[], Tensor]:
    """One guided step's work for the U-Net, on (channels, side, side): it has the shape of the latents' denoiser.

    Its weights are random, which takes as long as others; they come from a source of their own, because this runs
    beside a learner's cells, whose draws must not depend on it.
    """
    settings, source = replace(RECIPES["latent"].unet, picture=channels), random_source(0)
    with torch.device("meta"):
        network = UNet(settings)
    network = network.to_empty(device="cpu").eval().requires_grad_(False)
    for tensor in (*network.parameters(), *network.buffers()):
        tensor.normal_(std=0.02, generator=source)
    network.to(device)
    x = torch.randn(GUIDED, channels, side, side, generator=source).to(device)
    cond = Cond(torch.randn(GUIDED, WORDS, settings.words, generator=source).to(device),
                torch.ones(GUIDED, WORDS, dtype=torch.bool, device=device),
                torch.randn(GUIDED, settings.pooled, generator=source).to(device))
    return lambda: network(x, torch.full((GUIDED,), 0.5, device=device), cond)


def calls(vae) -> dict[str, Callable[[], Tensor]]:
    """What is counted and timed: "pixels" and "latents", one guided step each, and the "decoder"."""
    device, channels = vae.shift.device, vae.settings.latent
    z = torch.zeros(1, channels, SIDE, SIDE, device=device)
    return {"pixels": guided_step(3, SIDE * FACTOR, device), "latents": guided_step(channels, SIDE, device),
            "decoder": lambda: vae.decode(z)}


@torch.no_grad()  # inference_mode would hide the operations from the counter
def compute(work: dict[str, Callable[[], Tensor]], channels: int = 4) -> dict[str, Cost]:
    """The costs that are the same on every machine: "numbers" of a picture, operations of a "step", of a "picture".

    work: from `calls`; channels: of the latents.
    """
    counts = {name: operations(call) for name, call in work.items()}
    step = Cost(counts["pixels"], counts["latents"])
    return {"numbers": numbers(channels), "step": step, "picture": whole(step, counts["decoder"])}


@torch.inference_mode()
def measure(work: dict[str, Callable[[], Tensor]], check: Callable[[], None] = lambda: None,
            rounds: int = ROUNDS) -> dict[str, Cost]:
    """Milliseconds on this machine, with as many threads as PyTorch has: of a "step_ms", of a "picture_ms".

    check: called before each of the calls, so that it can end the measuring by an exception.
    """
    def timed(call: Callable[[], Tensor]) -> Callable[[], None]:
        def run() -> None:
            check()
            call().cpu()  # a GPU answers before it is done; its numbers come when it is
        return run

    ms = {name: 1000 * seconds
          for name, seconds in interleaved({name: timed(call) for name, call in work.items()}, rounds).items()}
    step = Cost(ms["pixels"], ms["latents"])
    return {"step_ms": step, "picture_ms": whole(step, ms["decoder"])}


HEADS = {"numbers": ("Numbers in a picture", 1, "{:,.0f}"),
         "step": ("Operations of one guided step, thousand millions", 1e9, "{:,.2f}"),
         "picture": (f"Operations of a picture: {STEPS} steps and the decoder", 1e9, "{:,.1f}"),
         "step_ms": ("Milliseconds here, one guided step", 1, "{:,.0f}"),
         "picture_ms": (f"Milliseconds here, a picture: {STEPS} steps and the decoder", 1, "{:,.0f}")}


def rows(costs: dict[str, Cost]) -> list[dict]:
    """What the page draws: for each cost a heading, two numbers in words, and how long the latents' bar is."""
    drawn = []
    for name, cost in costs.items():
        head, unit, form = HEADS[name]
        decoder = f", the decoder {form.format(cost.decoder / unit)} of it" if cost.decoder else ""
        drawn.append({"head": head, "pixels": form.format(cost.pixels / unit),
                      "latents": form.format(cost.latents / unit) + decoder,
                      "share": cost.latents / cost.pixels, "decoder": cost.decoder / cost.pixels,
                      "times": f"{cost.pixels / cost.latents:.0f} × less"})
    return drawn


class Meter(anywidget.AnyWidget):
    """The costs as bars. They are counted and measured once, in a thread that then ends.

    Not by `Live`: that lets one lab compute at a time, and somebody who paints should not wait for a measurement.
    """

    _esm = joined("parts.js", "meter.js")
    _css = joined("parts.css", "meter.css")
    rows = traitlets.List().tag(sync=True)
    note = traitlets.Unicode().tag(sync=True)
    said = traitlets.Unicode(WAITING).tag(sync=True)  # how the measuring goes

    def __init__(self, vae):
        channels = vae.settings.latent
        super().__init__(rows=rows({"numbers": numbers(channels)}), note=NOTE.format(SIDE * FACTOR, SIDE, channels))
        self.closed = False
        self.thread = threading.Thread(target=self._run, args=(vae,), name="course_lib meter")
        self.thread.start()

    def _check(self) -> None:
        """Also when Python is about to end: it waits for this thread, which it could not cut off without a crash."""
        if self.closed or not threading.main_thread().is_alive():
            raise Dropped

    def _run(self, vae) -> None:
        try:
            work = calls(vae)
            self._check()
            counted = compute(work, vae.settings.latent)
            self.rows = rows(counted)
            timed = measure(work, self._check)
            with self.hold_sync():
                self.rows, self.said = rows(counted | timed), MEASURED
        except Dropped:
            pass
        except Exception as error:  # a thread's error would show nowhere
            self.said = f"This could not be measured ({type(error).__name__}: {error}): run the cell again."

    def close(self) -> None:
        self.closed = True
        super().close()
