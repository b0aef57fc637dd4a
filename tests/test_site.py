"""The exported course: its pages stand alone, its links lead somewhere, and nothing of anybody's is overwritten."""

import json
import os
import re
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup
from ipywidgets.embed import embed_data
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from small_site import CODE, write_chapters

from course_lib import __main__, notebooks
from course_lib.offline.formulae import formula
from course_lib.offline.markdown import to_html
from course_lib.offline.network import remote_references
from course_lib.runtime import CourseError
from course_lib.site import export_site
from course_lib.site.chapters import describe
from course_lib.site.widgets import STATE, VIEW, reachable


def run_here(path: Path):
    """The notebook as a kernel would leave it, its widgets made by this process: no kernel has to start."""
    notebook = notebooks.read(path)
    if path.stem != "01_first":
        return notebook
    names = {}
    exec(CODE, names)
    shown, hidden = [names["box"], names["coloured"](200)], names["coloured"](0)
    for cell, widget in zip((cell for cell in notebook.cells if cell.cell_type == "code"), shown):
        bundle = widget._repr_mimebundle_()
        cell.outputs = [new_output("display_data", bundle[0] if isinstance(bundle, tuple) else bundle)]
    state = embed_data(views=[*shown, hidden], drop_defaults=False)["manager_state"]
    notebook.metadata["widgets"] = nbformat.from_dict({STATE: state})
    return notebook


def export(paths, out, run=run_here) -> list:
    return list(export_site(paths, out, notebooks.read, run))


