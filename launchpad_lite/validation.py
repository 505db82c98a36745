"""What users may give for an argument or an option, and what they are told otherwise.

A rule takes the name and the value, and returns the value in the type that is meant. A refusal says
what was given and what to give instead: `thread_pool_size='x': give a whole number, 1 or more.`
"""

from __future__ import annotations

import contextlib
import datetime as dt
import math
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from launchpad_lite.errors import UsageError, nearest

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Mapping

Rule = Callable[[str, Any], Any]

MAX_WAIT_S = 10.0**7
"""The longest notice or grace: four months, well within what threads can wait."""

_BOOLEANS = ("bool", "bool_")  # NumPy's are meant too, and NumPy need not be loaded for that


def refuse(name: str, value: object, wanted: str) -> NoReturn:
    """Refuse a value.

    Raises:
      UsageError: always.
    """
    shown = value.total_seconds() if isinstance(value, dt.timedelta) else value
    message = f"{name}={shown!r}: give {wanted}."
    raise UsageError(message)


@contextlib.contextmanager
def within(where: str) -> Generator[None]:
    """Say where in front of every `UsageError` that is raised inside the block."""
    try:
        yield
    except UsageError as error:
        message = f"{where}: {error}"
        raise UsageError(message) from None


def validate(config: object, rules: Mapping[str, Rule]) -> None:
    """Apply rules to the fields of a frozen dataclass, by name.

    Raises:
      UsageError: a value is refused.
    """
    for name, rule in rules.items():
        object.__setattr__(config, name, rule(name, getattr(config, name)))


def integer(low: int | None = None, high: int | None = None, unit: str = "") -> Rule:
    """Return the rule for whole numbers, within bounds if there are any; NumPy's are converted."""
    wanted = f"a whole number{f' of {unit}' if unit else ''}"
    if low is not None:
        wanted += f", {low} or more" if high is None else f" from {low} to {high}"
    elif high is not None:
        wanted += f", {high} or less"

    def rule(name: str, value: Any) -> int:
        number: int | None = None
        if type(value).__name__ not in _BOOLEANS:
            with contextlib.suppress(TypeError):
                number = operator.index(value)
        if (
            number is None
            or (low is not None and number < low)
            or (high is not None and number > high)
        ):
            refuse(name, value, wanted)
        return number

    return rule


def real(value: Any) -> float:
    """Return a number, or the seconds of a `timedelta`; not-a-number for everything else."""
    if isinstance(value, dt.timedelta):
        return value.total_seconds()
    if type(value).__name__ in _BOOLEANS or isinstance(value, str | bytes | bytearray):
        return math.nan
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        return float(value)
    return math.nan


def number(name: str, value: Any) -> float:
    """Return a number, which may be infinite.

    Raises:
      UsageError: it is none, or not-a-number.
    """
    found = math.nan if isinstance(value, dt.timedelta) else real(value)
    if math.isnan(found):
        refuse(name, value, "a number")
    return found


def wait(name: str, value: Any) -> float:
    """Return seconds for which something is waited for.

    Raises:
      UsageError: they are no number, negative, or more than `MAX_WAIT_S`.
    """
    seconds = real(value)
    if not 0 <= seconds <= MAX_WAIT_S:
        refuse(name, value, f"0 to {MAX_WAIT_S:g} seconds")
    return seconds


def seconds(name: str, value: Any) -> float:
    """Return seconds, which may be none or fewer.

    Raises:
      UsageError: they are no number.
    """
    number = real(value)
    if math.isnan(number):
        refuse(name, value, "a number of seconds, or a timedelta")
    return number


def function(given: object, where: str) -> None:
    """Refuse what cannot be called, for the function `where` that wants to.

    Raises:
      UsageError: it cannot.
    """
    if not callable(given):
        message = f"{where}({given!r}): give a function."
        raise UsageError(message)


def optional(rule: Rule) -> Rule:
    """Return the rule that lets None pass too."""
    return lambda name, value: None if value is None else rule(name, value)


def one_of(known: Collection[str]) -> Rule:
    """Return the rule for some words."""
    *first, last = [repr(each) for each in known]
    wanted = f"{', '.join(first)} or {last}"

    def rule(name: str, value: Any) -> str:
        if not isinstance(value, str):
            refuse(name, value, wanted)
        if value not in known:
            message = f"{name}={value!r}{nearest(value, known)}"
            raise UsageError(message)
        return value

    return rule


def boolean(name: str, value: Any) -> bool:
    """Return True or False, which alone are meant by them: `'no'` would count as true.

    Raises:
      UsageError: it is neither.
    """
    if type(value).__name__ not in _BOOLEANS and not (type(value) is int and value in (0, 1)):
        refuse(name, value, "True or False")
    return bool(value)


def instance(kind: type, wanted: str) -> Rule:
    """Return the rule for objects of a class; `wanted` says how users get one."""

    def rule(name: str, value: Any) -> Any:
        if not isinstance(value, kind):
            refuse(name, value, wanted)
        return value

    return rule


def text(name: str, value: Any) -> str:
    """Return a string.

    Raises:
      UsageError: it is none.
    """
    if not isinstance(value, str):
        refuse(name, value, "a string")
    return value
