"""In which parts items and rows are written, and so read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launchpad_lite.replay.core.checkpoint.sections import SECTION_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launchpad_lite.replay.core.layout import Layout
    from launchpad_lite.replay.core.slabs import Kind

_NUMBER_BYTES = 4


def line_parts(layout: Layout, count: int) -> Iterator[slice]:
    """Yield parts of `count` items of a layout."""
    return _parts(count, layout.width * _NUMBER_BYTES)


def row_parts(kind: Kind, count: int) -> Iterator[slice]:
    """Yield parts of `count` rows of a kind; a part has one row at least, of whatever size."""
    return _parts(count, kind.nbytes)


def _parts(count: int, nbytes: int) -> Iterator[slice]:
    step = max(1, SECTION_BYTES // max(1, nbytes))
    return (slice(begin, min(begin + step, count)) for begin in range(0, count, step))
