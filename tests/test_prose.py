"""The prose of the course: its spelling, its links, its terms, and the form that every chapter promises.

Nothing here knows which chapters there are: what is in the folders is tested.
"""

import json
import re
import subprocess
import sys
from html import unescape
from pathlib import Path
from urllib.parse import unquote

import pytest

from course_lib.glossary import ENTRIES, NO_PROSE, PAGE, as_markdown, chapters, first_use, link_first_uses
from course_lib.runtime import ROOT

FOLDER = ROOT / "notebooks"
CHAPTERS = list(chapters().values())
PAGES = sorted(path for path in [ROOT / "README.md", ROOT / "data" / "README.md", *FOLDER.rglob("*.md")]
               if ".ipynb_checkpoints" not in path.parts)
every_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
every_page = pytest.mark.parametrize("path", [*PAGES, *CHAPTERS], ids=lambda path: path.relative_to(ROOT).as_posix())


def cells(path: Path) -> list[dict]:
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def source(cell: dict) -> str:
    return "".join(cell["source"])


def parts(path: Path) -> list[str]:
    """The Markdown of a page or of a chapter, cell by cell."""
    if path.suffix == ".md":
        return [path.read_text(encoding="utf-8")]
    return [source(cell) for cell in cells(path) if cell["cell_type"] == "markdown"]


