"""The tree of errors: drawn as it is, and picklable with all that each one carries."""

from __future__ import annotations

import inspect
import pickle
import re
from collections.abc import Iterator

import grpc

from launchpad_lite import errors
from launchpad_lite.errors import CallError, ExitCode, LaunchpadError, StatusCode, nearest

CLASSES: list[type[LaunchpadError]] = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and issubclass(value, LaunchpadError)
]

EXAMPLES: list[LaunchpadError] = [
    errors.LaunchpadError("text"),
    errors.UsageError("text"),
    errors.ProgramError("text"),
    errors.HandleError("text"),
    errors.UnpicklableError("text"),
    errors.LauncherUnavailableError("text"),
    errors.CheckpointError("text"),
    errors.ContextError("text"),
    errors.RunError("text"),
    errors.NodeFailed("a/0", "it broke", remote_traceback="Traceback: x", log_tail="last words"),
    errors.NodesStuck(["a/0", "b/1"], "their stacks"),
    errors.ControllerLost("text"),
    errors.Stopped("text"),
    errors.UnresolvedReference("text"),
    errors.CallError("text"),
    errors.Unavailable("text", maybe_executed=True),
    errors.DeadlineExceeded("text"),
    errors.MethodNotFound("text"),
    errors.NotAuthenticated("text"),
    errors.VersionMismatch("text"),
    errors.PayloadTooLarge("text"),
    errors.ResourceExhausted("text"),
    errors.CodecError("text"),
    errors.BatchError("text"),
    errors.RemoteError("module.Strange", "text", "Traceback: y"),
]

_TREE_LINE = re.compile(
    r"(?P<indent>[│├└─ ]*)(?P<name>\w+)(?: \((?P<also>\w+)\))?(?: +exit (?P<code>\d+))?(?: {2,}.*)?"
)


def drawn() -> dict[str, tuple[str | None, str | None, int | None]]:
    """Parent, second parent and exit code of each error, as the module's docstring says."""
    assert errors.__doc__ is not None
    found: dict[str, tuple[str | None, str | None, int | None]] = {}
    above: list[str] = []
    for line in errors.__doc__.split("```")[1].strip().splitlines():
        match = _TREE_LINE.fullmatch(line)
        assert match, line
        del above[len(match["indent"]) // 4 :]
        code = int(match["code"]) if match["code"] else None
        found[match["name"]] = (above[-1] if above else None, match["also"], code)
        above.append(match["name"])
    return found


def actual(
    cls: type[LaunchpadError], parent: str | None
) -> Iterator[tuple[str, tuple[str | None, str | None, int | None]]]:
    """The same of a class and those below it, in the order of the module."""
    also = [base.__name__ for base in cls.__bases__ if base.__name__ not in {parent, "Exception"}]
    says_code = "exit_code" in vars(cls) and parent is not None
    yield cls.__name__, (parent, also[0] if also else None, cls.exit_code if says_code else None)
    for below in CLASSES:
        if cls in below.__bases__:
            yield from actual(below, cls.__name__)


def test_the_tree_in_the_docstring_is_true_and_complete() -> None:
    tree = dict(actual(LaunchpadError, None))
    assert set(tree) == {cls.__name__ for cls in CLASSES}
    # It says the code of the commonest error though that is the default.
    tree["NodeFailed"] = ("RunError", None, int(errors.NodeFailed.exit_code))
    assert drawn() == tree


def test_there_is_an_example_of_every_error() -> None:
    assert {type(error) for error in EXAMPLES} == set(CLASSES)


def test_every_error_pickles_with_all_it_carries() -> None:
    for error in EXAMPLES:
        error.add_note("a note")
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            copy = pickle.loads(pickle.dumps(error, protocol))
            assert type(copy) is type(error)
            assert (str(copy), copy.args) == (str(error), error.args)
            assert vars(copy) == vars(error)
            assert copy.exit_code == error.exit_code


def test_a_subclass_of_a_user_pickles_whatever_its_constructor_takes() -> None:
    error = _UsersError(3, reason="so")
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.number, copy.reason) == ("3: so", 3, "so")


class _UsersError(errors.NodeFailed):
    def __init__(self, number: int, *, reason: str) -> None:
        Exception.__init__(self, f"{number}: {reason}")
        self.number = number
        self.reason = reason


def test_errors_can_be_caught_as_what_python_calls_them() -> None:
    assert issubclass(errors.DeadlineExceeded, TimeoutError)
    assert issubclass(errors.HandleError, AttributeError)
    assert issubclass(errors.MethodNotFound, AttributeError)


def test_exit_codes_are_what_the_documents_say() -> None:
    assert {code.name: int(code) for code in ExitCode} == {
        "OK": 0,
        "NODE_FAILED": 1,
        "USAGE": 2,
        "PROGRAM": 3,
        "LAUNCHER_UNAVAILABLE": 4,
        "NODES_STUCK": 5,
        "CONTROLLER_LOST": 6,
        "INTERRUPTED": 130,
    }


def test_a_failed_node_shows_its_traceback_and_the_tail_of_its_log() -> None:
    error = errors.NodeFailed(
        "a/0", "ValueError: no", remote_traceback="Traceback ...\n", log_tail="one\ntwo\n"
    )
    assert str(error) == (
        "node a/0 failed: ValueError: no\n\nTraceback ...\n\n"
        "last lines of the log of a/0:\none\ntwo"
    )
    assert str(errors.NodeFailed("a/0", "killed by SIGKILL")) == (
        "node a/0 failed: killed by SIGKILL"
    )


def test_stuck_nodes_are_named() -> None:
    error = errors.NodesStuck(["a/0", "b/1"], "STACKS")
    assert error.nodes == ("a/0", "b/1")
    assert "a/0, b/1 did not end in time" in str(error)
    assert str(error).endswith("STACKS")
    assert str(error).endswith("STACKS")


def test_a_remote_error_says_what_was_raised_and_where() -> None:
    error = errors.RemoteError("m.Strange", "text", "Traceback ...\n")
    assert error.type_name == "m.Strange"
    assert str(error) == "m.Strange: text\n\nTraceback ..."


def test_a_typo_is_answered_with_the_nearest_name() -> None:
    assert nearest("proces", ["thread", "process"]) == (
        "; did you mean 'process'? Known: process, thread."
    )
    assert nearest("xyz", ["thread", "process"]) == ". Known: process, thread."
    assert nearest("xyz", []) == ". Known: none."


def test_errors_of_calls_have_the_canonical_codes() -> None:
    """The numbers are those of https://grpc.github.io/grpc/core/md_doc_statuscodes.html."""
    codes = {type(error).__name__: error.code for error in EXAMPLES if isinstance(error, CallError)}
    assert codes == {
        "CallError": 2,
        "Unavailable": 14,
        "DeadlineExceeded": 4,
        "MethodNotFound": 5,
        "NotAuthenticated": 16,
        "VersionMismatch": 9,
        "PayloadTooLarge": 8,
        "ResourceExhausted": 8,
        "CodecError": 3,
        "BatchError": 3,
        "RemoteError": 2,
    }
    grpc_codes = {code.name: code.value[0] for code in grpc.StatusCode}
    assert {code.name: code.value for code in StatusCode} == grpc_codes


def test_errors_of_calls_have_a_message() -> None:
    for error in EXAMPLES:
        if isinstance(error, CallError):
            assert error.message == str(error)
            assert "message" not in vars(error)


def test_what_programs_for_the_original_look_for() -> None:
    assert (
        str(errors.DeadlineExceeded("it took over 1 s")) == "it took over 1 s (Deadline Exceeded)"
    )
