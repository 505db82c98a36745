"""The supervisor is a pure state machine: every phase meets every event; time is passed in."""

from __future__ import annotations

import math

import pytest

from launchpad_lite.config import RunConfig
from launchpad_lite.runtime.events import (
    Command,
    Event,
    Failure,
    Finish,
    Hint,
    HostLeaving,
    HostLost,
    Kill,
    Notify,
    NotifyLeaving,
    Restart,
    Retire,
    RunEnded,
    StopRequested,
    Terminate,
    WorkerEnded,
    WorkerUp,
)
from launchpad_lite.runtime.supervisor import KILL_WAIT_S, Phase, Restarts, Supervisor, WorkerState

NOTICE_S = 10.0
GRACE_S = 5.0
CONFIG = RunConfig(notice_s=NOTICE_S, grace_s=GRACE_S)
BOOM = Failure("boom", "Traceback ...")
NOW = 1000.0

STARTING, RUNNING = WorkerState.STARTING, WorkerState.RUNNING
DONE, FAILED = WorkerState.DONE, WorkerState.FAILED

Has = dict[str, bool]
TWO: Has = {"r/0": True, "s/0": False}  # one that runs, one that only serves
RETIRE_DONE: list[Command] = [Retire("r/0", "it has ended")]
RETIRE_BOOM: list[Command] = [Retire("r/0", "it failed (boom)")]
RETIRE_LOST: list[Command] = [Retire("r/0", "it failed (gone)")]


def make(phase: Phase, has_run: Has = TWO) -> Supervisor:
    """A supervisor in a phase, which it reached before NOW."""
    supervisor = Supervisor(has_run, CONFIG)
    if phase is Phase.ENDED:
        for name in has_run:
            supervisor.handle(WorkerEnded(name), 0.0)
    elif phase is not Phase.RUNNING:
        supervisor.handle(StopRequested("first"), NOW - 1)
        if phase is not Phase.NOTICE:
            supervisor.tick(NOW - 1 + NOTICE_S)
        if phase is Phase.KILLING:
            supervisor.tick(NOW - 1 + NOTICE_S + GRACE_S)
    assert supervisor.phase is phase
    return supervisor


NOTICE_AT = NOW - 1 + NOTICE_S
TERM_AT = NOTICE_AT + GRACE_S
KILL_AT = TERM_AT + KILL_WAIT_S
DEADLINES = {
    Phase.RUNNING: None,
    Phase.NOTICE: NOTICE_AT,
    Phase.TERMINATING: TERM_AT,
    Phase.KILLING: KILL_AT,
    Phase.ENDED: None,
}

UP = WorkerUp("r/0")
ENDED = WorkerEnded("r/0")
SERVER_ENDED = WorkerEnded("s/0")
FAILS = WorkerEnded("r/0", BOOM)
FORCED = WorkerEnded("r/0", BOOM, forced=True)
STOP = StopRequested("second")
NOW_STOP = StopRequested("second", immediately=True)
LOST = HostLost(("r/0",), "gone")
LEAVING = HostLeaving(("r/0", "s/0"), 60.0, "side1 goes")
ALL_LOST = HostLost(("r/0", "s/0"), "gone")
BOTH = ("r/0", "s/0")

