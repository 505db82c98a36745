"""Labels that machines have in Ray, and what is asked of them.

What is asked is written as Ray writes it: `spot`, `!spot` for any other or none, `in(a,b)` and
`!in(a,b)` for some.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from launchpad_lite import validation
from launchpad_lite.errors import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Selector = Mapping[str, str]
"""What is asked of the labels of a machine, by their names."""

_VALUE = r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_ASKED = re.compile(rf"(!?)(?:({_VALUE})|in\(({_VALUE}(?:,{_VALUE})*)\))")
_WANTED = "a dict of labels, such as {'market-type': 'spot'}, or '!spot', 'in(a,b)', '!in(a,b)'"


def selector(name: str, value: Any) -> Selector:
    """Return what users ask of labels; the rule for options.

    Raises:
      UsageError: Ray would not understand it.
    """
    if not isinstance(value, Mapping):
        validation.refuse(name, cast("object", value), _WANTED)
    given = dict(cast("Mapping[Any, Any]", value))
    if not all(isinstance(part, str) for pair in given.items() for part in pair):
        validation.refuse(name, given, _WANTED)
    # Ray accepts spaces in a list, and takes them for parts of the values.
    asked = {label: re.sub(r"\s", "", each) for label, each in given.items()}
    if not all(label and _ASKED.fullmatch(each) for label, each in asked.items()):
        validation.refuse(name, given, _WANTED)
    return asked


def match(asked: Selector, labels: Mapping[str, str]) -> bool:
    """Return whether a machine with these labels will do."""
    return all(_matches(each, labels.get(label)) for label, each in asked.items())


def _matches(asked: str, value: str | None) -> bool:
    negated, values = _parse(asked)
    return (value in values) != negated


def _parse(asked: str) -> tuple[bool, list[str]]:
    found = _ASKED.fullmatch(asked)
    if found is None:
        message = f"a selector that was not checked: {asked!r}"
        raise ValueError(message)
    negation, one, many = found.groups()
    return bool(negation), [one] if one else many.split(",")


def shortages(asked: Selector, machines: Sequence[Mapping[str, str]]) -> Iterable[str]:
    """Yield what of it no machine has, for people; nothing if there is one that has all."""
    if any(match(asked, labels) for labels in machines):
        return
    alone = True
    for label, each in asked.items():
        if any(_matches(each, labels.get(label)) for labels in machines):
            continue
        alone = False
        known = {labels[label] for labels in machines if label in labels}
        if known:
            negated, values = _parse(each)
            hint = nearest("" if negated else values[0], known)
            yield f"No machine has {label}={each}{hint}"
        else:
            names = {name for labels in machines for name in labels}
            yield f"No machine has a label {label!r}{nearest(label, names)}"
    if alone:
        yield f"No machine has all of {text(asked)}."


def text(labels: Mapping[str, str]) -> str:
    """Return labels, or what is asked of them, for people."""
    return ", ".join(f"{label}={each}" for label, each in labels.items())
