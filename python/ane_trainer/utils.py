"""What the machine is, as Python's `platform` tells it."""

import platform


def is_apple_silicon() -> bool:
    """Whether this is a Mac with a processor of Apple's.

    `platform` is asked at each call. Whatever goes wrong there counts as no.
    """
    try:
        return platform.system() == "Darwin" and "arm" in platform.processor().lower()
    except Exception:
        return False
