"""The public surface: which names there are, and that each says what it is."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import types
from collections.abc import Iterator
from typing import Any

import pytest

import launchpad_lite as lp

PACKAGES: tuple[types.ModuleType, ...] = (lp, lp.courier, lp.testing)

# Adding a name is easy, taking one away breaks programs: both are on purpose.
NAMES = """
Address BatchError CachedResult CacherNode CallContext CallError CheckpointError CodecError Context
ContextError ControllerLost CourierClient CourierHandle CourierNode DeadlineExceeded Deferred Edge
ExitCode Handle HandleError LaunchOptions LaunchPlan LaunchType LauncherUnavailableError
LaunchpadError MethodNotFound MultiProcessingColocation MultiThreadingColocation Node NodeFailed
NodesStuck NotAuthenticated PayloadTooLarge Program ProgramError PyClassNode PyNode PythonProcess
RayGroup RayOptions RemoteError ResourceExhausted Resources ReverbHandle ReverbNode Run RunConfig
RunError SlurmGroup SlurmOptions StatusCode Stopped Stream Unavailable UnpicklableError
UnresolvedReference UsageError VersionMismatch
__version__ aio batched_handler bind broadcast cached connect courier deadline get_call_context
get_context launch make_program make_program_stopper plan pool register_stop_handler seconds_left
stop stop_event stream submit testing unregister_stop_handler wait_for_stop
"""


def public() -> Iterator[tuple[str, Any]]:
    for package in PACKAGES:
        for name in package.__all__:
            yield f"{package.__name__}.{name}", getattr(package, name)


def members(cls: type) -> Iterator[tuple[str, Any]]:
    """The public methods and properties of a class that this project wrote."""
    for base in cls.__mro__:
        if base.__module__.startswith(lp.__name__):
            for name, member in vars(base).items():
                function = getattr(member, "__func__", member)
                if not name.startswith("_") and isinstance(function, types.FunctionType | property):
                    yield name, getattr(cls, name)


def functions() -> Iterator[tuple[str, Any]]:
    """Every public function, constructor and method."""
    for path, value in public():
        if inspect.isfunction(value):
            yield path, value
        elif inspect.isclass(value):
            if not dataclasses.is_dataclass(value) and not issubclass(value, enum.Enum):
                yield f"{path}.__init__", value.__init__
            for name, member in members(value):
                if not isinstance(member, property):
                    yield f"{path}.{name}", member


def test_the_names_are_those_that_were_agreed_on() -> None:
    assert lp.__all__ == sorted(NAMES.split())


def test_everything_public_says_what_it_is() -> None:
    bare = [path for path, value in public() if not isinstance(value, str) and not value.__doc__]
    for path, value in public():
        if inspect.isclass(value):
            bare += [
                f"{path}.{name}" for name, member in members(value) if not inspect.getdoc(member)
            ]
    assert bare == []


def test_every_parameter_is_described() -> None:
    missing: list[str] = []
    for path, function in functions():
        text = inspect.getdoc(function) or ""
        if not getattr(function, "__module__", "").startswith(lp.__name__) or "Args:" not in text:
            continue  # a sentence may be enough for one or two plain parameters
        parameters = [name for name in inspect.signature(function).parameters if name != "self"]
        missing += [f"{path}({name})" for name in parameters if f"{name}: " not in text]
    assert missing == []


def test_functions_with_many_parameters_describe_them() -> None:
    silent = [
        path
        for path, function in functions()
        if not path.endswith("__init__")  # what a class takes may be among its attributes
        and getattr(function, "__module__", "").startswith(lp.__name__)
        and len(inspect.signature(function).parameters) > 3
        and "Args:" not in (inspect.getdoc(function) or "")
    ]
    assert silent == []


def test_every_field_of_a_public_dataclass_is_described() -> None:
    missing = [
        f"{path}.{field.name}"
        for path, value in public()
        if inspect.isclass(value) and dataclasses.is_dataclass(value)
        for field in dataclasses.fields(value)
        if not field.name.startswith("_")
        and not any(f"  {field.name}: " in (base.__doc__ or "") for base in value.__mro__)
    ]
    assert missing == []


def test_public_classes_have_one_home() -> None:
    homes = {value: path for path, value in public() if inspect.isclass(value)}
    assert all(value.__module__.startswith(lp.__name__) for value in homes)
    assert lp.CourierClient is lp.courier.Client


def test_the_version_is_a_version() -> None:
    assert all(part.isdigit() for part in lp.__version__.split(".")[:2])


def test_an_unknown_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Programm'"):
        getattr(lp, "Programm")  # noqa: B009 - types know that it is not there
    assert dir(lp) == lp.__all__
