"""The launcher suite, under each launcher of this package."""

from __future__ import annotations

from launchpad_lite.testing.conformance.launcher import LauncherConformance


class TestThread(LauncherConformance):
    launcher = "thread"


class TestProcess(LauncherConformance):
    launcher = "process"
