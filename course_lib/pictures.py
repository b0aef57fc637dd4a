"""Pictures as arrays and files: to and from tensors, side by side on a sheet, in and out of PNG, as a film."""

from numbers import Real
from pathlib import Path
from typing import Sequence

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from course_lib.runtime import CourseError, write_atomically

MAX_PIXELS = 50_000_000  # a picture larger than this is refused before it fills the memory
GAP = 2  # pixels between two pictures


def to_uint8(x: Tensor) -> np.ndarray:
    """Pictures (N, C, H, W) in [-1, 1], values outside clipped -> uint8 (N, H, W, 3); one channel becomes grey."""
    pixels = ((x.detach().cpu().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return pixels.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy()


def to_tensor(pictures: np.ndarray) -> Tensor:
    """uint8 (N, H, W, 3) -> float32 (N, 3, H, W) in [-1, 1]: the way back from `to_uint8`."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1


def tile(pictures: Sequence[np.ndarray] | np.ndarray, columns: int, scale: int = 1, gap: int = GAP) -> np.ndarray:
    """Pictures (N, H, W, 3) uint8, row by row on white -> one uint8 picture; each enlarged `scale` times, sharp."""
    pictures = np.asarray(pictures).repeat(scale, axis=1).repeat(scale, axis=2)
    count, height, width, _ = pictures.shape
    rows = -(-count // columns)
    sheet = np.full((rows * (height + gap) - gap, min(columns, count) * (width + gap) - gap, 3), 255, np.uint8)
    for i, picture in enumerate(pictures):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        sheet[top:top + height, left:left + width] = picture
    return sheet


def save_png(path, picture: np.ndarray) -> None:
    """Write a uint8 picture (H, W, 3) as PNG, whole or not at all."""
    write_atomically(path, lambda name: Image.fromarray(picture).save(name, format="PNG"))


def save_film(frames: Sequence[np.ndarray], path, seconds: float = 0.1, there_and_back: bool = False) -> Path:
    """Write uint8 pictures (H, W, 3) of one size as an animated GIF that goes round and round, whole or not at all.

    seconds: how long each is shown, 0.02 to 60; there_and_back: run it backwards as well. -> the path.
    Raises CourseError for no frames, frames of different sizes, a duration out of range or a place that is not there.
    """
    frames = [np.asarray(frame) for frame in frames]
    if not frames or any(frame.shape != frames[0].shape or frame.shape[2:] != (3,) or frame.dtype != np.uint8
                         for frame in frames):
        raise CourseError("A film is made of at least one picture, all of them uint8 (H, W, 3) of one size.")
    if not isinstance(seconds, Real) or not 0.02 <= seconds <= 60:
        raise CourseError(f"Each picture of a film is shown for 0.02 to 60 seconds, not {seconds!r}.")
    images = [Image.fromarray(frame) for frame in (frames + frames[-2:0:-1] if there_and_back else frames)]
    write_atomically(path, lambda name: images[0].save(name, format="GIF", save_all=True, append_images=images[1:],
                                                       duration=round(1000 * seconds), loop=0))
    return Path(path)


def open_picture(file, size: int, name: str = "") -> np.ndarray:
    """One picture of the learner's (a path or an open binary file), upright, cut to a square -> uint8 (size, size, 3).

    Raises CourseError if it is not a picture, is cut short, or is larger than 50 megapixels.
    """
    name = name or str(file)
    try:
        with Image.open(file) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise CourseError(f"{name} has {picture.width} x {picture.height} pixels: make it smaller than 50 "
                                  "megapixels and try again.")
            upright = ImageOps.exif_transpose(picture)
            if upright.mode.startswith("I"):  # 16 bits of grey, which Pillow would clip, not scale
                upright = Image.fromarray((np.asarray(upright).clip(0, 65535) // 257).astype(np.uint8))
            upright = upright.convert("RGBA")
            flat = Image.new("RGB", upright.size, "white")  # what is transparent becomes white
            flat.paste(upright, mask=upright.getchannel("A"))
            return np.array(cut_square(flat, size))
    except CourseError:
        raise
    except Image.DecompressionBombError:  # Pillow's own limit comes first for the largest ones
        raise CourseError(f"{name} is far too large: make it smaller than 50 megapixels and try again.") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        raise CourseError(f"{name} cannot be read as a picture (it may be cut short): try another PNG or JPEG "
                          "file.") from None


def cut_square(picture: Image.Image, size: int) -> Image.Image:
    """The middle of a picture as a square of `size` pixels: averaged when it shrinks, smooth when it grows."""
    method = Image.Resampling.BOX if min(picture.size) >= size else Image.Resampling.BICUBIC
    return ImageOps.fit(picture, (size, size), method)
