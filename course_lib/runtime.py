"""Where things run and how they are stored: device, seeds, safe weight files, a look at the source."""

import hashlib
import inspect
import json
import operator
import os
import tempfile
import textwrap
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

ROOT = Path(__file__).resolve().parent.parent
WEIGHTS = ROOT / "data" / "weights"
MAX_SEED = 2**63 - 1


class CourseError(ValueError):
    """Something the user can put right; the message is one sentence that says what to do."""


def pick_device(name: str = "auto") -> torch.device:
    """The device called `name` ("auto", "cpu", "cuda", "cuda:1", "mps"); "auto" takes the fastest one present.

    Raises CourseError if the device is unknown or this machine does not have it.
    """
    have_mps = torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if have_mps else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise CourseError(f"There is no device called '{name}': choose auto, cpu, cuda or mps.") from None
    if device.type not in ("cpu", "cuda", "mps"):
        raise CourseError(f"The course does not run on '{name}': choose auto, cpu, cuda or mps.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise CourseError(f"PyTorch sees no CUDA GPU '{name}' here: use cpu, or check nvidia-smi and the driver.")
    if device.type == "mps" and not have_mps:
        raise CourseError("PyTorch sees no Apple GPU (mps) here: use cpu.")
    return device


def check_whole(value: int, name: str, low: int, high: int) -> int:
    """`value` as an int if it is a whole number from `low` to `high`, else a CourseError that says so."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or not low <= number <= high:
        raise CourseError(f"{name} must be a whole number from {low} to {high}, but it is {value!r}.")
    return number


def random_source(seed: int) -> torch.Generator:
    """A random source on the CPU. The CPU always, so that a seed means the same noise on every device."""
    return torch.Generator().manual_seed(check_whole(seed, "The seed", 0, MAX_SEED))


def send(tensor: torch.Tensor, device: torch.device | None) -> torch.Tensor:
    """The tensor on `device` (None: where it is); to a GPU by pinned memory, from which a copy holds nobody up."""
    if device is not None and device.type == "cuda" and not tensor.is_cuda:
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def starting_noise(seeds: list[int], shape: tuple[int, ...]) -> tuple[torch.Tensor, list[torch.Generator]]:
    """Unit Gaussian noise (len(seeds), *shape), float32, and the source that each picture goes on drawing from.

    Every picture has its own source, so a seed gives the same picture whoever else is in the batch.
    """
    sources = [random_source(seed) for seed in seeds]
    return torch.stack([torch.randn(shape, generator=source) for source in sources]), sources


def write_atomically(path: Path, write) -> None:
    """Call `write(temporary_path)` and move the result onto `path` in one step: whole or not at all."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
        os.close(handle)
    except OSError as error:
        reason = error.strerror or error
        raise CourseError(f"Cannot write {path} ({reason}): choose a folder that you may write to.") from None
    try:
        write(name)
        os.chmod(name, 0o644)  # mkstemp makes files that only their owner may read
        os.replace(name, path)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CourseError(f"Cannot write {path} ({reason}): free some space or choose another place.") from None
    finally:
        Path(name).unlink(missing_ok=True)


def save_tensors(path: Path, tensors: dict[str, torch.Tensor], settings: dict) -> None:
    """Write tensors and their settings (JSON, in the file's own header) as one safetensors file, atomically."""
    tensors = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    metadata = {"settings": json.dumps(settings)}
    write_atomically(path, lambda name: save_file(tensors, name, metadata=metadata))


def load_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict]:
    """Read what `save_tensors` wrote: (tensors on the CPU, settings). Nothing in the file is ever executed.

    Raises CourseError if the file is missing, cut short, or not one of ours.
    """
    path = Path(path)
    if not path.is_file():
        raise CourseError(f"There is no file {path}: check the path, or train first (python -m course_lib train).")
    try:
        with safe_open(path, framework="pt") as file:
            settings = json.loads(file.metadata()["settings"])
            # Copies: what safe_open gives is the file itself, in memory, and Windows replaces no file that is in use.
            return {key: file.get_tensor(key).clone() for key in file.keys()}, settings
    except (SafetensorError, KeyError, TypeError, ValueError, OSError):
        raise CourseError(f"{path} is damaged or not a file of this course: delete it and make it again.") from None


