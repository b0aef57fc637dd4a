"""How well the pixel model denoises pages it has never seen, and whether what it paints can be recognised."""

import numpy as np
import torch
from PIL import Image

from course_lib.data import Pictures
from course_lib.denoiser import Denoiser
from course_lib.evaluation.reading import read
from course_lib.oracle import Oracle
from course_lib.picturebook.labels import FIRST, WIDTH
from course_lib.pictures import cut_square

TIMES = tuple(t / 10 for t in range(1, 10))
SURE = 0.9  # of the oracle's confidence


@torch.inference_mode()
def held_out_error(denoise: Denoiser, pictures: Pictures, seed: int = 0, batch: int = 128) -> dict:
    """What the denoiser makes of noised pictures; nothing is drawn but the noise, from `seed`.

    loss: the training loss (mean squared error of the prediction) at times evenly spread over (0, 1);
    rms: for each time in `TIMES`, the root mean squared error of the guess at the clean picture, which has numbers in
    [-1, 1]; rms_of_mean_page: the same for always guessing the mean of these pictures, which is what a guess without
    any knowledge of x comes to.
    """
    device = next(denoise.network.parameters()).device
    source = torch.Generator().manual_seed(seed)
    x0_all = pictures.batch(slice(None))
    losses, squares = [], torch.zeros(len(TIMES), dtype=torch.float64)
    for x0 in x0_all.split(batch):
        eps, t = torch.randn(x0.shape, generator=source).to(device), (torch.arange(len(x0)) + 0.5) / len(x0)
        x0 = x0.to(device)
        losses += [denoise.loss(x0, eps, t.to(device)).item()] * len(x0)
        for i, time in enumerate(TIMES):
            guess = denoise(denoise.schedule.add_noise(x0, eps, time), time)
            squares[i] += (guess - x0).square().mean(dim=(1, 2, 3)).sum().item()
    rms = (squares / len(x0_all)).sqrt().tolist()
    mean_page = (x0_all - x0_all.mean(dim=0)).square().mean().sqrt().item()
    return {"pictures": len(x0_all), "loss": round(sum(losses) / len(losses), 5),
            "rms": {str(time): round(value, 4) for time, value in zip(TIMES, rms)},
            "rms_of_mean_page": round(mean_page, 4)}


def recognised(oracle: Oracle, pictures: np.ndarray) -> float:
    """The share of pictures in which the oracle names a thing with a confidence over `SURE`.

    pictures: uint8 (N, H, W, 3), square; the oracle reads 64 x 64, so smaller ones are enlarged smoothly.
    """
    enlarged = np.stack([np.array(cut_square(Image.fromarray(picture), 64)) for picture in pictures])
    reading = read(oracle, enlarged)
    kinds = reading.confidence[:, [FIRST, FIRST + WIDTH]]  # NaN where there is nothing
    return round(float((np.nan_to_num(kinds).max(axis=1) > SURE).mean()), 4)
