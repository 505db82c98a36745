"""What SLURM is told beside the program."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, cast, get_args

from launchpad_lite import flags, validation
from launchpad_lite.errors import UsageError
from launchpad_lite.launchers.base import LaunchOptions
from launchpad_lite.launchers.slurm import time_limit

LayoutName = Literal["auto", "steps", "het", "jobs"]

_GROUPS = "a dict of lp.SlurmGroup by the groups' labels"

_OURS = (
    *("chdir", "cpus-per-task", "error", "exclusive", "gres", "job-name", "mem", "nodes", "ntasks"),
    *("ntasks-per-node", "open-mode", "output", "requeue", "no-requeue", "no-kill", "signal"),
    "parsable",
)
"""Options of sbatch that this package sets; `extra` cannot."""


def _time(name: str, value: Any) -> str:
    text = str(value) if type(value) is int else value
    if not isinstance(text, str) or not time_limit.is_time(text):
        validation.refuse(name, value, f"a time as SLURM reads it: {time_limit.FORMS}")
    return text


def _lines(name: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not all(isinstance(each, str) for each in value):
        validation.refuse(name, value, "a tuple of strings")
    return tuple(value)


def _extra(name: str, value: Any) -> tuple[str, ...]:
    options = _lines(name, value)
    for option in options:
        word = option.removeprefix("--").partition("=")[0]
        if not option.startswith("--") or "\n" in option:
            validation.refuse(name, value, "options of sbatch, such as --reservation=x")
        if word in _OURS:
            message = (
                f"{name}: {option!r} is set by this package. Use lp.Resources or another field of "
                "lp.SlurmOptions for it."
            )
            raise UsageError(message)
    return options


def _groups(name: str, value: Any) -> Mapping[str, SlurmGroup]:
    if not isinstance(value, Mapping):
        validation.refuse(name, cast("object", value), _GROUPS)
    groups = dict(cast("Mapping[str, Any]", value))
    if not all(isinstance(each, SlurmGroup) for each in groups.values()):
        validation.refuse(name, groups, _GROUPS)
    return groups


_TEXT = validation.optional(validation.text)
_WHERE = {
    "partition": _TEXT,
    "constraint": _TEXT,
    "extra": _extra,
}
_RULES = {
    **_WHERE,
    "account": _TEXT,
    "qos": _TEXT,
    "time": validation.optional(_time),
    "layout": validation.one_of(get_args(LayoutName)),
    "groups": _groups,
    "setup": _lines,
    "container_image": _TEXT,
    "container_mounts": _lines,
    "requeue": validation.boolean,
    "notice_s": validation.integer(1, 3600, "seconds"),
    "detach": validation.boolean,
    "submit": validation.boolean,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class SlurmGroup:
    """Where the nodes of one group run, if it is elsewhere than the others.

    Attributes:
      partition: of the cluster; None for that of the others.
      constraint: which features a machine must have, as sbatch's `--constraint` says it.
      extra: further options of sbatch for its component, or its job.
    """

    partition: str | None = None
    constraint: str | None = None
    extra: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
          UsageError: a value has another type.
        """
        with validation.within("SlurmGroup"):
            validation.validate(self, _WHERE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SlurmOptions(LaunchOptions):
    """How a program is submitted to SLURM.

    Attributes:
      partition: of the cluster; None for its default, as with the next ones.
      account: who pays.
      qos: the quality of service.
      time: the limit as SLURM reads it, so that `5:00` is five minutes: minutes, minutes:seconds,
        hours:mm:ss, days-hours, or days-hours:mm:ss; 0 for no limit.
      constraint: which features machines must have.
      layout: `steps` is one allocation in which each group has a step; `het` a heterogeneous job,
        whose components differ; `jobs` a job for each group, which need not start together. `auto`
        is `het` where groups differ in partition, constraint or exclusive use of their machines,
        and `steps` otherwise.
      groups: what is different for some groups, by their labels.
      setup: lines of shell that every job begins with, such as `module load cuda`.
      container_image: the image that workers run in, with the plugin pyxis.
      container_mounts: what it sees of the machines, `from:to`.
      extra: any further options of sbatch, `--reservation=x`.
      requeue: whether the run's jobs are queued again after a preemption, at the time limit, or
        after the loss of the controller's machine; it starts again from what its nodes have saved.
        A program that has failed is not, nor one that was cancelled.
      notice_s: how many seconds before its time limit the run is told to stop.
      detach: submit it and return at once; this process does not wait for its end.
      submit: submit a job of its own also where this process is inside of an allocation; else the
        program runs there, and what says what job is submitted has no effect.
    """

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    time: str | None = None
    constraint: str | None = None
    layout: LayoutName = "auto"
    groups: Mapping[str, SlurmGroup] = dataclasses.field(default_factory=dict[str, SlurmGroup])
    setup: tuple[str, ...] = ()
    container_image: str | None = None
    container_mounts: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    requeue: bool = False
    notice_s: int = 60
    detach: bool = False
    submit: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
          UsageError: a value has another type, or SLURM would not take it.
        """
        super().__post_init__()
        with validation.within("SlurmOptions"):
            validation.validate(self, _RULES)

    @property
    def limit(self) -> str:
        """The time limit in words; empty for that of the partition."""
        if self.time is None:
            return ""
        words = time_limit.in_words(self.time)
        if not words:
            return "time limit: none"
        if 60 * time_limit.minutes(self.time) <= self.notice_s:
            return (
                f"time limit: {words}, and notice_s={self.notice_s} is as long: nodes get notice "
                "from the start; ask for more time, or less notice"
            )
        return f"time limit: {words}; nodes get notice {self.notice_s} s before"

    @classmethod
    def of_flags(cls, options: LaunchOptions) -> SlurmOptions:
        """Return what the flags say, beside options that are not SLURM's."""
        common = {each.name: getattr(options, each.name) for each in dataclasses.fields(options)}
        return cls(
            **common,
            partition=flags.value(flags.SLURM_PARTITION),
            account=flags.value(flags.SLURM_ACCOUNT),
            qos=flags.value(flags.SLURM_QOS),
            time=flags.value(flags.SLURM_TIME),
            constraint=flags.value(flags.SLURM_CONSTRAINT),
            layout=cast("LayoutName", flags.value(flags.SLURM_LAYOUT)),
            setup=tuple(flags.value(flags.SLURM_SETUP)),
            container_image=flags.value(flags.SLURM_CONTAINER_IMAGE),
            extra=tuple(flags.value(flags.SLURM_EXTRA)),
            requeue=flags.value(flags.SLURM_REQUEUE),
            detach=flags.value(flags.DETACH),
            submit=flags.value(flags.SLURM_SUBMIT),
        )
