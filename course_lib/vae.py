"""The variational autoencoder: pictures 64 x 64 x 3 to latents 16 x 16 x 4 and back. (Kingma & Welling 2014; Rombach
et al. 2022, section 3.1.)"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.layers import ResBlock, group_norm
from course_lib.runtime import CourseError

FACTOR = 4  # pixels along a side for each latent
LOG_VARIANCE = (-12.0, 6.0)  # what the encoder's guess is kept within


@dataclass(frozen=True)
class VAESettings:
    """latent: channels of the latents. encoder: width at latent size; decoder: widths at latent and at twice its size.
    blocks: residual blocks at each of these.
    """

    latent: int = 4
    encoder: int = 96
    decoder: tuple[int, int] = (96, 48)
    blocks: int = 2


class Posterior(NamedTuple):
    """The encoder's answer, a Gaussian for each latent: mean and log variance, (N, latent, H / 4, W / 4)."""

    mean: Tensor
    log_variance: Tensor

    def kl(self) -> Tensor:
        """Its Kullback-Leibler divergence from the unit Gaussian in nats, the mean over all latents. (Kingma &
        Welling 2014, appendix B.)"""
        return 0.5 * (self.mean**2 + self.log_variance.exp() - 1 - self.log_variance).mean()


class VAE(nn.Module):
    """Fully convolutional, so any picture whose sides divide by 4 will do.

    `encode` and `decode` speak of scaled latents, with mean 0 and variance 1 over the picture book, as the denoiser
    wants them; the buffers `shift` and `scale`, measured after training, see to it.
    """

    def __init__(self, settings: VAESettings = VAESettings()):
        super().__init__()
        self.settings = settings
        wide, (middle, fine) = settings.encoder, settings.decoder
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(FACTOR), nn.Conv2d(3 * FACTOR**2, wide, 3, padding=1),
            *(ResBlock(wide, wide) for _ in range(settings.blocks)),
            group_norm(wide), nn.SiLU(), nn.Conv2d(wide, 2 * settings.latent, 3, padding=1))
        self.decoder = nn.Sequential(
            nn.Conv2d(settings.latent, middle, 3, padding=1),
            *(ResBlock(middle, middle) for _ in range(settings.blocks)),
            nn.Conv2d(middle, 4 * fine, 1), nn.PixelShuffle(2),
            *(ResBlock(fine, fine) for _ in range(settings.blocks)),
            group_norm(fine), nn.SiLU(), nn.Conv2d(fine, 12, 3, padding=1), nn.PixelShuffle(2))
        self.register_buffer("shift", torch.zeros(1, settings.latent, 1, 1))
        self.register_buffer("scale", torch.ones(1, settings.latent, 1, 1))
        self.to(memory_format=torch.channels_last)

    def posterior(self, x: Tensor) -> Posterior:
        """Pictures (N, 3, H, W) in [-1, 1] -> what the encoder says of them, not scaled."""
        if x.ndim != 4 or x.shape[1] != 3 or x.shape[2] % FACTOR or x.shape[3] % FACTOR:
            raise CourseError("The VAE takes pictures of shape (N, 3, H, W) with H and W divisible by "
                              f"{FACTOR}, but got {tuple(x.shape)}.")
        mean, log_variance = self.encoder(x.contiguous(memory_format=torch.channels_last)).chunk(2, dim=1)
        return Posterior(mean, log_variance.clamp(*LOG_VARIANCE))

    def encode(self, x: Tensor) -> Tensor:
        """Pictures (N, 3, H, W) in [-1, 1] -> scaled latents (N, latent, H / 4, W / 4): the posterior's mean."""
        return (self.posterior(x).mean - self.shift) / self.scale

    def decode(self, z: Tensor) -> Tensor:
        """Scaled latents (N, latent, H, W) -> pictures (N, 3, 4 H, 4 W), about [-1, 1]."""
        if z.ndim != 4 or z.shape[1] != self.settings.latent:
            raise CourseError(f"The VAE decodes latents of shape (N, {self.settings.latent}, H, W), "
                              f"but got {tuple(z.shape)}.")
        return self.decoder((z * self.scale + self.shift).contiguous(memory_format=torch.channels_last))

    def forward(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Posterior]:
        """For training: (pictures, unit noise of the latents' shape) -> (reconstruction, posterior)."""
        posterior = self.posterior(x)
        z = posterior.mean + (0.5 * posterior.log_variance).exp() * noise
        return self.decoder(z), posterior


def edges(x: Tensor) -> tuple[Tensor, Tensor]:
    """Differences of neighbouring pixels, across and down."""
    return x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :]


def vae_loss(x: Tensor, x_hat: Tensor, posterior: Posterior, kl: float) -> Tensor:
    """Reconstruction plus `kl` times the divergence.

    Absolute errors, not squares alone, and those of the edges besides: squares forgive a blur, which is many small
    errors; these do not. The squares, once more, keep the largest errors small.
    """
    sharp = sum(F.l1_loss(a, b) for a, b in zip(edges(x_hat), edges(x)))
    return F.l1_loss(x_hat, x) + 0.5 * sharp + F.mse_loss(x_hat, x) + kl * posterior.kl()
