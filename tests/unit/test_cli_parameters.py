"""A factory's parameters as absl flags, and how flags are shown and read."""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, Optional

import pytest
from absl import flags as absl_flags

from launchpad_lite.cli import parameters, program_flags
from launchpad_lite.errors import UsageError


class Mode(enum.Enum):
    FAST = 1
    SLOW = 2


class Case(enum.Enum):
    A = 1
    a = 2


class Empty(enum.Enum):
    pass


def new_flags() -> absl_flags.FlagValues:
    make: Any = absl_flags.FlagValues  # its constructor has no types
    values: absl_flags.FlagValues = make()
    return values


def call(
    function: Callable[..., Any], *given: str, values: absl_flags.FlagValues | None = None
) -> dict[str, Any]:
    """What the factory would be called with."""
    values = new_flags() if values is None else values
    found = parameters.define("make", function, values)
    program_flags.parse(given, values)
    return program_flags.keywords("make", found, values)


def number(x: int = 1) -> None: ...
def rate(x: float = 1) -> None: ...
def text(x: str = "a") -> None: ...
def switch(x: bool = False) -> None: ...
def mode(x: Mode = Mode.FAST) -> None: ...
def case(x: Case = Case.A) -> None: ...
def choice(x: Literal["1", 2, True] = "1") -> None: ...
def words(x: list[str] = ["a"]) -> None: ...  # noqa: B006 - a flag's default
def sequence(x: Sequence[str] = ("a",)) -> None: ...
def maybe(x: int | None = None) -> None: ...
def optional(x: Optional[Mode] = None) -> None: ...  # noqa: UP045 - one more spelling
def maybe_choice(x: Literal["a", None] = None) -> None: ...  # noqa: PYI061 - one more spelling
def annotated(x: Annotated[int, "metres"] = 1) -> None: ...


def by_keyword(*args: int, x: int = 1, **kwargs: int) -> None: ...


def untyped(default: object) -> Callable[..., Any]:
    """A function with a parameter that has a default and no annotation."""
    scope: dict[str, Any] = {"default": default}
    exec("def function(x=default): ...", scope)
    function: Callable[..., Any] = scope["function"]
    return function


@pytest.mark.parametrize(
    ("function", "given", "value"),
    [
        (number, "--x=-3", -3),
        (rate, "--x=2", 2.0),
        (text, "--x=--b", "--b"),
        (switch, "--x", True),
        (switch, "--nox", False),
        (switch, "--x=true", True),
        (mode, "--x=slow", Mode.SLOW),
        (mode, "--x=SLOW", Mode.SLOW),
        (case, "--x=a", Case.a),
        (choice, "--x=2", 2),
        (choice, "--x=True", True),
        (words, "--x=b,c", ["b", "c"]),
        (words, "--x=", []),
        (sequence, "--x=b", ["b"]),
        (maybe, "--x=3", 3),
        (optional, "--x=fast", Mode.FAST),
        (maybe_choice, "--x=a", "a"),
        (annotated, "--x=3", 3),
        (untyped(1), "--x=3", 3),
        (untyped(Mode.FAST), "-x=slow", Mode.SLOW),
        (untyped(["a"]), "-x=b", ["b"]),
        (by_keyword, "--x=3", 3),
        (functools.partial(number, x=2), "--x=3", 3),
    ],
)
def test_a_flag_of_the_type(function: Callable[..., Any], given: str, value: object) -> None:
    found = call(function, given)["x"]
    assert (found, type(found)) == (value, type(value))
    assert call(function) == {}  # Python's own default is as good, and exactly what was written


@pytest.mark.parametrize(
    ("function", "given"),
    [
        (number, "--x=1.5"),
        (rate, "--x=a"),
        (switch, "--x=perhaps"),
        (mode, "--x=medium"),
        (choice, "--x=3"),
        (maybe_choice, "--x=None"),
        (number, "--y=3"),
        (number, "--nox"),
        (number, "--x"),
    ],
)
def test_a_wrong_value(function: Callable[..., Any], given: str) -> None:
    with pytest.raises(UsageError) as caught:
        call(function, given)
    assert given.lstrip("-").removeprefix("no").partition("=")[0] in str(caught.value)


def test_what_absl_says_is_completed() -> None:
    with pytest.raises(UsageError) as caught:
        call(number, "--x=a")
    assert str(caught.value).endswith("(it takes an integer)")


def reserved(lp_seed: int = 1) -> None: ...
def positional(x: int = 1, /) -> None: ...
def variadic(*args: int, **kwargs: int) -> None: ...


@pytest.mark.parametrize(
    "function",
    [untyped({}), untyped(None), reserved, positional, variadic],
    ids=["dict", "None", "reserved", "positional", "variadic"],
)
def test_other_parameters_have_no_flags(function: Callable[..., Any]) -> None:
    values = new_flags()
    assert parameters.define("make", function, values) == []
    assert list(values) == []


