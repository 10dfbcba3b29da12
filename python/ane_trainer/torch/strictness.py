"""Whether what cannot run on the engine may run in PyTorch instead."""

import contextlib
from collections.abc import Iterator

_strict = False


def is_strict() -> bool:
    """Whether a fallback is an error."""
    return _strict


@contextlib.contextmanager
def strict(enabled: bool = True) -> Iterator[None]:
    """While it is open, whatever would run in PyTorch instead of on the engine is a `FallbackError`.

    That holds for graphs of ours and for Dynamo's own silent ways out: too many recompilations.
    """
    import torch._dynamo.config as config

    global _strict
    before = _strict
    _strict = enabled
    try:
        with config.patch(fail_on_recompile_limit_hit=enabled):
            yield
    finally:
        _strict = before
