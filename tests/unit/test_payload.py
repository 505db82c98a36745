"""What travels to workers, and the name of the culprit when something cannot."""

from __future__ import annotations

import abc
import dataclasses
import functools
import os
import pickle
import subprocess
import sys
import threading
import types
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from launchpad_lite import flags, payload, source
from launchpad_lite.address import Address
from launchpad_lite.errors import UnpicklableError
from launchpad_lite.nodes.courier import CourierNode
from tests.unit.fake_scope import FakeScope

LOCK = threading.Lock()
MODULE_LEVEL = 7


class Plain:
    def __init__(self, **attributes: object) -> None:
        vars(self).update(attributes)

    def method(self) -> None: ...


class Slots:
    __slots__ = ("__private", "first")

    def __init__(self, first: object, private: object = None) -> None:
        self.first = first
        self.__private = private


class OneSlot:
    __slots__ = "lock"  # noqa: PLC0205 - a string is allowed

    def __init__(self, lock: object) -> None:
        self.lock = lock


class MoreSlots(Slots):
    __slots__ = ("second",)

    def __init__(self, first: object, second: object) -> None:
        super().__init__(first)
        self.second = second


class Careful:
    """Leaves out what cannot be pickled."""

    def __init__(self, left_out: object, kept: object) -> None:
        self.left_out = left_out
        self.kept = kept

    def __getstate__(self) -> dict[str, object]:
        return {"kept": self.kept}


class Reduced:
    def __init__(self, part: object) -> None:
        self._part = part

    def __reduce__(self) -> tuple[type[Reduced], tuple[object, ...]]:
        return Reduced, (self._part,)


class OwnState:
    def __init__(self, part: object) -> None:
        self._part = part

    def __getstate__(self) -> list[object]:
        return [self._part]


class Refuses:
    def __reduce__(self) -> str:
        raise TypeError("I stay here.")


@dataclasses.dataclass(frozen=True, slots=True)
class Config:
    part: object


class Pair(NamedTuple):
    left: object
    right: object


class Attributed(dict[str, object]):
    extra: object = None


def culprit(**arguments: object) -> str:
    """The path of what is to blame, and why."""
    with pytest.raises(UnpicklableError) as error:
        payload.dumps_named(arguments, arguments, "node a/0 (f, x.py:1)", FakeScope())
    text = str(error.value)
    head, tail = "node a/0 (f, x.py:1): argument ", ". Make it inside the node, or wrap its "
    assert text.startswith(head)
    assert text.endswith("construction in lp.Deferred.")
    return text.removeprefix(head).partition(tail)[0].replace(" cannot be sent to a worker", "")


NO_LOCKS = "cannot pickle '_thread.lock' object"


def make_closure(inside: object) -> Callable[[], object]:
    return lambda: inside


def make_default(inside: object) -> Callable[..., object]:
    def function(x: object = inside, *, y: int = 1) -> object:
        return x, y

    return function


def make_keyword_default(inside: object) -> Callable[..., object]:
    def function(*, y: object = inside) -> object:
        return y

    return function


def make_attribute(inside: object) -> Callable[..., object]:
    def function() -> None: ...

    function.helper = inside  # type: ignore[attr-defined] # pyright: ignore[reportFunctionMemberAccess]
    return function


def make_unfinished(inside: object) -> Callable[..., object]:
    """A closure one of whose variables has no value yet."""

    def function() -> object:
        return later, inside

    if inside is None:
        later = 1
    return function


def make_class(inside: object) -> type:
    class Local(abc.ABC):  # noqa: B024 - such classes have hidden parts that are never pickled
        __slots__ = ("slot",)
        held = inside

    return Local


def make_wrapped(inside: object) -> Callable[[], object]:
    @functools.wraps(len)
    def wrapped() -> object:
        return [inside for _ in range(1)]

    return wrapped


