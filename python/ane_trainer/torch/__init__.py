"""PyTorch models on the engine: the backend of `torch.compile`, and what it tells of itself."""

from .options import default_options
from .reporting import Report, report
from .strictness import is_strict, strict

__all__ = ["Report", "default_options", "is_strict", "report", "strict"]