# phase, event, commands, phase afterwards, deadline afterwards ("same" as before), state of r/0
Row = tuple[Phase, Event, list[Command], Phase, float | str | None, WorkerState]
TABLE: list[Row] = [
    (Phase.RUNNING, UP, [], Phase.RUNNING, None, RUNNING),
    (
        Phase.RUNNING,
        ENDED,
        [
            *RETIRE_DONE,
            Hint(
                "all nodes that run have ended; s/0 only serve(s), and will until lp.stop() or "
                "Ctrl-C"
            ),
        ],
        Phase.RUNNING,
        None,
        DONE,
    ),
    (Phase.RUNNING, SERVER_ENDED, [Retire("s/0", "it has ended")], Phase.RUNNING, None, STARTING),
    (
        Phase.RUNNING,
        FAILS,
        [*RETIRE_BOOM, Notify(NOTICE_S, "node r/0 failed"), Terminate(("s/0",), NOTICE_S)],
        Phase.TERMINATING,
        NOW + NOTICE_S + GRACE_S,
        FAILED,
    ),
    (
        Phase.RUNNING,
        FORCED,  # somebody else's signal, as the run does not stop
        [*RETIRE_BOOM, Notify(NOTICE_S, "node r/0 failed"), Terminate(("s/0",), NOTICE_S)],
        Phase.TERMINATING,
        NOW + NOTICE_S + GRACE_S,
        FAILED,
    ),
    (
        Phase.RUNNING,
        STOP,
        [Notify(NOTICE_S, "second")],
        Phase.NOTICE,
        NOW + NOTICE_S,
        STARTING,
    ),
    (
        Phase.RUNNING,
        NOW_STOP,
        [Notify(0.0, "second"), Kill(BOTH)],
        Phase.KILLING,
        NOW + KILL_WAIT_S,
        STARTING,
    ),
    (
        Phase.RUNNING,
        LOST,
        [*RETIRE_LOST, Notify(NOTICE_S, "node r/0 failed"), Terminate(("s/0",), NOTICE_S)],
        Phase.TERMINATING,
        NOW + NOTICE_S + GRACE_S,
        FAILED,
    ),
    (
        Phase.RUNNING,
        ALL_LOST,
        [
            *RETIRE_LOST,
            Notify(NOTICE_S, "node r/0 failed"),
            Terminate(("s/0",), NOTICE_S),
            Retire("s/0", "it failed (gone)"),
            Finish(()),
        ],
        Phase.ENDED,
        None,
        FAILED,
    ),
    (
        Phase.RUNNING,
        LEAVING,  # it goes on until it is lost
        [
            Hint("side1 goes; not to be started again elsewhere: r/0, s/0"),
            NotifyLeaving(BOTH, 60.0, "side1 goes", ends=False),
        ],
        Phase.RUNNING,
        None,
        STARTING,
    ),
    *[
        (phase, LEAVING, [], phase, "same", STARTING)
        for phase in (Phase.NOTICE, Phase.TERMINATING, Phase.KILLING)
    ],
    (Phase.NOTICE, UP, [], Phase.NOTICE, "same", RUNNING),
    (
        Phase.NOTICE,
        ENDED,  # nobody is left who could use the time
        [*RETIRE_DONE, Terminate(("s/0",), NOTICE_AT - NOW)],
        Phase.TERMINATING,
        TERM_AT,
        DONE,
    ),
    (Phase.NOTICE, SERVER_ENDED, [Retire("s/0", "it has ended")], Phase.NOTICE, "same", STARTING),
    (
        Phase.NOTICE,
        FAILS,
        [*RETIRE_BOOM, Terminate(("s/0",), NOTICE_AT - NOW)],
        Phase.TERMINATING,
        TERM_AT,
        FAILED,
    ),
    (
        Phase.NOTICE,
        FORCED,
        [*RETIRE_DONE, Terminate(("s/0",), NOTICE_AT - NOW)],
        Phase.TERMINATING,
        TERM_AT,
        DONE,
    ),
    (Phase.NOTICE, STOP, [], Phase.NOTICE, "same", STARTING),
    (Phase.NOTICE, NOW_STOP, [Kill(BOTH)], Phase.KILLING, NOW + KILL_WAIT_S, STARTING),
    (
        Phase.NOTICE,
        LOST,
        [*RETIRE_LOST, Terminate(("s/0",), NOTICE_AT - NOW)],
        Phase.TERMINATING,
        TERM_AT,
        FAILED,
    ),
    (Phase.TERMINATING, UP, [], Phase.TERMINATING, "same", RUNNING),
    (Phase.TERMINATING, ENDED, RETIRE_DONE, Phase.TERMINATING, "same", DONE),
    (
        Phase.TERMINATING,
        SERVER_ENDED,
        [Retire("s/0", "it has ended")],
        Phase.TERMINATING,
        "same",
        STARTING,
    ),
    (Phase.TERMINATING, FAILS, RETIRE_BOOM, Phase.TERMINATING, "same", FAILED),
    (Phase.TERMINATING, FORCED, RETIRE_DONE, Phase.TERMINATING, "same", DONE),
    (Phase.TERMINATING, STOP, [], Phase.TERMINATING, "same", STARTING),
    (Phase.TERMINATING, NOW_STOP, [Kill(BOTH)], Phase.KILLING, NOW + KILL_WAIT_S, STARTING),
    (Phase.TERMINATING, LOST, RETIRE_LOST, Phase.TERMINATING, "same", FAILED),
    (Phase.KILLING, UP, [], Phase.KILLING, "same", RUNNING),
    (Phase.KILLING, ENDED, RETIRE_DONE, Phase.KILLING, "same", DONE),
    (Phase.KILLING, FAILS, RETIRE_BOOM, Phase.KILLING, "same", FAILED),
    (Phase.KILLING, FORCED, RETIRE_DONE, Phase.KILLING, "same", DONE),
    (Phase.KILLING, STOP, [], Phase.KILLING, "same", STARTING),
    (Phase.KILLING, NOW_STOP, [], Phase.KILLING, "same", STARTING),
    (Phase.KILLING, LOST, RETIRE_LOST, Phase.KILLING, "same", FAILED),
    *[
        (Phase.ENDED, event, [], Phase.ENDED, None, DONE)
        for event in (UP, ENDED, FAILS, FORCED, STOP, NOW_STOP, LOST, LEAVING)
    ],
]


