"""`python -m ane_trainer`."""

import sys


def run() -> int:
    """The command's exit code; 1 where PyTorch is missing."""
    try:
        from .cli import main_cli
    except ImportError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return main_cli()


if __name__ == "__main__":
    sys.exit(run())
