"""The house: imports only go down, training needs no Jupyter, files stay small, and no machine's paths are in them."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = ROOT / "course_lib"

FLOORS = [
    ["runtime"],
    ["schedulers", "layers", "optimizers", "parallel", "neighbours", "picturebook", "pictures", "plots"],
    ["unet", "vae", "oracle", "tokenizer", "points", "data", "denoiser", "guidance"],
    ["text", "sampling", "training", "pages", "attention", "editing", "costs"],
    ["models", "evaluation"],
    ["recipes", "pipeline"],
    ["reports", "bench", "experiments", "interventions", "offline"],
    ["labs", "checks", "notebooks", "glossary", "site"],
    ["teaching"],
    ["__main__"],
]
FLOOR = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}


def module_name(path: Path) -> str:
    """course_lib/labs/noise.py -> "labs.noise"; a package's __init__.py -> "labs"; course_lib/__init__.py -> ""."""
    parts = path.relative_to(LIBRARY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(LIBRARY.rglob("*.py"))}


def imported_modules(source: str, name: str, is_package: bool, modules) -> set[str]:
    """The course_lib modules that `source` imports, wherever in it, as names such as "labs.noise"."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.removeprefix("course_lib").removeprefix(".") for alias in node.names
                      if alias.name.split(".")[0] == "course_lib"}
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                package = ["course_lib", *filter(None, name.split("."))]
                package = package[:len(package) - node.level + is_package]
                base = ".".join([*package, *filter(None, [node.module])])
            else:
                base = node.module
            if base.split(".")[0] != "course_lib":
                continue
            base = base.removeprefix("course_lib").removeprefix(".")
            for alias in node.names:
                inner = f"{base}.{alias.name}" if base else alias.name
                found.add(inner if inner in modules else base)
    return found


def complaints(imports: dict[str, set[str]]) -> list[str]:
    """What is wrong with these imports (module -> modules it imports), a sentence each."""
    wrong = []
    for name, wanted in imports.items():
        room = name.split(".")[0]
        for other in wanted:
            below = other.split(".")[0]
            if not below:
                if room:
                    wrong.append(f"{name} imports course_lib itself, which is empty on purpose.")
            elif below not in FLOOR or (room and room not in FLOOR):
                unlisted = below if below not in FLOOR else room
                wrong.append(f"course_lib/{unlisted} stands on no floor: add it to FLOORS in tests/test_structure.py.")
            elif not room:
                wrong.append(f"course_lib/__init__.py imports {other}: it stays empty on purpose.")
            elif room != below and FLOOR[below] >= FLOOR[room]:
                wrong.append(f"{name} (floor {FLOOR[room]}) imports {other} (floor {FLOOR[below]}): "
                             "an import only goes down.")
        if room and room not in FLOOR:
            wrong.append(f"course_lib/{room} stands on no floor: add it to FLOORS in tests/test_structure.py.")
    done, path = set(), []

    def walk(name: str) -> None:
        if name in path:
            wrong.append("These import each other in a circle: " + " -> ".join(path[path.index(name):] + [name]))
        elif name not in done:
            path.append(name)
            for other in sorted(imports.get(name, ())):
                walk(other)
            path.pop()
            done.add(name)

    for name in imports:
        walk(name)
    return wrong


def test_imports_only_go_down():
    imports = {name: imported_modules(path.read_text(encoding="utf-8"), name, path.name == "__init__.py", MODULES)
               for name, path in MODULES.items()}
    assert len(imports) > 15, "the library was not found"
    assert imports["pipeline"] >= {"sampling", "models", "runtime"}, "the reader of imports reads nothing"
    assert not complaints(imports), "\n".join(complaints(imports))


def test_every_floor_is_lived_on():
    assert set(FLOOR) <= {name.split(".")[0] for name in MODULES}, "FLOORS names a module that is not there"


@pytest.mark.parametrize("name, source, complaint", [
    ("runtime", "from course_lib.unet import UNet", "an import only goes down"),
    ("sampling", "def f():\n    from course_lib import training", "an import only goes down"),
    ("checks", "import course_lib.labs.scrubber", "an import only goes down"),
    ("labs.noise", "from .scrubber import Scrubber", ""),
    ("labs.scrubber", "from . import noise\nfrom .noise import compute", ""),
    ("attic", "import math", "add it to FLOORS"),
    ("labs.noise", "from ..attic import dust", "add it to FLOORS"),
    ("unet", "import torch, course_lib.layers as l", ""),
])
def test_the_reader_of_imports_sees_every_way_to_import(name, source, complaint):
    modules = {"labs", "labs.noise", "labs.scrubber", "attic", "unet", "training"}
    found = complaints({name: imported_modules(source, name, False, modules)})
    assert (complaint in " ".join(found)) if complaint else not found, found


def test_the_reader_of_imports_sees_a_circle():
    assert "in a circle: labs.a -> labs.b -> labs.a" in complaints({"labs.a": {"labs.b"}, "labs.b": {"labs.a"}})[0]


# Stands in the way of every import of these packages.
WITHOUT_JUPYTER = """
import sys
from importlib.abc import MetaPathFinder

