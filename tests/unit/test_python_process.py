"""How processes are started: what is refused, and what becomes of flags."""

from __future__ import annotations

import pickle
import sys
from typing import Any

import pytest
from absl import flags

import launchpad_lite as lp
from launchpad_lite import source
from launchpad_lite.python_process import clean_env
from launchpad_lite.source import ProgramSource

flags.DEFINE_multi_integer("lp_test_process_sizes", [1], "")
flags.DEFINE_bool("lp_test_process_loud", False, "")


def work() -> None: ...


def planned(launcher: str = "process", **local: Any) -> lp.LaunchPlan:
    program = lp.Program("p")
    program.add_node(lp.PyNode(work).options(env={"A": "node"}), label="learner")
    return lp.plan(program, launcher, local_resources=local)


def test_numbers_become_text_in_an_environment() -> None:
    assert clean_env({"A": 1, "B": 0.5, "C": "c"}) == {"A": "1", "B": "0.5", "C": "c"}


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"env": {"A=": "1"}}, "env: 'A=' cannot be the name"),
        ({"env": {"A": True}}, "env: A must be a number or a string"),
        ({"env": {"A": "\0"}}, "without null characters"),
        ({"preload": "numpy"}, r"give a list of modules, \['numpy'\], not a string"),
        ({"preload": ["a b"]}, "'a b' cannot be the name of a module"),
    ],
)
def test_what_cannot_work_is_refused(settings: Any, text: str) -> None:
    with pytest.raises(lp.UsageError, match=text):
        lp.PythonProcess(**settings)


@pytest.mark.parametrize(
    ("process", "text"),
    [
        (lp.PythonProcess({"lp_test_process_lud": 1}), r"--lp_test_.*mean 'lp_test_process_loud'"),
        (lp.PythonProcess({"lp_test_process_loud": "perhaps"}), "loud does not take 'perhaps'"),
        (lp.PythonProcess(interpreter="no-such-python"), "'no-such-python' is not there"),
        (lp.PythonProcess(preload=["no_such_module.at_all"]), "no module 'no_such_module.at_all'"),
        ({"env": {}}, "must be an lp.PythonProcess, not {'env': {}}"),
    ],
)
def test_a_plan_says_what_is_wrong_and_for_which_group(process: Any, text: str) -> None:
    with pytest.raises(lp.UsageError, match=text) as caught:
        planned(learner=process)
    assert "local_resources['learner']" in str(caught.value)


def test_an_unknown_group_is_a_warning() -> None:
    (warning,) = planned(lerner=lp.PythonProcess(), learner=None).warnings
    assert "unknown group 'lerner'; did you mean 'learner'?" in warning


def test_flags_are_parsed_for_the_group_and_stay_as_they_are_here() -> None:
    process = lp.PythonProcess({"lp_test_process_sizes": 3, "lp_test_process_loud": True})
    plan = planned(learner=process)
    (worker,) = plan.workers
    there: ProgramSource = pickle.loads(worker.source)
    assert pickle.loads(there.flags["lp_test_process_sizes"].data) == [3]
    assert pickle.loads(there.flags["lp_test_process_loud"].data) is True
    assert "lp_test_process_loud" not in plan.source.flags
    assert flags.FLAGS["lp_test_process_loud"].value is False


def test_a_nodes_own_environment_comes_before_its_groups() -> None:
    (worker,) = planned(learner=lp.PythonProcess(env={"A": "group", "B": 2})).workers
    assert worker.env == {"A": "node", "B": "2"}


def test_another_interpreter_starts_cold_with_its_own_packages() -> None:
    plan = planned(learner=lp.PythonProcess(interpreter=sys.executable, preload=["wave"]))
    (worker,) = plan.workers
    assert worker.start == "cold (another interpreter)"
    assert plan.preload == ["wave"]
    there: ProgramSource = pickle.loads(worker.source)
    assert there.own_packages
    assert not any("site-packages" in entry for entry in there.sys_path)


def test_the_users_part_of_an_import_path() -> None:
    import json
    from pathlib import Path

    library = str(Path(json.__file__).parents[1])
    assert source.users_path(["/mine", library, "/lib/python311.zip"]) == ("/mine",)


def test_threads_cannot_be_started_in_another_way() -> None:
    process = lp.PythonProcess({"anything": 1}, {"B": "1"}, preload=["wave"])
    plan = planned("thread", learner=process)
    warnings = [text for text in plan.warnings if text.startswith("group")]
    assert warnings == [
        (
            "group learner: its PythonProcess(args, env, preload) has no effect, since launcher "
            "'thread' runs it in the launching process."
        )
    ]
