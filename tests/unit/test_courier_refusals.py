"""The log of refused peers."""

from __future__ import annotations

import logging

import pytest

from launchpad_lite.courier.refusals import MAX_PEERS, Refusals


def test_strangers_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    refusals = Refusals("adder")
    with caplog.at_level(logging.WARNING):
        for index in range(2 * MAX_PEERS):
            refusals.tell(f"10.0.0.{index}", "no reason")
            refusals.tell(f"10.0.0.{index}", "another reason")
    assert len(caplog.records) == MAX_PEERS
    first, last = caplog.records[0].getMessage(), caplog.records[-1].getMessage()
    assert first == "adder refused a connection from 10.0.0.0: no reason"
    assert last.endswith("; no others will be told")
