"""The code of these pages runs, all of it, in the order in which it stands there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers import run_python
from tests.integration.run_page import BLOCKS

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["calls", "replay", "security"]
RUN_SECONDS = 60


@pytest.mark.parametrize("name", PAGES)
def test_the_code_of_a_page_runs(name: str, tmp_path: Path) -> None:
    page = ROOT / "docs" / f"{name}.md"
    runner = str(Path(__file__).with_name("run_page.py"))
    # some write files
    result = run_python(
        "-W", "error", runner, str(page), cwd=tmp_path, seconds=RUN_SECONDS, path=ROOT
    )
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("name", PAGES)
def test_no_block_is_overlooked(name: str) -> None:
    text = (ROOT / "docs" / f"{name}.md").read_text()
    begun = text.count("```python") + text.count("<!-- setup") + text.count("<!-- check")
    assert len(BLOCKS.findall(text)) == begun > 1


def test_the_test_of_a_replay_buffer_passes(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "testing.md").read_text()
    (block,) = [found["code"] for found in BLOCKS.finditer(page) if "ReverbNode" in found["code"]]
    (tmp_path / "test_steps.py").write_text(block)
    result = run_python(
        *("-m", "pytest", "-q", "-p", "no:cacheprovider"), cwd=tmp_path, seconds=60, path=ROOT
    )
    assert result.returncode == 0, result.stdout
    assert "1 passed" in result.stdout
