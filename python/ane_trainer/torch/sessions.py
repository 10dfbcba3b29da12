"""Open engines: one per choice of options, shared by all compiled functions of a process."""

import os

import torch

from .. import _native
from ..errors import ForkError
from .options import Options

_open: dict[Options, _native.Session] = {}
_process = os.getpid()


def check_process() -> None:
    """Raises `ForkError` in a process that was forked after an engine was opened."""
    if _open and os.getpid() != _process:
        raise ForkError(
            "this process was forked after the engine was opened, and has neither its threads nor its device; "
            "start processes by `spawn`, or fork before the first compiled call"
        )


def session(options: Options) -> _native.Session:
    """The engine for these options, opened when it is first asked for."""
    global _process
    check_process()
    if not _open:
        _process = os.getpid()
    if options not in _open:
        threads = options.threads or torch.get_num_threads()
        _open[options] = _native.Session(options.device, options.target, threads)
    return _open[options]


def counts() -> tuple[int, int]:
    """Programs compiled and programs run, by the devices' own count."""
    all_counts = [s.counts() for s in _open.values()]
    return sum(c for c, _ in all_counts), sum(d for _, d in all_counts)
