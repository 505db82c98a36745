"""A process that has not joined the cluster before: it leaves as it came."""

from __future__ import annotations

import importlib
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

import launchpad_lite as lp
from launchpad_lite.errors import UsageError
from tests.helpers import run_python
from tests.ray.test_placement import Asker, Facts, launched, make, options, stopped

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("address")]


OWN = """
import os

import launchpad_lite as lp


def work() -> None: ...


if __name__ == "__main__":
    import ray

    program = lp.Program("own")
    program.add_node(lp.PyNode(work), label="work")
    before = dict(os.environ)
    lp.launch(program, "ray", options=lp.RayOptions(address="local")).wait()
    print("the same:", before == dict(os.environ))
"""


@pytest.fixture
def ray(cluster: Any) -> Any:
    assert cluster
    module: Any = importlib.import_module("ray")
    assert not module.is_initialized()
    return module


def test_a_run_joins_and_leaves(ray: Any) -> None:
    hears = signal.getsignal(signal.SIGTERM)
    run = launched(make(facts=1), options())
    assert run.client("facts").twice(2) == 4
    stopped(run)
    assert not ray.is_initialized()
    assert signal.getsignal(signal.SIGTERM) == hears


def test_the_last_of_two_runs_leaves(ray: Any) -> None:
    first, second = (launched(make(facts=1), options()) for _ in range(2))
    stopped(first)
    assert second.client("facts").twice(2) == 4
    stopped(second)
    assert not ray.is_initialized()


def test_a_connection_that_the_user_makes_meanwhile_is_the_users(ray: Any, address: str) -> None:
    lost = launched(make(facts=1), options())
    ray.shutdown()  # and with it goes what the process has started
    ray.init(address, logging_level="ERROR", log_to_driver=False)
    try:
        run = launched(make(facts=1), options())
        with pytest.raises(lp.ControllerLost, match=r"ray\.shutdown"):
            lost.wait()
        assert run.client("facts").twice(2) == 4
        stopped(run)
        assert ray.is_initialized()
    finally:
        ray.shutdown()


def test_a_launch_that_fails_leaves(ray: Any) -> None:
    with pytest.raises(UsageError, match="refuses"):
        launched(make(facts=1), options(runtime_env={"working_dir": "/no/such/directory"}))
    assert not ray.is_initialized()


def test_a_cluster_of_its_own_is_not_detached(ray: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS")
    for address in ("local", None):
        with pytest.raises(UsageError, match="--ray_address=auto or host:port"):
            launched(make(facts=1), options(address=address, detach=True))
        assert not ray.is_initialized()


def test_what_ray_sets_for_a_cluster_of_its_own_does_not_stay(tmp_path: Path) -> None:
    """Or a cluster without a token, joined afterwards, would not know the process."""
    script = tmp_path / "own.py"
    script.write_text(OWN)
    done = run_python(str(script), cwd=tmp_path, seconds=100)
    assert "the same: True" in done.stdout


def test_threads_are_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    run = launched(make(facts=2), options(), facts=lp.Resources(cpus=1))
    assert run.client("facts").variable("OMP_NUM_THREADS") == "3"
    stopped(run)


def test_gpus_that_are_set_twice_are_told() -> None:
    process = lp.PythonProcess(env={"CUDA_VISIBLE_DEVICES": "0"})
    run = lp.launch(
        make(facts=1),
        "ray",
        options=options(),
        resources={"facts": lp.Resources(gpus=0)},
        local_resources={"facts": process},
    )
    with pytest.raises(lp.NodeFailed, match="its env sets CUDA_VISIBLE_DEVICES"):
        run.wait()


def test_what_cannot_be_pickled_is_named_first(ray: Any) -> None:
    program = lp.Program("unpicklable")
    program.add_node(lp.CourierNode(Facts), label="facts")
    given: Any = {"lock": threading.Lock()}
    program.add_node(lp.CourierNode(Asker, given), label="asker")
    with pytest.raises(lp.UnpicklableError, match=r"node asker/0 .* argument other\['lock'\]"):
        launched(program, options())
    assert not ray.is_initialized()


def test_a_reference_of_a_cluster_that_was_left_is_named(ray: Any) -> None:
    program = lp.Program("left")
    given: Any = [ray.ObjectRef(bytes(28))]
    program.add_node(lp.CourierNode(Asker, given), label="asker")
    with pytest.raises(lp.UnpicklableError, match=r"argument other\[0\] .* has left"):
        launched(program, options())
    assert not ray.is_initialized()