def page(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("course")
    paths = write_chapters(folder)
    steps = export(paths, folder / "site")
    assert [name for name, _, _ in steps] == ["01_first.html", "02_second.html"]
    assert all(size == (folder / "site" / name).stat().st_size for name, _, size in steps)
    return folder / "site"


def test_every_page_is_free_of_the_network(site):
    pages = sorted(site.glob("*.html"))
    assert {"01_first.html", "02_second.html", "README.html", "index.html"} <= {path.name for path in pages}
    for path in pages:
        assert page(path).html["data-kernel"] == "none"
        assert not remote_references(page(path))
        assert "cdn" not in path.read_text(encoding="utf-8")
    assert not re.search(r"@import|url\((?!data:)|https?://(?!github|www\.w3)", strip_comments(site / "site.css"))
    assert "://" not in (site / "player.js").read_text(encoding="utf-8")


def strip_comments(path: Path) -> str:
    return re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_every_colour_of_the_style_is_there(site):
    style = strip_comments(site / "site.css")
    assert set(re.findall(r"var\((--md-[\w-]+)", style)) <= set(re.findall(r"(--md-[\w-]+):", style))
    assert style.count("prefers-color-scheme: dark") == 1


@pytest.mark.parametrize("html, found", [
    ('<script src="https://cdn.org/require.js"></script>', 1), ('<link rel="stylesheet" href="//fonts.org/a">', 1),
    ('<img src="HTTP://a.org/b.png">', 1), ("<style>@import 'x.css';</style>", 1),
    ("<img srcset=' https://a.org/b 2x'>", 1), ("<object data='https://a.org/b'>", 1),
    ("<style>p { background: url( 'https://a.org/b') }</style>", 1), ('<p style="background:url(//a.org/b)">', 1),
    ("<script type='module'>import a from 'https://esm.sh/b';</script>", 1), ("<iframe src='https://a.org'>", 1),
    ("<script>const a = await import('//esm.sh/b');</script>", 1), ("<script>fetch('https://a.org')</script>", 1),
    ('<a href="https://a.org">a</a>', 0), ('<img src="data:image/png;base64,AAAA">', 0), ("<img src='b.png'>", 0),
    ("<script src='player.js'></script>", 0), ('<script type="application/json">"https://a.org"</script>', 0),
    ("<script>const a = 'https://www.w3.org/2000/svg';</script>", 0), ("<pre>url(https://a.org)</pre>", 0),
])
def test_the_search_for_the_network_finds_it(html, found):
    assert len(remote_references(BeautifulSoup(html, "html.parser"))) == found


def test_formulae_are_mathml_and_code_stays_as_it_is(site):
    first = page(site / "01_first.html")
    assert [math["display"] for math in first.select("math")] == ["inline", "block"]
    assert first.select_one("math mfrac") and "$" not in first.math.get_text()
    assert [code.get_text() for code in first.select("p code")] == ["a formula", "$5 and $6"]
    assert 'price = "$7 and $8"' in first.select_one(".highlight").get_text()


@pytest.mark.parametrize("latex, parts", [
    (r"\big\|x\big\|", [">‖<"]), (r"a\!b", ['"-0.167em"']), ("a < b", ["<mo>&lt;</mo>"]),
    (r"\text{<b>}", ["&lt;b&gt;"]), ("x = -1", ['form="prefix">−<']), ("(x) - 1", ["<mo>−</mo>"]),
    ("a / b", ['<mo lspace="0" rspace="0">/</mo>']),
    (r"a\log b", ['<mi>a</mi><mspace width="0.167em" /><mi>log</mi><mspace width="0.167em" /><mi>b</mi>']),
    (r"-\log_2(x)", ['form="prefix">−</mo><msub><mi>log</mi>', "</msub><mo"]),
    (r"a \sim b", ["<mo>∼</mo>"]), ("1{,}000", ['<mo lspace="0"']),
])
def test_formulae_are_spaced_as_tex_does(latex, parts):
    assert all(part in formula(latex) for part in parts), formula(latex)


@pytest.mark.parametrize("latex", [r"\frac", r"\nosuchcommand x", r"x_", r"\left( x"])
def test_a_formula_that_cannot_be_read_is_named(latex):
    with pytest.raises(CourseError, match="cannot become MathML") as error:
        to_html(f"Here ${latex}$ stands.")
    assert latex in str(error.value)


def test_links_lead_to_pages_or_become_words(site):
    first = page(site / "01_first.html")
    links = {link.get_text(): link["href"] for link in first.main.select("a[href]") if link["href"][0] != "#"}
    assert links == {"the second": "02_second.html#more", "the readme": "README.html"}
    assert "needs nothing and" in first.main.get_text() and first.main.img["src"] == "dot.png"
    assert page(site / "README.html").main.select_one("p a")["href"] == "01_first.html"
    readme = page(site / "index.html").main.select("a[href]")[-1]["href"]
    assert page(site / readme).h1.get_text().startswith("Noise to Image")  # the course's own, under another name
    for path in site.glob("*.html"):
        for link in page(path).select("a[href], img[src], link[href], script[src]"):
            target = link.get("href") or link.get("src")
            assert re.match(r"#|data:|https?://", target) or (site / target.partition("#")[0]).is_file(), target


def test_pages_lead_on_and_back(site):
    first, second = page(site / "01_first.html"), page(site / "02_second.html")
    assert first.select_one("a[rel=next]")["href"] == "02_second.html" and not first.select("a[rel=prev]")
    assert second.select_one("a[rel=prev]")["href"] == "01_first.html" and not second.select("a[rel=next]")
    assert first.select_one("nav a[href='index.html']").get_text() == "Contents"


def test_the_contents_tell_of_each_chapter(site):
    contents = page(site / "index.html")
    told = [[part.get_text(strip=True) for part in line.select("span")] for line in contents.select(".chapters li")]
    assert told == [["01 · First", "15 minutes", "Is there a formula?"], ["02 · Second", "", "No question here."]]
    assert contents.img["alt"] and (site / contents.img["src"]).read_bytes()[:4] == b"\x89PNG"


def test_a_notebook_without_words_goes_by_its_name():
    chapter = describe(Path("scratch.ipynb"), new_notebook(cells=[new_code_cell("1")]))
    assert (chapter.title, chapter.question, chapter.minutes, chapter.page) == ("scratch", "", "", "scratch.html")


def test_the_page_keeps_what_its_widgets_need_and_no_more(site):
    first = page(site / "01_first.html")
    stages = first.select("[data-model]")
    state = json.loads(first.select_one(f"script[type='{STATE}']").string)["state"]
    assert len(stages) == 2 and all(stage["data-model"] in state for stage in stages)
    own = [model for model in state.values() if model["model_name"] == "AnyModel"]
    assert len(own) == 2 and all("render" in model["state"]["_esm"] for model in own)
    assert all(model["buffers"][0]["path"] == ["shown", "sheets", 0, "bytes"] for model in own)
    assert stages[1].img["alt"].startswith("A colour. Film strip")  # until the widget is drawn, and if it cannot be
    assert not stages[0].find(True)  # a box has no strip
    assert not page(site / "02_second.html").select(f"script[type='{STATE}']")


def test_what_is_reachable_is_kept_through_circles():
    state = {name: {"state": {"children": [f"IPY_MODEL_{other}" for other in others]}}
             for name, others in {"a": "bc", "b": "a", "c": "", "d": "a", "e": ""}.items()}
    assert set(reachable(state, ["a", "gone"])) == {"a", "b", "c"}


def test_state_cannot_end_its_script(tmp_path):
    def run(path):
        notebook = notebooks.read(path)
        notebook.cells[0].outputs = [new_output("display_data", {VIEW: {"model_id": "a"}})]
        model = {"model_name": "HTMLModel", "state": {"value": "</script><b>out</b>"}}
        notebook.metadata["widgets"] = nbformat.from_dict({STATE: {"state": {"a": model}}})
        return notebook

    path = tmp_path / "a.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell("1")]), path)
    export([path], tmp_path / "site", run)
    assert not page(tmp_path / "site" / "a.html").select("b")


# ------------------------------------------------------------------------------------------------------- bad input

@pytest.fixture
def chapters(tmp_path):
    return write_chapters(tmp_path)


def test_an_earlier_site_is_replaced_whole(chapters, tmp_path):
    out = tmp_path / "site"
    export(chapters, out)
    export(chapters[1:], out)
    assert not (out / "01_first.html").exists() and (out / "02_second.html").exists()
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


@pytest.mark.parametrize("make, words", [
    (lambda out: out.write_text("mine"), "is a file"),
    (lambda out: (out.mkdir(), (out / "notes.txt").write_text("mine")), "holds other things, such as notes.txt"),
    (lambda out: (out.mkdir(), (out / "site.json").write_text("{}"), (out / "notes.txt").write_text("mine")), "notes"),
])
def test_what_is_no_site_of_ours_is_left_alone(chapters, tmp_path, make, words):
    out = tmp_path / "site"
    make(out)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(CourseError, match=words):
        export(chapters, out, run=lambda path: pytest.fail("it should not have run"))
    assert sorted(tmp_path.rglob("*")) == before


def test_what_was_put_into_a_site_is_left_alone(chapters, tmp_path):
    export(chapters, tmp_path / "site")
    (tmp_path / "site" / "notes.txt").write_text("mine")
    with pytest.raises(CourseError, match="notes.txt"):
        export(chapters, tmp_path / "site")
    assert (tmp_path / "site" / "notes.txt").read_text() == "mine"


def test_an_empty_folder_will_do(chapters, tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / ".DS_Store").touch()
    export(chapters[1:], tmp_path / "site")
    assert (tmp_path / "site" / "index.html").is_file()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to(chapters, tmp_path):
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(CourseError, match="Cannot write"):
        export(chapters, tmp_path / "closed" / "site")


def test_a_place_below_a_file(chapters):
    with pytest.raises(CourseError, match="Cannot write|is a file"):
        export(chapters, chapters[0] / "site")


@pytest.mark.parametrize("names, words", [
    ([], "no notebook to export"), (["none.ipynb"], "There is no notebook"), (["README.md"], "There is no notebook"),
    (["01_first.ipynb", "01_first.ipynb"], "Two pages would be called 01_first.html"),
    (["index.ipynb"], "Two pages would be called index.html"), (["broken.ipynb"], "cannot be read as a notebook"),
])
def test_notebooks_that_cannot_be_exported(chapters, tmp_path, names, words):
    (tmp_path / "index.ipynb").write_text(chapters[1].read_text())
    (tmp_path / "broken.ipynb").write_text("no notebook")
    with pytest.raises(CourseError, match=words):
        export([tmp_path / name for name in names], tmp_path / "site")
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize("words, complaint", [
    ("![far](https://example.org/a.png)", "02_second.ipynb would load https://example.org/a.png from the network"),
    (r"$\left( x$", "02_second.ipynb: The formula"),
])
def test_a_page_that_cannot_stand_alone_leaves_no_site(chapters, tmp_path, words, complaint):
    export(chapters, tmp_path / "site")
    before = {path: path.read_bytes() for path in (tmp_path / "site").iterdir()}
    nbformat.write(new_notebook(cells=[new_markdown_cell(words)]), chapters[1])
    with pytest.raises(CourseError, match=re.escape(complaint)):
        export(chapters, tmp_path / "site")
    assert {path: path.read_bytes() for path in (tmp_path / "site").iterdir()} == before


def test_the_command_says_what_failed_in_a_cell(tmp_path, capsys):
    path = tmp_path / "a.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell("1 / 0")]), path)
    with pytest.raises(SystemExit) as stop:
        __main__.main(["site", str(path), "--out", str(tmp_path / "site")])
    assert stop.value.code == 2
    assert capsys.readouterr().err.strip().endswith("a.ipynb stopped: ZeroDivisionError: division by zero")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.ipynb"]
