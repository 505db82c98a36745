"""Writing into the run directory of a launching machine that is outside of the cluster."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

    from launchpad_lite.runtime.rundir import RunDirectory

_log = logging.getLogger(__name__)


class Keeper:
    """Says once that a directory cannot be written; what could not be is missing there."""

    def __init__(self, directory: RunDirectory) -> None:
        """Take the run's directory."""
        self._path = directory.path
        self._complained = False

    @contextlib.contextmanager
    def keeping(self) -> Generator[None]:
        """Go on after the block if that cannot write: the run does."""
        try:
            yield
        except OSError as error:
            if not self._complained:
                self._complained = True
                _log.warning("%s: cannot be written: %s", self._path, error)
