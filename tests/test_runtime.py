"""Devices, seeds and files: a bad value gets one sentence, and a file is whole or not there."""

import gzip
import json
import os
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from course_lib import runtime
from course_lib.runtime import (
    CourseError, check_whole, load_tensors, load_weights, pick_device, random_source, save_tensors, sha256,
    starting_noise, write_atomically,
)
from course_lib.schedulers import Schedule


def sentence(caught) -> str:
    """The message of a caught CourseError, after a look at its form: one line, not a traceback."""
    text = str(caught.value)
    assert text and "\n" not in text and "Traceback" not in text
    return text


# ------------------------------------------------------------------------------------------------ devices, seeds

def test_auto_gives_a_device_that_works():
    assert torch.ones(2, device=pick_device("auto")).sum().item() == 2
    assert pick_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "", "cuda:x", "meta", "cuda:99"])
def test_a_device_that_is_not_there_gets_one_sentence(name):
    with pytest.raises(CourseError, match="cpu") as caught:
        pick_device(name)
    sentence(caught)


def test_a_missing_gpu_gets_one_sentence(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for name in ("cuda", "mps"):
        with pytest.raises(CourseError, match="use cpu") as caught:
            pick_device(name)
        sentence(caught)


@pytest.mark.parametrize("seed", [-1, 2**63, 2**80, 2.5, 2.0, True, np.True_, "7", None, float("nan"),
                                  np.array([1, 2]), torch.tensor(2.5), [3]])
def test_what_is_no_seed_gets_one_sentence(seed):
    with pytest.raises(CourseError, match="The seed must be a whole number from 0 to") as caught:
        random_source(seed)
    sentence(caught)


@pytest.mark.parametrize("seed", [0, 2**63 - 1, np.int64(5), np.uint8(200)])
def test_every_whole_number_in_range_is_a_seed(seed):
    assert torch.equal(torch.rand(3, generator=random_source(seed)), torch.rand(3, generator=random_source(int(seed))))


def test_check_whole_gives_a_plain_int_and_holds_both_ends():
    value = check_whole(np.int32(7), "It", 7, 7)
    assert value == 7 and type(value) is int
    for bad in (6, 8):
        with pytest.raises(CourseError, match=f"It must be a whole number from 7 to 7, but it is {bad}."):
            check_whole(bad, "It", 7, 7)


def test_a_seed_gives_the_same_noise_alone_and_in_company():
    alone, _ = starting_noise([5], (3, 8, 8))
    together, sources = starting_noise([4, 5, 4], (3, 8, 8))
    assert together.shape == (3, 3, 8, 8) and together.dtype == torch.float32 and len(sources) == 3
    assert torch.equal(together[1], alone[0]) and torch.equal(together[0], together[2])
    assert not torch.equal(together[0], together[1])
    # What a picture draws later comes from its own source too.
    later = [torch.randn(4, generator=source) for source in sources]
    assert torch.equal(later[0], later[2]) and not torch.equal(later[0], later[1])


def test_starting_noise_is_unit_gaussian():
    noise, _ = starting_noise(list(range(40)), (3, 32, 32))
    assert abs(noise.mean()) < 0.012 and abs(noise.std() - 1) < 0.01  # four standard errors


# --------------------------------------------------------------------------------------------- writing and reading

def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, error):
    target = tmp_path / "kept.txt"
    target.write_text("old")

    def write(name):
        Path(name).write_text("half of the n")
        raise error

    with pytest.raises(CourseError if isinstance(error, OSError) else type(error)) as caught:
        write_atomically(target, write)
    if isinstance(error, OSError):
        assert str(target) in sentence(caught) and "No space left" in sentence(caught)
    assert target.read_text() == "old" and names(tmp_path) == ["kept.txt"]


def test_writing_makes_the_folder_and_a_file_that_others_may_read(tmp_path):
    target = tmp_path / "new" / "er" / "file.txt"
    write_atomically(target, lambda name: Path(name).write_text("whole"))
    assert target.read_text() == "whole" and names(target.parent) == ["file.txt"]
    if os.name == "posix":
        assert target.stat().st_mode & 0o777 == 0o644


