"""What a cell has made is closed when the cell runs again: left open, it stays in the browser and in the kernel."""

from typing import Protocol

import ipywidgets as widgets
from IPython import get_ipython


class Closable(Protocol):
    def close(self) -> None: ...


def close(part: Closable) -> None:
    """Close a widget with its layout and style, which are widgets of their own and are not closed with it."""
    for inner in (getattr(part, "layout", None), getattr(part, "style", None)):
        if isinstance(inner, widgets.Widget):
            inner.close()
    part.close()


_made_by: dict[str, tuple[str, list[Closable]]] = {}  # cell -> (one run of it, what that run made)


def close_earlier_runs(made_now: Closable) -> None:
    """Remember what this run of the cell has made, and close all that its earlier runs made."""
    message = getattr(get_ipython(), "parent_header", {})
    cell = message.get("metadata", {}).get("cellId")
    if cell is None:
        return
    run = message["header"]["msg_id"]
    run_before, made = _made_by.get(cell, (run, []))
    if run_before != run:
        for old in made:
            close(old)
        made = []
    _made_by[cell] = (run, [*made, made_now])
