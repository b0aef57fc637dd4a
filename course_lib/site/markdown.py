"""Markdown to HTML as nbconvert does it, with formulae as MathML, which browsers set without any script."""

from latex2mathml.converter import convert
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from course_lib.runtime import CourseError

# What latex2mathml leaves undone: the double bar after \big, and a space that browsers know only by its size.
MENDED = {">\\|<": ">‖<", '"negativethinmathspace"': '"-0.167em"'}


def formula(latex: str, display: str = "inline") -> str:
    """A formula as a <math> element; display: "inline" or "block". Raises CourseError if it cannot be read."""
    try:
        math = convert(latex.strip(), display=display)
    except Exception as error:  # latex2mathml's errors have no common class, and broken formulae raise others as well
        problem = type(error).__name__
    else:
        for wrong, right in MENDED.items():
            math = math.replace(wrong, right)
        if "\\" not in math:
            return math
        problem = "it has a command that latex2mathml does not know"
    raise CourseError(f"The formula {latex.strip()} cannot become MathML ({problem}): mend or simplify it.")


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

