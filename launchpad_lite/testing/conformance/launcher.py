"""The conformance suite for launchers.

A launcher's tests are one class:

```
from launchpad_lite.testing.conformance.launcher import LauncherConformance

class TestNomad(LauncherConformance):
    launcher = "nomad"
```

pytest then runs every test of the suite under the launcher of that name. A launcher whose nodes run
on other hosts overrides the fixture `shared_dir`.
"""

from __future__ import annotations

from launchpad_lite.testing.conformance.launcher_parts.cachers import CacherConformance
from launchpad_lite.testing.conformance.launcher_parts.calls import CallConformance
from launchpad_lite.testing.conformance.launcher_parts.colocations import ColocationConformance
from launchpad_lite.testing.conformance.launcher_parts.contexts import ContextConformance
from launchpad_lite.testing.conformance.launcher_parts.ends import EndConformance
from launchpad_lite.testing.conformance.launcher_parts.failures import FailureConformance
from launchpad_lite.testing.conformance.launcher_parts.replay import ReplayConformance
from launchpad_lite.testing.conformance.launcher_parts.servers import ServerConformance


class LauncherConformance(
    CacherConformance,
    CallConformance,
    ColocationConformance,
    ContextConformance,
    EndConformance,
    FailureConformance,
    ReplayConformance,
    ServerConformance,
):
    """All that a launcher owes; see the module."""
