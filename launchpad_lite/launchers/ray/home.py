"""Where a run is at home in the cluster whose launching process is outside of it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from launchpad_lite.courier.auth import state_dir
from launchpad_lite.runtime import rundir

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Generator


@contextlib.contextmanager
def root(run_id: str) -> Generator[pathlib.Path | None]:
    """Return where the run's directory is made on this machine; None for where it belongs.

    Where the launching process uses the same place, that has a directory of this name, into which
    it writes what this one tells. Then there is another one while the run lives.
    """
    if not (rundir.runs_root() / run_id).exists():
        yield None
        return
    held = state_dir() / "held"
    held.mkdir(mode=0o700, exist_ok=True)
    try:
        yield held
    finally:
        rundir.RunDirectory(held / run_id).remove()