def test_the_culprit_is_found_wherever_it_hides() -> None:
    hidden: dict[str, object] = {
        "x": LOCK,
        "x[1]": [0, LOCK],
        "x['a'][0]": {"a": (LOCK,)},
        "x['b']": OrderedDict(b=LOCK),
        "x{...}": {LOCK},
        "x.right": Pair(0, LOCK),
        "x.part": Config(LOCK),
        "x.a.b": Plain(a=Plain(b=LOCK)),
        "x.first": Slots(LOCK),
        "x._Slots__private": Slots(0, LOCK),
        "x.lock": OneSlot(LOCK),
        "x.second": MoreSlots(0, LOCK),
        "x.first.lock": MoreSlots(OneSlot(LOCK), 0),
        "x.kept": Careful(LOCK, LOCK),
        "x.<arguments>": Reduced(LOCK),
        "x.a.<state>[0]": Plain(a=OwnState(LOCK)),
        "x.args[0]": functools.partial(print, LOCK),
        "x.key[0]": functools.partial(Plain, key=[LOCK]),
        "x.func.__self__.a": functools.partial(Plain(a=LOCK).method),
        "x.__self__.a": Plain(a=LOCK).method,
        "x.<closure inside>": make_closure(LOCK),
        "x.<closure inside>.a[0]": make_wrapped(Plain(a=[LOCK])),
        "x.<default 0>": make_default(LOCK),
        "x.<default y>": make_keyword_default(LOCK),
        "x.helper": make_attribute(LOCK),
        "x.<closure inside>[0]": make_unfinished([LOCK]),
        "x.held": make_class(LOCK),
        "x.__class__.held": make_class(LOCK)(),
        "x.extra": _attributed(),
        "x.<state>[0]": np.array([LOCK], dtype=object),
    }
    assert {path: culprit(x=value) for path, value in hidden.items()} == {
        path: f"{path}: {NO_LOCKS}" for path in hidden
    }


def _attributed() -> Attributed:
    made = Attributed(a=1)
    made.extra = LOCK
    return made


def test_a_lambda_over_a_lock_is_blamed_by_the_name_of_the_variable() -> None:
    lock = threading.Lock()
    assert (
        culprit(function=lambda: lock.acquire(timeout=1)) == f"function.<closure lock>: {NO_LOCKS}"
    )


def test_a_function_of_a_notebook_is_blamed_by_the_name_of_the_global() -> None:
    notebook = types.ModuleType("__main__")
    notebook.LOCK = LOCK  # type: ignore[attr-defined]
    exec("def function():\n    return [LOCK for _ in range(3)]", vars(notebook))
    assert culprit(function=vars(notebook)["function"]) == f"function.<global LOCK>: {NO_LOCKS}"


def test_only_the_first_argument_to_blame_is_named() -> None:
    assert culprit(good=1, bad=[LOCK], worse=LOCK) == f"bad[0]: {NO_LOCKS}"


def test_what_refuses_is_to_blame_itself() -> None:
    assert culprit(x=Plain(a=Refuses())) == "x.a: I stay here"
    with Path(os.devnull).open("w", encoding="utf-8") as file:
        assert culprit(x=[file]).startswith("x[0]: ")
    assert culprit(x={"a": (i for i in range(3))}) == "x['a']: cannot pickle 'generator' object"


def test_what_is_left_out_of_a_pickle_is_not_to_blame() -> None:
    pickle.loads(payload.dumps(Careful(LOCK, 1)))
    assert culprit(x=Careful(LOCK, [LOCK])) == f"x.kept[0]: {NO_LOCKS}"


def test_a_handle_of_another_program_is_to_blame_itself() -> None:
    handle: Any = CourierNode(Plain).create_handle()
    assert culprit(x=Plain(a=handle)) == f"x.a: {handle.address!r} belongs to no node of run"


def test_what_holds_itself_is_searched_once() -> None:
    looped: list[object] = []
    looped.extend([looped, {"deep": looped}, LOCK])
    assert culprit(x=looped) == f"x[2]: {NO_LOCKS}"


