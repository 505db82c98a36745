"""Arguments against signatures: what is refused, and above all what is let through."""

from __future__ import annotations

import abc
import collections
import dataclasses
import enum
import functools
import pathlib
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Generic, Literal, NewType, Protocol, TypedDict, TypeVar

import numpy as np
import numpy.typing as npt

from launchpad_lite.courier.client import Client
from launchpad_lite.handle import Deferred, Handle
from launchpad_lite.nodes.courier import CourierHandle, CourierNode
from launchpad_lite.typecheck import argument_names, check_call, made_class, unwrapped

if typing.TYPE_CHECKING:

    class Missing:
        """Known to type checkers, and to nobody when the plan is made."""


T = TypeVar("T")
Bound = TypeVar("Bound", bound="Server")
UserId = NewType("UserId", int)


class Server:
    def answer(self) -> int:
        return 42


class Better(Server):
    pass


class Other:
    pass


class Works(Protocol):
    def work(self) -> int: ...


class Abstract(abc.ABC):
    @abc.abstractmethod
    def work(self) -> int: ...


class Concrete(Abstract):
    def work(self) -> int:
        return 1


class Box(Generic[T]):
    def __init__(self, inside: T) -> None: ...


class Options(TypedDict):
    size: int


class Colour(enum.IntEnum):
    RED = 1


@dataclasses.dataclass
class Config:
    server: Server
    others: list[Other] | None = None
    size: int = 1


def handle_of(constructor: Callable[..., T], *args: Any) -> T:
    return CourierNode(constructor, *args).create_handle()


def texts(constructor: Callable[..., Any], *args: Any, **kwargs: Any) -> list[str]:
    problems = list(check_call(constructor, args, kwargs))
    assert all(problem.fatal for problem in problems)
    return [problem.text for problem in problems]


def takes(hint: Any) -> Callable[..., Any]:
    """A function whose only parameter has this annotation."""

    def function(value: Any) -> None: ...

    function.__annotations__ = {"value": hint, "return": None}
    return function


SERVER = handle_of(Server)
OTHER = handle_of(Other)


# Handles.


def test_a_handle_that_may_fit_is_let_through() -> None:
    hints: list[Any] = [
        Any,
        object,
        Server,
        Better,  # the node may make one
        "Server",
        "Missing",
        "list[Missing] | Missing",
        "no such syntax",
        Works,
        Abstract,
        Client,
        Handle,
        Handle[Server],
        CourierHandle[Server],
        Server | None,
        "typing.Optional[Server]",
        Other | Server,
        "typing.Union[Other, Server]",
        int | Works,
        Annotated[Server, "a note"],
        T,
        Bound,
        Callable[[int], int],
        UserId,
        Literal["server"],
        Options,
        Iterable,
    ]
    assert {hint: found for hint in hints if (found := texts(takes(hint), SERVER))} == {}


def test_a_handle_whose_class_is_unknown_is_let_through() -> None:
    def make_anything() -> Any: ...

    def make_missing() -> Missing: ...  # type: ignore[empty-body] # pyright: ignore[reportReturnType]

    makers: list[Callable[..., Any]] = [
        make_anything,
        make_missing,
        lambda: 3,
        functools.partial(make_anything),
    ]
    for make in makers:
        assert texts(takes(Server), handle_of(make)) == []


def test_a_handle_of_an_abstract_kind_is_let_through() -> None:
    def make_works() -> Works:
        return Concrete()

    def make_abstract() -> Abstract:
        return Concrete()

    makers: list[Callable[[], object]] = [make_works, make_abstract]
    for make in makers:
        assert texts(takes(Server), handle_of(make)) == []


def test_a_handle_of_an_unrelated_class_is_refused() -> None:
    hints: list[Any] = [
        Other,
        "Other",
        int,
        str,
        None,
        Other | None,
        "typing.Optional[Other]",
        int | str | Other,
        list[Server],
        "list[Server]",
        dict[str, Server],
        tuple[Server, ...],
        Annotated[Other, "a note"],
        type[Server],
        Box[Server],
        Concrete,
        Colour,
        pathlib.Path,
    ]
    for hint in hints:
        (text,) = texts(takes(hint), SERVER)
        assert text.startswith("argument value of takes.<locals>.function wants ")
        assert text.endswith(" and was given a handle of Server.")


