"""What is said when the user's code raises."""

from __future__ import annotations

import os
from typing import Any

import pytest

import launchpad_lite as lp
from launchpad_lite.cli.user_code import UserCodeError, calling


class Server:
    """A node with no methods."""


def _raise_twice() -> None:
    try:
        os.environ["LP_NOT_SET"]
    except KeyError as error:
        raise ValueError("outer") from error


def test_any_exception_is_shown_from_where_the_users_code_begins() -> None:
    with pytest.raises(UserCodeError) as caught, calling("make() in program.py"):
        _raise_twice()
    assert str(caught.value) == "make() in program.py raised ValueError."
    assert caught.value.exit_code is lp.ExitCode.PROGRAM
    assert "KeyError: 'LP_NOT_SET'" in caught.value.trace
    assert caught.value.trace.endswith("ValueError: outer\n")
    assert "user_code.py" not in caught.value.trace.replace("test_cli_user_code.py", "")


def test_our_own_errors_pass_with_the_place() -> None:
    handle: Any = lp.Program("p").add_node(lp.CourierNode(Server), label="node")
    with pytest.raises(lp.HandleError) as caught, calling("make()"):
        handle.nowhere()
    assert len(caught.value.__notes__) == 1
    assert caught.value.__notes__[0].startswith(f"at {__file__}:")


def test_the_place_is_not_said_twice() -> None:
    with pytest.raises(lp.ProgramError) as caught, calling("make()"):
        lp.Program("")
    assert __file__ in str(caught.value)
    assert not hasattr(caught.value, "__notes__")


def test_an_error_of_ours_that_needs_its_traceback() -> None:
    with pytest.raises(UserCodeError) as caught, calling("make()"):
        lp.get_context()
    assert "ContextError" in caught.value.trace
    assert f'File "{__file__}"' in caught.value.trace


def test_failed_runs_pass() -> None:
    failed = lp.NodeFailed("a/0", "ValueError: no")
    with pytest.raises(lp.NodeFailed) as caught, calling("main()"):
        raise failed
    assert caught.value is failed
    assert not hasattr(failed, "__notes__")


def test_system_exit() -> None:
    with pytest.raises(SystemExit) as left, calling("script.py", may_exit=True):
        raise SystemExit(3)
    assert left.value.code == 3
    with pytest.raises(UserCodeError) as caught, calling("importing program.py"):
        raise SystemExit(3)
    assert str(caught.value) == "importing program.py tried to end the command, with SystemExit(3)."


def test_ctrl_c_passes() -> None:
    with pytest.raises(KeyboardInterrupt), calling("make()"):
        raise KeyboardInterrupt
