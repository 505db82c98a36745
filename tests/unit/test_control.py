"""A run, as another terminal reaches it."""

from __future__ import annotations

import threading

import pytest

import launchpad_lite as lp
from launchpad_lite.runtime import control
from launchpad_lite.runtime.rundir import RunDirectory


def test_a_run_is_watched_for_longer_than_a_call_may_take(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(control, "_VIEWER_TIMEOUT_S", 1.0)
    program = lp.Program("waits")
    program.add_node(lp.PyNode(lp.wait_for_stop), label="main")
    with lp.launch(program, launcher="process") as run:
        assert run.directory is not None
        rendezvous = RunDirectory(run.directory).rendezvous()
        assert rendezvous is not None
        viewer = control.RunViewer(rendezvous.endpoint, rendezvous.credentials)
        later = threading.Timer(1.5, run.request_stop, ["it is enough"])
        later.start()
        *_, last = viewer.changes()
        later.join()
    assert last.phase == "ended"