def test_handles_are_found_in_containers() -> None:
    def function(
        table: Mapping[str, list[Server]],
        pair: tuple[Other, Server],
        several: tuple[Server, ...] = (),
        *more: Server,
        maybe: list[Server] | None = None,
        sets: frozenset[Server] = frozenset(),
        anything: Sequence[Any] = (),
        **named: Server,
    ) -> None: ...

    name = function.__qualname__
    good: Any = ({"a": [SERVER]}, (OTHER, SERVER), (SERVER, SERVER), SERVER)
    assert texts(function, *good, maybe=[SERVER], anything=[OTHER], more_of_it=SERVER) == []
    assert texts(
        function,
        {"a": [SERVER, OTHER]},
        (SERVER, SERVER),
        [SERVER, OTHER],
        SERVER,
        OTHER,
        maybe=[OTHER],
        sets={OTHER},
        named=OTHER,
    ) == [
        f"argument {path} of {name} wants {wanted} and was given a handle of {given}."
        for path, wanted, given in [
            ("table['a'][1]", "Server", "Other"),
            ("pair[0]", "Other", "Server"),
            ("several[1]", "Server", "Other"),
            ("more[1]", "Server", "Other"),
            ("maybe[0]", "Server", "Other"),
            ("sets{...}", "Server", "Other"),
            ("named", "Server", "Other"),
        ]
    ]


def test_deferred_objects_are_what_they_will_be() -> None:
    def make_other() -> Other:
        return Other()

    assert texts(takes(Server), Deferred(Better)) == []
    assert texts(takes(list[Box[int]]), [Deferred(Box[int], 1)]) == []
    assert texts(takes(Server), Deferred(lambda: 1)) == []
    for deferred in (Deferred(Other), Deferred(make_other)):
        (text,) = texts(takes(list[Server]), [deferred])
        assert "value[0] of" in text
        assert text.endswith("wants Server and was given a deferred Other.")


# Plain values.


def test_a_value_that_may_fit_is_let_through() -> None:
    pairs: list[tuple[Any, object]] = [
        (int, 1),
        (int, True),
        (float, 1),
        (float, True),
        (complex, 1.5),
        (float, np.float32(1)),
        (float, np.float64(1)),
        (int, np.int64(1)),
        (int, Colour.RED),
        (bool, np.bool_(True)),
        (str, np.str_("a")),
        (npt.NDArray[np.float32], [1.0]),
        (np.ndarray, 1.0),
        (int | str, "a"),
        (int | None, None),
        (int, None),  # with a default of None, this is common
        (list[int] | int, 1),
        ("Missing", 1),
        (Any, 1),
        (object, 1),
        (T, 1),
        (UserId, 1),
        (Literal["a"], "a"),
        (pathlib.Path, "a"),
        (Options, {"size": 1}),
        (Sequence[str], "abc"),
        (Iterable[int], range(3)),
        (list[int], (1, 2)),
        (tuple[int, ...], [1, 2]),
        (dict[str, int], collections.Counter("a")),
        (collections.Counter[str], collections.Counter("a")),
        (Box[int], ["a"]),
        (list[float], [1, 2.5, np.float32(3)]),
        (list, [1, "a"]),
        (Works, 1),
        (Server, 1),  # a class of the user's may do as it likes
        (Callable[[], int], len),
        (type[Server], Server),
    ]
    for hint, value in pairs:
        assert texts(takes(hint), value) == [], (hint, value)


def test_a_value_that_cannot_fit_is_refused() -> None:
    cases: list[tuple[Any, object, str, str]] = [
        (int, "1", "value of F wants int", "'1'"),
        (int, 1.0, "value of F wants int", "1.0"),
        ("float", "1", "value of F wants float", "'1'"),
        (bool, 1, "value of F wants bool", "1"),
        (str, b"a", "value of F wants str", "b'a'"),
        (int, [1], "value of F wants int", "[1]"),
        (str, {"a": 1}, "value of F wants str", "{'a': 1}"),
        (list[int], 1, "value of F wants list[int]", "1"),
        (list[str], "abc", "value of F wants list[str]", "'abc'"),
        (dict, "abc", "value of F wants dict", "'abc'"),
        (int | None, "1", "value of F wants int | None", "'1'"),
        (int | float, "1", "value of F wants int | float", "'1'"),
        (list[int] | int, "1", "value of F wants list[int] | int", "'1'"),
        (list[int], [1, "2"], "value[1] of F wants int", "'2'"),
        (list[int] | None, [1, "2"], "value[1] of F wants int", "'2'"),
        (dict[str, list[int]], {"a": [1], "b": ["2"]}, "value['b'][0] of F wants int", "'2'"),
        (tuple[int, str], (1, 2), "value[1] of F wants str", "2"),
        (None, 1, "value of F wants NoneType", "1"),
        (Annotated[int, "a note"], "1", "value of F wants int", "'1'"),
    ]
    for hint, value, wants, given in cases:
        wants = wants.replace(" F ", " takes.<locals>.function ")  # noqa: PLW2901 - it is short
        assert texts(takes(hint), value) == [f"argument {wants} and was given {given}."]


