"""What every recipe has. Each is a frozen dataclass, so that `dataclasses.replace` makes a smaller one for a test."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch
from torch import nn

from course_lib.recipes.ahead import Ahead

@dataclass(frozen=True)
class Recipe:
    """name: of the model and its files; pages: how many pictures it learns from; batch: at a step; lr: the largest
    learning rate; ema: how slowly the averaged weights follow. The figures are for a CPU; on_gpu: those that
    a CUDA GPU has in their place."""

    name: str = ""
    pages: int = 100_000
    batch: int = 32
    lr: float = 2e-3
    ema: float = 0.999
    on_gpu: ClassVar[dict] = {}

    def on(self, device: torch.device) -> Self:
        """This recipe with the batch and the number of pages that suit a device."""
        return replace(self, **self.on_gpu) if device.type == "cuda" else self

    def settings(self) -> dict:
        """What must be known to use the weights, as JSON."""
        raise NotImplementedError

    def built_on(self, folder: Path) -> dict[str, str]:
        """The fingerprints of the weights of other models on which this training builds: of use with those alone."""
        return {}

    def network(self) -> nn.Module:
        """A network to train."""
        raise NotImplementedError

    def begin(self, network: nn.Module, folder: Path) -> None:
        """Give a new network what it begins with besides chance; not called where a run goes on."""

    def learning(self, folder: Path, device: torch.device) -> AbstractContextManager[Ahead]:
        """Open the data, its cache in `folder`, and give the loss that `fit` asks for; closes it all at the end.

        Where several processes train together, it is the loss of this one's share of the batch.
        """
        raise NotImplementedError

    def settle(self, network: nn.Module) -> None:
        """Measure what belongs to the weights but is not learned by descent; before every save."""

    def sheet(self, network: nn.Module, folder: Path) -> np.ndarray | None:
        """A picture (H, W, 3) of how far it is, always of the same things; None if there is nothing to see."""
        return None
