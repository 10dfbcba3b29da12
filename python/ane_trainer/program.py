"""The program `ane-trainer` of the command line, as the installed package has it."""

import signal
import sys

from ._native import cli

_AGAIN = "import sys; sys.path[:] = {path!r}; from ane_trainer.program import main; sys.exit(main())"


def main() -> int:
    """Does what the command line says, and returns the exit code: 0 done, 1 failure, 2 wrong usage, 130 interrupted."""
    # Python would only note a Ctrl-C until its own code goes on. The program ends by it, or has a handler of its own.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # What may crash runs in a process of its own, which finds this package where it was found here.
    return cli(sys.executable, ["-c", _AGAIN.format(path=sys.path)], sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