# Signatures.


def test_arguments_that_do_not_bind_are_refused_with_the_nearest_name() -> None:
    def function(first: int, /, second: int = 2, *, third: int) -> None: ...

    shown = f"{function.__qualname__}(first, /, second=2, *, third) does not take these arguments"
    assert texts(function, 1, third=3) == []
    assert texts(function) == [f"{shown}: missing a required argument: 'first'."]
    assert texts(function, 1) == [f"{shown}: missing a required argument: 'third'."]
    assert texts(function, 1, 2, 3, third=3) == [f"{shown}: too many positional arguments."]
    (text,) = texts(function, 1, third=3, secnd=2)
    assert text == (
        f"{function.__qualname__} has no parameter 'secnd'; did you mean 'second'? "
        "Known: first, second, third."
    )


def test_a_name_that_keyword_arguments_take_is_no_typo() -> None:
    def function(first: int, **more: int) -> None: ...

    (text,) = texts(function, frist=1)
    assert text.endswith("missing a required argument: 'first'.")


def test_every_way_to_call_something_is_understood() -> None:
    class Callme:
        def __call__(self, size: int) -> Server:
            return Server()

        def method(self, size: int) -> Server:
            return Server()

        @classmethod
        def make(cls, size: int) -> Callme:
            return cls()

        @staticmethod
        def static(size: int) -> None: ...

    class Child(Box[int]):
        pass

    @functools.wraps(takes(int))
    def wrapped(*args: Any) -> None: ...

    def unbound(function: Callable[..., Any]) -> Callable[..., Any]:
        return functools.partial(function)

    callables: list[Callable[..., Any]] = [
        Callme().method,
        Callme.make,
        Callme.static,
        unbound(Callme.make),
        unbound(unbound(Callme.make)),
        functools.partial(Callme.make, size=2),
        wrapped,
    ]
    for function in callables:
        keyword = "value" if function is wrapped else "size"
        assert texts(function, **{keyword: 1}) == [], function
        assert len(texts(function, **{keyword: "1"})) == 1, function
        assert len(texts(function, 1, 2)) == 1, function
    assert texts(Config, SERVER, [OTHER], size=3) == []
    assert len(texts(Config, OTHER, [SERVER], size="3")) == 3
    for constructor in (Box[int], Box, Child):
        assert texts(constructor, 1) == []
        assert len(texts(constructor)) == 1
    assert texts(Callme(), "1", 2) != []


def test_what_has_no_signature_is_let_through() -> None:
    class Odd:
        __signature__ = "nonsense"

        def __call__(self) -> None: ...

    for constructor in (dict, type, iter, Odd()):
        assert texts(constructor, 1, 2, a=3) == []
    assert texts(print, 1, 2, 3) == []


def test_hints_that_can_be_resolved_are_used_beside_those_that_cannot() -> None:
    def function(first: Missing, second: list[Server], third: Server | Missing) -> None: ...

    assert texts(function, 1, [SERVER], SERVER) == []
    (text,) = texts(function, OTHER, [OTHER], OTHER)
    assert "argument second[0] of" in text


def test_arguments_are_named_after_parameters() -> None:
    def function(first: int, second: int = 2, *rest: int, **more: int) -> None: ...

    assert argument_names(function, (1,), {}) == {"first": 1}
    assert argument_names(function, (1, 2, 3, 4), {"a": 5}) == {
        "first": 1,
        "second": 2,
        "args[2]": 3,
        "args[3]": 4,
        "a": 5,
    }
    assert argument_names(functools.partial(function, 0), (1,), {}) == {"second": 1}
    assert argument_names(dict, (1,), {"a": 2}) == {"args[0]": 1, "a": 2}
    assert argument_names(Box[int], (1,), {}) == {"inside": 1}


def test_the_class_of_what_is_made_is_told_where_it_can_be() -> None:
    class HasFunc:
        func = "not a partial"
        keywords = "neither"

    def make() -> Server:
        return Server()

    def make_maybe() -> Server | None: ...

    def make_missing() -> Missing: ...  # type: ignore[empty-body] # pyright: ignore[reportReturnType]

    def make_anything() -> Any: ...

    classes: dict[Callable[..., Any], type | None] = {
        Server: Server,
        HasFunc: HasFunc,
        Box[int]: Box,
        functools.partial(Box[int], 1): Box,
        functools.partial(functools.partial(Server)): Server,
        make: Server,
        functools.partial(make): Server,
        make_maybe: None,
        make_missing: None,
        make_anything: None,
        (lambda: 1): None,
        print: None,
    }
    assert {constructor: made_class(constructor) for constructor in classes} == classes
    assert unwrapped(functools.partial(functools.partial(make))) is make
