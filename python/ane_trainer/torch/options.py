"""Options of the backend: which engine, for which chip, on how many threads."""

import dataclasses
import os
import sys
from collections.abc import Mapping
from typing import Any

_KNOWN = ("device", "target", "threads")
_told: set[str] = set()


@dataclasses.dataclass(frozen=True)
class Options:
    """What a compiled function runs on."""

    device: str = "auto"
    """A device by name: `auto` is the best there is, `software` the engine in software, `apple` Apple's."""
    target: str | None = None
    """A chip and a route to it, such as `h16` or `h16:client`; left out, `software` or the machine's own chip."""
    threads: int | None = None
    """Threads of the engine in software; as many as PyTorch uses where left out."""


def default_options() -> Options:
    """What holds where `options=` says nothing: the variables ANE_TRAINER_DEVICE and ANE_TRAINER_TARGET."""
    return Options(
        device=os.environ.get("ANE_TRAINER_DEVICE") or "auto",
        target=os.environ.get("ANE_TRAINER_TARGET") or None,
    )


def options_of(given: Mapping[str, Any] | None, mode: str | None) -> Options:
    """Options from those of `torch.compile`.

    What is meant for another backend, such as `mode` and options of Inductor, is ignored with one note.
    """
    known = {key: value for key, value in (given or {}).items() if key in _KNOWN}
    others = sorted(set(given or {}) - set(known))
    if mode not in (None, "default"):
        others.append(f"mode={mode!r}")
    for other in others:
        if other not in _told:
            _told.add(other)
            print(f"ane_trainer: {other} means nothing to the backend `ane` and is ignored", file=sys.stderr)
    return dataclasses.replace(default_options(), **known)
