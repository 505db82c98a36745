from __future__ import annotations

import unittest

import pytest

import launchpad_lite as lp
from launchpad_lite import flags
from launchpad_lite.launch_type import LaunchType, launcher_of, of_launcher
from launchpad_lite.validation import MAX_WAIT_S


class Server:
    def answer(self) -> int:
        return 42


def end() -> None:
    pass


def make_program() -> lp.Program:
    program = lp.Program("original")
    program.add_node(lp.CourierNode(Server), label="server")
    program.add_node(lp.PyNode(end), label="end")
    return program


def test_launch_types_stand_for_launchers() -> None:
    assert launcher_of("local_mp") == "process"
    assert launcher_of(LaunchType.TEST_MULTI_THREADING) == "thread"
    assert launcher_of("slurm") == "slurm"
    assert of_launcher("process") is LaunchType.LOCAL_MULTI_PROCESSING
    assert of_launcher("slurm") is None


@pytest.mark.parametrize("launch_type", [LaunchType.VERTEX_AI, "local_docker"])
def test_what_has_no_launcher_is_refused(launch_type: str | LaunchType) -> None:
    with pytest.raises(lp.LauncherUnavailableError, match="has no launcher here"):
        launcher_of(launch_type)


def test_arguments_of_the_original() -> None:
    run = lp.launch(programs=[make_program()], launch_type="test_mt", xm_resources={})
    assert run.wait(["end"])
    assert run.client("server").answer() == 42
    run.stop_and_wait()
    assert run.status().phase == "ended"


def test_a_group_that_is_not_there_cannot_be_waited_for() -> None:
    with lp.launch(make_program(), LaunchType.LOCAL_MULTI_THREADING) as run:
        with pytest.raises(lp.UsageError, match="did you mean 'server'"):
            run.wait(labels_to_wait_for=["sever"])
        assert run.wait(return_on_first_completed=True)


def test_a_test_case_stops_its_run() -> None:
    runs: list[lp.Run] = []

    class Case(unittest.TestCase):
        def runTest(self) -> None:  # noqa: N802 - unittest's name
            runs.append(lp.launch(make_program(), launch_type="test_mt", test_case=self))

    result = Case().run()
    assert result is not None
    assert result.wasSuccessful(), result.errors
    assert runs[0].status().phase == "ended"


def test_nodes_can_be_asked_to_be_picklable() -> None:
    program = lp.Program("original")
    program.add_node(lp.PyNode(lambda lock: lock, __import__("threading").Lock()), label="node")
    lp.plan(program, "thread")
    with pytest.raises(lp.UnpicklableError, match="node/0"):
        lp.launch(program, "thread", serialize_py_nodes=True)


def test_what_is_no_program_is_refused() -> None:
    with pytest.raises(lp.UsageError, match=r"an lp\.Program is needed"):
        lp.launch([])


def test_a_program_stopper_stops_the_program() -> None:
    program = lp.Program("original")
    stopper = lp.make_program_stopper("local_mt")
    program.add_node(lp.CourierNode(Server), label="server")
    program.add_node(lp.PyNode(stopper, mark_as_completed=True), label="stopper")
    assert lp.launch(program, "thread").wait(30.0)
    with pytest.raises(lp.UsageError, match="unknown launch type"):
        lp.make_program_stopper("local_mtt")


def test_flags_that_are_set_at_import_count(monkeypatch: pytest.MonkeyPatch) -> None:
    flag = flags.FLAGS["lp_termination_notice_secs"]
    monkeypatch.setattr(flag, "value", -1)
    assert flags.run_config().notice_s == MAX_WAIT_S