def row_id(row: Row) -> str:
    return f"{row[0].value}, {row[1]}"


@pytest.mark.parametrize("row", TABLE, ids=row_id)
def test_each_phase_meets_each_event(row: Row) -> None:
    before, event, commands, after, deadline, state = row
    supervisor = make(before)
    assert supervisor.deadline == DEADLINES[before]
    assert supervisor.handle(event, NOW) == commands
    assert supervisor.phase is after
    assert supervisor.deadline == (DEADLINES[before] if deadline == "same" else deadline)
    assert supervisor.states["r/0"] is state


def test_the_table_is_complete() -> None:
    kinds = {
        (before, type(event), getattr(event, "forced", None), getattr(event, "immediately", None))
        for before, event, *_ in TABLE
    }
    assert len(kinds) == len(Phase) * len(
        ("up", "ended", "forced", "stop", "at once", "lost", "leaving")
    )


@pytest.mark.parametrize("phase", Phase)
def test_a_tick_before_the_deadline_does_nothing(phase: Phase) -> None:
    supervisor = make(phase)
    before = DEADLINES[phase]
    assert supervisor.tick(NOW if before is None else before - 0.001) == []
    assert supervisor.phase is phase
    assert supervisor.deadline == before


@pytest.mark.parametrize(
    ("before", "commands", "after", "wait"),
    [
        (Phase.NOTICE, [Terminate(BOTH, 0.0)], Phase.TERMINATING, GRACE_S),
        (Phase.TERMINATING, [Kill(BOTH)], Phase.KILLING, KILL_WAIT_S),
        (Phase.KILLING, [Finish(BOTH)], Phase.ENDED, None),
    ],
)
def test_a_tick_at_the_deadline(
    before: Phase, commands: list[Command], after: Phase, wait: float | None
) -> None:
    supervisor = make(before)
    now = DEADLINES[before]
    assert now is not None
    assert supervisor.tick(now) == commands
    assert supervisor.phase is after
    assert supervisor.deadline == (None if wait is None else now + wait)


