"""Scripts and styles of the labs' widgets, each joined with the parts that all share."""

from pathlib import Path

FOLDER = Path(__file__).parent


def joined(*names: str) -> str:
    """The files of this folder, one after the other, as one script or one style sheet."""
    return "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in names)
