"""Runs the Python of one page, block after block: `python run_page.py PAGE`.

What readers need not see stands in comments, `<!-- setup` and `<!-- check`, up to a line `-->`.
Line numbers in tracebacks are those of the page.
"""

from __future__ import annotations

import ast
import re
import sys
import types
from pathlib import Path

BLOCKS = re.compile(
    r"^(?:```python|<!-- (?:setup|check))\n(?P<code>.*?)^(?:```|-->)$", re.MULTILINE | re.DOTALL
)


def run(page: Path) -> None:
    """Run a page's blocks as one module, so that what they define can be pickled."""
    text = page.read_text()
    module = types.ModuleType(f"page_{page.stem}")
    module.__file__ = str(page)
    sys.modules[module.__name__] = module
    for block in BLOCKS.finditer(text):
        tree = ast.parse(block["code"], str(page))
        ast.increment_lineno(tree, text.count("\n", 0, block.start("code")))
        exec(compile(tree, str(page), "exec"), vars(module))


if __name__ == "__main__":
    run(Path(sys.argv[1]))
