"""Small models with random weights everywhere: no page of the picture book comes out of them, but every rule holds."""

import torch
from torch import nn

from course_lib.denoiser import Denoiser
from course_lib.pipeline import TextToImage
from course_lib.schedulers import find_schedule
from course_lib.text import SharedSpace, TextSettings
from course_lib.unet import UNet, UNetSettings
from course_lib.vae import VAE, VAESettings

TEXT = TextSettings(width=32, depth=1, heads=2, shared=16, picture=(8, 8, 16))
UNET = UNetSettings(picture=4, channels=(32,), attention=(True,), words=32, pooled=32)
AUTOENCODER = VAESettings(encoder=16, decoder=(16, 16), blocks=1)


def random_weights(network: nn.Module, seed: int = 0) -> nn.Module:
    """Every parameter drawn anew from `seed`, those too that training would start at zero; ready to use."""
    source = torch.Generator().manual_seed(seed)
    for parameter in network.eval().requires_grad_(False).parameters():
        scale = parameter.shape[1:].numel() ** -0.5 if parameter.ndim > 1 else 0.1
        parameter.copy_(scale * torch.randn(parameter.shape, generator=source) + (parameter.ndim == 1) * parameter)
    return network


def small_text_to_image(seed: int = 0) -> TextToImage:
    network = random_weights(UNet(UNET), seed)
    return TextToImage(Denoiser(network, find_schedule("cosine"), "v"), random_weights(SharedSpace(TEXT), seed + 1),
                       random_weights(VAE(AUTOENCODER), seed + 2))
