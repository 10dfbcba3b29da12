"""The types that the package declares, as a user's type checker sees them."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = str(ROOT / "pyproject.toml")


def run(*arguments: str, within: Path) -> None:
    """Runs a module of Python; what it has to say is the message of the failure."""
    done = subprocess.run([sys.executable, "-m", *arguments], cwd=within, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_installed_package_passes_the_strict_checks(tmp_path: Path) -> None:
    # Elsewhere than in the tree, so that what is checked is what was installed.
    run("mypy", "--strict", "--config-file", SETTINGS, "-p", "ane_trainer", within=tmp_path)


def test_the_stubs_of_the_native_module_say_what_is_in_it(tmp_path: Path) -> None:
    run("mypy.stubtest", "--mypy-config-file", SETTINGS, "ane_trainer._native", within=tmp_path)


def test_the_scripts_that_prepare_the_tests_pass_the_strict_checks() -> None:
    run("mypy", "--strict", "--config-file", SETTINGS, "cuda_stand_ins.py", within=ROOT / "xtask" / "python")


def test_the_scripts_that_run_in_the_users_python_pass_the_strict_checks() -> None:
    run("mypy", "--strict", "--config-file", SETTINGS, ".", within=ROOT / "crates" / "ane-import" / "src" / "export")


def test_a_users_program_is_checked_against_the_package(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("import ane_trainer\n\nane_trainer.no_such_name\n")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file", SETTINGS, program.name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert 'Module has no attribute "no_such_name"' in done.stdout, done.stdout + done.stderr
