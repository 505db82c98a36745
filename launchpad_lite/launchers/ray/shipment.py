"""What a cluster is sent of a program by a machine that is none of its own."""

from __future__ import annotations

import dataclasses
import pathlib
import urllib.parse
from typing import TYPE_CHECKING, Any, cast

from launchpad_lite.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launchpad_lite.launchers.ray.options import RayOptions
    from launchpad_lite.planning import LaunchPlan

WORKING_DIR = "working_dir"
VARIABLES = "env_vars"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shipment:
    """A program for machines that have a copy of one of this machine's directories.

    Attributes:
      plan: the plan, below that directory.
      options: the user's, without what `runtime_env` has for all.
      runtime_env: Ray's runtime environment, which brings the directory.
    """

    plan: LaunchPlan
    options: RayOptions
    runtime_env: Mapping[str, Any]

    def describe(self, what: str, how: str) -> str:
        """Return it for people.

        Args:
          what: what is begun in the cluster.
          how: the way it is.
        """
        source = self.plan.source
        facts = {
            what: how,
            "directory": f"{self.runtime_env[WORKING_DIR]}, of which the machines get a copy",
            "program": source.main_file or "none: it is in importable modules",
            "path": ", ".join(source.sys_path) or "nothing beside the machines' own",
            "variables": ", ".join(self.runtime_env.get(VARIABLES, ())) or "none",
        }
        return "\n".join(f"{name:<10} {value}" for name, value in facts.items())


def ship(plan: LaunchPlan, options: RayOptions) -> Shipment:
    """Return what the cluster is sent.

    Raises:
      UsageError: something is below this machine's directories that the cluster's do not get.
    """
    checkpoints = plan.config.checkpoint_dir
    if checkpoints is not None and not pathlib.Path(checkpoints).is_absolute():
        message = (
            f"checkpoint_dir={checkpoints!r} would be below a copy of this directory on each of "
            "the cluster's machines: use an absolute path, to a place that they share."
        )
        raise UsageError(message)
    for group, own in options.groups.items():
        for name in (WORKING_DIR, "py_modules"):
            _check_urls(group, name, own.runtime_env.get(name))
    root = _root(options)
    return Shipment(
        plan=dataclasses.replace(
            plan.portable().below(root), config=dataclasses.replace(plan.config, pdb=False)
        ),
        options=dataclasses.replace(
            options,
            address=None,
            runtime_env={
                name: value for name, value in options.runtime_env.items() if name == VARIABLES
            },
        ),
        runtime_env={WORKING_DIR: str(root), **options.runtime_env},
    )


def _root(options: RayOptions) -> pathlib.Path:
    """Return the directory of which the cluster's machines get a copy."""
    given = options.runtime_env.get(WORKING_DIR)
    if given is None or urllib.parse.urlsplit(str(given)).scheme or pathlib.Path(given).is_file():
        return pathlib.Path.cwd()  # an archive is taken to hold what is here
    return pathlib.Path(given)


def _check_urls(group: str, name: str, value: object) -> None:
    """Refuse directories of this machine in a group's environment: only that of all is shipped."""
    given = cast("list[object]", value) if isinstance(value, list) else [value]
    for each in given:
        if each is not None and not urllib.parse.urlsplit(str(each)).scheme:
            message = (
                f"group {group!r}: runtime_env[{name!r}]={each!r} is on this machine, which is "
                "none of the cluster's: give it for all groups, in RayOptions(runtime_env=), or a "
                "URL."
            )
            raise UsageError(message)
