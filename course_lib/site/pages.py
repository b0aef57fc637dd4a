"""The pages of a site: a chapter, a Markdown file, the contents, and the style that they share."""

import re
from pathlib import Path

from bs4 import BeautifulSoup
from jinja2 import Environment, pass_context
from jupyterlab_pygments import JupyterStyle
from nbconvert import HTMLExporter
from pygments.formatters import HtmlFormatter

from course_lib.offline.markdown import to_html
from course_lib.offline.network import remote_references
from course_lib.runtime import ROOT, CourseError
from course_lib.site import widgets
from course_lib.site.chapters import Chapter
from course_lib.site.links import Links

HERE = Path(__file__).parent
DARK = "@media screen and (prefers-color-scheme: dark) {{\n{}\n}}"


class Exporter(HTMLExporter):
    """nbconvert's, with our template, which loads nothing, and our formulae."""

    def __init__(self):
        super().__init__(template_name="lab", template_file="chapter.html.j2",
                         extra_template_paths=[str(HERE / "templates")],
                         exclude_input_prompt=True, exclude_output_prompt=True)

    @pass_context
    def markdown2html(self, context, source: str) -> str:
        return to_html(source, context.get("cell", {}).get("attachments"))


def style(environment: Environment) -> str:
    """The style of all pages: JupyterLab's colours, light or dark as the reader's system is, and our own rules."""
    sheet, light, dark = (environment.loader.get_source(environment, f"static/{name}.css")[0]
                          for name in ("index", "theme-light", "theme-dark"))
    palette = ":root {{\n{}\n}}".format("\n".join(re.findall(r"--md-[\w-]+:[^;}]+;", sheet)))  # the themes' colours
    code = HtmlFormatter(style=JupyterStyle).get_style_defs(".highlight")
    return "\n".join([palette, light, DARK.format(dark), code, (HERE / "site.css").read_text(encoding="utf-8")])


class Pages:
    """Makes the pages of a site on these chapters, as text; `links.files` are the other files that they need."""

    def __init__(self, chapters: list[Chapter]):
        self.chapters = chapters
        self.links = Links({chapter.path: chapter.page for chapter in chapters})
        self.exporter = Exporter()

    def chapter(self, chapter: Chapter, notebook) -> str:
        """The page of a chapter that has been run with its widgets' state."""
        place = self.chapters.index(chapter)
        widgets.trim(notebook)
        resources = {
            "title": chapter.title,
            "before": self.chapters[place - 1] if place else None,
            "after": self.chapters[place + 1] if place + 1 < len(self.chapters) else None,
        }
        try:
            html, _ = self.exporter.from_notebook_node(notebook, resources)
        except CourseError as error:
            raise CourseError(f"{chapter.path.name}: {error}") from None
        return self._finish(html, chapter.path)

    def markdown(self, path: Path) -> str:
        """The page of a Markdown file, such as README.md."""
        text = path.read_text(encoding="utf-8")
        title = text.lstrip().partition("\n")[0].lstrip("# ")
        return self._finish(self._fill("page.html.j2", title=title, body=to_html(text)), path)

    def contents(self) -> str:
        """The first page."""
        strip, readme = (self.links.name(ROOT / name, ROOT) for name in ("data/strip.png", "README.md"))
        return self._fill("contents.html.j2", chapters=self.chapters, strip=strip, readme=readme)

    def style(self) -> str:
        return style(self.exporter.environment)

    def _fill(self, template: str, **values) -> str:
        return self.exporter.environment.get_template(template).render(resources=values)

    def _finish(self, html: str, source: Path) -> str:
        """The page with its links led to other pages. CourseError if it would fetch anything from the network."""
        soup = BeautifulSoup(html, features="html.parser")
        self.links.rewrite(soup.main, source.parent)
        if remote := remote_references(soup):
            raise CourseError(f"{source.name} would load {remote[0]} from the network: keep a copy of it beside the "
                              "chapter, so that the site stands alone.")
        return str(soup)
