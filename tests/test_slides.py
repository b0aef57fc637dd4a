"""The slides: what of a chapter becomes a slide, what is left out, and that a file stands alone."""

import re

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from small_site import DOT

from course_lib import __main__, notebooks
from course_lib.offline.network import remote_references
from course_lib.teaching import lead
from course_lib.teaching.deck import Deck
from course_lib.teaching.slides import page

CHAPTERS = sorted(notebooks.FOLDER.glob("*.ipynb"))
PICTURE = '<img alt="A dot." src="data:image/webp;base64,AAAA">'


def figure(**more):
    return new_output("execute_result", {"text/html": PICTURE, "text/plain": "[figure]", **more})


def code(source: str, *outputs, **metadata):
    return new_code_cell(source, outputs=list(outputs), metadata=metadata)


def printed(text: str):
    return new_output("stream", text=text)


def deck(*cells) -> list[tuple[str, str, str]]:
    """(kind, title, words of the body) of each slide that these cells make; strings are Markdown."""
    cells = [new_markdown_cell(cell) if isinstance(cell, str) else cell for cell in cells]
    return [(slide.kind, slide.title, " ".join(BeautifulSoup(slide.body, "html.parser").get_text(" ").split()))
            for slide in Deck(new_notebook(cells=cells)).slides]


LONG = " ".join(["A sentence of six words here."] * 12)


def test_headings_begin_slides_and_words_are_made_short():
    assert deck(f"# 05 · Title\n\nWhy?\n\nAbout 30 minutes.\n\n## Question\n\n{LONG}\n\n### More\n\nWords.") == [
        ("title", "05 · Title", "Why?"), ("text", "Question", " ".join(["A sentence of six words here."] * 7)),
        ("text", "More", "Words.")]


def test_a_question_comes_before_its_figure_and_is_the_title_there():
    asked = "Some words here. *Predict, then look:* where does it go? (Up.)"
    slides = deck("## Build: it", asked, code("draw()", figure()))
    assert slides == [("text", "It", ""), ("text", "", "Some words here."), ("prompt", "", "Where does it go?"),
                      ("figure", "Where does it go?", "")]


@pytest.mark.parametrize("text, question", [
    ("Predict, then look. How many?", "How many?"), ("**Predict, then look**: how many?", "How many?"),
    ("How many? **Predict, then look.**", "How many?"), ("Predict, then look at two pages first: which?", "Which?"),
    ("All of it: **predict, then look**, what is it?", "What is it?"), ("Nothing of the kind.", ""),
])
def test_questions_are_found(text, question):
    assert lead.split_prompt([lead.Block("paragraph", text)])[1] == question


def test_a_short_sentence_is_only_the_title_of_its_figure():
    assert deck("## It", "Here it is:", code("draw()", figure(), figure())) == [
        ("text", "It", ""), ("figure", "Here it is", ""), ("figure", "", "")]


def test_code_is_there_when_it_is_short():
    define = 'import a\n\ndef f(x):\n    """Words."""\n    return x   # more words\n\nf(1)'
    long = "\n".join(["def f(x):", *["    x += 1"] * 20])
    slides = deck("## It", code(define, printed("one\ntwo\n")), code(long, printed("three")), code("import a\n\nx = 1"),
                  code("print(1)", printed("x" * 200)), code("y = 1", tags=["check"]))
    assert slides == [("text", "It", ""), ("code", "", "def f ( x ): return x one two"), ("code", "", "three"),
                      ("code", "", "x = 1")]


def test_what_is_folded_away_or_unwanted_is_left_out():
    hidden = new_markdown_cell("## No", metadata={"tags": ["slide-skip"]})
    solution = new_markdown_cell("## No", metadata={"tags": ["solution"]})
    folded = "<details><summary>No</summary>\n\n## No\n\n</details>"
    assert deck("## It\n\nYes. " + folded, hidden, solution) == [("text", "It", "Yes.")]