def prose(path: Path) -> str:
    """The words of a page: without code, formulae and tags, and of links only what is read."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", "\n\n".join(parts(path)))
    return NO_PROSE.sub(lambda hit: hit.group() if hit.group().startswith(("#", "<summary", "|")) else " ", text)


# ------------------------------------------------------------------------------------------------------- spelling

TECHNICAL = ("ans", "iff", "nd", "te", "ue", "fo", "hist", "statics")  # words that codespell takes for mistakes


def test_common_mistakes_of_spelling_are_not_made(tmp_path):
    pytest.importorskip("codespell_lib", reason="codespell is not installed: pip install -e '.[test]'")
    for path in [*PAGES, *CHAPTERS]:
        name = "-".join(path.relative_to(ROOT).parts) + ".txt"
        (tmp_path / name).write_text(prose(path), encoding="utf-8")
    done = subprocess.run([sys.executable, "-m", "codespell_lib", "-L", ",".join(TECHNICAL), str(tmp_path)],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout.replace(str(tmp_path), "") + done.stderr


AMERICAN = re.compile(r"\b(colors?|colored|coloring|colorful|gray(?:scale|er|ish)?|centers?|centered|behaviors?|"
                      r"favor(?:s|ite|able)?|neighbor\w*|labeled|labeling|modeled|modeling|traveled|analyz\w+|catalog|"
                      r"defense|(?:recogn|normal|initial|general|summar|visual|parameter|parametr|reparameter|regular|"
                      r"organ|minim|maxim|real|emphas|memor)iz\w+|learnt)\b", re.IGNORECASE)  # learned, everywhere
TITLES = re.compile(r"^\*Papers\.\*.*$|(?<!\*)\*(?!\*)[^*\n]{15,}\*(?!\*)", re.MULTILINE)  # stay as their authors wrote


def own_words(path: Path) -> str:
    return TITLES.sub(" ", prose(path))


@every_page
def test_the_spelling_is_british(path):
    assert not (found := AMERICAN.findall(own_words(path))), found


@pytest.mark.parametrize("word, american", [
    ("color", True), ("colours", False), ("neighbor", True), ("center", True), ("optimizer", False),
    ("recognise", False), ("normalization", True)])
def test_american_words_are_found(word, american):
    assert bool(AMERICAN.search(word)) is american


FILLERS = re.compile(r"\b(simply|obviously|needless to say|trivial(?:ly)?|as everyone knows|"
                     r"just (?:do|use|add|take|run|call|write|put|multiply|divide|change|need|have to))\b", re.I)


@every_page
def test_nothing_is_called_simple_that_may_not_be(path):
    assert not (found := FILLERS.findall(own_words(path))), found


# ---------------------------------------------------------------------------------------------------------- links

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|<a\s[^>]*href=\"([^\"]+)\"")
FENCED = re.compile(r"^(?P<fence>```|~~~).*?^(?P=fence)|`[^`\n]+`", re.DOTALL | re.MULTILINE)


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as JupyterLab and the exported pages make them, and as GitHub does."""
    found = set()
    for part in parts(path):
        for title in re.findall(r"^#{1,6}\s+(.+?)\s*$", FENCED.sub(lambda hit: hit[0] if hit[0][:3] != "```" else "",
                                                                    part), re.MULTILINE):
            words = re.sub(r"\[([^\]]*)\]\([^)]*\)|[*`]", r"\1", title)
            found |= {words.replace(" ", "-"), re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")}
    return found


def to_be_written(target: Path) -> bool:
    """A chapter in a gap of the numbers: one that is being written."""
    numbers, name = chapters(), re.match(r"(\d\d)_\w+\.ipynb$", target.name)
    return bool(name) and target.parent == FOLDER and int(name[1]) not in numbers and int(name[1]) < max(numbers)


def lost(path: Path) -> list[str]:
    """The links of a page that lead nowhere."""
    wrong = []
    for part in parts(path):
        for link in (unescape(a or b) for a, b in LINK.findall(FENCED.sub("", part))):
            if re.match(r"[a-z]+:", link):
                continue
            place, _, anchor = link.partition("#")
            target = (path.parent / unquote(place)).resolve() if place else path
            if to_be_written(target):
                continue
            if not target.exists() or (anchor and target.suffix in (".md", ".ipynb")
                                       and unquote(anchor) not in anchors(target)):
                wrong.append(link)
    return wrong


@every_page
def test_links_and_anchors_lead_somewhere(path):
    assert not lost(path), lost(path)


def test_lost_links_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A title\n\n[a](#A-title) [b](#a-title) [c](#no) [d](none.md) [e](https://e.org/x) `[f](no)`\n")
    assert lost(page) == ["#no", "none.md"]


@every_page
def test_pictures_in_the_text_have_words(path):
    for part in parts(path):
        plain = FENCED.sub("", part)
        assert not re.findall(r"!\[\s*\]\(", plain), "a picture without alt text"
        assert all(re.search(r"alt=\"[^\"]+\"", tag) for tag in re.findall(r"<img\b[^>]*>", plain))


# ------------------------------------------------------------------------------------------------------- glossary

def test_the_page_of_the_glossary_is_what_the_list_gives():
    assert PAGE.read_text(encoding="utf-8") == as_markdown(), "run: python -m course_lib.glossary"


def test_the_glossary_is_in_order():
    headings = [entry.heading for entry in ENTRIES]
    assert len(set(headings)) == len(headings) and 40 <= len(headings) <= 120
    for entry in ENTRIES:
        assert re.fullmatch(r"[a-z0-9_-]+", entry.anchor), f"{entry.term}: not the same anchor everywhere"
        assert entry.meaning.endswith(".") and len(entry.meaning) <= 260, entry.term
        assert not any(other in entry.meaning for other in entry.elsewhere)
    assert [entry.chapter for entry in ENTRIES] == sorted(entry.chapter for entry in ENTRIES)


@pytest.mark.parametrize("number, path", chapters().items(), ids=[path.stem for path in CHAPTERS])
def test_terms_are_linked_where_they_are_at_home_and_nowhere_else(number, path):
    text = "".join(parts(path))
    linked = re.findall(r"\]\(glossary\.md#([^)]+)\)", text)
    homes = {entry.anchor for entry in ENTRIES if entry.chapter == number}
    assert sorted(linked) == sorted(homes), "run: python -m course_lib.glossary"


@every_page
def test_a_term_is_spelled_in_one_way(path):
    text = own_words(path)
    found = [other for entry in ENTRIES for other in entry.elsewhere
             if re.search(rf"(?<![\w.-]){re.escape(other)}(?![\w-])", text)]
    assert not found, found


def test_the_first_use_is_found_in_prose_only():
    entry = next(entry for entry in ENTRIES if entry.term == "latent")
    text = "# A latent\n\n`latent = 3`, $latent$, [latent](x.md), a **latent**\n\n```\nlatent\n```\n"
    assert first_use(text, entry).start() == text.index("**latent") + 2
    notebook = [{"cell_type": "markdown", "source": ["a latent"]}, {"cell_type": "code", "source": ["latent"]},
                {"cell_type": "markdown", "source": ["Two latents,\n", "one latent"]}]
    assert link_first_uses(notebook, [entry]) == 1 and link_first_uses(notebook, [entry]) == 0
    assert notebook[2]["source"] == ["Two [latents](glossary.md#latent),\n", "one latent"]


# ---------------------------------------------------------------------------------------------- what chapters promise

@every_chapter
def test_a_chapter_opens_as_promised(path):
    first, *others = cells(path)
    text = source(first)
    assert re.match(r"# \d\d · \S", text), "the title, with the chapter's number"
    assert re.match(r"\*\*[^*]+\?\*\*", text.split("\n", 1)[1].strip()), "a question in bold below the title"
    assert "you will be able to" in text
    assert re.search(r"\bAbout \d+ minutes", text)
    early = [cell for cell in others[:3] if cell["cell_type"] == "code"]
    assert any(kind.startswith("image/") for cell in early for output in cell["outputs"]
               for kind in output.get("data", {})), "no picture among the first cells"


@every_chapter
def test_a_chapter_ends_as_promised(path):
    last = parts(path)[-1]
    assert "## In one line each" in last and len(re.findall(r"^- ", last, re.MULTILINE)) >= 4
    assert last.index("## In one line each") < last.index("*Papers.*") < last.index("*In real systems.*")


CITED = re.compile(r"([A-Z][a-z][\w'-]*)(?:, [A-Z]\w+)*(?: et al\.,?|,? (?:&|and) [A-Z][\w-]+)? \(?((?:19|20)\d\d)\b")


def test_papers_are_recognised():
    text = "Ho, Jain and Abbeel (2020), Li & He 2025, van den Oord et al. (2018), Vincent (2011), in 2026"
    assert CITED.findall(text) == [("Ho", "2020"), ("Li", "2025"), ("Oord", "2018"), ("Vincent", "2011")]


@every_chapter
def test_papers_that_are_named_are_listed(path):
    *before, last = parts(path)
    listed = last[last.index("*Papers.*"):]
    named = {hit for part in before for hit in CITED.findall(part)}
    missing = [f"{name} {year}" for name, year in sorted(named) if year not in listed or name not in listed]
    assert not missing, missing


@every_chapter
def test_every_exercise_has_a_hint_and_a_solution(path):
    text = "\n\n".join(source(cell) if cell["cell_type"] == "markdown" else "" for cell in cells(path))
    text = text[text.index("## Exercises"):text.index("## In one line each")]
    starts = [hit.start() for hit in re.finditer(r"^\*\*\d+ · ", text, re.MULTILINE)]
    exercises = [text[a:b] for a, b in zip(starts, [*starts[1:], len(text)])]
    assert 3 <= len(exercises) <= 6, f"{len(exercises)} exercises"
    shared = re.search(r"<summary>Solutions</summary>(.*)", text, re.DOTALL)
    for number, exercise in enumerate(exercises, 1):
        assert exercise.startswith(f"**{number} · ")
        assert "<summary>Hint</summary>" in exercise, f"exercise {number} has no hint"
        told = "<summary>Solution</summary>" in exercise
        assert told or shared and f"\n{number}. " in shared[1], f"exercise {number} has no solution"


# ------------------------------------------------------------------------------------------- for those who teach

INSTRUCTOR = FOLDER / "instructor"


@pytest.mark.parametrize("page", ["guide.md", "questions.md"])
def test_teachers_find_something_on_every_chapter(page):
    text = (INSTRUCTOR / page).read_text(encoding="utf-8")
    titles = dict(re.findall(r"^## (\d\d) (.+)$", text, re.MULTILINE))
    for number, path in chapters().items():
        assert f"# {number:02d} · {titles[f'{number:02d}']}" in parts(path)[0]


def test_the_question_bank_has_questions_with_answers():
    sections = re.split(r"^## ", (INSTRUCTOR / "questions.md").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    for section in sections:
        questions = len(re.findall(r"^\*\*\d+ · (?:Recall|Explain|Apply|Transfer)\.\*\*", section, re.MULTILINE))
        assert questions >= 6 and questions == section.count("*Answer.*"), section[:30]
        assert {"Recall", "Explain", "Apply", "Transfer"} <= set(re.findall(r" · (\w+)\.\*\*", section)), section[:30]


@pytest.mark.slow
def test_the_lines_of_the_question_bank_run():
    blocks = re.findall(r"```python\n(.*?)```", (INSTRUCTOR / "questions.md").read_text(encoding="utf-8"), re.DOTALL)
    names: dict = {}
    for block in blocks:
        exec(compile(block, "questions.md", "exec"), names)
    assert len(blocks) >= 6 and all(block.count("\n") == 1 for block in blocks[1:])


def test_the_derivations_are_there():
    """The optional mathematics that the course promises, each with its paper's equation."""
    folded = "\n".join(block for path in CHAPTERS for part in parts(path)
                       for block in re.findall(r"<details><summary>The mathematics.*?</details>", part, re.DOTALL))
    for what in ("one jump", "DDIM", "DDPM's step", "DDPM's loss", "sum of scores", "lower bound"):
        assert what in folded, what
    assert len(re.findall(r"\beq\. \d+", folded)) >= 10
