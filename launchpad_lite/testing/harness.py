"""Runs a real program inside a test, and sees to it that nothing of it is left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload

from launchpad_lite.compiling import compile_program
from launchpad_lite.config import RunConfig
from launchpad_lite.errors import LaunchpadError, RunError, UsageError
from launchpad_lite.launchers import registry
from launchpad_lite.launchers.base import LaunchOptions

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from launchpad_lite.program import Program
    from launchpad_lite.runtime.run import Run
    from launchpad_lite.runtime.status import RunStatus

T = TypeVar("T")

LEAK_WAIT_S = 5.0
"""Seconds that threads and processes of a run may take to be gone after its end."""

TEST_CONFIG = RunConfig(notice_s=5.0, grace_s=2.0)
"""Settings of runs in tests: shorter than those of real runs."""


class LeakError(RunError):
    """A run has ended, and something of it is left."""


class TestRun:
    """A program that runs for a test; see `run`."""

    __test__ = False  # not a class of tests, whatever its name

    def __init__(
        self,
        program: Program,
        launcher: str = "thread",
        *,
        config: RunConfig = TEST_CONFIG,
        keep_directory: bool | None = None,
    ) -> None:
        """Prepare; the run begins with `__enter__` or `start`.

        Args:
          program: the program.
          launcher: the launcher's name.
          config: the run's settings.
          keep_directory: keep a run directory; None keeps one unless the nodes are threads.
        """
        self._program = program
        self._launcher = registry.get(launcher)
        self._config = config
        keep = launcher != "thread" if keep_directory is None else keep_directory
        self._options = LaunchOptions(show_output=True, keep_directory=keep)
        self._run: Run | None = None

    def start(self) -> Self:
        """Launch the program.

        Raises:
          ProgramError: it cannot be launched as it is.
        """
        plan = compile_program(self._program, self._launcher.capabilities(), config=self._config)
        self._run = self._launcher.launch(plan, self._options)
        return self

    @property
    def run(self) -> Run:
        """The run.

        Raises:
          UsageError: it has not begun.
        """
        if self._run is None:
            message = "the test run has not begun: use it in a `with` statement, or call start()."
            raise UsageError(message)
        return self._run

    @overload
    def __getitem__(self, target: str) -> Any: ...
    @overload
    def __getitem__(self, target: T) -> T: ...
    def __getitem__(self, target: Any) -> Any:
        """Return a client of a node: by its handle, or by its label, or by `label/index`.

        Raises:
          UsageError: there is no such node.
        """
        if isinstance(target, str):
            label, _, index = target.rpartition("/")
            if label and index.isdigit():
                return self.run.client(label, int(index))
        return self.run.client(target)

    def instance(self, label: str, index: int = 0, timeout: float | None = 30.0) -> Any:
        """Return the object that a node made, under a launcher that runs nodes in-process.

        Args:
          label: the node's group.
          index: its place in the group.
          timeout: seconds to wait until the object is made.

        Raises:
          UsageError: there is no such node, or it is in another process.
          Exception: what its constructor raised.
          TimeoutError: it was not made in time.
        """
        return self.run.instance(label, index).result(timeout)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end of the run, as `Run.wait` does."""
        return self.run.wait(timeout)

    def status(self) -> RunStatus:
        """Return where the run and its nodes are."""
        return self.run.status()

    def stop(self) -> None:
        """Stop the run; raise what failed in it, and complain of what it left.

        Raises:
          NodeFailed: a node failed, with its traceback.
          LeakError: a thread or a process of the run is left.
        """
        try:
            self.run.stop()
        finally:
            left = self.run.leftovers(LEAK_WAIT_S)
        if left:
            message = f"{self.run.id} has ended and left: {', '.join(left)}"
            raise LeakError(message)

    def __enter__(self) -> Self:
        """Launch the program."""
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the run; a node's failure is the test's failure, before what came of it."""
        try:
            self.stop()
        except LaunchpadError as failure:
            if error is None or isinstance(error, LaunchpadError):
                raise failure from failure.__cause__ or error
            error.add_note(f"and the run failed: {failure}")


def run(
    program: Program,
    launcher: str = "thread",
    *,
    config: RunConfig = TEST_CONFIG,
    keep_directory: bool | None = None,
) -> TestRun:
    """Run a program for a test: real nodes, real clients, real servers.

    Under the default launcher everything is in the test's own process, so a test can look at the
    nodes' objects, and put a breakpoint in them.

    Example:
      ```
      with lp.testing.run(program) as t:
          assert t[handle].work(1) == 1
          assert t.instance("producer", 0).calls == 1
      ```

    Args:
      program: the program.
      launcher: the launcher's name; `process` runs the same test on processes.
      config: the run's settings.
      keep_directory: keep a run directory; None keeps one unless the nodes are threads.

    Raises:
      UsageError: there is no such launcher.
    """
    return TestRun(program, launcher, config=config, keep_directory=keep_directory)
