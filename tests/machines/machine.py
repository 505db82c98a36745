"""The first process of a machine of the lab, in namespaces that were just made for it.

    python -I machine.py login NAME MOUNTS COMMAND...
    python -I machine.py node NAME MOUNTS COMMAND...

It takes the name and its view of the files, `SOURCE:TARGET` for each directory or file that it sees
elsewhere, with commas between; and waits for the end of its input, when its network is wired. Then
a login node becomes the command. A compute node stays process 1: it starts the command, again at
each SIGUSR1, and reaps orphans, so that the node outlives its daemon.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys

SIGNALS = {signal.SIGCHLD, signal.SIGUSR1}


def main(kind: str, name: str, mounts: str, *command: str) -> None:
    """Sets this machine up and runs it."""
    subprocess.run(["hostname", name], check=True)
    for mount in mounts.split(","):
        _mount("--bind", *mount.split(":"))
    if kind == "node":  # shared memory is not shared between machines
        _mount("-t", "tmpfs", "tmpfs", "/dev/shm")
    print("ready", flush=True)
    sys.stdin.read()
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    if kind == "login":
        os.execvp(command[0], command)
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    while True:
        os.posix_spawnp(command[0], command, os.environ, setsigmask=[])
        while signal.sigwait(SIGNALS) != signal.SIGUSR1:
            _reap()


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


if __name__ == "__main__":
    main(*sys.argv[1:])
