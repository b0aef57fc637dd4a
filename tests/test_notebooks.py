"""The chapters as they are committed: short cells, ordered outputs, words for every picture, nothing defined twice.

That they run, offline and in time, is shown by running them (`python start.py test` does, with nbval).
"""

import ast
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = ROOT / "course_lib"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
TAGS = {"check", "exercise", "solution", "lab", "slow"}
RHYTHM = ["Question", "Build", "Check", "Play", "Exercises", "In one line each"]
A_MACHINE = re.compile(r"/(?:home|Users|root|work|mnt|tmp|usr)/\w|[A-Z]:\\+Users\\|site-packages")
LONG_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]{200,}")

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def text_of(lines) -> str:
    return lines if isinstance(lines, str) else "".join(lines)


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def cells(path: Path, kind: str) -> list[tuple[int, dict, str]]:
    """(number in the notebook, cell, source) of every cell of a kind."""
    return [(number, cell, text_of(cell["source"])) for number, cell in enumerate(read(path)["cells"])
            if cell["cell_type"] == kind]


def test_there_are_chapters():
    assert NOTEBOOKS, "the folder notebooks/ is empty: the course has no chapters"
    numbers = [path.stem[:2] for path in NOTEBOOKS]
    assert all(re.fullmatch(r"[0-9]{2}", number) for number in numbers) and len(set(numbers)) == len(numbers)


# -------------------------------------------------------------------------------------- one home for finished code

def bound_names(statements, inside: bool = False):
    """(name, is a definition) for all that these statements bind at the top level: def, class, assignments, for, with.

    Imports do not count: they bring the library's own object in under its own name.
    """
    for node in statements:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name, True
            continue
        targets = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, (ast.AnnAssign, ast.AugAssign, ast.For)):
            targets = [node.target]
        elif isinstance(node, ast.With):
            targets = [item.optional_vars for item in node.items if item.optional_vars]
        for target in targets:
            for name in ast.walk(target):
                if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store):
                    yield name.id, False
        for block in ("body", "orelse", "finalbody"):
            yield from bound_names(getattr(node, block, []))


def exported_names() -> dict[str, str]:
    """name -> the module whose own it is, for every public name of course_lib.

    A module exports what it defines itself; a package what its __init__.py lists in __all__, or defines.
    """
    names = {}
    for path in sorted(LIBRARY.glob("*.py")) + sorted(LIBRARY.glob("*/__init__.py")):
        if path.stem == "__main__" or path.parent == LIBRARY and path.stem == "__init__":
            continue
        room = path.parent.name if path.stem == "__init__" else path.stem
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found = {name for name, _ in bound_names(tree.body)}
        for node in tree.body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
                found |= set(ast.literal_eval(node.value))
        names |= {name: room for name in found if not name.startswith("_")}
    return names


def without_magics(source: str) -> str:
    return "\n".join("pass" if line.lstrip().startswith(("%", "!")) else line for line in source.splitlines())


def clashes(source: str, exported: dict[str, str]) -> list[str]:
    """Names of the library that a cell takes for itself.

    A function or class may have no exported name at all. A variable may have a lab's: labs are always called
    `labs.noise(...)`, and `noise` alone is the house's word for fresh noise.
    """
    return [name for name, is_definition in bound_names(ast.parse(without_magics(source)).body)
            if name in exported and (is_definition or exported[name] != "labs")]


def test_the_library_exports_what_it_should():
    exported = exported_names()
    assert {"ddim", "ddpm", "sample", "Schedule", "SCHEDULERS", "generate", "render", "fit", "noise"} <= set(exported)
    assert exported["noise"] == "labs" and exported["Scene"] == "picturebook"
    assert not {"x0", "eps", "x", "t", "ts", "torch", "np", "Tensor", "annotations"} & set(exported)


@pytest.mark.parametrize("source, wrong", [
    ("def ddim(x):\n    pass", ["ddim"]), ("class Denoiser:\n    pass", ["Denoiser"]), ("sample = 3", ["sample"]),
    ("for sample in range(3):\n    render, x = 1, 2", ["sample", "render"]), ("def noise():\n    pass", ["noise"]),
    ("if True:\n    def fit():\n        pass", ["fit"]), ("%matplotlib inline\ntile: int = 3", ["tile"]),
    ("noise = 3", []), ("x0, eps = 1, 2", []), ("from course_lib.sampling import sample", []),
    ("def ddpm_step_by_hand(x):\n    sample = 3\n    return sample", []), ("result.sample = 3", []),
])
def test_the_search_for_names_finds_them(source, wrong):
    assert clashes(source, exported_names()) == wrong


@every_notebook
def test_no_cell_defines_what_the_library_exports(path):
    exported = exported_names()
    wrong = [f"cell {number}: {name} is course_lib.{exported[name]}'s name" for number, _, source in cells(path, "code")
             for name in clashes(source, exported)]
    assert not wrong, "\n".join(wrong)


# --------------------------------------------------------------------------------------------------- form and tags

@every_notebook
def test_code_cells_are_short(path):
    long = {number: len(source.splitlines()) for number, _, source in cells(path, "code")
            if len(source.splitlines()) > 25}
    assert not long, f"lines by cell: {long}"


def headings(path: Path) -> list[tuple[int, int, str]]:
    """(cell, level, text) of every heading, those in fenced code left out."""
    found = []
    for number, _, source in cells(path, "markdown"):
        plain = re.sub(r"^(```|~~~).*?^\1", "", source, flags=re.DOTALL | re.MULTILINE)
        marked = re.findall(r"^(#{1,6})\s+(.+)$", plain, re.MULTILINE)
        found += [(number, len(marks), text.strip()) for marks, text in marked]
    return found


