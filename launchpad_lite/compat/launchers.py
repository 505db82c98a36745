"""The original's functions that launch in one way each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launchpad_lite import launching
from launchpad_lite.launch_type import LaunchType

if TYPE_CHECKING:
    import unittest

    from launchpad_lite.program import Program
    from launchpad_lite.runtime.run import Run


def launch_local_mt(program: Program) -> Run:
    """Launch a program on threads; see `launching.launch` for the errors, here and below."""
    return launching.launch(program, LaunchType.LOCAL_MULTI_THREADING)


def launch_test_mt(program: Program, test_case: unittest.TestCase | None = None) -> Run:
    """Launch a program on threads, until the end of a test."""
    return launching.launch(program, LaunchType.TEST_MULTI_THREADING, test_case=test_case)


def launch_local_mp(program: Program, *args: Any, **kwargs: Any) -> Run:
    """Launch a program on processes, with `local_resources` and `terminal`."""
    arguments = dict(zip(("local_resources", "terminal"), args, strict=False)) | kwargs
    return launching.launch(program, LaunchType.LOCAL_MULTI_PROCESSING, **arguments)


def launch_test_mp(
    program: Program, test_case: unittest.TestCase | None = None, **kwargs: Any
) -> Run:
    """Launch a program on processes, with `local_resources`, until the end of a test."""
    return launching.launch(
        program, LaunchType.TEST_MULTI_PROCESSING, test_case=test_case, **kwargs
    )
