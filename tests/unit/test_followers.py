"""Who calls a run's nodes from outside comes and goes; its workers come again."""

from __future__ import annotations

import pytest

from launchpad_lite.endpoint import EndpointRecord
from launchpad_lite.runtime.followers import Followers


@pytest.mark.parametrize(("name", "again"), [("main/0", True), ("(caller, 7)", False)])
def test_what_was_followed_is_forgotten_with_a_caller(name: str, *, again: bool) -> None:
    record = EndpointRecord(
        run_id="r", name="server/0", incarnation=0, host_id="h", endpoints=("tcp:h:1",)
    )
    followers = Followers(["server/0"], ["main/0", "server/0"])
    line = followers.attach(name)
    followers.follow(name, "server/0")
    line.close()
    assert followers.publish(record)
    assert list(line) == []
    line = followers.attach(name)
    followers.end()
    assert list(line) == ([record] if again else [])