@every_notebook
def test_there_is_one_title_and_it_comes_first(path):
    assert [number for number, level, _ in headings(path) if level == 1] == [0]


@pytest.mark.parametrize("path", [path for path in NOTEBOOKS if not path.stem.startswith("00")],
                         ids=lambda path: path.stem)
def test_a_chapter_keeps_the_rhythm(path):
    titles = [text for _, level, text in headings(path) if level == 2]
    places = []
    for word in RHYTHM:
        found = [place for place, title in enumerate(titles) if word.lower() in title.lower()]
        assert found, f"no heading of the second level with '{word}' in it, only {titles}"
        places.append(next((place for place in found if not places or place > places[-1]), found[0]))
    assert places == sorted(set(places)), f"the order should be {RHYTHM}, but it is {titles}"


@every_notebook
def test_tags_are_known(path):
    tagged = [(number, cell["cell_type"], tag) for number, cell in enumerate(read(path)["cells"])
              for tag in cell["metadata"].get("tags", [])]
    assert not [entry for entry in tagged if entry[2] not in TAGS], tagged


@every_notebook
def test_a_cell_tagged_as_a_lab_opens_one(path):
    for number, cell, source in cells(path, "code"):
        tags = cell["metadata"].get("tags", [])
        if "lab" in tags:
            assert "labs." in source, f"cell {number} is tagged as a lab and opens none"


# --------------------------------------------------------------------------------------------------------- outputs

@every_notebook
def test_the_file_is_small(path):
    assert path.stat().st_size <= 700_000, f"{path.stat().st_size:,} bytes"


@every_notebook
def test_the_outputs_come_from_one_run_from_top_to_bottom(path):
    code = [cell for _, cell, _ in cells(path, "code")]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1)), "run all with one command"
    for cell in code:
        counts = {output["execution_count"] for output in cell["outputs"] if output["output_type"] == "execute_result"}
        assert counts <= {cell["execution_count"]}


@every_notebook
def test_no_cell_failed_or_grumbled(path):
    for number, cell, _ in cells(path, "code"):
        for output in cell["outputs"]:
            assert output["output_type"] != "error", f"cell {number}: {output.get('ename')}: {output.get('evalue')}"
            assert output.get("name") != "stderr", f"cell {number} wrote to stderr: {text_of(output['text'])[:200]}"


@every_notebook
def test_no_widget_state_is_kept(path):
    assert "widgets" not in read(path)["metadata"]


def outputs(path: Path):
    return [(number, output) for number, cell, _ in cells(path, "code") for output in cell["outputs"]]


@every_notebook
def test_the_page_shows_pictures_without_a_kernel(path):
    shown = [number for number, output in outputs(path) if any(
        kind.startswith("image/") for kind in output.get("data", {}))]
    assert shown, "no output holds a picture"


class Images(HTMLParser):
    """The alt texts of all images on a page; None where there is none."""

    def __init__(self, html: str):
        super().__init__()
        self.alts: list[str | None] = []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        if tag == "img":
            self.alts.append(dict(attributes).get("alt"))


def pictures_without_words(output: dict) -> list[str]:
    """The pictures of an output that have no alt text: neither their own, in the metadata or in HTML beside them.

    Front ends show the richest form they know: JupyterLab and code hosts take the HTML before the bare PNG.
    """
    data, metadata = output.get("data", {}), output.get("metadata", {})
    alts = Images(text_of(data.get("text/html", ""))).alts
    wrong = ["<img>" for alt in alts if not (alt or "").strip()]
    for kind in data:
        if kind.startswith("image/") and not (alts and all(alts)):
            own = metadata.get(kind, {})
            if not (isinstance(own, dict) and own.get("alt", "").strip()):
                wrong.append(kind)
    return wrong


@pytest.mark.parametrize("output, wrong", [
    ({"data": {"image/png": "x", "text/plain": "[figure]"}, "metadata": {}}, ["image/png"]),
    ({"data": {"image/png": "x"}, "metadata": {"image/png": {"alt": "A boat."}}}, []),
    ({"data": {"image/png": "x"}, "metadata": {"image/png": {"alt": " "}}}, ["image/png"]),
    ({"data": {"image/png": "x", "text/html": ["<img alt='A ", "boat.'>"]}, "metadata": {}}, []),
    ({"data": {"image/svg+xml": "x", "text/html": "<p>hello</p>"}, "metadata": {}}, ["image/svg+xml"]),
    ({"data": {"text/html": "<img src='x'>"}, "metadata": {}}, ["<img>"]),
])
def test_the_search_for_alt_text_finds_what_lacks_it(output, wrong):
    assert pictures_without_words(output) == wrong


@every_notebook
def test_every_picture_has_words(path):
    wrong = [f"output of cell {number}: {kind}" for number, output in outputs(path)
             for kind in pictures_without_words(output)]
    for number, _, source in cells(path, "markdown"):
        wrong += [f"cell {number}: ![]" for alt in re.findall(r"!\[([^\]]*)\]\(", source) if not alt.strip()]
        wrong += [f"cell {number}: <img>" for alt in Images(source).alts if not (alt or "").strip()]
    assert not wrong, wrong


@every_notebook
def test_no_output_names_a_place_on_someones_machine(path):
    found = []
    for number, output in outputs(path):
        texts = [text_of(output.get("text", ""))] + [text_of(value) for kind, value in output.get("data", {}).items()
                                                     if not kind.startswith("image/") and not isinstance(value, dict)]
        found += [f"cell {number}: {hit.group()}" for text in texts
                  for hit in A_MACHINE.finditer(LONG_BASE64.sub("", text))]
    assert not found, found
