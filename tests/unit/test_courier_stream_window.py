"""How far a stream may be ahead of its reader."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from launchpad_lite.courier.stream_window import AHEAD, AHEAD_BYTES, Readings, Window

PATIENCE_S = 30.0


def test_who_is_far_ahead_waits_for_who_reads() -> None:
    window = Window()
    for _ in range(AHEAD):
        assert window.wait()
        window.note(1)
    with ThreadPoolExecutor(1) as threads:
        more = threads.submit(window.wait)
        window.give(0)
        assert not more.done()
        window.give(1)
        assert more.result(PATIENCE_S)


def test_bytes_count_but_for_one_value() -> None:
    window = Window()
    window.note(AHEAD_BYTES - 1)
    assert window.wait()
    window.note(10 * AHEAD_BYTES)
    with ThreadPoolExecutor(1) as threads:
        more = threads.submit(window.wait)
        window.give(1)
        assert not more.done()
        window.give(2**32 - 1)  # more than was sent
        assert more.result(PATIENCE_S)


def test_the_end_ends_the_waiting() -> None:
    window = Window()
    window.note(AHEAD_BYTES)
    with ThreadPoolExecutor(1) as threads:
        more = threads.submit(window.wait)
        window.close()
        assert not more.result(PATIENCE_S)
    window.give(1)
    assert not window.wait()


def test_readings_are_told_before_the_sender_has_to_wait() -> None:
    readings = Readings()
    told = [readings.note(1) for _ in range(AHEAD)]
    assert sum(told) == AHEAD
    assert sum(count > 0 for count in told) == 2
    assert readings.note(1) == 0
    assert readings.note(AHEAD_BYTES // 2) == 2