def test_exercises_are_tasks_alone():
    stub = code("def my_f(x):\n    ...\n\nchapter03.f(my_f)", printed("no"), tags=["exercise"])
    first = "## Exercises\n\nIntroduction.\n\n**1 · Write.** Write `f`.\n\n- a\n- b\n\n<details>Hint</details>"
    slides = deck(first, stub, "**2 · Predict it**. How many?", code("n = ...\n\nchapter03.n(n)", tags=["exercise"]),
                  "**3 · Find the place** of x.", code("p = ...\n\nchapter03.p(p)", tags=["exercise"]))
    assert slides == [("task", "1 · Write", "Write f . a b def my_f ( x ): ..."),
                      ("task", "2 · Predict it", "How many?"), ("task", "3 · Find", "Find the place of x.")]


def test_the_last_lines_are_two_slides_if_they_are_many():
    lines = "\n".join(f"- **Line {number}** says so." for number in range(8))
    slides = deck("## In one line each\n\n" + lines + "\n\n*Papers.* None.")
    assert [kind for kind, _, _ in slides] == ["closing", "closing"]
    assert slides[0][2].startswith("Line 0") and slides[1][2].startswith("Line 4")


@pytest.mark.parametrize("text, parts", [
    ("One. Two.", ["One.", "Two."]), ("Ho et al. (2020) say. Two.", ["Ho et al. (2020) say.", "Two."]),
    ("See (Ho et al. 2020). Two `a. B` of $x. Y$.", ["See (Ho et al. 2020).", "Two `a. B` of $x. Y$."]),
    ("**One. Two.** Three.", ["**One. Two.**", "Three."]), ("It is *this. Not* that.", ["It is *this. Not* that."]),
])
def test_sentences_are_told_apart(text, parts):
    assert lead.sentences(text) == parts


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_has_slides_that_stand_alone(path):
    notebook = notebooks.read(path)
    html, number = page(notebook, path.name)
    soup = BeautifulSoup(html, "html.parser")
    slides = soup.select("section")
    assert len(slides) == number > 10 and not remote_references(soup) and not soup.select("a, details, [src^=http]")
    assert [slide.select_one(".foot span:last-child").get_text() for slide in slides][-1] == f"{number} / {number}"
    assert soup.h1 and all(image["alt"].strip() for image in soup.select("img"))
    exercises = sum("exercise" in cell.metadata.get("tags", []) for cell in notebook.cells)
    assert len(soup.select("section.task")) == exercises
    assert "solution" not in soup.main.get_text().lower() and soup.select("section.closing li")
    for slide in soup.select("section:not(.title) .content"):
        assert re.sub(r"\s", "", slide.get_text()) or slide.select("img")
        words = " ".join(part.get_text(" ") for part in slide.select(".words"))
        assert len(words.split()) <= 120, words


def test_bad_input_gets_one_sentence_and_no_slides(tmp_path, capsys):
    title, dot = new_markdown_cell("# 1 · One"), figure()
    for name, cells in {"empty": [title, code("1")], "odd": [code("1", dot)],
                        "broken": [title, new_markdown_cell(r"$\left( x$"), code("1", dot)],
                        "far": [title, new_markdown_cell("- <object data='https://a.org/b'></object>"), code("1", dot)],
                        "fine": [title, new_markdown_cell("[a](https://a.org) ![b](dot.png)"), code("1", dot)]}.items():
        nbformat.write(new_notebook(cells=cells), tmp_path / f"{name}.ipynb")
    (tmp_path / "dot.png").write_bytes(DOT)
    for names, out, words in [
            (["empty"], "slides", "holds no outputs to show"), (["odd"], "slides", "none of the course's"),
            (["fine", "broken"], "slides", "broken.ipynb: The formula"), (["none"], "slides", "no notebook"),
            (["fine", "far"], "slides", "far.ipynb would load https://a.org/b"),
            (["fine"], ".", "holds other things"), (["fine"], "dot.png", "is a file")]:
        paths = [str(tmp_path / f"{name}.ipynb") for name in names]
        with pytest.raises(SystemExit) as stop:
            __main__.main(["slides", *paths, "--out", str(tmp_path / out)])
        assert stop.value.code == 2 and words in capsys.readouterr().err
        assert not (tmp_path / "slides").exists()
    __main__.main(["slides", str(tmp_path / "fine.ipynb"), "--out", str(tmp_path / "slides")])
    assert "fine.html: 2 slides" in capsys.readouterr().out
    assert "https" not in (tmp_path / "slides" / "fine.html").read_text(encoding="utf-8")
