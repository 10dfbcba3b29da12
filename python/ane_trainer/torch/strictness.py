"""Whether what cannot run on the engine may run in PyTorch instead."""

import contextlib
from collections.abc import Iterator

from ..errors import FallbackError

_strict = False


def is_strict() -> bool:
    """Whether a fallback is an error."""
    return _strict


@contextlib.contextmanager
def strict(enabled: bool = True) -> Iterator[None]:
    """While it is open, whatever would run in PyTorch instead of on the engine is a `FallbackError`.

    That holds for graphs of ours, and for what Dynamo keeps from the backend without a word: what it cannot trace, such
    as an LSTM, a `print` or a sparse tensor, and a function that was compiled too often. Dynamo sees the former while it
    traces alone, so open the block before the first call; its own exceptions become `FallbackError` where they leave it.
    """
    import torch._dynamo
    from torch._dynamo import config, exc

    global _strict
    before = _strict
    _strict = enabled
    try:
        with config.patch(fail_on_recompile_limit_hit=enabled), torch._dynamo.error_on_graph_break(enabled):
            yield
    except (exc.Unsupported, exc.FailOnRecompileLimitHit) as error:
        raise FallbackError(
            f"PyTorch would run a part of the program itself, which never reaches the engine: {error}\n"
            "Write that part without it, or leave it outside of the compiled function"
        ) from error
    finally:
        _strict = before
