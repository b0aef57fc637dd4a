"""Pictures to learn from: every set through one function, and every broken or foreign file gets one sentence."""

import gzip
import hashlib
import pickle
import struct
import subprocess
import sys
import urllib.request
import warnings
import zlib
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets

from course_lib import data
from course_lib.data import HELD_OUT_FROM, Pictures, open_pictures, scene_seeds
from course_lib.pictures import open_picture, save_png, tile, to_tensor, to_uint8
from course_lib.picturebook import main_caption, random_scene, render
from course_lib.runtime import CourseError

ROOT = Path(__file__).resolve().parents[1]
REAL_MNIST = ROOT.parent / "shared" / "datasets" / "MNIST" / "raw"
MNIST_MD5 = {  # of the unpacked files
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


def sentence(caught) -> str:
    text = str(caught.value)
    assert text and "\n" not in text
    return text


# ------------------------------------------------------------------------------------- pictures to tensors and back

def test_every_value_of_a_pixel_survives_the_way_to_a_tensor_and_back():
    pictures = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    x = to_tensor(pictures)
    assert x.shape == (1, 3, 16, 16) and x.dtype == torch.float32 and x.min() == -1 and x.max() == 1
    assert (to_uint8(x) == pictures).all()
    assert torch.equal(Pictures(torch.from_numpy(pictures).permute(0, 3, 1, 2), [""]).batch([0]), x)


def test_channels_and_rows_stay_where_they_are():
    pictures = np.random.default_rng(0).integers(0, 256, (2, 4, 6, 3), dtype=np.uint8)
    assert to_tensor(pictures)[1, 2, 3, 5] == pytest.approx(pictures[1, 3, 5, 2] / 127.5 - 1, abs=1e-6)
    assert (to_uint8(to_tensor(pictures)) == pictures).all()
    assert (to_uint8(to_tensor(pictures[:, ::-1])) == pictures[:, ::-1]).all()  # a view with a negative stride


def test_values_outside_are_clipped_and_grey_becomes_three_channels():
    shown = to_uint8(torch.tensor([-7.0, -1.0, 0.0, 1.0, 7.0]).reshape(1, 1, 1, 5))
    assert shown.shape == (1, 1, 5, 3) and shown[0, 0, :, 1].tolist() == [0, 0, 128, 255, 255]


def test_a_sheet_has_every_picture_in_its_place(tmp_path):
    pictures = np.stack([np.full((2, 3, 3), value, np.uint8) for value in (10, 20, 30)])
    sheet = tile(pictures, columns=2, scale=2, gap=1)
    assert sheet.shape == (2 * 4 + 1, 2 * 6 + 1, 3)
    assert (sheet[:4, :6] == 10).all() and (sheet[:4, 7:] == 20).all() and (sheet[5:, :6] == 30).all()
    assert (sheet[5:, 7:] == 255).all() and (sheet[4] == 255).all()
    save_png(tmp_path / "sheet.png", sheet)
    assert (np.asarray(Image.open(tmp_path / "sheet.png")) == sheet).all()


# ------------------------------------------------------------------------------------------------ the picture book

@pytest.mark.parametrize("name", ["picturebook", "firstpages"])
def test_the_picture_book_shows_its_scenes_with_their_captions(name):
    found = open_pictures(name, size=24, split="test", limit=5)
    assert len(found) == 5 and found.pictures.shape == (5, 3, 24, 24) and found.pictures.dtype == torch.uint8
    for index, seed in enumerate(islice(scene_seeds(name, "test"), 5)):
        scene = random_scene(seed)
        assert (found.pictures[index].permute(1, 2, 0).numpy() == render(scene, 24)).all()
        assert found.labels[index] == main_caption(scene)


@pytest.mark.parametrize("name", ["picturebook", "firstpages"])
def test_training_and_test_pages_share_no_seed(name):
    train, test = (list(islice(scene_seeds(name, split), 300)) for split in ("train", "test"))
    assert len(set(train)) == len(set(test)) == 300 and train == sorted(train) and test == sorted(test)
    most = 10_000_000  # the limit of open_pictures; at this rate its last page is still far from the held-out ones
    assert train[-1] / 300 * most < 0.5 * HELD_OUT_FROM <= 0.5 * test[0]
    train, test = (open_pictures(name, 16, split, limit=40) for split in ("train", "test"))
    assert not {picture.numpy().tobytes() for picture in train.pictures} & {
        picture.numpy().tobytes() for picture in test.pictures}


def test_the_first_pages_are_the_easy_ones():
    seeds = list(islice(scene_seeds("firstpages", "train"), 100))
    for seed in range(seeds[-1] + 1):
        things = random_scene(seed).things
        easy = len(things) == 1 and things[0].size == "large" and things[0].kind not in ("hand", "sign")
        assert easy is (seed in seeds), seed


def test_many_pages_drawn_by_many_processes_are_the_same_pages(monkeypatch):
    alone = open_pictures("picturebook", 16, limit=40)
    monkeypatch.setattr(data, "MANY", 40)
    monkeypatch.setattr(data.os, "cpu_count", lambda: 2)
    together = open_pictures("picturebook", 16, limit=40)
    assert torch.equal(together.pictures, alone.pictures) and together.labels == alone.labels


@pytest.mark.parametrize("wrong, words", [
    ({"size": 15}, "The size must be a whole number from 16 to 256"), ({"size": 32.0}, "The size must be"),
    ({"limit": 0}, "The limit must be a whole number from 1"), ({"split": "valid"}, "choose train or test"),
    ({"name": "picturebok"}, "choose picturebook, .*, CIFAR10, or the path of a folder"),
])
def test_a_bad_value_gets_one_sentence(wrong, words):
    with pytest.raises(CourseError, match=words) as caught:
        open_pictures(**{"name": "picturebook"} | wrong)
    sentence(caught)


# ------------------------------------------------------------------------------------------------ torchvision's sets

def write_idx(path: Path, array: np.ndarray) -> None:
    """The IDX format: two zero bytes, 8 for unsigned bytes, the number of axes, each length big-endian, the values."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes())


def small_digits(root: Path, name: str = "MNIST") -> dict[str, np.ndarray]:
    made = {}
    for split, count in (("train", 12), ("t10k", 7)):
        made[split] = np.random.default_rng(count).integers(0, 256, (count, 28, 28), dtype=np.uint8)
        write_idx(root / name / "raw" / f"{split}-images-idx3-ubyte", made[split])
        write_idx(root / name / "raw" / f"{split}-labels-idx1-ubyte", np.arange(count, dtype=np.uint8) % 10)
    return made


@pytest.mark.parametrize("name, third", [("MNIST", "2 - two"), ("FashionMNIST", "Pullover")])
def test_idx_files_are_read(tmp_path, name, third):
    made = small_digits(tmp_path, name)
    for split, key in (("train", "train"), ("test", "t10k")):
        found = open_pictures(name, size=28, split=split, root=tmp_path)
        assert found.pictures.shape == (len(made[key]), 1, 28, 28) and found.pictures.dtype == torch.uint8
        assert (found.pictures[:, 0].numpy() == made[key]).all() and found.labels[2] == third
    found = open_pictures(name, size=32, limit=5, root=tmp_path)
    assert found.pictures.shape == (5, 1, 32, 32) and to_uint8(found.batch([0, 1])).shape == (2, 32, 32, 3)
    assert len(open_pictures(name, size=28, limit=1000, root=tmp_path)) == 12


def write_cifar(root: Path, monkeypatch) -> np.ndarray:
    """Small batches in CIFAR-10's own layout. torchvision checks the real ones by MD5; ours have theirs."""
    folder, random = root / datasets.CIFAR10.base_folder, np.random.default_rng(0)
    folder.mkdir(parents=True)

    def write(name: str, content: dict) -> str:
        (folder / name).write_bytes(pickle.dumps(content))
        return hashlib.md5((folder / name).read_bytes()).hexdigest()

    pixels = random.integers(0, 256, (6, 3, 32, 32), dtype=np.uint8)
    lists = {"train_list": [f"data_batch_{i}" for i in range(1, 6)], "test_list": ["test_batch"]}
    for attribute, batches in lists.items():
        sums = [[name, write(name, {"data": pixels[i:i + 1].reshape(1, 3072), "labels": [i]})]
                for i, name in enumerate(batches)]
        monkeypatch.setattr(datasets.CIFAR10, attribute, sums)
    classes = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    meta = {"filename": "batches.meta", "key": "label_names", "md5": write("batches.meta", {"label_names": classes})}
    monkeypatch.setattr(datasets.CIFAR10, "meta", meta)
    return pixels


def test_cifar_is_read(tmp_path, monkeypatch):
    pixels = write_cifar(tmp_path, monkeypatch)
    train = open_pictures("CIFAR10", size=32, root=tmp_path)
    assert (train.pictures.numpy() == pixels[:5]).all() and train.labels[:3] == ["airplane", "automobile", "bird"]
    test = open_pictures("CIFAR10", size=16, split="test", root=tmp_path)
    assert test.pictures.shape == (1, 3, 16, 16)
    halves = pixels[0].astype(float).reshape(3, 16, 2, 16, 2).mean(axis=(2, 4))
    assert np.abs(test.pictures[0].numpy() - halves).max() <= 1  # averaged, two by two


@pytest.fixture
def offline(monkeypatch):
    """Every download fails at once, on a port of this machine where nobody listens."""
    nobody = "http://127.0.0.1:9/"
    for name in ("MNIST", "FashionMNIST"):
        monkeypatch.setattr(getattr(datasets, name), "mirrors", [nobody, nobody])
    monkeypatch.setattr(datasets.CIFAR10, "url", nobody + "cifar-10-python.tar.gz")
    for proxy in urllib.request.getproxies():
        monkeypatch.delenv(f"{proxy}_proxy", raising=False)
        monkeypatch.delenv(f"{proxy.upper()}_PROXY", raising=False)


@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST", "CIFAR10"])
def test_no_network_and_no_copy_gets_one_sentence(tmp_path, offline, name):
    for _ in range(2):  # the first failure leaves nothing behind that the second trips over
        with pytest.raises(CourseError, match="could not be downloaded .* connect to the network") as caught:
            open_pictures(name, root=tmp_path)
        assert name in sentence(caught) and str(tmp_path) in sentence(caught)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size]


