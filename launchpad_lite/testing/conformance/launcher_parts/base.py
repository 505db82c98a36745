"""What the parts of the launcher suite share."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from launchpad_lite.config import RunConfig
from launchpad_lite.launchers import registry
from launchpad_lite.testing import harness
from launchpad_lite.testing.conformance.launcher_parts.nodes import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from launchpad_lite.program import Program


class LauncherSuite:
    """How the suite launches programs under the launcher in question.

    Attributes:
      launcher: the launcher's name in the registry.
      config: the settings of runs for which a test asks nothing else. Nodes end long before these
        times are over, on a fast machine and on a slow one.
      keeps_logs: whether a failure shows the tail of its node's log.
    """

    launcher: ClassVar[str]
    config: ClassVar[RunConfig] = RunConfig(notice_s=PATIENCE_S, grace_s=PATIENCE_S / 2)

    @property
    def in_process(self) -> bool:
        """Whether nodes run in the launching process."""
        return registry.get(self.launcher).capabilities().in_process

    @property
    def keeps_logs(self) -> bool:
        return not self.in_process

    @pytest.fixture
    def shared_dir(self, tmp_path: Path) -> Path:
        """Return a new directory that the test sees, and all nodes."""
        return tmp_path

    def start(self, program: Program, **settings: Any) -> harness.TestRun:
        """Return a run of a program, to be used in a `with` statement.

        Args:
          program: the program.
          **settings: what differs from `config`.
        """
        config = dataclasses.replace(self.config, **settings)
        return harness.run(program, self.launcher, config=config)


def eventually(condition: Callable[[], bool]) -> bool:
    """Wait for something that nobody announces; return whether it came."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
