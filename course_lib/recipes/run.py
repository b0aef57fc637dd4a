"""Training by a recipe: the loop, the files, the sheets."""

import json
from contextlib import closing
from pathlib import Path
from typing import Iterator

import torch

from course_lib import parallel
from course_lib.pictures import save_png
from course_lib.recipes.base import Recipe
from course_lib.runtime import CourseError, load_tensors, remove_pieces, save_tensors
from course_lib.training import Progress, Trainee, fit


def files(recipe: Recipe, out: Path) -> tuple[Path, Path]:
    """Where training keeps its state and its weights."""
    return out / f"{recipe.name}.state.json", out / f"{recipe.name}.safetensors"


def train(recipe: Recipe, out: Path, device: torch.device, *, minutes: float | None = None, steps: int | None = None,
          resume: bool = False, compiled: bool = False, sheets: int = 20) -> Iterator[Progress]:
    """Train `recipe`, yielding `Progress`; into the folder `out`:

    NAME.safetensors, the averaged weights in float16 with their settings, as the course ships them; NAME.state.json and
    the pieces that it names, all that resuming needs; NAME-samples.png, a sheet drawn `sheets` times on the way.
    `minutes` or `steps` count from the very beginning, also when resuming.
    """
    torch.manual_seed(0)
    recipe = recipe.on(device)
    if recipe.batch % parallel.world():
        raise CourseError(f"A batch of {recipe.batch} cannot be shared out among {parallel.world()} processes: start a "
                          "number of them that divides it.")
    network = recipe.network()
    if not resume:
        recipe.begin(network, out)
    trainee = Trainee(network.to(device), lr=recipe.lr)
    state, weights = files(recipe, out)
    built_on = {"built_on": marks} if (marks := recipe.built_on(out)) else {}
    if resume:
        trainee.load(state, recipe.settings())
    elif state.exists():
        raise CourseError(f"{state} holds an earlier run: go on with it by --resume, or choose another --out.")
    parallel.wait()  # until all have looked: what is saved now is no earlier run

    def save() -> None:
        recipe.settle(trainee.average)
        trainee.save(state, recipe.settings())
        half = {key: value.half() for key, value in trainee.average.state_dict().items()}
        trained = {"steps": trainee.step, "pictures": trainee.pictures, "minutes": round(trainee.seconds / 60, 1),
                   "device": device.type}
        save_tensors(weights, half, recipe.settings() | {"trained": trained} | built_on)

    def draw() -> None:
        sheet = recipe.sheet(trainee.average, out)
        if sheet is not None:
            save_png(out / f"{recipe.name}-samples.png", sheet)

    if parallel.leads():
        save()  # a folder that cannot be written to is noticed now, not after an hour
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")  # TF32
    if compiled:
        torch._dynamo.config.suppress_errors = True  # where nothing can compile, it runs as it is
        trainee.network.compile()
    drawn, earlier = 0, trainee.seconds
    with (recipe.learning(out, device) as loss,
          closing(fit(trainee, loss, minutes=minutes, steps=steps, ema=recipe.ema,
                      save=save if parallel.leads() else None)) as run):
        for progress in run:
            if sheets and parallel.leads() and progress.done >= (drawn + 1) / sheets:
                drawn = int(progress.done * sheets)
                draw()
            yield progress._replace(waited=loss.waited / (trainee.seconds - earlier))
    # Until the weights, which the next model may need, are written; and a process that ends at once, while the threads
    # of its last message are still clearing up, may be ended by them instead.
    parallel.wait()


def check_finished(recipe: Recipe, weights: Path) -> None:
    """Raise CourseError unless the file holds what this recipe would have trained."""
    found = load_tensors(weights)[1]
    settings = json.loads(json.dumps(recipe.settings()))  # in a file, tuples have become lists
    if {key: found[key] for key in found if key not in ("trained", "built_on")} != settings:
        raise CourseError(f"{weights} was trained with other settings: choose another --out.")


def train_all(shares: list[tuple[Recipe, float]], out: Path, device: torch.device, *, minutes: float,
              resume: bool = False, compiled: bool = False,
              sheets: int = 20) -> Iterator[tuple[str, Iterator[Progress]]]:
    """Train several recipes one after the other, each for its share of the minutes; yields each one's name and its run,
    which must be gone through to its end before the next is asked for.

    Once a model is finished and the next one's turn comes, its state is removed and its weights stay: by that a run
    which is resumed knows it. The last one's state is kept, so it can go on by itself.
    """
    begun = [path for recipe, _ in shares for path in files(recipe, out) if path.exists()]
    if begun and not resume:
        raise CourseError(f"{begun[0]} is from an earlier run: go on with it by --resume, or choose another --out.")
    if resume and not begun:
        raise CourseError(f"There is no run in {out} to go on with: check --out, or leave --resume out.")
    parallel.wait()
    for recipe, share in shares:
        state, weights = files(recipe, out)
        if weights.exists() and not state.exists():
            check_finished(recipe.on(device), weights)
            yield recipe.name, (progress for progress in ())
            continue
        yield recipe.name, train(recipe, out, device, minutes=minutes * share, resume=state.exists(),
                                 compiled=compiled, sheets=sheets)
        if recipe is not shares[-1][0] and parallel.leads():
            remove_pieces(state)
        parallel.wait()
