"""The actor that holds a run together: whose life it shares, and what is heard of it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

import launchpad_lite as lp
from launchpad_lite.errors import ControllerLost
from launchpad_lite.runtime import rundir
from tests.faults.bench import Bench, eventually
from tests.helpers import run_python
from tests.ray.test_faults import SOON_S, bench, placed
from tests.ray.test_placement import launched, make, options, stopped

pytestmark = pytest.mark.ray

__all__ = ["bench"]


def lp_launch(*words: str, cwd: Path) -> str:
    return run_python("-m", "launchpad_lite.cli.main", *words, cwd=cwd, seconds=60).stdout


def test_a_run_that_is_detached_goes_on(bench: Bench, joined: Any, tmp_path: Path) -> None:
    bench.lp_launch("make_patient", "ray", "--detach")
    assert bench.ended() == 0, bench.output
    assert eventually(lambda: sum("is up" in note for note in bench.notes) == 2)
    (run,) = [run for run in rundir.list_runs() if run.rendezvous() is not None]
    names = {each["name"] for each in joined.util.list_named_actors(all_namespaces=True)}
    assert f"{run.run_id}:controller" in names
    assert "running" in lp_launch("status", run.run_id, cwd=tmp_path)
    lp_launch("stop", run.run_id, cwd=tmp_path)
    assert sorted(bench.notes[-2:]) == ["returned", "stop handler"]
    assert eventually(lambda: run.rendezvous() is None, SOON_S)
    assert bench.nothing_is_left(SOON_S)


def test_the_controller_is_killed(joined: Any) -> None:
    assert joined
    run = launched(make(facts=2), options())
    process = psutil.Process(run.client("facts").process())
    (holder,) = [each for each in process.parents() if each.name().startswith("ray::Host")]
    rendezvous = rundir.RunDirectory(run.directory).rendezvous() if run.directory else None
    assert rendezvous is not None
    os.kill(rendezvous.owner.pid, signal.SIGKILL)
    with pytest.raises(ControllerLost, match="its controller, an actor of Ray, is gone"):
        run.wait(SOON_S)
    assert eventually(lambda: not process.is_running() and not holder.is_running(), SOON_S)
    assert eventually(lambda: not placed(), SOON_S)
    assert run.status().phase == "ended"
    assert run.directory is not None
    kept = rundir.RunDirectory(run.directory).status()
    assert kept is not None
    assert "an actor of Ray, is gone" in kept.error


def test_what_the_controller_logs_is_heard(joined: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert joined
    program = make(facts=1)
    program.add_node(lp.PyNode(int), label="soon")
    run = launched(program, options())
    assert eventually(lambda: "all nodes that run have ended" in caplog.text, SOON_S)
    stopped(run)


def test_what_nodes_print_is_among_rays_logs(cluster: Any, joined: Any) -> None:
    assert joined
    program = lp.Program("speaks")
    program.add_node(lp.PyNode(print, "hello, Ray"), label="speaker")
    run = launched(program, options())
    run.wait(SOON_S)
    logs = Path(cluster.head_node.get_logs_dir_path())
    assert (logs / f"{run.id}-speaker-0.log").read_text() == "hello, Ray\n"