class Refuse(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"IPython", "ipykernel", "ipywidgets", "anywidget", "jupyterlab", "jupyter_client",
                                  "nbformat", "nbclient", "traitlets", "matplotlib"}:
            raise ImportError(f"{name} is not for a bare GPU machine")

sys.meta_path.insert(0, Refuse())
"""

TWO_STEPS = """
from dataclasses import replace
from pathlib import Path
import torch
torch.set_num_threads(1)
import course_lib.pipeline
from course_lib.recipes import RECIPES, train
from course_lib.unet import UNetSettings
recipe = replace(RECIPES["pixels"], pages=8, size=16, batch=4, unet=UNetSettings(channels=(32,), attention=(False,)))
for progress in train(recipe, Path(sys.argv[1]), torch.device("cpu"), steps=2):
    pass
trained = course_lib.runtime.load_tensors(Path(sys.argv[1]) / "pixels.safetensors")
denoise = course_lib.models.denoiser_from(*trained, torch.device("cpu"))
result = course_lib.pipeline.generate_pixels(model=(denoise, (3, 16, 16)), steps=2)
print(progress.step, result.picture.shape)
"""


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True,
                          timeout=120)


def test_training_and_generation_import_nothing_of_jupyter(tmp_path):
    done = run_python(WITHOUT_JUPYTER + TWO_STEPS, str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[0] == "2 (16, 16, 3)"


def test_the_picture_book_and_the_help_do_not_wait_for_torch():
    code = ("import sys; import course_lib.picturebook, course_lib.__main__; course_lib.__main__.parser(); "
            "print(sorted({'torch', 'torchvision', 'matplotlib', 'IPython'} & set(sys.modules)))")
    done = run_python(code)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


@pytest.mark.parametrize("path", MODULES.values(), ids=lambda path: str(path.relative_to(ROOT)))
def test_files_are_short_and_so_are_their_lines(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 400, f"{path.name} has {len(lines)} lines: divide it"
    long = [number for number, line in enumerate(lines, 1) if len(line) > 120]
    assert not long, f"{path.name}: lines longer than 120 characters: {long}"


def files_of_the_repository() -> list[Path]:
    """What git tracks or would track; without git (a downloaded archive), every file outside hidden folders."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                            capture_output=True)
    if listed.returncode == 0:
        return [path for name in listed.stdout.decode().split("\0") if name and (path := ROOT / name).is_file()]
    return [path for path in ROOT.rglob("*") if path.is_file()
            and not any(part.startswith(".") or part in ("runs", "downloads", "__pycache__")
                        for part in path.relative_to(ROOT).parts)]


A_MACHINE = re.compile(r"(?<![\w.~])/(?:home|Users|root|work|mnt)/\w|(?<![\w.])/tmp/\w|\b[A-Z]:\\+Users\\|"
                       r"\b[\w-]+\.internal\b")
LONG_BASE64 = re.compile(r"[A-Za-z0-9+/=]{60,}")


def test_no_file_names_a_place_on_someones_machine():
    files = files_of_the_repository()
    assert ROOT / "course_lib" / "runtime.py" in files
    found = []
    for path in files:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # pictures and weights
        found += [f"{path.relative_to(ROOT)}: {hit.group()}" for hit in A_MACHINE.finditer(LONG_BASE64.sub("", text))]
    assert not found, found


@pytest.mark.parametrize("text, named", [
    ("see " + "/home" + "/ada/notes", True), ("'" + "/tmp" + "/x'", True), ("C:" + "\\Users\\ada", True),
    ("~/home/x", False), ("https://example.org/home/x", False), ("data/weights", False)])
def test_the_search_for_places_finds_them(text, named):
    assert bool(A_MACHINE.search(text)) is named