def save_pieces(path: Path, tensors: dict[str, torch.Tensor], settings: dict, limit: int = 15 * 2**20) -> None:
    """Write tensors and settings as files of at most `limit` bytes of tensors: pieces, and `path`, which names them.

    Some machines that lend a GPU give back small files only. Whole or not at all, too: the pieces are named after what
    is in them, so a new state overwrites none of an old one's; `path` turns to them in one step, and what it no longer
    names is removed after that. (One tensor alone may be larger than `limit`.)
    """
    path, mark = Path(path), fingerprint(tensors)
    sizes = {key: value.numel() * value.element_size() for key, value in tensors.items()}
    count = max(1, -(-sum(sizes.values()) // limit))
    pieces = _share_out(sizes, count)
    while max(sum(map(sizes.get, keys)) for keys in pieces) > limit and count < len(sizes):
        count += 1
        pieces = _share_out(sizes, count)
    names = [f"{path.stem}-{mark}-{i}of{count}.safetensors" for i in range(1, count + 1)]
    for name, keys in zip(names, pieces):
        save_tensors(path.with_name(name), {key: tensors[key] for key in keys}, {})
    index = json.dumps({"settings": settings, "fingerprint": mark, "pieces": names})
    write_atomically(path, lambda name: Path(name).write_text(index, encoding="utf-8"))
    _remove_pieces(path, set(names))


def _share_out(sizes: dict[str, int], count: int) -> list[list[str]]:
    """The names in `count` lots of about equal size: the largest first, each to the lot that has least."""
    lots, filled = [[] for _ in range(count)], [0] * count
    for key in sorted(sizes, key=sizes.get, reverse=True):
        least = filled.index(min(filled))
        lots[least].append(key)
        filled[least] += sizes[key]
    return lots


def _remove_pieces(path: Path, but: set[str]) -> None:
    for piece in path.parent.glob(f"{path.stem}-????????-*of*.safetensors"):
        if piece.name not in but:
            piece.unlink(missing_ok=True)


def load_pieces(path: Path) -> tuple[dict[str, torch.Tensor], dict]:
    """Read what `save_pieces` wrote: (tensors on the CPU, settings).

    Raises CourseError if `path` or one of its pieces is missing, cut short, altered, or not one of ours.
    """
    path = Path(path)
    if not path.is_file():
        raise CourseError(f"There is no file {path}: check the path, or train first (python -m course_lib train).")
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        settings, mark, names = index["settings"], index["fingerprint"], [Path(name).name for name in index["pieces"]]
    except (ValueError, KeyError, TypeError, OSError):
        raise CourseError(f"{path} is damaged or not a file of this course: delete it and make it again.") from None
    tensors = {}
    for piece in map(path.with_name, names):
        if not piece.is_file():
            raise CourseError(f"{piece} is missing, and without it {path.name} is not whole: put it back beside it, or "
                              "train without --resume in another --out.")
        tensors |= load_tensors(piece)[0]
    if fingerprint(tensors) != mark:
        raise CourseError(f"The pieces of {path} are damaged or do not belong together: bring back all of them, or "
                          "train without --resume in another --out.")
    return tensors, settings


def remove_pieces(path: Path) -> None:
    """Remove what `save_pieces` wrote, `path` first, so that what may be left over is no half of a whole."""
    Path(path).unlink(missing_ok=True)
    _remove_pieces(Path(path), set())


def fingerprint(tensors: dict[str, torch.Tensor]) -> str:
    """Eight letters that tell one set of weights from another."""
    digest = hashlib.sha256()
    for key in sorted(tensors):
        digest.update(key.encode() + tensors[key].detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:8]


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_weights(name: str, folder: Path = WEIGHTS) -> tuple[dict[str, torch.Tensor], dict]:
    """The shipped weights `name` as (tensors, settings), after checking them against `SHA256SUMS` beside them.

    Raises CourseError, naming the file and how to get it back, if it is missing, cut short or altered.
    """
    path, sums = Path(folder) / f"{name}.safetensors", Path(folder) / "SHA256SUMS"
    remedy = f"get it back with: git checkout -- data/weights/{path.name}"
    if not sums.is_file():
        raise CourseError(f"{sums} is missing: get it back with: git checkout -- data/weights/SHA256SUMS")
    try:
        recorded = {file: digest for digest, file in map(str.split, filter(str.strip, sums.read_text().splitlines()))}
    except ValueError:
        raise CourseError(f"{sums} is damaged: get it back with: git checkout -- data/weights/SHA256SUMS") from None
    if path.name not in recorded:
        known = ", ".join(sorted(Path(key).stem for key in recorded))
        raise CourseError(f"The course ships no weights called '{name}': choose from {known}.")
    if not path.is_file():
        raise CourseError(f"The weight file {path} is missing: {remedy}")
    if sha256(path) != recorded[path.name]:
        raise CourseError(f"The weight file {path} is cut short or altered (its SHA-256 is not the recorded one): "
                          f"{remedy}")
    return load_tensors(path)


def show_source(thing):
    """The source of a function or class of this library, as a coloured cell output (plain text without Jupyter)."""
    from IPython.display import Code  # only a notebook calls this; training runs where there is no IPython

    class Source(Code):
        """Long lines scroll sideways: JupyterLab would break them in the middle of a word."""

        def _repr_html_(self) -> str:
            return super()._repr_html_().replace("<pre>", '<pre style="white-space:pre;overflow-x:auto">')

    return Source(data=textwrap.dedent(inspect.getsource(thing)), language="python")
