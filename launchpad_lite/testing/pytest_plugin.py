"""A pytest fixture, found through the entry point `pytest11`."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from launchpad_lite.testing.harness import TestRun

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytest.register_assert_rewrite("launchpad_lite.testing.conformance")


@pytest.fixture
def lp_run() -> Iterator[Callable[..., TestRun]]:
    """Launch programs that are stopped, and checked for leaks, at the end of the test.

    Example:
      ```
      def test_work(lp_run):
          t = lp_run(program)
          assert t[handle].work(1) == 1
      ```
    """
    with contextlib.ExitStack() as stack:

        def start(*args: object, **kwargs: object) -> TestRun:
            test_run = TestRun(*args, **kwargs)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] - handed through
            return stack.enter_context(test_run)

        yield start