@pytest.mark.parametrize("phase", [Phase.NOTICE, Phase.TERMINATING, Phase.KILLING])
def test_the_last_end_ends_the_run(phase: Phase) -> None:
    supervisor = make(phase, {"r/0": True})
    assert supervisor.handle(ENDED, NOW) == [*RETIRE_DONE, Finish(())]
    assert supervisor.phase is Phase.ENDED
    assert supervisor.deadline is None


def test_a_run_ends_when_every_node_has_ended() -> None:
    supervisor = Supervisor({"a/0": True, "a/1": True}, CONFIG)
    assert supervisor.handle(WorkerEnded("a/0"), NOW) == [Retire("a/0", "it has ended")]
    assert supervisor.handle(WorkerEnded("a/1"), NOW) == [
        Retire("a/1", "it has ended"),
        Finish(()),
    ]
    assert (supervisor.failed, supervisor.reason) == (None, "")


def test_the_only_node_failing_ends_the_run() -> None:
    supervisor = Supervisor({"r/0": True}, CONFIG)
    assert supervisor.handle(FAILS, NOW) == [*RETIRE_BOOM, Finish(())]
    assert supervisor.failed == ("r/0", BOOM)


def test_a_node_that_is_up_stays_so() -> None:
    supervisor = make(Phase.RUNNING)
    for _ in range(2):
        assert supervisor.handle(UP, NOW) == []
        assert supervisor.states == {"r/0": RUNNING, "s/0": STARTING}


def test_news_of_a_node_that_is_gone_is_old_news() -> None:
    supervisor = make(Phase.RUNNING, {"a/0": True, "a/1": True})
    supervisor.handle(WorkerEnded("a/0"), NOW)
    events: list[Event] = [
        WorkerUp("a/0"),
        WorkerEnded("a/0"),
        WorkerEnded("a/0", BOOM),
        HostLost(("a/0",), "gone"),
    ]
    for event in events:
        assert supervisor.handle(event, NOW) == []
    assert supervisor.states == {"a/0": DONE, "a/1": STARTING}
    assert supervisor.failed is None


def test_the_first_failure_is_the_one_that_counts() -> None:
    supervisor = make(Phase.RUNNING, {"a/0": True, "a/1": True, "a/2": True})
    supervisor.handle(WorkerEnded("a/1", BOOM), NOW)
    supervisor.handle(WorkerEnded("a/0", Failure("what came of it")), NOW)
    assert supervisor.failed == ("a/1", BOOM)
    assert supervisor.reason == "node a/1 failed"
    assert supervisor.states == {"a/0": FAILED, "a/1": FAILED, "a/2": STARTING}


def test_the_first_reason_is_the_one_that_is_kept() -> None:
    supervisor = make(Phase.NOTICE)
    supervisor.handle(STOP, NOW)
    supervisor.handle(NOW_STOP, NOW)
    assert supervisor.reason == "first"


def test_nodes_that_run_keep_the_notice_going() -> None:
    supervisor = make(Phase.NOTICE, {"r/0": True, "r/1": True, "s/0": False})
    assert supervisor.handle(ENDED, NOW) == RETIRE_DONE
    assert supervisor.phase is Phase.NOTICE
    assert supervisor.handle(WorkerEnded("r/1"), NOW) == [
        Retire("r/1", "it has ended"),
        Terminate(("s/0",), NOTICE_AT - NOW),
    ]


def test_servers_alone_are_ended_at_once_but_may_save() -> None:
    supervisor = Supervisor({"s/0": False, "s/1": False}, CONFIG)
    assert supervisor.handle(STOP, NOW) == [
        Notify(NOTICE_S, "second"),
        Terminate(("s/0", "s/1"), NOTICE_S),
    ]
    assert supervisor.deadline == NOW + NOTICE_S + GRACE_S