def needs_empty(x: Empty) -> None: ...
def needs_union(x: int | str) -> None: ...
def needs_unknown(x: Any) -> None: ...
def needs_nothing_known(x: Any) -> None: ...


needs_nothing_known.__annotations__["x"] = "Nowhere"


@pytest.mark.parametrize("function", [needs_empty, needs_union, needs_unknown, needs_nothing_known])
def test_a_parameter_that_must_have_a_flag_and_cannot(function: Callable[..., Any]) -> None:
    with pytest.raises(UsageError) as caught:
        parameters.define("make", function, new_flags())
    assert "make() cannot be called: parameter 'x' has no default" in str(caught.value)


WRONG: Any = object()


def wrong_int(x: int = WRONG) -> None: ...
def wrong_mode(x: Mode = WRONG) -> None: ...
def wrong_switch(x: bool = WRONG) -> None: ...
def wrong_choice(x: Literal["a"] = WRONG) -> None: ...
def wrong_words(x: list[str] = WRONG) -> None: ...


@pytest.mark.parametrize(
    "function", [wrong_int, wrong_mode, wrong_switch, wrong_choice, wrong_words]
)
def test_a_default_that_does_not_fit(function: Callable[..., Any]) -> None:
    with pytest.raises(UsageError) as caught:
        parameters.define("make", function, new_flags())
    assert "make(): the default of parameter 'x' does not fit" in str(caught.value)


def two(size: int, name: str, rate: float = 1.0) -> None: ...


def test_parameters_without_defaults_are_required() -> None:
    assert call(two, "--size=1", "--name=a") == {"size": 1, "name": "a"}
    with pytest.raises(UsageError) as caught:
        call(two, "--rate=3")
    assert "make() needs --size=INT, --name=TEXT" in str(caught.value)


def test_the_value_of_a_flag_that_the_program_defines_is_passed_always() -> None:
    values = new_flags()
    absl_flags.DEFINE_integer("size", 7, "", flag_values=values)
    assert call(two, "--name=a", values=values) == {"size": 7, "name": "a"}
    assert values.flag_values_dict() == {"size": 7, "name": "a", "rate": 1.0}


def test_a_parameter_called_like_a_flag_of_absl() -> None:
    def function(verbosity: int = 5) -> None: ...

    values = new_flags()
    flag = absl_flags.Flag(
        absl_flags.IntegerParser(), absl_flags.ArgumentSerializer(), "verbosity", 0, ""
    )
    absl_flags.DEFINE_flag(flag, values, module_name="absl.logging")
    assert call(function, values=values) == {}
    values = new_flags()
    absl_flags.DEFINE_flag(flag, values, module_name="absl.logging")
    assert call(function, "--verbosity=2", values=values) == {"verbosity": 2}


def test_unknown_flags_name_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        call(two, "--sise=3")
    assert "unknown flag --sise; did you mean 'size'?" in str(caught.value)


def documented(  # noqa: D417 - as people write it
    size: int, mode: Mode = Mode.FAST, words: Sequence[str] = (), on: bool = True
) -> None:
    """Do it.

    More of it.

    Args:
      size: how large,
        in metres: roughly.
      mode (Mode, optional): how

        it goes.
      *words: what to say.
      **other: ignored.

    Returns:
      nothing: at all.
    """


def test_documentation_is_taken_from_the_docstring() -> None:
    assert parameters.documentation(documented) == {
        "size": "how large, in metres: roughly.",
        "mode": "how it goes.",
        "words": "what to say.",
        "other": "ignored.",
    }
    assert parameters.documentation(number) == {}


def test_flags_are_described_in_the_order_of_the_parameters() -> None:
    values = new_flags()
    found = parameters.define("make", documented, values)
    required = [parameter.name for parameter in found if parameter.required]
    assert program_flags.describe(values, required) == [
        ("--size=INT", "how large, in metres: roughly. (required)"),
        ("--mode=fast|slow", "how it goes. (default: fast)"),
        ("--words=A,B,...", "what to say. (default: )"),
        ("--[no]on", "(default: true)"),
    ]


def test_other_kinds_of_flags_are_described_too() -> None:
    values = new_flags()
    absl_flags.DEFINE_enum("enum", "a", ["a", "b"], "Which.", flag_values=values)
    absl_flags.DEFINE_multi_string("many", None, "Several.", flag_values=values)
    absl_flags.DEFINE_string("named", None, "With a short name.", values, short_name="n")
    absl_flags.DEFINE_string("lp_ours", None, "", flag_values=values)
    entries = dict(program_flags.describe(values))
    assert list(entries) == ["--enum=a|b", "--many=VALUE", "--named=TEXT"]
    assert entries["--enum=a|b"] == "Which. (default: a)"
