"""The commands, beside the package: Ctrl-C is heard while the package is imported."""

import importlib
import sys

INTERRUPTED = 130


def main() -> int:
    """Run `lp-launch`; return its exit code."""
    return _run("lp-launch", "launchpad_lite.cli.main")


def replay() -> int:
    """Run `lp-replay`; return its exit code."""
    return _run("lp-replay", "launchpad_lite.cli.replay")


def _run(command: str, module: str) -> int:
    try:
        run = importlib.import_module(module).main
    except KeyboardInterrupt:
        sys.stderr.write(f"{command}: interrupted\n")
        return INTERRUPTED
    code: int = run()
    return code


if __name__ == "__main__":
    sys.exit(main())
