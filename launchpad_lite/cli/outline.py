"""What a file defines, seen without running it: a program's factory, or only a `main`."""

from __future__ import annotations

import ast
import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FACTORY = "make_program"
_OURS = ("launchpad_lite", "launchpad")
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outline:
    """What the source of a file says about how to launch it.

    Attributes:
      factories: the names that seem to be factories.
      has_main: it defines a function `main`.
      has_guard: it has a block under `if __name__ == "__main__"`.
      uses_main: it mentions `main` at its top level, outside definitions and that block.
      own_flags: the names of the flags that it seems to define, for any parser.
    """

    factories: tuple[str, ...]
    has_main: bool
    has_guard: bool
    uses_main: bool
    own_flags: frozenset[str]

    @property
    def is_script(self) -> bool:
        """Whether the file launches by itself and has no factory."""
        return not self.factories and (self.has_main or self.has_guard)

    @property
    def leaves_main(self) -> bool:
        """Whether the file defines `main` and leaves it to others to call it."""
        return self.has_main and not self.has_guard and not self.uses_main


def outline(tree: ast.Module) -> Outline:
    """Look at a file.

    Args:
      tree: its syntax.
    """
    statements = list(_top_level(tree.body))
    return Outline(
        factories=tuple(dict.fromkeys(name for s in statements for name in _factories(s))),
        has_main=any(isinstance(s, ast.FunctionDef) and s.name == "main" for s in statements),
        has_guard=any(_is_guard(s) for s in statements),
        uses_main=any(_mentions_main(s) for s in statements if not isinstance(s, _DEFINITIONS)),
        own_flags=frozenset(_flags(tree)),
    )


def _top_level(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements that run when the file is imported, and `if __name__` blocks whole."""
    for statement in body:
        yield statement
        if isinstance(statement, _DEFINITIONS) or _is_guard(statement):
            continue
        for part in ast.iter_child_nodes(statement):
            if isinstance(part, ast.stmt):
                yield from _top_level([part])
            elif isinstance(part, ast.ExceptHandler):
                yield from _top_level(part.body)


def _is_guard(statement: ast.stmt) -> bool:
    if not isinstance(statement, ast.If):
        return False
    parts = list(ast.walk(statement.test))
    names = {part.id for part in parts if isinstance(part, ast.Name)}
    values = {part.value for part in parts if isinstance(part, ast.Constant)}
    return "__name__" in names and "__main__" in values


def _mentions_main(statement: ast.stmt) -> bool:
    return not _is_guard(statement) and any(
        isinstance(part, ast.Name) and part.id == "main" for part in ast.walk(statement)
    )


def _factories(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.FunctionDef):
        if statement.name == FACTORY or _says_program(statement.returns):
            yield statement.name
    elif isinstance(statement, ast.Assign):
        if any(isinstance(to, ast.Name) and to.id == FACTORY for to in statement.targets):
            yield FACTORY
    elif isinstance(statement, ast.ImportFrom):
        ours = (statement.module or "").partition(".")[0] in _OURS
        if not ours and any((name.asname or name.name) == FACTORY for name in statement.names):
            yield FACTORY


def _says_program(annotation: ast.expr | None) -> bool:
    if annotation is None:
        return False
    text = annotation.value if isinstance(annotation, ast.Constant) else ast.unparse(annotation)
    return says_program(text)


def says_program(annotation: object) -> bool:
    """Return whether an annotation that is text means a program."""
    return isinstance(annotation, str) and annotation.strip(" '\"").rpartition(".")[2] == "Program"


def _flags(tree: ast.Module) -> Iterator[str]:
    """Yield names given to absl's DEFINE functions, or spelt as options to any other function."""
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call):
            continue
        texts = [
            part.value
            for part in call.args
            if isinstance(part, ast.Constant) and isinstance(part.value, str)
        ]
        if ast.unparse(call.func).rpartition(".")[2].startswith("DEFINE"):
            yield from texts[:1]
        yield from (text.lstrip("-") for text in texts if text.startswith("--"))
