"""The libraries that are written in the place of CUDA's, so that PyTorch is imported without them."""

import ctypes
import importlib.util
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "xtask" / "python"

MACHINES = {"x86_64": 62, "aarch64": 183}


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[ModuleType, ModuleType]]:
    """The modules `elf` and `cuda_stand_ins`, which are no part of a package."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import cuda_stand_ins
    import elf

    yield elf, cuda_stand_ins
    del sys.modules["elf"], sys.modules["cuda_stand_ins"]


def test_a_second_run_finds_nothing_missing(scripts: tuple[ModuleType, ModuleType]) -> None:
    spec = importlib.util.find_spec("torch")
    assert spec is not None and spec.origin is not None
    assert scripts[1].write(Path(spec.origin).parent / "lib") == []


def test_where_no_library_is_of_linux_nothing_is_written(
    scripts: tuple[ModuleType, ModuleType], tmp_path: Path
) -> None:
    (tmp_path / "libtorch.so").write_bytes(b"\xcf\xfa\xed\xfe")
    assert scripts[1].write(tmp_path) == []
    assert [path.name for path in tmp_path.iterdir()] == ["libtorch.so"]


def test_a_machine_without_known_code_is_named(scripts: tuple[ModuleType, ModuleType]) -> None:
    with pytest.raises(ValueError, match="number 8$"):
        scripts[0].returns(8, 100)


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in MACHINES, reason="loads a library of the ELF format"
)
def test_every_function_is_found_by_name_and_version(scripts: tuple[ModuleType, ModuleType], tmp_path: Path) -> None:
    elf = scripts[0]
    machine = MACHINES[platform.machine()]
    functions = [("first", "ONE"), ("second", "TWO"), ("third", None)]
    functions += [(f"many{i}", "TWO") for i in range(500)]
    path = tmp_path / "libstandin.so.1"
    path.write_bytes(elf.library(machine, path.name, functions, elf.returns(machine, 100)))

    library = ctypes.CDLL(str(path))
    assert {library[name]() for name, _ in functions} == {100}

    find = ctypes.CDLL(None).dlvsym
    find.restype = ctypes.c_void_p
    find.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p]
    assert all(find(library._handle, name.encode(), version.encode()) for name, version in functions if version)
    assert find(library._handle, b"first", b"TWO") is None
