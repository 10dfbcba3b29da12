"""PyTorch, for the modules that need it; without it an error says how to get it."""

try:
    import torch
except ImportError as error:
    raise ImportError(
        "this part of ane_trainer needs PyTorch, which cannot be imported here: "
        f"install it with `pip install torch` ({error})"
    ) from error

__all__ = ["torch"]
