"""How fast the text-to-image model is on this machine's CPU, beside a network of the same kind from diffusers."""

import os
from typing import Callable

import torch
from torch import nn

from course_lib.costs import interleaved, operations, threads
from course_lib.denoiser import Denoiser
from course_lib.layers import Cond
from course_lib.pipeline import TextToImage, generate, load_text_to_image
from course_lib.recipes import RECIPES
from course_lib.runtime import WEIGHTS, check_whole
from course_lib.schedulers import find_schedule
from course_lib.text import SharedSpace
from course_lib.unet import UNet, UNetSettings
from course_lib.vae import VAE

RATIOS = {1: 0.6, 16: 0.75}  # batch: our time over that of diffusers, at most
PARAMETERS, SECONDS = 6_000_000, 0.6  # at most: the U-Net's parameters, a guided picture in 20 steps
WORDS = 20  # token states that steer the networks; captions have about as many
SIDE = 1024  # of the matrices whose product shows the machine's speed
PROMPT = "a small red house on the left at night"


def matrix_rate(count: int, rounds: int) -> float:
    """Thousand millions of fp32 operations a second (GFLOP/s), multiplying matrices on `count` cores."""
    a, b = torch.rand(2, SIDE, SIDE)
    with threads(count):
        return 2 * SIDE**3 / interleaved({"product": lambda: a @ b}, rounds)["product"] / 1e9


def theirs(picture: int, words: int) -> nn.Module | None:
    """The yardstick: diffusers' U-Net with channels (64, 96, 128); None where diffusers is not installed."""
    try:
        from diffusers import UNet2DConditionModel
    except ImportError:
        return None
    across = "CrossAttnDownBlock2D", "CrossAttnUpBlock2D"
    return UNet2DConditionModel(
        sample_size=16, in_channels=picture, out_channels=picture, layers_per_block=1, norm_num_groups=16,
        block_out_channels=(64, 96, 128), down_block_types=("DownBlock2D", across[0], across[0]),
        up_block_types=(across[1], across[1], "UpBlock2D"), cross_attention_dim=words, attention_head_dim=4).eval()


def unet_calls(settings: UNetSettings, networks: dict[str, nn.Module], batch: int) -> dict[str, Callable[[], object]]:
    """For each network, a call on the same noisy latents (batch, picture, 16, 16) and the same token states."""
    x, t = torch.randn(batch, settings.picture, 16, 16), torch.full((batch,), 0.5)
    words, mask = torch.randn(batch, WORDS, settings.words), torch.ones(batch, WORDS, dtype=torch.bool)
    cond = Cond(words, mask, torch.randn(batch, settings.pooled))
    calls = {"ours": lambda: networks["ours"](x, t, cond)}
    if "diffusers" in networks:
        calls["diffusers"] = lambda: networks["diffusers"](x, 1000 * t, encoder_hidden_states=words,
                                                           encoder_attention_mask=mask).sample
    return calls


def fresh_model() -> TextToImage:
    """The text-to-image model with random weights: as fast as a trained one, and good for nothing else."""
    recipe = RECIPES["latent"]
    parts = UNet(recipe.unet), SharedSpace(RECIPES["text"].text), VAE(RECIPES["vae"].vae)
    unet, space, vae = (part.eval().requires_grad_(False) for part in parts)
    return TextToImage(Denoiser(unet, find_schedule(recipe.schedule), recipe.prediction), space, vae)


