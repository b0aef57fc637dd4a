"""From a weight file to a network that is ready to use."""

from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from course_lib.denoiser import Denoiser
from course_lib.oracle import Oracle, OracleSettings
from course_lib.runtime import load_tensors, load_weights
from course_lib.schedulers import find_schedule
from course_lib.text import SharedSpace, TextSettings
from course_lib.unet import UNet, UNetSettings
from course_lib.vae import VAE, VAESettings

Network = TypeVar("Network", bound=nn.Module)


def weights_for(name: str, folder: Path | None = None) -> tuple[dict[str, Tensor], dict]:
    """The weights `name` as (tensors, settings): from `folder`, where you trained them, if they are there; else the
    shipped ones."""
    own = Path(folder) / f"{name}.safetensors" if folder is not None else None
    return load_tensors(own) if own is not None and own.is_file() else load_weights(name)


def _ready(network: Network, tensors: dict[str, Tensor], device: torch.device) -> Network:
    network.load_state_dict({key: value.float() for key, value in tensors.items()})
    return network.to(device).eval().requires_grad_(False)


def _settings(kind: type, saved: dict):
    """In a file, tuples have become lists."""
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in saved.items()})


def denoiser_from(tensors: dict[str, Tensor], settings: dict, device: torch.device) -> Denoiser:
    """The denoiser whose weights and settings a file held, in float32."""
    network = _ready(UNet(_settings(UNetSettings, settings["unet"])), tensors, device)
    return Denoiser(network, find_schedule(settings["schedule"]), settings["prediction"])


def vae_from(tensors: dict[str, Tensor], settings: dict, device: torch.device) -> VAE:
    """The VAE whose weights and settings a file held, in float32."""
    return _ready(VAE(_settings(VAESettings, settings["vae"])), tensors, device)


def text_from(tensors: dict[str, Tensor], settings: dict, device: torch.device) -> SharedSpace:
    """The text and picture encoders whose weights and settings a file held, in float32."""
    return _ready(SharedSpace(_settings(TextSettings, settings["text"])), tensors, device)


def oracle_from(tensors: dict[str, Tensor], settings: dict, device: torch.device) -> Oracle:
    """The oracle whose weights and settings a file held, in float32."""
    return _ready(Oracle(_settings(OracleSettings, settings["oracle"])), tensors, device)
