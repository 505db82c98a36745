"""Rows as columns of text."""

from __future__ import annotations

from launchpad_lite.tables import table

ROWS = [("NAME", "SIZE", ""), ("a", "1,000", "x"), ("longer", "1", "")]


def test_a_table_has_columns_and_no_spaces_at_the_ends() -> None:
    assert table(ROWS) == "NAME    SIZE\na       1,000  x\nlonger  1"


def test_a_line_below_the_header() -> None:
    assert table(ROWS, ruled=True).splitlines()[:2] == ["NAME    SIZE", "------  -----  -"]
