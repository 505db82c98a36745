"""The original's launch types, and the launcher that stands for each."""

from __future__ import annotations

import enum

from launchpad_lite.errors import LauncherUnavailableError


class LaunchType(enum.Enum):
    """How google-deepmind/launchpad launches a program; `--lp_launch_type` takes the values.

    A test type is launched like its local counterpart: no launcher here ends the process that
    launched, or waits for a person at a debugger unless told to.
    """

    LOCAL_MULTI_THREADING = "local_mt"
    LOCAL_MULTI_PROCESSING = "local_mp"
    TEST_MULTI_PROCESSING = "test_mp"
    TEST_MULTI_THREADING = "test_mt"
    LOCAL_DOCKER = "local_docker"
    VERTEX_AI = "vertex_ai"
    CAIP = "caip"  # Vertex AI under its first name

    @property
    def launcher(self) -> str:
        """The name of the launcher that stands for it.

        Raises:
          LauncherUnavailableError: there is none.
        """
        name = _LAUNCHERS.get(self)
        if name is None:
            known = ", ".join(repr(each.value) for each in _LAUNCHERS)
            message = (
                f"launch type {self.value!r} has no launcher here: Docker and Vertex AI are left "
                f"out. Known launch types: {known}."
            )
            raise LauncherUnavailableError(message)
        return name


_LAUNCHERS = {
    LaunchType.LOCAL_MULTI_THREADING: "thread",
    LaunchType.LOCAL_MULTI_PROCESSING: "process",
    LaunchType.TEST_MULTI_PROCESSING: "process",
    LaunchType.TEST_MULTI_THREADING: "thread",
}
_BY_VALUE = {each.value: each for each in LaunchType}


def launcher_of(name: str | LaunchType) -> str:
    """Return the name of the launcher that is meant.

    Args:
      name: a launcher's name, a launch type, or the value of one.

    Raises:
      LauncherUnavailableError: the launch type has no launcher.
    """
    launch_type = launch_type_named(name)
    return str(name) if launch_type is None else launch_type.launcher


def launch_type_named(name: str | LaunchType) -> LaunchType | None:
    """Return the launch type that is meant; None if a launcher is."""
    return name if isinstance(name, LaunchType) else _BY_VALUE.get(name)


def of_launcher(launcher: str) -> LaunchType | None:
    """Return the local launch type that a launcher stands for, if there is one."""
    return next((each for each, name in _LAUNCHERS.items() if name == launcher), None)
