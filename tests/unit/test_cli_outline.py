"""What the source of a target says about how to launch it."""

from __future__ import annotations

import ast
import textwrap

import pytest

from launchpad_lite.cli.outline import Outline, outline

GUARD = 'if __name__ == "__main__":\n    main()\n'
MAIN = "def main(): ...\n"


def of(text: str) -> Outline:
    return outline(ast.parse(textwrap.dedent(text)))


@pytest.mark.parametrize(
    "text",
    [
        "def make_program(): ...",
        "make_program = functools.partial(make, 3)",
        "from mine import make_program",
        "from mine import build as make_program",
        "try:\n    import a\nexcept ImportError:\n    def make_program(): ...",
        "if FAST:\n    pass\nelse:\n    def make_program(): ...",
        "def make_program(): ...\ndef make_program(): ...",
    ],
)
def test_make_program_is_a_factory(text: str) -> None:
    found = of(text + "\n" + MAIN + GUARD)
    assert found.factories == ("make_program",)
    assert not found.is_script


@pytest.mark.parametrize(
    "annotation",
    ["Program", "lp.Program", "launchpad_lite.program.Program", "'lp.Program'", '"Program"'],
)
def test_a_function_that_says_it_returns_a_program_is_a_factory(annotation: str) -> None:
    found = of(f"def build(x: int = 1) -> {annotation}: ...\ndef other() -> int: ...\n")
    assert found.factories == ("build",)


@pytest.mark.parametrize(
    "text",
    [
        "from launchpad_lite import make_program",
        "from launchpad_lite.program import make_program",
        "def build() -> 'MyProgram': ...",
        "class Maker:\n    def make_program(self): ...\n    def build(self) -> lp.Program: ...",
        "def outer():\n    def make_program(): ...",
    ],
)
def test_what_is_no_factory(text: str) -> None:
    found = of(text + "\n" + MAIN + GUARD)
    assert found.factories == ()
    assert found.is_script


@pytest.mark.parametrize(
    ("text", "is_script", "leaves_main"),
    [
        (MAIN, True, True),
        (GUARD, True, False),
        (MAIN + GUARD, True, False),
        (MAIN + "if '__main__' == __name__:\n    app.run(main)\n", True, False),
        (MAIN + "main()\n", True, False),
        (MAIN + "app.run(main)\n", True, False),
        (MAIN + "def other(): main()\n", True, True),
        ("x = 1\n", False, False),
        ("if __name__ == 'other':\n    pass\n", False, False),
    ],
)
def test_scripts(text: str, is_script: bool, leaves_main: bool) -> None:
    found = of(text)
    assert (found.is_script, found.leaves_main) == (is_script, leaves_main)


def test_flags_of_any_parser_are_seen() -> None:
    found = of(
        """
        SIZE = flags.DEFINE_integer("size", 3, "help")
        DEFINE_bool("dry_run", False, "help")

        def main():
            parser.add_argument("-l", "--launcher", default="--x")

            @click.option("--name")
            def run(): ...
        """
    )
    assert found.own_flags == {"size", "dry_run", "launcher", "name"}
