"""Where a run is at home whose launching process is outside of the cluster."""

from __future__ import annotations

import contextlib
import pathlib
import tempfile
from typing import TYPE_CHECKING

from launchpad_lite.runtime import rundir

if TYPE_CHECKING:
    from collections.abc import Generator


@contextlib.contextmanager
def root(run_id: str) -> Generator[pathlib.Path | None]:
    """Return where the run's directory is made on this machine; None for where it belongs.

    Where the launching process uses the same place, that has a directory of this name, into which
    it writes what this one tells.
    """
    if not (rundir.runs_root() / run_id).exists():
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="lp-run-") as path:
        yield pathlib.Path(path)
