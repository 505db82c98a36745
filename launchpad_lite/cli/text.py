"""Text for terminals: the entries of a help page, and time spans."""

from __future__ import annotations

import shutil
import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_INDENT = 2
_HELP_COLUMN = 28
_MAX_WIDTH = 100

_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60))


def width() -> int:
    """Return how many columns a help page may have."""
    return min(_MAX_WIDTH, shutil.get_terminal_size().columns)


def entries(pairs: Iterable[tuple[str, str]], columns: int) -> str:
    """Return terms with their explanations beside them, or below a term that is long.

    Args:
      pairs: the terms and what they mean.
      columns: the page's width.
    """
    lines: list[str] = []
    for term, meaning in pairs:
        head = f"{' ' * _INDENT}{term}"
        wrapped = textwrap.wrap(meaning, max(20, columns - _HELP_COLUMN)) or [""]
        if len(head) + 2 > _HELP_COLUMN:
            lines.append(head)
        else:
            lines.append(f"{head:<{_HELP_COLUMN}}{wrapped.pop(0)}".rstrip())
        lines += [f"{' ' * _HELP_COLUMN}{line}" for line in wrapped if line]
    return "\n".join(lines)


def age(seconds: float) -> str:
    """Return a time span in its largest unit, such as `3m`."""
    for unit, length in _UNITS:
        if seconds >= length:
            return f"{int(seconds // length)}{unit}"
    return f"{max(0, int(seconds))}s"
