"""What of a run's widgets a page needs to show them without a kernel."""

import json
import re
from typing import Iterable

VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"
REFERENCE = re.compile(r"IPY_MODEL_(\w+)")


def shown_models(notebook) -> list[str]:
    """The models that the outputs show, by their ids."""
    return [output["data"][VIEW]["model_id"] for cell in notebook.cells for output in cell.get("outputs", [])
            if VIEW in output.get("data", {})]


def reachable(state: dict[str, dict], starts: Iterable[str]) -> dict[str, dict]:
    """The part of a widget state that `starts` lead to: they themselves, their children, layouts and so on.

    state: model id -> model, as the notebook format has it. A run leaves more behind: widgets closed since, or never
    shown.
    """
    kept, waiting = {}, list(starts)
    while waiting:
        name = waiting.pop()
        if name in state and name not in kept:
            kept[name] = state[name]
            waiting += REFERENCE.findall(json.dumps(state[name]["state"]))
    return kept


def trim(notebook) -> None:
    """Leave in the notebook's metadata only the widgets that its outputs show."""
    if STATE in notebook.metadata.get("widgets", {}):
        stored = notebook.metadata.widgets[STATE]
        stored["state"] = reachable(stored["state"], shown_models(notebook))
