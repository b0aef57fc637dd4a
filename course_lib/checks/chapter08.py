"""Checks for chapter 08, Working small."""

import math
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from course_lib.checks.core import Wrong, check, close, expect_number, expect_tensor, expect_whole
from course_lib.models import vae_from, weights_for
from course_lib.pages import held_out
from course_lib.runtime import random_source
from course_lib.vae import FACTOR

PAGES = 24


@check("Put a number in place of the dots.")
def times_fewer(answer) -> str:
    """A picture of 3 x 512 x 512 numbers, a VAE of factor 8 to 4 channels."""
    number = expect_number(answer)
    pixels, latents = 3 * 512 * 512, 4 * 64 * 64
    wrong = {
        8 * 8: "64 is how many times fewer places there are; but each pixel has 3 numbers and each place of the "
               "latent 4.",
        8: "8 is how much shorter each side gets; there are two sides, and the channels count too.",
        3 * 4 * 4 / 4: "That is this course's VAE, with its factor of 4; here it is 8.",
        3 * 8 * 8: "You left out that a place of the latent holds 4 numbers, not 1.",
        latents: "That is how many numbers the latent has; how many times fewer than the picture's is that?",
        latents / pixels: "That is the share that is left; the question is how many times fewer.",
    }
    if math.isclose(number, pixels / latents, rel_tol=1e-3):
        return f"{pixels:,} numbers become {latents:,}: {pixels / latents:g} times fewer."
    for value, words in wrong.items():
        if math.isclose(number, value, rel_tol=1e-3):
            raise Wrong(words)
    raise Wrong(f"{number:g} is not it: count the numbers of the picture, 3 x 512 x 512, and of the latent.")


def _decibels(x: Tensor, x_hat: Tensor) -> Tensor:
    return 10 * torch.log10(4 / ((x - x_hat) ** 2).mean(dim=(1, 2, 3)))


@check("Fill in the body of my_psnr: it returns one number a picture, as a tensor (N,).")
def psnr(function) -> str:
    source = random_source(0)
    x = torch.rand(3, 3, 8, 8, generator=source) * 2 - 1
    x_hat = x + torch.tensor([0.02, 0.1, 0.5]).reshape(3, 1, 1, 1) * torch.randn(x.shape, generator=source)
    wanted, square = _decibels(x, x_hat), ((x - x_hat) ** 2).mean(dim=(1, 2, 3))
    got = function(x, x_hat)
    if isinstance(got, Tensor) and got.ndim == 0:
        raise Wrong("You return one number for the whole batch; take the mean over the last three dimensions only.")
    got = expect_tensor(got, wanted, "The PSNR")
    if close(got, wanted):
        return f"{', '.join(f'{value:.1f}' for value in got.tolist())} dB: less error, more decibels."
    wrong = {
        "The peak is the whole range, from -1 to 1: 2, not 1.": 10 * torch.log10(1 / square),
        "255 is the range of bytes; these pictures lie between -1 and 1, a range of 2.":
            10 * torch.log10(255**2 / square),
        "The range is squared, like the error: 2**2.": 10 * torch.log10(2 / square),
        "The sign is turned round: a small error must give a large number.": -wanted,
        "Decibels use the logarithm to base 10, torch.log10.": 10 * torch.log(4 / square),
        "The factor is 10; 20 belongs to the root of the error.": 2 * wanted,
        "The factor of 10 is missing: a decibel is a tenth of a bel.": wanted / 10,
        "That is the mean squared error; the decibels are still missing.": square,
        "You took absolute errors; square them.":
            10 * torch.log10(4 / (x - x_hat).abs().mean(dim=(1, 2, 3))),
    }
    for words, value in wrong.items():
        if close(got, value):
            raise Wrong(words)
    raise Wrong(f"You give {got[0]:.1f} dB where it is {wanted[0]:.1f}: 10 log10 of 2**2 over the mean squared error "
                "of each picture.")


