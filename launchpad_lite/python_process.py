"""How the process of a node is started, where nodes are processes."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import shutil
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from launchpad_lite import flags, validation
from launchpad_lite.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence


def clean_env(env: Mapping[str, str | float]) -> dict[str, str]:
    """Return environment variables as text.

    Raises:
      UsageError: a name or a value cannot be one.
    """
    if not isinstance(cast("object", env), Mapping):
        validation.refuse("env", env, "a dict of names and values")
    result: dict[str, str] = {}
    for name, value in env.items():
        if not _is_text(name) or not name or "=" in name:
            message = f"env: {name!r} cannot be the name of an environment variable."
            raise UsageError(message)
        text = str(value) if type(value) in (int, float) else value
        if not isinstance(text, str) or not _is_text(text):
            message = (
                f"env: {name} must be a number or a string without null characters, not {value!r}."
            )
            raise UsageError(message)
        result[name] = text
    return result


def _is_text(value: object) -> bool:
    return isinstance(value, str) and "\0" not in value


@dataclasses.dataclass(frozen=True)
class PythonProcess:
    """How the processes of a group's nodes are started; for `launch(local_resources=...)`.

    Attributes:
      args: values of absl flags in these processes only, by name; also at the end of `sys.argv`.
      env: environment variables, as `.options(env=...)` takes them; a node's own come before
        those of its group.
      interpreter: the Python to use, a path or a command, of the same version; None for that of
        the launching process. It imports its own installed packages, and starts cold.
      preload: modules that are imported once, before processes are forked, and shared by them.
        They must start no threads.
    """

    args: Mapping[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    env: Mapping[str, str | float] = dataclasses.field(default_factory=dict[str, str | float])
    interpreter: str | None = dataclasses.field(default=None, kw_only=True)
    preload: Sequence[str] = dataclasses.field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
          UsageError: an environment variable or a module's name cannot be one.
        """
        with validation.within("PythonProcess"):
            if not isinstance(cast("object", self.args), Mapping):
                validation.refuse("args", self.args, "a dict of flags and values")
            validation.validate(self, {"interpreter": validation.optional(validation.text)})
            object.__setattr__(self, "env", clean_env(self.env))
        if isinstance(self.preload, str):
            message = f"preload: give a list of modules, [{self.preload!r}], not a string."
            raise UsageError(message)
        object.__setattr__(self, "preload", tuple(self.preload))
        for module in self.preload:
            if not all(part.isidentifier() for part in module.split(".")):
                message = f"preload: {module!r} cannot be the name of a module."
                raise UsageError(message)

    @property
    def settings(self) -> list[str]:
        """The names of what is set."""
        return [each.name for each in dataclasses.fields(self) if getattr(self, each.name)]

    def resolved(self, label: str) -> PythonProcess:
        """Return the same with parsed flags and the interpreter's path.

        Args:
          label: the group, for messages.

        Raises:
          UsageError: there is no such flag, it does not take its value, or there is no such
            interpreter or module.
        """
        owner = f"local_resources[{label!r}]"
        interpreter = self.interpreter
        if interpreter is not None:
            found = shutil.which(interpreter)
            if found is None:
                message = (
                    f"{owner}: interpreter {self.interpreter!r} is not there, or cannot be run."
                )
                raise UsageError(message)
            interpreter = os.path.abspath(found)  # noqa: PTH100 - a link tells which environment
        for module in self.preload:
            if importlib.util.find_spec(module.partition(".")[0]) is None:
                message = f"{owner}: preload: there is no module {module!r}."
                raise UsageError(message)
        args = flags.parsed(self.args, owner)
        return dataclasses.replace(self, args=args, interpreter=interpreter)

    def argv(self) -> tuple[str, ...]:
        """Return the arguments as flags on a command line."""
        return tuple(f"--{name}={value}" for name, value in self.args.items())
