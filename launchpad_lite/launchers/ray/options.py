"""What Ray is told beside the program."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, cast, get_args

from launchpad_lite import flags, validation
from launchpad_lite.errors import UsageError
from launchpad_lite.launchers.base import LaunchOptions
from launchpad_lite.launchers.ray.labels import selector

Strategy = Literal["PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD"]

LOCAL = "local"
NAMESPACE = "launchpad_lite"

_ENVIRONMENT = "a dict, such as {'pip': ['torch']}"
_GROUPS = "a dict of lp.RayGroup by the groups' labels"


def _environment(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        validation.refuse(name, cast("object", value), _ENVIRONMENT)
    environment = dict(cast("Mapping[Any, Any]", value))
    if not all(isinstance(key, str) for key in environment):
        validation.refuse(name, environment, _ENVIRONMENT)
    return environment


def _groups(name: str, value: Any) -> Mapping[str, RayGroup]:
    if not isinstance(value, Mapping):
        validation.refuse(name, cast("object", value), _GROUPS)
    groups = dict(cast("Mapping[str, Any]", value))
    if not all(isinstance(each, RayGroup) for each in groups.values()):
        validation.refuse(name, groups, _GROUPS)
    return groups


_WHERE = {
    "workers_per_actor": validation.optional(validation.integer(1)),
    "runtime_env": _environment,
    "labels": selector,
}
_GROUP_RULES = {
    **_WHERE,
    "strategy": validation.optional(validation.one_of(get_args(Strategy))),
    "beside": validation.optional(validation.text),
}
_RULES = {
    **_WHERE,
    "address": validation.optional(validation.text),
    "namespace": validation.text,
    "strategy": validation.one_of(get_args(Strategy)),
    "wait_s": validation.wait,
    "groups": _groups,
    "detach": validation.boolean,
}


def show_environment(environment: Mapping[str, Any]) -> dict[str, Any]:
    """Return a runtime environment for people: of variables, which may be secret, the names."""
    variables = environment.get("env_vars")
    if not isinstance(variables, Mapping):
        return dict(environment)
    names = sorted(map(str, cast("Mapping[Any, Any]", variables)))
    return {**environment, "env_vars": names}


@dataclasses.dataclass(frozen=True, kw_only=True)
class RayGroup:
    """What is different for the nodes of one group.

    Attributes:
      workers_per_actor: at most so many of its nodes are held by one actor of Ray; None for what
        holds for the others.
      runtime_env: Ray's runtime environment of its actors, beyond that of all.
      strategy: how Ray places its actors, which are then a placement group of their own; None to
        place them with the others.
      beside: another group; all nodes of both are on one machine, and on no other, with whatever
        is beside either. They are a placement group of their own.
      labels: what its machines are labelled, beyond what is asked for all; see `RayOptions`.
    """

    workers_per_actor: int | None = None
    runtime_env: Mapping[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    strategy: Strategy | None = None
    beside: str | None = None
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
          UsageError: a value has another type, or Ray has no such strategy or labels.
        """
        with validation.within("RayGroup"):
            validation.validate(self, _GROUP_RULES)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RayOptions(LaunchOptions):
    """How a program is run by Ray.

    Attributes:
      address: of the cluster: `auto` for that which this machine is a node of, or `host:port`; from
        a machine outside of it `http://host:8265`, its dashboard, or `ray://host:10001`, by Ray
        Client; `local` starts one on this machine, and stops it at the end. None is the cluster
        that this process has joined already, else what `RAY_ADDRESS` says, else `local`.
      namespace: of Ray, for its actors.
      strategy: how Ray places the actors of a program: `PACK` on few machines and `SPREAD` over
        many, as far as it goes; `STRICT_PACK` on one, `STRICT_SPREAD` each on another, or not at
        all.
      wait_s: how many seconds to wait until the cluster has room for the program.
      workers_per_actor: at most so many nodes of a group are held by one actor of Ray; None for as
        many as its machine has room for.
      runtime_env: Ray's runtime environment of the actors: `pip`, `env_vars`, `working_dir` ...
        From outside of the cluster its `working_dir` is this process's working directory, if it
        names no other.
      labels: what Ray's machines are labelled (`ray start --labels`) that actors are placed on:
        `{"market-type": "spot"}`, or `!spot` for all others, `in(a,b)`, `!in(a,b)`.
      groups: what is different for some groups, by their names.
      detach: do not wait for the run: it goes on in the cluster without this process.
    """

    address: str | None = None
    namespace: str = NAMESPACE
    strategy: Strategy = "PACK"
    wait_s: float = 0.0
    workers_per_actor: int | None = None
    runtime_env: Mapping[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    groups: Mapping[str, RayGroup] = dataclasses.field(default_factory=dict[str, RayGroup])
    detach: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
          UsageError: a value has another type, or groups contradict each other.
        """
        super().__post_init__()
        with validation.within("RayOptions"):
            validation.validate(self, _RULES)
            for group, own in self.groups.items():
                self._check_beside(group, own)

    def _check_beside(self, group: str, own: RayGroup) -> None:
        if own.beside is None:
            return
        if own.beside == group:
            message = f"group {group!r} is beside itself: name another one."
            raise UsageError(message)
        for label in (group, own.beside):
            strategy = self.groups.get(label, RayGroup()).strategy
            if strategy not in (None, "STRICT_PACK"):
                message = (
                    f"group {group!r} is to be beside {own.beside!r}, on one machine, but group "
                    f"{label!r} has strategy {strategy!r}: leave out one of them."
                )
                raise UsageError(message)

    @classmethod
    def of_flags(cls, options: LaunchOptions) -> RayOptions:
        """Return what the flags say, beside options that are not Ray's."""
        common = {each.name: getattr(options, each.name) for each in dataclasses.fields(options)}
        return cls(
            **common,
            address=flags.value(flags.RAY_ADDRESS),
            namespace=flags.value(flags.RAY_NAMESPACE),
            strategy=cast("Strategy", flags.value(flags.RAY_STRATEGY)),
            wait_s=flags.value(flags.RAY_WAIT),
            workers_per_actor=flags.value(flags.RAY_WORKERS_PER_ACTOR),
            detach=flags.value(flags.DETACH),
        )

    def most_per_actor(self, group: str) -> int | None:
        """Return how many nodes of a group one actor may hold; None for any number."""
        own = self.groups.get(group)
        if own is not None and own.workers_per_actor is not None:
            return own.workers_per_actor
        return self.workers_per_actor

    def strategy_of(self, group: str) -> Strategy:
        """Return how the actors of a group are placed."""
        own = self.groups.get(group, RayGroup())
        if own.beside is not None or any(each.beside == group for each in self.groups.values()):
            return "STRICT_PACK"
        return own.strategy or self.strategy

    def labels_of(self, group: str) -> dict[str, str]:
        """Return what is asked of the labels of a group's machines."""
        return {**self.labels, **self.groups.get(group, RayGroup()).labels}

    def runtime_env_of(self, group: str) -> dict[str, Any]:
        """Return the runtime environment of a group's actors."""
        own = self.groups.get(group)
        if own is None:
            return dict(self.runtime_env)
        merged = {**self.runtime_env, **own.runtime_env}
        variables = [env.get("env_vars") for env in (self.runtime_env, own.runtime_env)]
        if all(isinstance(each, Mapping) for each in variables):
            merged["env_vars"] = {**cast("Any", variables[0]), **cast("Any", variables[1])}
        return merged
