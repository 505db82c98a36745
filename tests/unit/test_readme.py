"""What the documents say is true: links lead somewhere, code runs, commands are those of CI."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.helpers import run_python

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
RUN_MARK = "<!-- run -->"
RUN_SECONDS = 60

_BLOCK = re.compile(r"^```(?P<language>\w*)[^\n]*\n(?P<code>.*?)^```\s*$", re.MULTILINE | re.DOTALL)
_INLINE_LINK = re.compile(r"\]\(\s*<?(?P<target>[^\s)>]+)[^)]*\)")
_ANY_LINK = re.compile(r"\]\((?P<target>[^):\s]+)\)")
_REFERENCE_LINK = re.compile(r"^\[[^\]]+\]:\s*<?(?P<target>[^\s>]+)", re.MULTILINE)
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|#|//", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block of code, the line where its code starts, and whether it is to be run."""

    language: str
    code: str
    line: int
    runs: bool


def blocks(text: str) -> Iterator[Block]:
    for match in _BLOCK.finditer(text):
        yield Block(
            language=match["language"],
            code=match["code"],
            line=text.count("\n", 0, match.start("code")) + 1,
            runs=text[: match.start()].rstrip().endswith(RUN_MARK),
        )


def relative_links(text: str) -> list[str]:
    prose = _BLOCK.sub("", text)
    found = [*_INLINE_LINK.finditer(prose), *_REFERENCE_LINK.finditer(prose)]
    return [match["target"] for match in found if not _ELSEWHERE.match(match["target"])]


def anchors(text: str) -> set[str]:
    """What links can end with: the headings, as web pages of Markdown spell them."""
    headings = re.findall(r"^#+ (.*)$", _BLOCK.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


def recipe(makefile: str, target: str) -> str:
    """The only command of a target."""
    (command,) = re.findall(rf"^{target}:[^\n]*\n\t(.+)\n(?!\t)", makefile, re.MULTILINE)
    return str(command)


def _readme() -> str:
    return README.read_text() if README.exists() else ""


PYTHON_BLOCKS = [
    pytest.param(block, id=f"line{block.line}")
    for block in blocks(_readme())
    if block.language == "python"
]


def test_the_readme_has_code_that_runs() -> None:
    assert any(block.runs for block in blocks(_readme()) if block.language == "python")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    targets = [target.partition("#")[0] for target in relative_links(page.read_text())]
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert not missing, f"{page.relative_to(ROOT)} links to what does not exist: {missing}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_headings(page: Path) -> None:
    for link in _ANY_LINK.finditer(_BLOCK.sub("", page.read_text())):
        path, _, anchor = link["target"].partition("#")
        target = (page.parent / path).resolve() if path else page
        if anchor and target in PAGES:
            assert anchor in anchors(target.read_text()), link["target"]


@pytest.mark.parametrize("block", PYTHON_BLOCKS)
def test_python_in_the_readme_works(block: Block, tmp_path: Path) -> None:
    # Blank lines keep the README's line numbers in tracebacks.
    code = "\n" * (block.line - 1) + block.code
    compile(code, str(README), "exec")
    if not block.runs:
        return
    program = tmp_path / "readme_block.py"
    program.write_text(code)
    result = run_python(str(program), cwd=tmp_path, seconds=RUN_SECONDS, path=ROOT)
    assert result.returncode == 0, f"README.md, line {block.line}:\n{result.stdout}"


@pytest.mark.parametrize("target", ["demo", "test"])
def test_the_readme_gives_the_commands_that_ci_runs(target: str) -> None:
    command = recipe((ROOT / "Makefile").read_text(), target)
    assert command in _readme().splitlines(), f"README.md does not have this line:\n{command}"


# The readers themselves.


def test_blocks_are_found_with_line_and_mark() -> None:
    text = "# T\n\n<!-- run -->\n\n```python\na = 1\n```\n\n```sh\nls\n```\n"
    assert list(blocks(text)) == [
        Block(language="python", code="a = 1\n", line=6, runs=True),
        Block(language="sh", code="ls\n", line=10, runs=False),
    ]


def test_only_relative_links_outside_code_are_found() -> None:
    text = (
        "[a](docs/a.md#part) ![b](b.png 'title') [c](https://example.com) [d](#here)\n"
        "[e]: e.md\n[f]: mailto:a@example.com\n```\n[g](g.md)\n```\n"
    )
    assert relative_links(text) == ["docs/a.md#part", "b.png", "e.md"]


def test_headings_are_anchors() -> None:
    text = '# One two\n## Without pickle: `codec="data"`\n```sh\n# no heading\n```\n'
    assert anchors(text) == {"one-two", "without-pickle-codecdata"}


def test_a_recipe_is_one_command() -> None:
    assert recipe("a:\n\tdo a\n\nb: a\n\tdo b\n", "b") == "do b"
