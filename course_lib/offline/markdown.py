"""Markdown to HTML as nbconvert does it, with formulae as MathML."""

from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from course_lib.offline.formulae import formula


class Renderer(IPythonRenderer):
    """nbconvert's renderer, but for the formulae. Code is no formula: mistune has set it apart by then."""

    def inline_math(self, body: str) -> str:
        return formula(body)

    def block_math(self, body: str) -> str:
        return f'<span class="formula">{formula(body, "block")}</span>'

    def latex_environment(self, name: str, body: str) -> str:
        return self.block_math(f"\\begin{{{name}}}{body}\\end{{{name}}}")


def to_html(source: str, attachments: dict | None = None) -> str:
    """Markdown as HTML; attachments: a cell's own pictures. Raises CourseError on a formula that cannot be read."""
    return MarkdownWithMath(renderer=Renderer(escape=False, attachments=attachments)).render(source)

