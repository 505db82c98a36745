"""What other terminals are answered for a controller that they have no way to."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

import launchpad_lite as lp
from launchpad_lite.errors import Unavailable
from launchpad_lite.launchers.desk import Desk
from launchpad_lite.launchers.reach import Reach
from launchpad_lite.runtime.control import RunViewer
from launchpad_lite.runtime.run import Run
from launchpad_lite.runtime.rundir import Rendezvous, RunDirectory
from launchpad_lite.testing.conformance.launcher_parts.base import eventually


def launched() -> Run:
    program = lp.Program("waits")
    program.add_node(lp.CourierNode(dict), label="facts")
    return lp.launch(program, launcher="thread")


def there(directory: RunDirectory) -> Rendezvous:
    rendezvous = directory.rendezvous()
    assert rendezvous is not None
    return rendezvous


def opened(run: Run, directory: RunDirectory) -> Desk:
    """A desk for a run of this process, which stands for one whose controller is far away."""
    inner = vars(run)
    desk = Desk(inner["_controller"], inner["_scope"], directory)
    desk.open()
    return desk


def test_a_run_is_seen_and_stopped(tmp_path: Path) -> None:
    with launched() as run:
        directory = RunDirectory.create(run.id, tmp_path)
        desk = opened(run, directory)
        rendezvous = there(directory)
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
    with launched() as run:
        directory = RunDirectory.create(run.id, tmp_path)
        desk = opened(run, directory)
        reach = Reach(run.id, str, "(visitor)")
        reach.found(there(directory))
        with pytest.raises(Unavailable, match=r"no way to the nodes of .* with run\.client"):
            reach.follow("facts/0")
        desk.close()


def test_a_run_goes_on_that_other_terminals_cannot_reach(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with launched() as run:
        directory = RunDirectory.create(run.id, tmp_path)
        directory.remove()
        assert run.directory is not None
        assert eventually(lambda: RunDirectory(Path(run.directory or "")).rendezvous() is not None)
        before = set(threading.enumerate())
        desk = opened(run, directory)
        assert "other terminals cannot reach it" in caplog.text
        assert eventually(lambda: before.issuperset(threading.enumerate()))
        desk.close()
