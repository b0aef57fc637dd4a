"""What the course trains, one recipe a model: the network, the data, the loss. `python -m course_lib train NAME`."""

from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from course_lib.data import Pictures, open_pictures
from course_lib.denoiser import Denoiser
from course_lib.pictures import save_png, tile, to_uint8
from course_lib.runtime import CourseError, save_tensors, starting_noise
from course_lib.sampling import sample
from course_lib.schedulers import SCHEDULERS, find_schedule, time_grid
from course_lib.training import Progress, Trainee, fit
from course_lib.unet import UNet, UNetSettings


@dataclass(frozen=True)
class PixelRecipe:
    """An unconditional denoiser of pictures, in pixels."""

    name: str = "pixels"
    data: str = "firstpages"
    pictures: int = 50_000
    size: int = 32
    schedule: str = "cosine"
    prediction: str = "v"
    batch: int = 32
    lr: float = 1e-3
    unet: UNetSettings = UNetSettings()

    def settings(self) -> dict:
        """What must be known to use the weights, as JSON."""
        return {"model": "pixels", "size": self.size, "schedule": self.schedule, "prediction": self.prediction,
                "data": self.data, "unet": asdict(self.unet)}


RECIPES = {"pixels": PixelRecipe()}


def find_recipe(name: str) -> PixelRecipe:
    """The recipe called `name`; CourseError if there is none."""
    if name not in RECIPES:
        raise CourseError(f"There is no model called '{name}' to train: choose from {', '.join(RECIPES)}.")
    return RECIPES[name]


def denoiser_from(tensors: dict[str, Tensor], settings: dict, device: torch.device) -> Denoiser:
    """The denoiser whose weights and settings a file held, ready to use, in float32."""
    unet = UNetSettings(**{key: tuple(value) if isinstance(value, list) else value
                           for key, value in settings["unet"].items()})
    network = UNet(unet)
    network.load_state_dict({key: value.float() for key, value in tensors.items()})
    network = network.to(device).eval().requires_grad_(False)
    return Denoiser(network, find_schedule(settings["schedule"]), settings["prediction"])


def random_times(count: int, source: torch.Generator) -> Tensor:
    """`count` times in (0, 1), evenly spread but for one random shift, so that every batch sees every noise level."""
    shift = torch.rand((), generator=source)
    return ((torch.arange(count) + shift) / count).clamp(1e-4, 1 - 1e-4)


def picture_loss(pictures: Pictures, schedule: str, prediction: str, batch: int) -> Callable:
    """The loss that `fit` asks for: a random batch, noised to random times."""

    def loss(network: nn.Module, step: int, source: torch.Generator) -> tuple[Tensor, int]:
        x0 = pictures.batch(torch.randint(len(pictures), (batch,), generator=source))
        eps, t = torch.randn(x0.shape, generator=source), random_times(batch, source)
        device = next(network.parameters()).device
        denoise = Denoiser(network, find_schedule(schedule), prediction)
        return denoise.loss(x0.to(device), eps.to(device), t.to(device)), batch

    return loss


def sample_sheet(denoise: Denoiser, channels: int, size: int, count: int = 32, steps: int = 20) -> np.ndarray:
    """Samples for the eye: always from the same seeds, so that sheets of one run can be compared -> uint8 (H, W, 3)."""
    device = next(denoise.network.parameters()).device
    scheduler = SCHEDULERS["dpmpp_2m"]
    ts = time_grid(denoise.schedule, steps, scheduler.spacing)
    noise, _ = starting_noise(list(range(count)), (channels, size, size))
    with torch.inference_mode():
        *_, last = sample(denoise, noise.to(device) * denoise.schedule.sigma(ts[0]), ts, scheduler.rule)
    return tile(to_uint8(last.x_next), columns=8, scale=3)


def train(recipe: PixelRecipe, out: Path, device: torch.device, *, minutes: float | None = None,
          steps: int | None = None, resume: bool = False, compiled: bool = False,
          sheets: int = 20) -> Iterator[Progress]:
    """Train `recipe`, yielding `Progress`; into the folder `out`:

    NAME.safetensors, the averaged weights in float16 with their settings, as the course ships them;
    NAME.state.safetensors, all that resuming needs; NAME-samples.png, a sheet drawn `sheets` times on the way.
    `minutes` or `steps` count from the very beginning, also when resuming.
    """
    torch.manual_seed(0)
    trainee = Trainee(UNet(recipe.unet).to(device), lr=recipe.lr)
    state, weights = out / f"{recipe.name}.state.safetensors", out / f"{recipe.name}.safetensors"
    if resume:
        trainee.load(state, recipe.settings())
    elif state.exists():
        raise CourseError(f"{state} holds an earlier run: go on with it by --resume, or choose another --out.")

    def save() -> None:
        trainee.save(state, recipe.settings())
        half = {key: value.half() for key, value in trainee.average.state_dict().items()}
        trained = {"steps": trainee.step, "pictures": trainee.pictures, "minutes": round(trainee.seconds / 60, 1),
                   "device": device.type}
        save_tensors(weights, half, recipe.settings() | {"trained": trained})

    def draw() -> None:
        denoise = Denoiser(trainee.average, find_schedule(recipe.schedule), recipe.prediction)
        save_png(out / f"{recipe.name}-samples.png", sample_sheet(denoise, recipe.unet.picture, recipe.size))

    save()  # a folder that cannot be written to is noticed now, not after an hour
    loss = picture_loss(open_pictures(recipe.data, recipe.size, limit=recipe.pictures), recipe.schedule,
                        recipe.prediction, recipe.batch)
    if compiled:
        trainee.network.compile()
    drawn = 0
    with closing(fit(trainee, loss, minutes=minutes, steps=steps, save=save)) as run:
        for progress in run:
            if sheets and progress.done >= (drawn + 1) / sheets:
                drawn = int(progress.done * sheets)
                draw()
            yield progress