@torch.no_grad()  # inference_mode, as in the pipeline, would hide the operations from the counter
def bench(rounds: int = 20, unet: UNetSettings = RECIPES["latent"].unet, batches: tuple[int, ...] = tuple(RATIOS),
          model: TextToImage | None = None) -> dict:
    """All figures as one JSON object, keys as in `in_words`; times in milliseconds but for the picture's seconds.

    rounds: how often each is timed; unet, batches: what is compared with diffusers, on one core; model: your own for
    the whole picture, else the shipped one, or random weights if none are shipped.
    """
    check_whole(rounds, "The number of rounds", 1, 1000)
    shipped = all((WEIGHTS / f"{name}.safetensors").is_file() for name in ("latent", "text", "vae"))
    weights = "given" if model else "shipped" if shipped else "random"
    model = model or (load_text_to_image("cpu") if shipped else fresh_model())
    cores = os.cpu_count() or 1
    two = min(2, cores)
    networks = {"ours": UNet(unet).eval(), "diffusers": theirs(unet.picture, unet.words)}
    networks = {name: network for name, network in networks.items() if network is not None}

    figures = {
        "gflop_per_second": {"one core": matrix_rate(1, rounds), "all cores": matrix_rate(cores, rounds)},
        "cores": cores,
        "unet": {"parameters": {name: sum(part.numel() for part in network.parameters())
                                for name, network in networks.items()},
                 "gflop": {name: operations(call) / 1e9 for name, call in unet_calls(unet, networks, 1).items()},
                 "batches": {}},
    }
    with threads(1):
        for batch in batches:
            with torch.inference_mode():
                seconds = interleaved(unet_calls(unet, networks, batch), rounds)
            times = {f"{name}_ms": 1000 * value for name, value in seconds.items()}
            ratio = {"ratio": seconds["ours"] / seconds["diffusers"]} if "diffusers" in seconds else {}
            figures["unet"]["batches"][str(batch)] = times | ratio
    z = torch.randn(1, model.vae.settings.latent, 16, 16)
    decode = {}
    for count in sorted({1, two}):
        with threads(count), torch.inference_mode():
            decode[str(count)] = 1000 * interleaved({"decode": lambda: model.vae.decode(z)}, rounds)["decode"]
    with threads(two):
        picture = interleaved({"picture": lambda: generate(PROMPT, steps=20, model=model)}, max(1, rounds // 4))
    return figures | {"decode_ms": decode, "picture": {"seconds": picture["picture"], "cores": two, "steps": 20,
                                                       "weights": weights}}


def in_words(figures: dict) -> str:
    """What `bench` measured, for people to read, with the targets beside it."""
    rate, unet, picture = figures["gflop_per_second"], figures["unet"], figures["picture"]
    compared = "diffusers" in unet["parameters"]
    lines = [f"Matrix products, fp32: {rate['one core']:.0f} GFLOP/s on one core, {rate['all cores']:.0f} on all "
             f"{figures['cores']}.",
             "U-Net on a latent of 16 x 16, one core" + (", beside that of diffusers:" if compared else ":")]

    def pair(values: dict, form: str, suffix: str = "") -> str:
        return " against ".join(form.format(values[name + suffix]) for name in ("ours", "diffusers")[:1 + compared])

    for batch, times in unet["batches"].items():
        line = f"  batch {batch}: {pair(times, '{:.1f} ms', '_ms')}"
        if compared:
            target = RATIOS.get(int(batch))
            line += f", ratio {times['ratio']:.2f}" + (f" (wanted: at most {target})" if target else "")
        lines.append(line)
    millions = {name: count / 1e6 for name, count in unet["parameters"].items()}
    lines += [f"  parameters: {pair(millions, '{:.2f} M')} (wanted: at most {PARAMETERS / 1e6:g} M)",
              f"  operations at batch 1: {pair(unet['gflop'], '{:.2f} GFLOP')}"]
    if not compared:
        lines.append("  diffusers, to compare with, is not installed: python start.py test installs it.")
    decode = ", ".join(f"{ms:.1f} ms on {_cores(int(count))}" for count, ms in figures["decode_ms"].items())
    lines += [f"VAE, from a latent to 64 x 64 pixels: {decode}.",
              f"A guided picture in {picture['steps']} steps, decoding included, on {_cores(picture['cores'])}, with "
              f"{picture['weights']} weights: {picture['seconds']:.2f} s (wanted: at most {SECONDS} s)."]
    return "\n".join(lines)


def _cores(count: int) -> str:
    return "one core" if count == 1 else f"{count} cores"
