"""Training, as a generator that knows nothing of what it trains: it draws a batch, asks for its loss, takes a step."""

import copy
import json
import math
import signal
import threading
import time
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Iterator, NamedTuple

import torch
from torch import Tensor, nn

from course_lib import parallel
from course_lib.optimizers import Muon
from course_lib.runtime import CourseError, load_pieces, save_pieces


class Progress(NamedTuple):
    """One step done: its number, its loss, pictures a second lately, the share of the training that is behind us, and
    the share of the time since it was (re)started that the network was kept waiting for its pictures."""

    step: int
    loss: float
    pictures_per_second: float
    done: float
    waited: float = 0.0


@dataclass
class Trainee:
    """A model in training: the network, the running average of its weights (EMA), the optimizer, and how far it got."""

    network: nn.Module
    lr: float = 1e-3
    seed: int = 0
    step: int = 0
    pictures: int = 0
    seconds: float = 0.0
    average: nn.Module = field(init=False)
    optimizer: torch.optim.Optimizer = field(init=False)

    def __post_init__(self):
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.optimizer = Muon(self.network, lr=self.lr)

    def save(self, path: Path, settings: dict) -> None:
        """Everything needed to go on as if never stopped, written whole or not at all. (runtime.save_pieces)"""
        tensors = {f"network.{key}": value for key, value in self.network.state_dict().items()}
        tensors |= {f"average.{key}": value for key, value in self.average.state_dict().items()}
        for name, parameter in self.network.named_parameters():
            tensors |= {f"optimizer.{name}.{key}": value for key, value in self.optimizer.state[parameter].items()}
        counts = {"seed": self.seed, "step": self.step, "pictures": self.pictures, "seconds": self.seconds}
        save_pieces(path, tensors, settings | {"training": counts})

    def load(self, path: Path, settings: dict) -> None:
        """Go on from what `save` wrote. Raises CourseError if the file is damaged or was made with other settings."""
        tensors, saved = load_pieces(path)
        counts = saved.pop("training", None)
        if counts is None or saved != json.loads(json.dumps(settings)):  # in a file, tuples have become lists
            raise CourseError(f"{path} was trained with other settings: train without --resume to start anew.")

        def part(name: str) -> dict[str, Tensor]:
            return {key.removeprefix(name + "."): value for key, value in tensors.items() if key.startswith(name + ".")}

        try:
            self.network.load_state_dict(part("network"))
            self.average.load_state_dict(part("average"))
        except RuntimeError:
            raise CourseError(f"{path} does not fit this network: train without --resume to start anew.") from None
        for name, parameter in self.network.named_parameters():
            state = part(f"optimizer.{name}")
            self.optimizer.state[parameter] = {
                key: value if key == "step" else torch.empty_like(parameter).copy_(value)  # in the weights' own layout
                for key, value in state.items()}
        self.seed, self.step = counts["seed"], counts["step"]
        self.pictures, self.seconds = counts["pictures"], counts["seconds"]


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Hold Ctrl-C back until what stands under this is whole.

    Only Python's main thread may do this; elsewhere an interrupt comes as it comes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed = []
    before = signal.signal(signal.SIGINT, lambda *_: pressed.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        signal.raise_signal(signal.SIGINT)  # to whoever would have had it


def learning_rate(done: float, step: int, warm_up: int = 100) -> float:
    """A factor from 0 to 1: up over the first steps, level, and down to 0 over the last third as a cosine."""
    rise = min(1.0, (step + 1) / warm_up)
    fall = 0.5 + 0.5 * math.cos(math.pi * max(0.0, (min(done, 1.0) - 2 / 3) * 3))
    return rise * fall


def fit(trainee: Trainee, loss: Callable[[nn.Module, int, torch.Generator], tuple[Tensor, int]], *,
        steps: int | None = None, minutes: float | None = None, ema: float = 0.999, clip: float = 1.0,
        save: Callable[[], None] | None = None, save_every: float = 60.0) -> Iterator[Progress]:
    """Train, yielding after every step, until `steps` steps or `minutes` minutes are behind the trainee in all.

    loss(network, step, source) -> (the loss of a fresh batch, its number of pictures). All chance in it must come
    from `source`, which depends on the trainee's seed and the step alone; so a run that stops and resumes ends in
    exactly the state of one that never stopped, as long as its length is given in steps.
    ema: how slowly the average follows, from 0 to 1; clip: the largest norm of a gradient. `save` is called every
    `save_every` seconds and at the end, however it comes: done, Ctrl-C, or the caller's break.
    On CUDA the forward pass runs in bfloat16. Where several processes train together (parallel.py), `loss` is that of
    this one's share of the batch, and the clock is the mean of theirs.
    """
    if (steps is None) == (minutes is None) or not (minutes if steps is None else steps) > 0:
        raise CourseError("Say how long to train: either steps or minutes, more than 0.")
    device = next(trainee.network.parameters()).device
    cast = torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()
    parameters = list(trainee.network.parameters())
    pairs = [list(trainee.average.state_dict().values()), list(trainee.network.state_dict().values())]
    saved_at = clock = time.monotonic()
    rate = 0.0
    trainee.network.train()

    def done() -> float:
        return trainee.step / steps if steps is not None else trainee.seconds / (60 * minutes)

    try:
        while done() < 1:
            source = torch.Generator().manual_seed(trainee.seed * 1_000_003 + trainee.step)
            for group in trainee.optimizer.param_groups:
                group["lr"] = trainee.lr * learning_rate(done(), trainee.step)
            with cast:
                value, count = loss(trainee.network, trainee.step, source)
            [mean] = parallel.mean_of_all(device, value.item())
            if not math.isfinite(mean):
                save = None  # the last state on disk is better than this one
                raise CourseError(f"The loss at step {trainee.step} is {mean}, the training has broken "
                                  "down: go on from the last save by --resume, or start anew with a smaller lr.")
            trainee.optimizer.zero_grad()
            value.backward()
            parallel.average_gradients(parameters)
            with _undisturbed():
                nn.utils.clip_grad_norm_(parameters, clip)
                trainee.optimizer.step()
                follow = min(ema, (1 + trainee.step) / (10 + trainee.step))  # young averages forget faster
                with torch.no_grad():
                    torch._foreach_lerp_(*pairs, 1 - follow)
                [took] = parallel.mean_of_all(device, time.monotonic() - clock)  # one clock for all
                trainee.step, trainee.pictures = trainee.step + 1, trainee.pictures + count
                trainee.seconds += took
            rate = count / took if not rate else 0.95 * rate + 0.05 * count / took
            if save and time.monotonic() - saved_at > save_every:
                save()
                saved_at = time.monotonic()
            yield Progress(trainee.step, mean, rate, min(done(), 1.0))
            clock = time.monotonic()  # what the caller did meanwhile was not training
    finally:
        trainee.network.eval()
        if save:
            with _undisturbed():
                save()
