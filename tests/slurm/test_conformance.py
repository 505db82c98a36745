"""The launcher suite, on a cluster."""

from __future__ import annotations

import pytest

from launchpad_lite.testing.conformance.launcher import LauncherConformance

pytestmark = [pytest.mark.slurm, pytest.mark.usefixtures("near_login")]


class TestSlurm(LauncherConformance):
    launcher = "slurm"