def test_a_folder_that_cannot_be_written_to_gets_one_sentence(tmp_path):
    (tmp_path / "file").write_text("I am no folder")  # not even root can write under a file
    with pytest.raises(CourseError, match="choose a folder that you may write to") as caught:
        write_atomically(tmp_path / "file" / "picture.png", lambda name: pytest.fail("nothing may be written"))
    assert str(tmp_path / "file" / "picture.png") in sentence(caught)
    (tmp_path / "folder").mkdir()
    with pytest.raises(CourseError, match="choose another place") as caught:
        write_atomically(tmp_path / "folder", lambda name: Path(name).write_text("x"))
    sentence(caught)
    assert names(tmp_path) == ["file", "folder"]


TENSORS = {"a.weight": torch.arange(6.0).reshape(2, 3), "half": torch.ones(4, dtype=torch.float16),
           "image": torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last), "scalar": torch.tensor(3)}
SETTINGS = {"model": "pixels", "size": 32, "name": "Größe", "unet": {"channels": [1, 2]}}


def test_tensors_and_settings_come_back_as_they_went(tmp_path):
    path = tmp_path / "some.safetensors"
    save_tensors(path, TENSORS, SETTINGS)
    tensors, settings = load_tensors(path)
    assert settings == SETTINGS and set(tensors) == set(TENSORS)
    for key, value in TENSORS.items():
        assert tensors[key].dtype == value.dtype and torch.equal(tensors[key], value)
    assert names(tmp_path) == ["some.safetensors"]


def test_tensors_that_share_memory_or_need_gradients_are_saved_too(tmp_path):
    weight = torch.nn.Parameter(torch.randn(4, 4))
    save_tensors(tmp_path / "x.safetensors", {"once": weight, "turned": weight.T}, {})
    tensors, _ = load_tensors(tmp_path / "x.safetensors")
    assert torch.equal(tensors["turned"], weight.detach().T)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc shows which files a process holds open")
def test_loaded_tensors_do_not_hang_on_the_file(tmp_path):
    """On Windows a file that is mapped into memory cannot be replaced, and resuming replaces what it loaded."""
    path = tmp_path / "held.safetensors"
    save_tensors(path, TENSORS, SETTINGS)
    tensors, _ = load_tensors(path)
    assert str(path) not in Path("/proc/self/maps").read_text()
    assert torch.equal(tensors["half"], TENSORS["half"])


@pytest.mark.skipif(os.name != "posix", reason="a limit on the size of files stands for a full disk")
def test_a_full_disk_gets_one_sentence_and_leaves_the_old_file(tmp_path):
    import resource

    path = tmp_path / "state.safetensors"
    save_tensors(path, {"a": torch.zeros(3)}, {"old": True})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(CourseError, match="Cannot write") as caught:
            save_tensors(path, {"a": torch.zeros(100_000)}, {"old": False})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(path) in sentence(caught)
    assert load_tensors(path)[1] == {"old": True} and names(tmp_path) == ["state.safetensors"]


class Trap:
    """Unpickling this creates a file."""

    def __init__(self, canary: Path):
        self.canary = canary

    def __reduce__(self):
        return Path.touch, (self.canary,)


