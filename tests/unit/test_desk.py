"""What other terminals are answered for a controller that they have no way to."""

from __future__ import annotations

from pathlib import Path

import pytest

import launchpad_lite as lp
from launchpad_lite.errors import CallError
from launchpad_lite.launchers.desk import Desk
from launchpad_lite.runtime.control import RemoteControl, RunViewer
from launchpad_lite.runtime.run import Run
from launchpad_lite.runtime.rundir import RunDirectory


def opened(run: Run, directory: RunDirectory) -> Desk:
    """A desk for a run of this process, which stands for one whose controller is far away."""
    inner = vars(run)
    return Desk(inner["_controller"], inner["_scope"], directory)


def test_a_run_is_seen_and_stopped(tmp_path: Path) -> None:
    program = lp.Program("waits")
    program.add_node(lp.CourierNode(dict), label="facts")
    with lp.launch(program, launcher="thread") as run:
        directory = RunDirectory.create(run.id, tmp_path)
        desk = opened(run, directory)
        rendezvous = directory.rendezvous()
        assert rendezvous is not None
        viewer = RunViewer(rendezvous.endpoint, rendezvous.credentials)
        assert viewer.services() == ["facts/0"]
        changes = viewer.changes()
        assert next(changes).run_id == run.id
        viewer.stop("seen enough")
        run.wait()
        desk.tell(run.status())
        assert next(changes).reason == "seen enough"
        assert viewer.status().phase == "ended"
        desk.close()
    assert list(changes) == []
    assert directory.rendezvous() is None
    assert not Path(rendezvous.endpoint.removeprefix("unix:")).exists()


def test_nobody_is_told_where_nodes_are(tmp_path: Path) -> None:
    program = lp.Program("waits")
    program.add_node(lp.CourierNode(dict), label="facts")
    with lp.launch(program, launcher="thread") as run:
        directory = RunDirectory.create(run.id, tmp_path)
        desk = opened(run, directory)
        rendezvous = directory.rendezvous()
        assert rendezvous is not None
        line = RemoteControl(rendezvous.endpoint, rendezvous.credentials, run.id, "(visitor)")
        with pytest.raises(CallError, match=r"no way to facts/0 of .* with run\.client"):
            line.follow("facts/0")
        desk.close()