@pytest.mark.parametrize("keep", [0, 3, 10, 16, 500, -1])
def test_half_a_download_gets_one_sentence(tmp_path, offline, keep):
    small_digits(tmp_path)
    images = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    images.write_bytes(images.read_bytes()[:keep])
    with pytest.raises(CourseError, match="is damaged: delete it") as caught:
        open_pictures("MNIST", size=28, root=tmp_path)
    assert "MNIST" in sentence(caught)
    assert len(open_pictures("MNIST", size=28, split="test", root=tmp_path)) == 7


def test_an_altered_cifar_batch_is_not_unpickled(tmp_path, monkeypatch, offline):
    write_cifar(tmp_path, monkeypatch)
    canary = tmp_path / "canary"

    class Trap:
        def __reduce__(self):
            return Path.touch, (canary,)

    (tmp_path / datasets.CIFAR10.base_folder / "data_batch_3").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(CourseError, match="could not be downloaded") as caught:
        open_pictures("CIFAR10", root=tmp_path)
    sentence(caught)
    assert not canary.exists()


@pytest.mark.skipif(not REAL_MNIST.is_dir(), reason="no copy of MNIST in ../shared/datasets beside the repository")
def test_the_real_mnist(tmp_path):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, md5 in MNIST_MD5.items():
        content = gzip.decompress((REAL_MNIST / f"{name}.gz").read_bytes())
        assert hashlib.md5(content).hexdigest() == md5
        (raw / name).write_bytes(content)
    test = open_pictures("MNIST", size=28, split="test", root=tmp_path)
    assert test.pictures.shape == (10_000, 1, 28, 28)
    assert test.labels[:4] == ["7 - seven", "2 - two", "1 - one", "0 - zero"]
    assert [test.labels.count(text) for text in sorted(set(test.labels))] == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    train = open_pictures("MNIST", size=32, limit=1000, root=tmp_path)
    assert train.pictures.shape == (1000, 1, 32, 32)
    assert [text[0] for text in train.labels[:10]] == list("5041921314")
    ink = train.pictures.float().mean(dim=(0, 1)) / 255
    assert ink[8:24, 8:24].mean() > 5 * ink[:4].mean() and 0.1 < ink.mean() < 0.16  # light ink in the middle