def cut_short(path: Path, canary: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def cut_in_the_header(path: Path, canary: Path) -> None:
    path.write_bytes(path.read_bytes()[:20])


def empty(path: Path, canary: Path) -> None:
    path.write_bytes(b"")


def pickled(path: Path, canary: Path) -> None:
    path.write_bytes(pickle.dumps(Trap(canary)))


def pickled_by_torch(path: Path, canary: Path) -> None:
    torch.save({"weights": Trap(canary)}, path)


def compressed(path: Path, canary: Path) -> None:
    path.write_bytes(gzip.compress(path.read_bytes()))


def of_someone_else(path: Path, canary: Path) -> None:
    save_file({"a": torch.zeros(1)}, path)


DAMAGES = [cut_short, cut_in_the_header, empty, pickled, pickled_by_torch, compressed, of_someone_else]


def test_the_trap_works(tmp_path):
    for damage in (pickled, pickled_by_torch):
        canary, path = tmp_path / damage.__name__, tmp_path / "file"
        damage(path, canary)
        if damage is pickled:
            pickle.loads(path.read_bytes())
        else:
            torch.load(path, weights_only=False)
        assert canary.exists()


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_file_gets_one_sentence_and_is_never_unpickled(tmp_path, damage):
    path, canary = tmp_path / "some.safetensors", tmp_path / "canary"
    save_tensors(path, TENSORS, SETTINGS)
    damage(path, canary)
    with pytest.raises(CourseError, match="damaged or not a file of this course") as caught:
        load_tensors(path)
    assert str(path) in sentence(caught) and not canary.exists()


def test_a_file_that_is_not_there_gets_one_sentence(tmp_path):
    with pytest.raises(CourseError, match="There is no file") as caught:
        load_tensors(tmp_path / "nothing.safetensors")
    assert str(tmp_path / "nothing.safetensors") in sentence(caught)


# ------------------------------------------------------------------------------------------------ shipped weights

@pytest.fixture
def shipped(tmp_path):
    """A folder as data/weights is: two weight files and their sums."""
    for name in ("pixels", "other"):
        save_tensors(tmp_path / f"{name}.safetensors", TENSORS, SETTINGS | {"name": name})
    lines = [f"{sha256(path)}  {path.name}\n" for path in sorted(tmp_path.glob("*.safetensors"))]
    (tmp_path / "SHA256SUMS").write_text("".join(lines), newline="\n")
    return tmp_path


def test_weights_load_when_their_sum_is_right(shipped):
    tensors, settings = load_weights("pixels", shipped)
    assert settings == SETTINGS | {"name": "pixels"} and torch.equal(tensors["a.weight"], TENSORS["a.weight"])


def test_sums_with_the_line_ends_of_windows_work(shipped):
    sums = shipped / "SHA256SUMS"
    sums.write_bytes(sums.read_bytes().replace(b"\n", b"\r\n") + b"\r\n")
    assert load_weights("other", shipped)[1]["name"] == "other"


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_altered_weights_get_one_sentence_naming_file_and_remedy(shipped, damage):
    canary = shipped / "canary"
    damage(shipped / "pixels.safetensors", canary)
    with pytest.raises(CourseError, match="cut short or altered") as caught:
        load_weights("pixels", shipped)
    assert str(shipped / "pixels.safetensors") in sentence(caught)
    assert "git checkout -- data/weights/pixels.safetensors" in sentence(caught)
    assert not canary.exists()
    assert load_weights("other", shipped)  # the file beside it is as good as before


def test_one_flipped_bit_is_noticed(shipped):
    path = shipped / "pixels.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    load_tensors(path)  # it still looks like a good file
    with pytest.raises(CourseError, match="cut short or altered"):
        load_weights("pixels", shipped)


@pytest.mark.parametrize("damage", [pickled, pickled_by_torch])
def test_even_a_pickle_with_the_right_sum_is_not_unpickled(shipped, damage):
    path, canary = shipped / "pixels.safetensors", shipped / "canary"
    damage(path, canary)
    (shipped / "SHA256SUMS").write_text(f"{sha256(path)}  {path.name}\n")
    with pytest.raises(CourseError, match="damaged or not a file of this course"):
        load_weights("pixels", shipped)
    assert not canary.exists()


def test_missing_weights_get_one_sentence_naming_file_and_remedy(shipped):
    (shipped / "pixels.safetensors").unlink()
    with pytest.raises(CourseError, match="is missing: get it back with: git checkout -- ") as caught:
        load_weights("pixels", shipped)
    assert str(shipped / "pixels.safetensors") in sentence(caught)


def test_unknown_weights_get_the_choice(shipped):
    with pytest.raises(CourseError, match="no weights called 'pixel': choose from other, pixels") as caught:
        load_weights("pixel", shipped)
    sentence(caught)


@pytest.mark.parametrize("content", [None, b"0123abcd\n", b"a b c\n", b"\xff\xfe\x00"])
def test_missing_or_damaged_sums_get_one_sentence_and_the_remedy(shipped, content):
    sums = shipped / "SHA256SUMS"
    sums.unlink() if content is None else sums.write_bytes(content)
    with pytest.raises(CourseError, match="git checkout -- data/weights/SHA256SUMS") as caught:
        load_weights("pixels", shipped)
    assert str(sums) in sentence(caught)


def test_sha256_is_sha256(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")  # the example of FIPS 180
    assert sha256(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_show_source_shows_the_source():
    shown = runtime.show_source(runtime.sha256)
    assert "hashlib.file_digest" in shown.data and "highlight" in shown._repr_html_()
    assert json.dumps(shown.data)


def test_the_source_of_a_method_is_shown_from_the_margin_and_its_long_lines_are_not_broken():
    shown = runtime.show_source(Schedule.add_noise)
    assert shown.data.startswith("def add_noise(") and "\n    return " in shown.data
    assert '<pre style="white-space:pre;overflow-x:auto">' in shown._repr_html_() and "add_noise" in shown._repr_html_()