def test_only_what_is_left_is_terminated_and_killed() -> None:
    supervisor = make(Phase.NOTICE, {"r/0": True, "r/1": True, "r/2": True})
    supervisor.handle(ENDED, NOW)
    assert supervisor.tick(NOTICE_AT) == [Terminate(("r/1", "r/2"), 0.0)]
    supervisor.handle(WorkerEnded("r/1", forced=True), NOTICE_AT)
    assert supervisor.tick(TERM_AT) == [Kill(("r/2",))]
    assert supervisor.tick(KILL_AT) == [Finish(("r/2",))]
    assert supervisor.states == {"r/0": DONE, "r/1": DONE, "r/2": STARTING}


def test_no_time_at_all_still_goes_through_each_phase() -> None:
    supervisor = Supervisor(TWO, RunConfig(notice_s=0.0, grace_s=0.0))
    assert supervisor.handle(STOP, NOW) == [Notify(0.0, "second")]
    assert supervisor.tick(NOW) == [Terminate(BOTH, 0.0)]
    assert supervisor.tick(NOW) == [Kill(BOTH)]
    assert supervisor.tick(NOW) == []
    assert supervisor.tick(NOW + KILL_WAIT_S) == [Finish(BOTH)]


def test_the_hint_is_given_once_and_names_three_at_most() -> None:
    servers = {f"s/{index}": False for index in range(5)}
    supervisor = Supervisor({"r/0": True, **servers}, CONFIG)
    retire, hint = supervisor.handle(ENDED, NOW)
    assert retire == RETIRE_DONE[0]
    assert isinstance(hint, Hint)
    assert "s/0, s/1, s/2 and 2 more" in hint.text
    assert supervisor.handle(WorkerEnded("s/4"), NOW) == [Retire("s/4", "it has ended")]


def test_a_program_of_servers_gets_no_hint() -> None:
    supervisor = Supervisor({"s/0": False, "s/1": False}, CONFIG)
    assert supervisor.handle(WorkerUp("s/0"), NOW) == []
    assert supervisor.handle(WorkerUp("s/1"), NOW) == []


def restarting(most: int) -> Supervisor:
    """A supervisor of a unit of two workers, and of one that stands alone."""
    unit = Restarts("m/0", ("m/0/0", "m/0/1"), most)
    return Supervisor({"m/0/0": True, "m/0/1": False, "r/0": True}, CONFIG, [unit])


def test_a_worker_that_fails_is_started_again() -> None:
    supervisor = restarting(2)
    supervisor.handle(WorkerUp("m/0/0"), NOW)
    commands = supervisor.handle(WorkerEnded("m/0/0", BOOM), NOW)
    assert commands == [Restart("m/0/0", 1, "it failed (boom), restart 1 of 2 of m/0")]
    assert supervisor.states["m/0/0"] is STARTING
    assert supervisor.failed is None
    assert supervisor.phase is Phase.RUNNING
    supervisor.handle(WorkerUp("m/0/0"), NOW)
    assert supervisor.states["m/0/0"] is RUNNING
    assert supervisor.incarnations == {"m/0/0": 1, "m/0/1": 0, "r/0": 0}


def test_the_workers_of_a_unit_share_their_restarts() -> None:
    supervisor = restarting(2)
    supervisor.handle(WorkerEnded("m/0/0", BOOM), NOW)
    (command,) = supervisor.handle(WorkerEnded("m/0/1", BOOM), NOW)
    assert command == Restart("m/0/1", 1, "it failed (boom), restart 2 of 2 of m/0")
    assert Notify(NOTICE_S, "node m/0/0 failed") in supervisor.handle(
        WorkerEnded("m/0/0", BOOM), NOW
    )
    assert supervisor.failed == ("m/0/0", BOOM)
    assert supervisor.states["m/0/0"] is FAILED


