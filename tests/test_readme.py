"""What the README says is true: its links, its code, its commands, its table of floors."""

import re
import shlex

import nbformat
import pytest

from course_lib.__main__ import parser
from course_lib.runtime import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = ["README.md", "data/README.md", "notebooks/instructor/in_the_room.md"]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_that_exist(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in link]
    missing = [link for link in links if not (ROOT / page).parent.joinpath(link).exists()]
    assert not missing, f"{page} links to {missing}"


def test_the_ten_lines_run(capsys):
    [code] = re.findall(r"```python\n(.*?)```", README, flags=re.S)
    assert code.count("\n") <= 12
    exec(compile(code, "README.md", "exec"), {})
    assert len(capsys.readouterr().out.splitlines()) == 20


def test_commands_are_understood():
    texts = [(ROOT / page).read_text(encoding="utf-8") for page in PAGES]
    lines = [line for text in texts for line in re.findall(r"^python -m course_lib ([^#\n]*)", text, flags=re.M)]
    assert len(lines) >= 3
    for line in lines:
        parser().parse_args(shlex.split(line))


def test_every_chapter_is_listed():
    chapters = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))
    assert chapters == sorted(re.findall(r"\(notebooks/([^)]+\.ipynb)\)", README))


def test_chapters_take_as_long_as_they_say_themselves():
    told = dict(re.findall(r"\(notebooks/([^)]+\.ipynb)\).*\| (\d+) minutes \|", README))
    for name, minutes in told.items():
        first = nbformat.read(ROOT / "notebooks" / name, as_version=4).cells[0].source
        said = re.search(r"About (\d+) minutes", first)
        assert said and said[1] == minutes, name
    assert len(told) >= 4


def test_every_file_of_the_library_has_its_place_on_a_floor():
    named = set(re.findall(r"`([a-z_]+(?:\.py|/))`", README))
    here = {path.name + ("/" if path.is_dir() else "") for path in (ROOT / "course_lib").iterdir()
            if path.name not in ("__init__.py", "__pycache__")}
    assert here <= named, f"not in README's table of floors: {here - named}"
