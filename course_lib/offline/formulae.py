"""Formulae as MathML, which browsers set without any script, spaced as TeX spaces them."""

import html
from xml.etree.ElementTree import Element, tostring

from latex2mathml.converter import convert_to_element

from course_lib.runtime import CourseError

MENDED = {"\\|": "‖", "negativethinmathspace": "-0.167em"}  # what latex2mathml writes, what browsers know
ROWS = {"math", "mrow", "msqrt", "mstyle", "mtd"}
SCRIPTED = {"msub", "msup", "msubsup", "munder", "mover", "munderover"}
CLOSING = set(")]}⟩|‖!")
TIGHT = {"lspace": "0", "rspace": "0"}


def formula(latex: str, display: str = "inline") -> str:
    """A formula as a <math> element; display: "inline" or "block". Raises CourseError if it cannot be read."""
    try:
        math = convert_to_element(latex.strip(), display=display)
    except Exception as error:  # latex2mathml's errors have no common class, and broken formulae raise others as well
        problem = type(error).__name__
    else:
        for element in math.iter():
            element.text = mended(html.unescape(element.text or ""))
            if element.tag == "mi" and element.text == "~":  # its \sim
                element.tag, element.text = "mo", "∼"
            element.attrib = {name: mended(value) for name, value in element.attrib.items()}
        if "\\" not in "".join(math.itertext()):
            space(math)
            return tostring(math, encoding="unicode")
        problem = "it has a command that latex2mathml does not know"
    raise CourseError(f"The formula {latex.strip()} cannot become MathML ({problem}): mend or simplify it.")


def mended(text: str) -> str:
    return MENDED.get(text, text)


def space(math: Element) -> None:
    """Space, in place, what MathML spaces otherwise than TeX: signs, bars, slashes and names of functions."""
    for sign in math.iter("mo"):
        if sign.text in ("/", "|", "‖"):
            sign.attrib |= TIGHT
    for row in math.iter():
        if row.tag in ROWS:
            row[:] = spaced(list(row))
            if row.tag == "mrow" and len(row) == 1 and row[0].tag == "mo":  # braces round a sign make it a letter
                row[0].attrib |= TIGHT


def spaced(row: list[Element]) -> list[Element]:
    """The elements of a row, with thin spaces round names such as log, and with signs such as -1 close to theirs."""
    result = []
    for before, element, after in zip([None, *row], row, [*row[1:], None]):
        name = is_name(element)
        if name and before is not None and before.tag not in ("mo", "mspace"):
            result.append(thin_space())
        if element.tag == "mo" and element.text in ("−", "+", "±"):
            if before is None or before.tag == "mo" and before.text not in CLOSING:
                element.set("form", "prefix")
        result.append(element)
        if name and after is not None and after.tag not in ("mo", "mspace") and not is_name(after):
            result.append(thin_space())
    return result


def is_name(element: Element) -> bool:
    """Whether it is a function's name, such as log, with or without an index."""
    base = element[0] if element.tag in SCRIPTED else element
    return base.tag == "mi" and len(base.text or "") > 1


def thin_space() -> Element:
    return Element("mspace", width="0.167em")