def test_what_is_very_deep_is_named_as_far_as_it_goes() -> None:
    value: object = LOCK
    for _ in range(30):
        value = [value]
    assert culprit(x=value) == f"x{'[0]' * 12}: {NO_LOCKS}"


def test_when_no_argument_is_to_blame_the_node_is() -> None:
    with pytest.raises(UnpicklableError) as error:
        payload.dumps_named(LOCK, {"x": 1}, "node a/0 (f, x.py:1)", FakeScope())
    assert str(error.value) == f"node a/0 (f, x.py:1): cannot be sent to a worker: {NO_LOCKS}"


def test_addresses_travel_under_the_names_of_the_plan() -> None:
    address = Address("hint")
    names = FakeScope(names={address: "a/0"})
    arrived = pickle.loads(payload.dumps_named([address], {}, "owner", names))[0]
    assert (arrived.name, arrived.hint) == ("a/0", "hint")


def test_functions_without_a_name_travel_by_value() -> None:
    factor = 3
    add: Callable[[int], int] = lambda x: x * factor + MODULE_LEVEL  # noqa: E731 - has no name
    assert pickle.loads(payload.dumps(add))(2) == 13


def test_flags_in_a_lambda_are_those_of_the_receiver() -> None:
    arrived = pickle.loads(payload.dumps(lambda: (flags.FLAGS, flags.SEED)))()
    assert arrived[0] is flags.FLAGS
    assert arrived[1].name == "lp_seed"
    ours = flags.FLAGS
    assert pickle.loads(payload.dumps(lambda: ours))() is flags.FLAGS


def test_classes_of_importable_modules_travel_by_reference() -> None:
    assert pickle.loads(payload.dumps(Plain)) is Plain
    assert len(payload.dumps(Plain)) < 200


def test_arrays_stay_out_of_the_pickle_if_somebody_takes_them() -> None:
    array = np.arange(100_000, dtype=np.float32)
    buffers: list[pickle.PickleBuffer] = []
    data = payload.dumps({"array": array}, buffers.append)
    assert len(data) < 1000
    assert np.shares_memory(np.frombuffer(buffers[0].raw(), np.float32), array)
    np.testing.assert_array_equal(pickle.loads(data, buffers=buffers)["array"], array)


# The program's own file.


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A program that is run as a script."""
    module = types.ModuleType("__main__")
    code = (
        "class Outer:\n    class Inner:\n        pass\n"
        "def function():\n    return 1\n"
        "def local():\n    def inner():\n        return 2\n    return inner\n"
        "anonymous = lambda: 3\n"
        "Shadowed = Outer\nclass Outer2:\n    pass\nkept = Outer2\nOuter2 = None\n"
    )
    exec(code, vars(module))
    monkeypatch.setitem(sys.modules, "__main__", module)
    return module


def test_what_a_file_has_under_its_own_name_travels_by_reference(
    main: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "main_travels_by_reference", lambda: True)
    names = vars(main)
    for value in (names["Outer"], names["Outer"].Inner, names["function"]):
        data = payload.dumps(value)
        assert pickle.loads(data) is value
        assert b"__main__" in data
        assert len(data) < 100
    for value in (names["local"](), names["anonymous"]):
        arrived = pickle.loads(payload.dumps(value))
        assert arrived is not value
        assert arrived() == value()
    hidden = names["kept"]  # its name leads to something else
    assert len(payload.dumps(hidden)) > 100


def test_what_has_no_file_travels_by_value(
    main: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "main_travels_by_reference", lambda: False)
    data = payload.dumps([main.Outer.Inner(), main.function])
    code = (
        "import pickle, sys; inner, function = pickle.load(sys.stdin.buffer);"
        "print(type(inner).__name__, function())"
    )
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, input=data, capture_output=True, check=False)
    assert result.stdout.decode().split() == ["Inner", "1"], result.stderr.decode()