@check("Fill in the body of my_scaling: it returns a tensor of the shape of z.")
def scaling(function) -> str:
    shape, source = (6, 4, 8, 8), random_source(0)
    spread, middle = torch.tensor([0.3, 1.0, 2.5, 6.0]), torch.tensor([-3.0, 0.0, 0.5, 4.0])
    z = torch.randn(shape, generator=source) * spread.reshape(1, 4, 1, 1) + middle.reshape(1, 4, 1, 1)
    z = z + torch.randn(6, 1, 1, 1, generator=source)  # some pages are brighter than others
    got = expect_tensor(function(z.clone()), z, "The scaled latents")

    def scaled(dims: tuple[int, ...]) -> Tensor:
        return (z - z.mean(dim=dims, keepdim=True)) / z.std(dim=dims, keepdim=True)

    if close(got, scaled((0, 2, 3)), 2e-3):  # std with or without Bessel's correction
        return "Mean 0 and variance 1 in every channel: this is what `shift` and `scale` of the shipped VAE do."
    middle, spread = z.mean(dim=(0, 2, 3), keepdim=True), z.std(dim=(0, 2, 3), keepdim=True)
    wrong = {
        "You take one mean and one spread for all channels; each channel needs its own.": scaled((0, 1, 2, 3)),
        "You scale each page by itself; then a dark page and a bright one become the same, and nothing could bring "
        "them back. One mean and spread a channel, over all pages.": scaled((2, 3)),
        "You scale each place by itself; a channel has one mean and one spread, over all pages and places.":
            scaled((0,)),
        "You scale over the channels; take the mean over pages, rows and columns.": scaled((1,)),
        "You divide by the variance; divide by its root, the standard deviation.": (z - middle) / spread**2,
        "The mean is 0, but the variance is not 1 yet: divide by the standard deviation.": z - middle,
        "The variance is 1, but the mean is not 0: take it away first.": z / spread,
        "You multiply by the spread; divide by it.": (z - middle) * spread,
    }
    for words, value in wrong.items():
        if close(got, value, 2e-3):
            raise Wrong(words)
    raise Wrong(f"The channels' means are {_list(got.mean(dim=(0, 2, 3)))} and their variances "
                f"{_list(got.var(dim=(0, 2, 3)))}; they should be 0 and 1.")


def _list(values: Tensor) -> str:
    return ", ".join(f"{value:.2f}" for value in values.tolist())


@cache
def _squeezed() -> tuple[Tensor, Tensor, Tensor]:
    """The first held-out pages, their latents by the shipped VAE, and what it decodes from them."""
    vae = vae_from(*weights_for("vae"), torch.device("cpu"))
    x = held_out(PAGES)["pictures"].float() / 127.5 - 1
    with torch.inference_mode():
        z = vae.encode(x)
        return x, z, vae.decode(z).clamp(-1, 1)


def together() -> list[float]:
    """For each latent channel its correlation with brightness, the mean of the 4 x 4 pixels, over 24 pages."""
    x, z, _ = _squeezed()
    bright = F.avg_pool2d(x, FACTOR).mean(dim=1).flatten()
    return [torch.corrcoef(torch.stack([bright, channel.flatten()]))[0, 1].item() for channel in z.unbind(dim=1)]


@check("Put the number of a channel in place of the dots.")
def brightest(answer) -> str:
    channel = expect_whole(answer, 0, 3, "The channel")
    measured = together()
    best = max(range(4), key=lambda i: abs(measured[i]))
    told = ", ".join(f"{i}: {value:+.2f}" for i, value in enumerate(measured)).replace("-", "−")
    if channel == best:
        way = "up" if measured[best] > 0 else "down"
        return f"Where the page is brighter, channel {best} goes {way}. Correlations by channel: {told}."
    if channel == max(range(4), key=lambda i: measured[i]):
        raise Wrong(f"Channel {channel} goes up with brightness most of all, but one that goes *down* with it says as "
                    "much: compare without the sign.")
    raise Wrong(f"The correlation of channel {channel} with brightness is {measured[channel]:+.2f}; another's is "
                "further from 0.")


@check("Put the number of a page in place of the dots.")
def worst_page(answer) -> str:
    page = expect_whole(answer, 0, PAGES - 1, "The page")
    x, _, back = _squeezed()
    measured = _decibels(x, back)
    worst, best = measured.argmin().item(), measured.argmax().item()
    if page == worst:
        return f"Page {worst} loses most: {measured[worst]:.1f} dB, against {measured.mean():.1f} on average."
    if page == best:
        raise Wrong(f"Page {page} has the highest PSNR, {measured[best]:.1f} dB: it loses least.")
    raise Wrong(f"Page {page} comes back with {measured[page]:.1f} dB; there is one with less.")