def test_a_worker_that_ends_well_is_not_started_again() -> None:
    supervisor = restarting(1)
    assert supervisor.handle(WorkerEnded("m/0/0"), NOW) == [Retire("m/0/0", "it has ended")]
    assert supervisor.handle(WorkerEnded("m/0/0", BOOM), NOW) == []


@pytest.mark.parametrize("event", [WorkerEnded("r/0", BOOM), HostLost(("m/0/0",), "gone")])
def test_others_are_not_started_again(event: Event) -> None:
    supervisor = restarting(1)
    commands = supervisor.handle(event, NOW)
    assert [type(command) for command in commands] == [Retire, Notify]


def test_workers_of_a_lost_host_are_started_elsewhere() -> None:
    supervisor = restarting(2)
    names = ("m/0/0", "m/0/1")
    reasons = {
        name: f"it failed (node7 is gone), restart {number} of 2 of m/0"
        for number, name in enumerate(names, 1)
    }
    commands = supervisor.handle(HostLost(names, "node7 is gone", replaceable=True), NOW)
    assert commands == [Restart(name, 1, reason) for name, reason in reasons.items()]
    assert supervisor.again_for == reasons
    supervisor.handle(WorkerUp("m/0/0"), NOW)
    assert supervisor.again_for == {"m/0/1": reasons["m/0/1"]}
    commands = supervisor.handle(HostLost(names, "node8 is gone", replaceable=True), NOW)
    assert [type(command) for command in commands] == [Retire, Notify, Retire]
    assert supervisor.failed == ("m/0/0", Failure("node8 is gone"))
    assert supervisor.again_for == {}


def test_a_lost_host_whose_workers_are_not_started_again_fails_the_run() -> None:
    supervisor = restarting(1)
    commands = supervisor.handle(HostLost(("m/0/0", "r/0"), "gone", replaceable=True), NOW)
    assert [type(command) for command in commands] == [Restart, Retire, Notify]
    assert supervisor.reason == "node r/0 failed"


def test_nothing_is_started_again_while_the_run_stops() -> None:
    supervisor = restarting(1)
    supervisor.handle(StopRequested("enough"), NOW)
    commands = supervisor.handle(WorkerEnded("m/0/0", BOOM), NOW)
    assert commands == [Retire("m/0/0", "it failed (boom)")]
    assert supervisor.failed == ("m/0/0", BOOM)


def test_a_worker_that_had_done_its_part_runs_again() -> None:
    supervisor = restarting(1)
    supervisor.handle(WorkerEnded("r/0"), NOW)
    (hint,) = supervisor.handle(RunEnded("m/0/0"), NOW)
    assert isinstance(hint, Hint)
    supervisor.handle(WorkerEnded("m/0/0", BOOM), NOW)
    supervisor.handle(StopRequested("enough"), NOW)
    assert supervisor.phase is Phase.NOTICE  # it is waited for


MOVING = ("m/0/0", "m/0/1")  # one that runs, one that only serves


def moving(seconds: float = 60.0, most: int = 1) -> tuple[Supervisor, list[Command]]:
    """A supervisor of which two workers were told to leave at NOW."""
    supervisor = restarting(most)
    event = HostLeaving(MOVING, seconds, "side1 goes", replaceable=True)
    return supervisor, supervisor.handle(event, NOW)


def test_workers_of_a_host_that_leaves_are_started_elsewhere_and_have_not_failed() -> None:
    supervisor, commands = moving()
    assert commands == [
        Hint("side1 goes; to be started again elsewhere: m/0/0, m/0/1"),
        NotifyLeaving(MOVING, NOTICE_S, "side1 goes", ends=True),
    ]
    assert supervisor.deadline == NOW + NOTICE_S
    commands = supervisor.handle(WorkerEnded("m/0/0"), NOW + 1)  # its run has returned
    assert commands == [Restart("m/0/0", 1, ""), Terminate(("m/0/1",), NOTICE_S - 1)]
    assert supervisor.handle(WorkerEnded("m/0/1", BOOM, forced=True), NOW + 2) == [
        Restart("m/0/1", 1, "")
    ]
    assert supervisor.deadline is None
    assert supervisor.again_for == dict.fromkeys(MOVING, "it has left a machine: side1 goes")
    assert (supervisor.phase, supervisor.failed) == (Phase.RUNNING, None)
    (again,) = supervisor.handle(WorkerEnded("m/0/0", BOOM), NOW + 3)
    assert again == Restart("m/0/0", 2, "it failed (boom), restart 1 of 1 of m/0")


