"""The code of these pages runs, all of it, in the order in which it stands there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.run_page import BLOCKS

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["calls", "security"]
RUN_SECONDS = 60


@pytest.mark.parametrize("name", PAGES)
def test_the_code_of_a_page_runs(name: str, tmp_path: Path) -> None:
    page = ROOT / "docs" / f"{name}.md"
    result = subprocess.run(
        [sys.executable, "-W", "error", str(Path(__file__).with_name("run_page.py")), str(page)],
        cwd=tmp_path,  # some write files
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("name", PAGES)
def test_no_block_is_overlooked(name: str) -> None:
    text = (ROOT / "docs" / f"{name}.md").read_text()
    begun = text.count("```python") + text.count("<!-- setup") + text.count("<!-- check")
    assert len(BLOCKS.findall(text)) == begun > 1
