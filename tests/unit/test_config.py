"""Settings are checked when they are made."""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
from collections.abc import Callable

import pytest

from launchpad_lite.config import (
    MAX_PAYLOAD_BYTES,
    TRANSPORTS,
    ClientConfig,
    RunConfig,
    ServerConfig,
    seconds,
    with_settings,
)
from launchpad_lite.errors import UsageError
from launchpad_lite.resources import Resources


def test_defaults_and_bounds_are_allowed() -> None:
    assert RunConfig() == RunConfig(notice_s=10.0, grace_s=5.0, seed=0, checkpoint_dir=None)
    RunConfig(notice_s=0, grace_s=0, seed=-1, max_payload_bytes=1)
    RunConfig(max_payload_bytes=MAX_PAYLOAD_BYTES)
    assert ServerConfig() == ServerConfig(port=None, thread_pool_size=16)
    ServerConfig(port=0, thread_pool_size=1)
    ServerConfig(port=65535)
    assert ClientConfig() == ClientConfig(compress=False, call_timeout=None, wait_for_ready=True)
    ClientConfig(call_timeout=0.001)
    assert [RunConfig(transport=each).encrypts for each in (None, *TRANSPORTS)] == [
        *[False, False, False],
        *[True, True],
    ]


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: RunConfig(notice_s=-1), "notice_s=-1: give 0 to 1e+07 seconds."),
        (lambda: RunConfig(grace_s=-0.5), "grace_s=-0.5: give 0 to 1e+07 seconds."),
        (
            lambda: RunConfig(max_payload_bytes=0),
            "max_payload_bytes=0: give a whole number",
        ),
        (
            lambda: RunConfig(max_payload_bytes=2**40 + 1),
            "max_payload_bytes=1099511627777: give a whole number",
        ),
        (lambda: RunConfig(transport="unx"), "transport='unx'; did you mean 'unix'?"),
        (
            lambda: ServerConfig(thread_pool_size=0),
            "thread_pool_size=0: give a whole number",
        ),
        (lambda: ServerConfig(port=-1), "port=-1: give a whole number from 0 to 65535."),
        (lambda: ServerConfig(port=65536), "port=65536: give a whole number from 0 to 65535."),
        (
            lambda: ServerConfig(max_payload_bytes=-1),
            "max_payload_bytes=-1: give a whole number",
        ),
        (
            lambda: ClientConfig(call_timeout=0),
            "call_timeout=0: give a number of seconds",
        ),
        (
            lambda: ClientConfig(call_timeout=-2.5),
            "call_timeout=-2.5: give a number of seconds",
        ),
        (
            lambda: ClientConfig(max_payload_bytes=-3),
            "max_payload_bytes=-3: give a whole number",
        ),
        (lambda: Resources(cpus=-1), "Resources(cpus=-1): an amount cannot be negative."),
        (lambda: Resources(cpus=math.inf), "Resources(cpus=inf): an amount is a number."),
        (lambda: Resources(gpus=-2), "Resources(gpus=-2): an amount cannot be negative."),
        (lambda: Resources(memory_gb=-0.5), "Resources(memory_gb=-0.5): an amount cannot be"),
        (lambda: Resources(custom={"tpu": -1}), "Resources(tpu=-1): an amount cannot be negative."),
        (
            lambda: with_settings(ClientConfig(), {"call_timeuot": 1}),
            "a Courier client has no setting 'call_timeuot'; did you mean 'call_timeout'?",
        ),
        (
            lambda: with_settings(ClientConfig(), {"call_timeout": dt.timedelta(seconds=-1)}),
            "call_timeout=-1.0: give a number of seconds",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_work_is_refused(make: Callable[[], object], text: str) -> None:
    with pytest.raises(UsageError) as error:
        make()
    assert str(error.value).startswith(text)


def test_settings_do_not_change() -> None:
    for config in (RunConfig(), ServerConfig(), ClientConfig(), Resources()):
        for field in dataclasses.fields(config):
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(config, field.name, None)


def test_timeouts_are_seconds_and_nought_is_no_limit() -> None:
    given = [None, 0, 0.0, 1, 2.5, dt.timedelta(0), dt.timedelta(minutes=1, milliseconds=500)]
    assert [seconds(timeout) for timeout in given] == [None, None, None, 1.0, 2.5, None, 60.5]


def test_a_users_settings_are_laid_over_a_configuration() -> None:
    config = ClientConfig(compress=True, call_timeout=3.0, max_payload_bytes=9)
    assert with_settings(config, {}) == config
    changed = with_settings(
        config,
        {"call_timeout": dt.timedelta(0), "wait_for_ready": False, "chunk_tensors": True},
    )
    assert changed == ClientConfig(compress=True, wait_for_ready=False, max_payload_bytes=9)


def test_resources_are_shown_in_short() -> None:
    assert str(Resources()) == "-"
    asked = Resources(cpus=0.5, gpus=2, memory_gb=1e3, custom={"tpu": 4})
    assert str(asked) == "cpus=0.5 gpus=2 memory_gb=1000 tpu=4"
    assert str(Resources(cpus=0)) == "cpus=0"
