"""What `local_resources` and `resources` make of the processes of a group."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest
from absl import flags

import launchpad_lite as lp
from launchpad_lite import flags as lp_flags

if TYPE_CHECKING:
    from pathlib import Path

STEPS = flags.DEFINE_integer("lp_test_local_steps", 1, "")
GPUS = "CUDA_VISIBLE_DEVICES"


class Facts:
    """Tells how its process was started."""

    def steps(self) -> int:
        return STEPS.value

    def argv(self) -> str:
        return sys.argv[-1]

    def variable(self, name: str) -> str | None:
        return os.environ.get(name)

    def prefix(self) -> str:
        return sys.prefix

    def executable(self) -> str:
        return sys.executable

    def has_imported(self, module: str) -> bool:
        return module in sys.modules

    def pid(self) -> int:
        return os.getpid()


def facts(*labels: str) -> lp.Program:
    program = lp.Program("facts")
    for label in labels:
        program.add_node(lp.CourierNode(Facts), label=label)
    return program


def test_a_groups_args_and_env_are_its_own() -> None:
    local = {"a": lp.PythonProcess(args={"lp_test_local_steps": 7}, env={"LP_TEST": 3})}
    with lp.launch(facts("a", "b"), "process", local_resources=local) as run:
        a, b = run.client("a"), run.client("b")
        assert (a.steps(), b.steps()) == (7, 1)
        assert a.argv() == "--lp_test_local_steps=7"
        assert (a.variable("LP_TEST"), b.variable("LP_TEST")) == ("3", None)
        run.stop()
    assert lp_flags.value(STEPS) == 1


def test_modules_are_preloaded_once_for_all() -> None:
    module = "wave"  # nothing that a worker needs imports it
    local = {"a": lp.PythonProcess(preload=[module])}
    with lp.launch(facts("a"), "process", local_resources=local) as run:
        assert run.client("a").has_imported(module)
        run.stop()


def test_another_interpreter_imports_the_program(tmp_path: Path) -> None:
    python = tmp_path / "other-python"
    python.write_text(f'#!/bin/sh\nexport LP_TEST=other\nexec {sys.executable} "$@"\n')
    python.chmod(0o700)
    local = {"a": lp.PythonProcess(interpreter=str(python))}
    with lp.launch(facts("a", "b"), "process", local_resources=local) as run:
        a, b = run.client("a"), run.client("b")
        assert (a.variable("LP_TEST"), b.variable("LP_TEST")) == ("other", None)
        assert (a.prefix(), a.steps()) == (sys.prefix, 1)
        run.stop()


def test_what_an_interpreter_says_before_it_fails_is_shown(tmp_path: Path) -> None:
    python = tmp_path / "broken-python"
    python.write_text("#!/bin/sh\necho no module of that name >&2\nexit 3\n")
    python.chmod(0o700)
    local = {"a": lp.PythonProcess(interpreter=str(python))}
    with (
        pytest.raises(lp.NodeFailed, match=r"(?s)status 3.*no module of that name"),
        lp.launch(facts("a"), "process", local_resources=local) as run,
    ):
        run.wait()


def test_no_gpu_is_handed_out_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(GPUS, "4,5,6")
    program = facts("a", "b", "b", "none", "unsaid")
    wanted = {"a": lp.Resources(gpus=1), "b": lp.Resources(gpus=1), "none": lp.Resources(gpus=0)}
    with lp.launch(program, "process", resources=wanted) as run:
        nodes = [run.client(*node) for node in (("a", 0), ("b", 0), ("b", 1))]
        assert [node.variable(GPUS) for node in nodes] == ["4", "5", "6"]
        assert run.client("none").variable(GPUS) == ""
        assert run.client("unsaid").variable(GPUS) == "4,5,6"
        run.stop()


def test_too_few_gpus_are_an_error_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(GPUS, "0")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with pytest.raises(lp.UsageError, match="'a' asks for 2 GPU"):
        lp.launch(facts("a"), "process", resources={"a": lp.Resources(gpus=2)})
    assert list(tmp_path.iterdir()) == []
