"""The command `lp-launch`, beside the package: Ctrl-C is heard while the package is imported."""

import sys

INTERRUPTED = 130


def main() -> int:
    """Import the command and run it; return its exit code."""
    try:
        from launchpad_lite.cli.main import main as run
    except KeyboardInterrupt:
        sys.stderr.write("lp-launch: interrupted\n")
        return INTERRUPTED
    return run()


if __name__ == "__main__":
    sys.exit(main())