# -------------------------------------------------------------------------------------- the learner's own pictures

def card(width: int = 60, height: int = 40) -> Image.Image:
    """Four quarters: red, green above; blue, white below."""
    picture = Image.new("RGB", (width, height), "white")
    for place, colour in (((0, 0), "red"), ((width // 2, 0), "lime"), ((0, height // 2), "blue")):
        picture.paste(colour, (*place, place[0] + width // 2, place[1] + height // 2))
    return picture


def quarters(picture: np.ndarray) -> list[tuple[int, ...]]:
    """The colours in the middles of the four quarters."""
    a, b = len(picture) // 4, 3 * len(picture) // 4
    return [tuple(picture[y, x].tolist()) for y, x in ((a, a), (a, b), (b, a), (b, b))]


RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


@pytest.mark.parametrize("size", [(60, 40), (40, 60), (16, 16), (7, 9), (1, 200), (2000, 20)])
def test_any_shape_becomes_a_square_of_its_middle(tmp_path, size):
    card(*size).save(tmp_path / "card.png")
    found = open_picture(tmp_path / "card.png", 32)
    assert found.shape == (32, 32, 3) and found.dtype == np.uint8
    if min(size) >= 16:
        assert quarters(found) == [RED, GREEN, BLUE, WHITE]


def test_a_picture_of_the_right_size_is_not_touched(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "noise.png")
    assert (open_picture(tmp_path / "noise.png", 32) == pixels).all()
    with open(tmp_path / "noise.png", "rb") as file:
        assert (open_picture(file, 32, "noise.png") == pixels).all()


def test_every_mode_of_colour_is_understood(tmp_path):
    folder = tmp_path / "modes"
    folder.mkdir()
    grey = card().convert("L")
    grey.save(folder / "a-L.png")
    card().convert("1", dither=Image.Dither.NONE).save(folder / "b-1.png")
    Image.fromarray(np.asarray(grey).astype(np.uint16) * 257).save(folder / "c-I16.png")
    card().quantize(8).save(folder / "d-P.png")
    card().convert("CMYK").save(folder / "e-CMYK.jpg", quality=100)
    card().convert("RGBA").save(folder / "f-RGBA.webp", lossless=True)
    card().save(folder / "g-RGB.bmp")
    card().save(folder / "h-GIF.gif", save_all=True, append_images=[Image.new("RGB", (60, 40))])
    card().save(folder / "i-UPPER.JPG", quality=100)
    assert Image.open(folder / "c-I16.png").mode == "I;16"
    found = open_pictures(str(folder), size=32)
    assert found.pictures.shape == (9, 3, 32, 32) and found.labels[0] == "a-L"
    shown = {label[0]: np.array(quarters(to_uint8(found.batch([i]))[0])) for i, label in enumerate(found.labels)}
    colours = np.array([RED, GREEN, BLUE, WHITE])
    for label in "defghi":
        assert np.abs(shown[label] - colours).max() <= (0 if label in "dfgh" else 4), label
    greys = np.array([[76] * 3, [150] * 3, [29] * 3, [255] * 3])  # the luma of ITU-R 601
    for label in "ac":
        assert np.abs(shown[label] - greys).max() <= 1, (label, shown[label])


@pytest.mark.parametrize("mode", ["RGBA", "P", "L", "LA"])
def test_what_is_transparent_becomes_white(tmp_path, mode):
    clear = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    clear.paste((0, 0, 0, 255), (0, 0, 20, 40))  # the left half is opaque, black
    if mode == "L":
        Image.fromarray(np.asarray(clear.getchannel("A")) // 255 * 10).save(tmp_path / "x.png", transparency=0)
    else:
        clear.convert(mode).save(tmp_path / "x.png")
    found = open_picture(tmp_path / "x.png", 32)
    left = (10, 10, 10) if mode == "L" else (0, 0, 0)
    assert quarters(found) == [left, WHITE, left, WHITE]


def test_half_transparent_is_half_white(tmp_path):
    Image.new("RGBA", (20, 20), (255, 0, 0, 128)).save(tmp_path / "x.png")
    assert np.abs(open_picture(tmp_path / "x.png", 16)[8, 8].astype(int) - (255, 127, 127)).max() <= 1


@pytest.mark.parametrize("orientation, wanted", [
    (1, [RED, GREEN, BLUE, WHITE]), (3, [WHITE, BLUE, GREEN, RED]), (6, [BLUE, RED, WHITE, GREEN]),
    (8, [GREEN, WHITE, RED, BLUE])])
def test_a_photo_taken_sideways_is_turned_upright(tmp_path, orientation, wanted):
    exif = Image.Exif()
    exif[0x0112] = orientation
    card(64, 48).save(tmp_path / "photo.jpg", exif=exif, quality=100, subsampling=0)
    assert np.abs(np.array(quarters(open_picture(tmp_path / "photo.jpg", 32))) - np.array(wanted)).max() <= 4


def test_a_folder_is_read_in_order_with_its_inner_folders_and_up_to_the_limit(tmp_path):
    (tmp_path / "inner").mkdir()
    for name in ("b.png", "a.png", "inner/c.png"):
        card().save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture, and not meant to be")
    assert open_pictures(str(tmp_path), 16).labels == ["a", "b", "c"]
    assert open_pictures(str(tmp_path), 16, limit=2).labels == ["a", "b"]


def test_an_empty_folder_gets_one_sentence(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(CourseError, match="There is no picture in") as caught:
        open_pictures(str(tmp_path))
    assert str(tmp_path) in sentence(caught) and ".png" in sentence(caught)


def half(path: Path) -> None:
    card(300, 300).save(path)
    path.write_bytes(path.read_bytes()[:len(path.read_bytes()) // 2])


def text(path: Path) -> None:
    path.write_text("This is no picture.")


def nothing(path: Path) -> None:
    path.write_bytes(b"")


def test_what_only_looks_like_a_picture_by_its_name_is_passed_over(tmp_path):
    """A folder called x.png, and the hidden companions that macOS leaves on a stick."""
    (tmp_path / "album.png").mkdir()
    text(tmp_path / "._holiday.png")
    card(40, 40).save(tmp_path / "holiday.png")
    assert open_pictures(str(tmp_path), size=16).labels == ["holiday"]


def test_many_pages_can_be_drawn_from_a_script_without_a_main_guard():
    code = ("from course_lib import data; data.MANY = 10; "
            "print(len(data.open_pictures('picturebook', 16, limit=12)))")
    run = subprocess.run([sys.executable, "-"], input=code, capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert run.returncode == 0 and run.stdout.split() == ["12"], run.stderr


@pytest.mark.parametrize("damage", [half, text, nothing], ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("ending", ["png", "jpg", "gif", "webp", "bmp"])
def test_what_is_no_picture_gets_one_sentence_with_its_name(tmp_path, damage, ending):
    path = tmp_path / f"broken.{ending}"
    damage(path)
    with pytest.raises(CourseError, match="cannot be read as a picture") as caught:
        open_pictures(str(tmp_path))
    assert str(path) in sentence(caught)


@pytest.mark.parametrize("ending", ["png", "jpg", "gif", "webp", "bmp"])
def test_altered_bytes_give_a_picture_or_one_sentence_but_nothing_else(tmp_path, ending):
    path, random = tmp_path / f"x.{ending}", np.random.default_rng(0)
    exif = Image.Exif()
    exif[0x0112] = 6
    card(40, 40).save(path, **({"exif": exif} if ending in ("jpg", "png", "webp") else {}))
    good = np.frombuffer(path.read_bytes(), np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(150):
            bad = good.copy()
            places = random.integers(0, min(len(bad), 400), 3)
            bad[places] = random.integers(0, 256, 3)
            path.write_bytes(bad.tobytes())
            try:
                assert open_picture(path, 16).shape == (16, 16, 3)
            except CourseError as error:
                assert "\n" not in str(error)


def png_of_size(width: int, height: int) -> bytes:
    """A PNG file that says it is large and holds next to nothing: decoding it would fail, or fill the memory."""
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 10)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [7100, 12_000, 60_000])
def test_a_picture_over_fifty_megapixels_is_refused_before_it_is_decoded(tmp_path, monkeypatch, side):
    (tmp_path / "huge.png").write_bytes(png_of_size(side, side))
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda *_: pytest.fail("it is being decoded"))
    with warnings.catch_warnings(), pytest.raises(CourseError, match="50 megapixels") as caught:
        warnings.simplefilter("ignore")
        open_picture(tmp_path / "huge.png", 32)
    assert str(tmp_path / "huge.png") in sentence(caught)


def test_a_picture_just_under_fifty_megapixels_is_not_refused_for_its_size(tmp_path):
    (tmp_path / "large.png").write_bytes(png_of_size(7000, 7000))
    with pytest.raises(CourseError, match="cut short"):  # it holds ten bytes of its 147 million
        open_picture(tmp_path / "large.png", 32)
