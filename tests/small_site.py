"""Two tiny chapters to export: a formula, links, and scrubbers of coloured frames, one of them among other widgets."""

from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

LAST = 50
# Frame i is one flat colour, so that a single pixel tells which frame is shown.
CODE = """\
import ipywidgets as widgets
import numpy as np
from course_lib.labs import Scrubber

def coloured(blue):
    colours = np.array([[5 * i, 255 - 5 * i, blue] for i in range(51)], dtype=np.uint8)
    frames = np.broadcast_to(colours[:, None, None], (51, 32, 32, 3)).copy()
    return Scrubber({"colours": frames}, [f"frame {i} of 50" for i in range(51)], alt="A colour.", start=20)

boxed = coloured(100)
box = widgets.VBox([widgets.HTML("<b>Some words</b>"), widgets.IntSlider(description="needs a kernel"),
                    widgets.HBox([boxed])])
box.add_class("my-box")
"""
FIRST = """\
# 01 · First

**Is there `a formula`?** There is.

About 15 minutes. It goes on in [the second](02_second.ipynb#more), needs [nothing](03_missing.ipynb) and stands in \
[the readme](README.md), with ![a dot](dot.png).

Inline $x_t = \\alpha(t)\\,x_0$, the price is `$5 and $6`, and

$$\\hat{x} = \\frac{x_t - \\sigma\\,\\varepsilon}{\\alpha}$$

```python
price = "$7 and $8"
```
"""
SECOND = "# 02 · Second\n\nNo question here.\n\n## More"
DOT = bytes.fromhex("89504e470d0a1a0a0000000d494844520000000100000001080600000"
                    "01f15c4890000000d4944415478da63fccfc0f01f000501018056b6c2470000000049454e44ae426082")


def colour(frame: int, blue: int) -> list[int]:
    return [5 * frame, 255 - 5 * frame, blue]


def write_chapters(folder: Path) -> list[Path]:
    """Write the two notebooks, with the files that they link to, and return the notebooks' paths."""
    cells = [new_markdown_cell(FIRST), new_code_cell(CODE + "box"), new_code_cell("coloured(200)")]
    paths = [folder / "01_first.ipynb", folder / "02_second.ipynb"]
    nbformat.write(new_notebook(cells=cells), paths[0])
    nbformat.write(new_notebook(cells=[new_markdown_cell(SECOND)]), paths[1])
    (folder / "README.md").write_text("# Read me\n\nBack to [the first](01_first.ipynb).\n", encoding="utf-8")
    (folder / "dot.png").write_bytes(DOT)
    return paths
