"""Who calls a run's nodes from outside comes and goes; its workers come again."""

from __future__ import annotations

import pytest

from launchpad_lite.endpoint import EndpointRecord
from launchpad_lite.runtime.followers import Followers
from launchpad_lite.runtime.status import Notice


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


def test_workers_whose_host_leaves_are_told_also_when_they_come_late() -> None:
    followers = Followers([], ["main/0", "main/1", "main/2"])
    early, other = followers.attach("main/0"), followers.attach("main/2")
    followers.notify_leaving(["main/0", "main/1"], Notice(60.0, "it goes"))
    late = followers.attach("main/1")
    followers.begin_again("main/0")
    again = followers.attach("main/0")
    followers.end()
    early.end()
    assert [each.reason for each in (*early, *late)] == ["it goes", "it goes"]
    assert [*other, *again] == []
