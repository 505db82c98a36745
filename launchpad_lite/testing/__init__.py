"""Testing programs in-process: `with lp.testing.run(program) as t: t[handle].method()`."""

from launchpad_lite.testing.harness import LeakError, TestRun, run

__all__ = ["LeakError", "TestRun", "run"]