def test_workers_that_do_not_leave_are_ended_in_time() -> None:
    supervisor, _ = moving()
    assert supervisor.tick(NOW + NOTICE_S - 1) == []
    assert supervisor.tick(NOW + NOTICE_S) == [Terminate(MOVING, 0.0)]
    assert supervisor.deadline == NOW + NOTICE_S + GRACE_S
    assert supervisor.tick(NOW + NOTICE_S + GRACE_S) == [Kill(MOVING)]
    assert supervisor.deadline is None  # what does not even die is lost with its host
    commands = supervisor.handle(HostLost(MOVING, "gone", replaceable=True), NOW + 60)
    assert commands == [Restart(name, 1, "") for name in MOVING]


@pytest.mark.parametrize(
    ("seconds", "notice", "end"),
    [(12.0, 7.0, 12.0), (3.0, 0.0, 3.0), (0.0, 0.0, 0.0), (math.inf, 10.0, 15.0)],
)
def test_what_is_left_is_for_the_notice_and_the_end(
    seconds: float, notice: float, end: float
) -> None:
    supervisor, commands = moving(seconds)
    assert NotifyLeaving(MOVING, notice, "side1 goes", ends=True) in commands
    assert supervisor.deadline == NOW + notice
    supervisor.tick(NOW + notice)
    assert supervisor.deadline == NOW + end


def test_those_that_only_serve_leave_after_what_runs_beside_them() -> None:
    supervisor, _ = moving()
    assert supervisor.handle(RunEnded("m/0/0"), NOW + 1) == [Terminate(MOVING, NOTICE_S - 1)]


def test_what_fails_while_it_leaves_has_failed() -> None:
    supervisor, _ = moving()
    again, terminate = supervisor.handle(WorkerEnded("m/0/0", BOOM), NOW + 1)
    assert again == Restart("m/0/0", 1, "it failed (boom), restart 1 of 1 of m/0")
    assert terminate == Terminate(("m/0/1",), NOTICE_S - 1)
    supervisor.handle(WorkerEnded("m/0/1"), NOW + 2)
    assert supervisor.incarnations == {"m/0/0": 1, "m/0/1": 1, "r/0": 0}


def test_who_was_told_is_not_told_again() -> None:
    supervisor, _ = moving()
    event = HostLeaving(MOVING, 30.0, "side1 goes", replaceable=True)
    assert supervisor.handle(event, NOW + 1) == []


def test_workers_that_must_stay_keep_those_that_go_with_them() -> None:
    supervisor = restarting(1)
    names = ("m/0/0", "r/0")
    commands = supervisor.handle(HostLeaving(names, 9.0, "it goes", replaceable=True), NOW)
    assert commands[1:] == [NotifyLeaving(names, 9.0, "it goes", ends=False)]
    (again,) = supervisor.handle(WorkerEnded("m/0/0", BOOM), NOW + 1)
    assert isinstance(again, Restart)


def test_the_end_of_the_run_comes_before_moves() -> None:
    supervisor, _ = moving()
    assert supervisor.handle(STOP, NOW + 1) == [Notify(NOTICE_S, "second")]
    assert supervisor.deadline == NOW + 1 + NOTICE_S
    assert supervisor.handle(WorkerEnded("m/0/0"), NOW + 2) == [Retire("m/0/0", "it has ended")]
