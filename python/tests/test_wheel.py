"""What is in the wheel of the package, and what is installed of it."""

import importlib.metadata
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

import ane_trainer

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "python" / "ane_trainer"


@pytest.fixture(scope="module")
def wheel() -> zipfile.ZipFile:
    """The wheel that these tests run on."""
    path = os.environ.get("ANE_TRAINER_WHEEL")
    assert path, "ANE_TRAINER_WHEEL names no wheel: run these tests by `cargo xtask python`"
    return zipfile.ZipFile(path)


def toml(path: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / path).read_text())


def version() -> str:
    found: str = toml("Cargo.toml")["workspace"]["package"]["version"]
    return found


def test_the_wheel_holds_the_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    sources = [path for path in SOURCES.rglob("*") if path.suffix in {".py", ".pyi"} or path.name == "py.typed"]
    expected = {path.relative_to(SOURCES.parent).as_posix() for path in sources}
    expected.add("ane_trainer/_native.abi3.so")
    metadata = ["METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"]
    expected |= {f"ane_trainer-{version()}.dist-info/{name}" for name in metadata}
    assert set(wheel.namelist()) == expected


def test_every_source_of_the_package_is_of_a_kind_that_is_shipped() -> None:
    others = [path for path in SOURCES.rglob("*") if path.is_file() and path.suffix not in {".py", ".pyi", ".pyc"}]
    assert [path.name for path in others] == ["py.typed"]


def test_the_wheel_serves_every_python_from_3_10(wheel: zipfile.ZipFile) -> None:
    tag = Path(wheel.filename or "").name.removeprefix(f"ane_trainer-{version()}-")
    assert tag.startswith("cp310-abi3-"), tag


def test_no_path_of_the_machine_that_built_it_is_in_its_texts(wheel: zipfile.ZipFile) -> None:
    texts = [name for name in wheel.namelist() if not name.endswith(".so")]
    assert [name for name in texts if str(ROOT).encode() in wheel.read(name)] == []


def test_the_licence_is_that_of_the_tree(wheel: zipfile.ZipFile) -> None:
    name = f"ane_trainer-{version()}.dist-info/licenses/LICENSE"
    assert wheel.read(name) == (ROOT / "LICENSE").read_bytes()


def test_the_tests_run_on_what_was_installed_and_not_on_the_sources() -> None:
    assert ane_trainer.__file__ is not None
    assert not Path(ane_trainer.__file__).is_relative_to(SOURCES)
    assert importlib.metadata.version("ane-trainer") == version()


def test_numpy_alone_comes_along() -> None:
    required = importlib.metadata.requires("ane-trainer") or []
    assert [line for line in required if "extra ==" not in line] == toml("pyproject.toml")["project"]["dependencies"]
    assert [line.split(">")[0] for line in required if "extra ==" not in line] == ["numpy"]


def test_the_program_is_beside_the_python_that_it_is_installed_for() -> None:
    program = Path(sys.executable).with_name("ane-trainer")
    done = subprocess.run([program, "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"ane-trainer {version()}\n"), done


def test_what_others_find_by_name_is_installed() -> None:
    project = toml("pyproject.toml")["project"]
    declared = dict(project["entry-points"], console_scripts=project.get("scripts", {}))
    expected = {(group, name, value) for group, entries in declared.items() for name, value in entries.items()}
    found = importlib.metadata.distribution("ane-trainer").entry_points
    assert {(entry.group, entry.name, entry.value) for entry in found} == expected
    assert all(callable(entry.load()) for entry in found)
