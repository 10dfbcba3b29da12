"""`utils.is_apple_silicon` answers as `platform` does, at each call."""

import platform
from collections.abc import Callable

import pytest

from ane_trainer.utils import is_apple_silicon


@pytest.mark.parametrize(
    ("system", "processor", "expected"),
    [
        ("Darwin", "arm", True),
        ("Darwin", "arm64", True),
        ("Darwin", "ARM64", True),
        ("Darwin", " Arm64e ", True),
        ("Darwin", "i386", False),
        ("Darwin", "", False),
        ("Darwin", None, False),
        ("Linux", "arm64", False),
        ("Linux", "x86_64", False),
        ("Windows", "ARM64", False),
        ("darwin", "arm", False),
    ],
)
def test_a_mac_with_an_arm_processor_is_apple_silicon(
    monkeypatch: pytest.MonkeyPatch, system: str, processor: str | None, expected: bool
) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "processor", lambda: processor)
    assert is_apple_silicon() is expected


@pytest.mark.parametrize("broken", ["system", "processor"])
def test_an_exception_counts_as_no(monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    def fail() -> str:
        raise OSError("nothing known")

    answers: dict[str, Callable[[], str]] = {"system": lambda: "Darwin", "processor": lambda: "arm"}
    for name, answer in (answers | {broken: fail}).items():
        monkeypatch.setattr(platform, name, answer)
    assert is_apple_silicon() is False
