"""Pictures to learn from: the picture book, torchvision's sets, a folder of your own. All through `open_pictures`."""

import itertools
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Iterator

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from course_lib.pictures import cut_square, open_picture
from course_lib.picturebook import Scene, main_caption, random_scene, render
from course_lib.runtime import ROOT, CourseError, check_whole

DOWNLOADS = ROOT / "data" / "downloads"
PICTUREBOOKS = ("picturebook", "firstpages")
TORCHVISION_SETS = ("MNIST", "FashionMNIST", "CIFAR10")
PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")
MANY = 4000  # pages of the picture book that it pays to start other processes for
HELD_OUT_FROM = 1_000_000_000  # picture-book seeds from here on are never trained on


@dataclass(frozen=True)
class Pictures:
    """pictures: uint8 (N, C, H, W), C = 1 or 3, in memory; labels: a text for each of them."""

    pictures: Tensor
    labels: list[str]

    def __len__(self) -> int:
        return len(self.pictures)

    def batch(self, indices) -> Tensor:
        """The chosen pictures as a network wants them: float32 (n, C, H, W) in [-1, 1]."""
        return self.pictures[indices].float() / 127.5 - 1


def open_pictures(name: str, size: int = 32, split: str = "train", limit: int | None = None,
                  root: Path = DOWNLOADS) -> Pictures:
    """Open a set of pictures as squares of `size` pixels.

    name: "picturebook", or "firstpages", its easy pages (one large thing, no hand, no sign), which still read well at
    32 pixels; "MNIST", "FashionMNIST", "CIFAR10" (downloaded to `root` if they are not there); or the path of a folder
    of pictures. split: "train" or "test" (a folder is not split). limit: at most so many; the picture book, which has
    no end, gives 2,000 unless told.
    Raises CourseError if there is no such set, no network to fetch it, or no picture in the folder.
    """
    check_whole(size, "The size", 16, 256)
    if split not in ("train", "test"):
        raise CourseError(f"There is no split '{split}': choose train or test.")
    if limit is not None:
        check_whole(limit, "The limit", 1, 10_000_000)
    if name in PICTUREBOOKS:
        return _open_picturebook(name, size, split, limit or 2000)
    if name in TORCHVISION_SETS:
        return _open_torchvision(name, size, split, limit, root)
    if name and Path(name).is_dir():
        return _open_folder(Path(name), size, limit)
    known = ", ".join(PICTUREBOOKS + TORCHVISION_SETS)
    raise CourseError(f"There are no pictures called '{name}': choose {known}, or the path of a folder.")


def _is_easy(scene: Scene) -> bool:
    return len(scene.things) == 1 and scene.things[0].size == "large" and scene.things[0].kind not in ("hand", "sign")


def scene_seeds(name: str, split: str) -> Iterator[int]:
    """The seeds of a picture book's pages, in order, without end; the two splits share none."""
    seeds = itertools.count(HELD_OUT_FROM if split == "test" else 0)
    return seeds if name == "picturebook" else (seed for seed in seeds if _is_easy(random_scene(seed)))


def _draw(size: int, seed: int) -> tuple[np.ndarray, str]:
    scene = random_scene(seed)
    return render(scene, size), main_caption(scene)


def _open_picturebook(name: str, size: int, split: str, count: int) -> Pictures:
    seeds, draw = list(itertools.islice(scene_seeds(name, split), count)), partial(_draw, size)
    drawn = _map_in_processes(draw, seeds) if count >= MANY else list(map(draw, seeds))
    pixels, captions = zip(*drawn)
    return Pictures(torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).contiguous(), list(captions))


def _map_in_processes(function, arguments: list) -> list:
    workers = min(os.cpu_count() or 1, 16)
    try:
        # Spawned, since forking a process that has threads is unsafe.
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
            return list(pool.map(function, arguments, chunksize=256))
    except BrokenProcessPool:  # a script without `if __name__ == "__main__":` cannot be spawned from
        return list(map(function, arguments))


def _open_torchvision(name: str, size: int, split: str, limit: int | None, root: Path) -> Pictures:
    from torchvision import datasets  # imported here: it is slow to load, and only these sets need it

    opener = partial(getattr(datasets, name), str(root), train=split == "train")
    try:
        dataset = opener(download=False)
    except (RuntimeError, AssertionError, ValueError, LookupError) as error:
        if "not found" not in str(error):  # torchvision's words where there is no copy; all others mean half a file
            raise CourseError(f"The copy of {name} in {root} is damaged: delete it there and try again.") from None
        dataset = _download(opener, name, root)
    chosen = range(min(limit or len(dataset), len(dataset)))
    grey = name != "CIFAR10"
    pixels = [np.asarray(cut_square(Image.fromarray(np.asarray(dataset.data[i])), size)) for i in chosen]
    stacked = torch.from_numpy(np.stack(pixels))
    stacked = stacked[:, None] if grey else stacked.permute(0, 3, 1, 2).contiguous()
    return Pictures(stacked, [dataset.classes[int(dataset.targets[i])] for i in chosen])


def _download(opener, name: str, root: Path):
    try:
        return opener(download=True)
    except (OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0].strip(":<>")
        raise CourseError(f"{name} is not in {root} and could not be downloaded ({reason}): connect to the network and "
                          "try again, or use the picture book, which needs none.") from None


def _open_folder(folder: Path, size: int, limit: int | None) -> Pictures:
    # Hidden ones are left out: macOS puts a "._name.png" beside each picture on a stick, which is none.
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURE_ENDINGS and path.is_file()
                   and not path.name.startswith("."))[:limit]
    if not paths:
        raise CourseError(f"There is no picture in {folder}: put some {', '.join(PICTURE_ENDINGS)} files there.")
    pixels = np.stack([open_picture(path, size) for path in paths])
    return Pictures(torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(), [path.stem for path in paths])
