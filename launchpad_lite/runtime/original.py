"""The spellings of google-deepmind/launchpad's WorkerManager, for what `lp.launch` returns."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import unittest


class OriginalManager(abc.ABC):
    """Waits and stops under the original's names; see `Run`."""

    @abc.abstractmethod
    def wait(self, *, raise_error: bool = True) -> bool:
        """Wait for the end of the run."""

    @abc.abstractmethod
    def request_stop(self, reason: str) -> None:
        """Ask for the end of the run; returns at once."""

    def join(self) -> None:
        """Wait for the end of the run, as `wait` does."""
        self.wait()

    def stop_and_wait(self) -> None:
        """Stop the run, and wait for its end; what failed in it is not raised."""
        self.request_stop("stop_and_wait() was called")
        self.wait(raise_error=False)

    def cleanup_after_test(self, test_case: unittest.TestCase) -> None:
        """Stop the run at the end of a test, which fails if a node has failed.

        Raises:
          NodeFailed: a node failed.
        """
        self.request_stop(f"the test {test_case.id()} has ended")
        self.wait()
