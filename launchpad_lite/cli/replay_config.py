"""What `lp-replay` is given in a TOML file: the tables of a replay server, and where it serves.

```toml
port = 8000
checkpoint_dir = "checkpoints"

[tables.replay]
sampler = { type = "Prioritized", priority_exponent = 0.8 }
remover = "Fifo"
max_size = 1_000_000
rate_limiter = { type = "MinSize", min_size_to_sample = 1000 }

[tables.replay.signature]
observation = "float32[84]"
reward = "float32[]"
```

A selector or a rate limiter is the name of its class, or that with its arguments. A signature is
nested as the data is, and its leaves are a dtype and a shape, with `?` for any length. Paths are
relative to the file.
"""

from __future__ import annotations

import dataclasses
import inspect
import pathlib
import re
import tomllib
from typing import TYPE_CHECKING, Any, cast

from launchpad_lite.errors import UsageError, nearest
from launchpad_lite.replay import rate_limiters, selectors
from launchpad_lite.replay.core.spec import ArraySpec
from launchpad_lite.replay.core.table import Table
from launchpad_lite.validation import (
    Rule,
    boolean,
    integer,
    optional,
    refuse,
    text,
    validate,
    within,
)

if TYPE_CHECKING:
    import types
    from collections.abc import Iterable, Mapping

_EMPTY = inspect.Parameter.empty
_SPEC = re.compile(r"(?P<dtype>[^\[\]]+)\[(?P<shape>[^\[\]]*)\]")
_TABLE_KEYS = [
    *("sampler", "remover", "max_size", "rate_limiter"),  # these must be given
    *("max_times_sampled", "signature"),
]
_REQUIRED = _TABLE_KEYS[:4]
_RULES: dict[str, Rule] = {
    "port": optional(integer(0, 2**16 - 1)),
    "host": optional(text),
    "credentials": optional(text),
    "insecure": boolean,
    "checkpoint_dir": optional(text),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """What a replay server is started with.

    Attributes:
      tables: its tables.
      port: its TCP port; None for any that is free.
      host: the address to listen on; None for the loopback interface.
      credentials: the file of those that clients must have too; None for clients of this user.
      insecure: take calls from whoever reaches the port.
      checkpoint_dir: the directory of its checkpoints; None for none at its end.

    Raises:
      UsageError: a value is of the wrong type, or out of its range.
    """

    tables: list[Table]
    port: int | None = None
    host: str | None = None
    credentials: str | None = None
    insecure: bool = False
    checkpoint_dir: str | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        validate(self, _RULES)


def read(shown: str) -> Config:
    """Read a file.

    Args:
      shown: its path.

    Raises:
      UsageError: it cannot be read, or something in it is wrong. The message names the file, the
        table and the key.
    """
    path = pathlib.Path(shown)
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{shown} cannot be read: {error.strerror}.") from error
    except ValueError as error:  # not TOML, or not UTF-8
        raise UsageError(f"{shown} is not TOML: {error}.") from error
    with within(shown):
        _check_keys(given, [field.name for field in dataclasses.fields(Config)])
        tables = given.pop("tables", None)
        if not isinstance(tables, dict) or not tables:
            raise UsageError("it has no tables. Give each as a section [tables.NAME].")
        made = [_table(*each) for each in cast("dict[str, Any]", tables).items()]
        config = Config(tables=made, **given)
    paths = {"credentials": config.credentials, "checkpoint_dir": config.checkpoint_dir}
    beside: dict[str, Any] = {key: str(path.parent / each) for key, each in paths.items() if each}
    return dataclasses.replace(config, **beside)


def _table(name: str, given: Any) -> Table:
    with within(f"table {name!r}"):
        if not isinstance(given, dict):
            raise UsageError(f"{given!r} is no section. Give its settings in [tables.{name}].")
        settings = cast("dict[str, Any]", given)
        _check_keys(settings, _TABLE_KEYS)
        _check_complete(settings, _REQUIRED)
        for key in ("sampler", "remover"):
            settings[key] = _made(key, settings[key], selectors)
        settings["rate_limiter"] = _made("rate_limiter", settings["rate_limiter"], rate_limiters)
        if "signature" in settings:
            settings["signature"] = _signature(settings["signature"], "signature")
    return Table(name, **settings)


def _made(key: str, given: Any, module: types.ModuleType) -> Any:
    """Make a selector or a rate limiter of its name, or of that with its arguments."""
    known = {
        name: getattr(module, name)
        for name in module.__all__
        if not inspect.isabstract(getattr(module, name))
    }
    settings: dict[str, Any] = {"type": given} if isinstance(given, str) else given
    if not isinstance(cast("Any", settings), dict) or not isinstance(settings.get("type"), str):
        refuse(key, given, f"a name, or {{ type = NAME, ... }}. Names: {', '.join(known)}")
    with within(key):
        arguments = {name: value for name, value in settings.items() if name != "type"}
        name: str = settings["type"]
        if name not in known:
            raise UsageError(f"there is no {name!r}{nearest(name, known)}")
        parameters = inspect.signature(known[name]).parameters
        with within(name):
            _check_keys(arguments, parameters)
            required = [each for each in parameters if parameters[each].default is _EMPTY]
            _check_complete(arguments, required)
        return known[name](**arguments)


def _signature(given: Any, where: str) -> Any:
    if isinstance(given, dict):
        columns = cast("dict[str, Any]", given)
        return {name: _signature(each, f"{where}.{name}") for name, each in columns.items()}
    if isinstance(given, list):
        parts = cast("list[Any]", given)
        return [_signature(each, f"{where}[{index}]") for index, each in enumerate(parts)]
    match = _SPEC.fullmatch(given.strip()) if isinstance(given, str) else None
    if match is None:
        refuse(where, given, 'a dtype and a shape, as in "float32[84, 84]" or "int64[]"')
    lengths = [each.strip() for each in match["shape"].split(",") if each.strip()]
    if not all(each == "?" or each.isdecimal() for each in lengths):
        refuse(where, given, "whole numbers as its lengths, or ? where any will do")
    with within(where):
        return ArraySpec([None if each == "?" else int(each) for each in lengths], match["dtype"])


def _check_keys(given: Iterable[str], known: Iterable[str]) -> None:
    for key in given:
        if key not in known:
            raise UsageError(f"there is no key {key!r}{nearest(key, known)}")


def _check_complete(given: Mapping[str, Any], required: Iterable[str]) -> None:
    missing = [key for key in required if key not in given]
    if missing:
        raise UsageError(f"{' and '.join(missing)} must be given.")
