"""The launcher suite, on a cluster."""

from __future__ import annotations

import pytest

from launchpad_lite.testing.conformance.launcher import LauncherConformance

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("joined")]


class TestRay(LauncherConformance):
    launcher = "ray"
