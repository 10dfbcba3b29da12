"""The program `ane-trainer` as the package has it: output and exit codes are those of the binary."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = [sys.executable, "-m", "ane_trainer.program"]
TINY = ["train", "784-8-10", "--device", "software", "--threads", "1"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PROGRAM, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True)


def test_results_go_to_stdout_and_failures_to_stderr_with_their_codes(tmp_path: Path) -> None:
    version = run("--version")
    assert version.returncode == 0 and re.fullmatch(r"ane-trainer \d+\.\d+\.\d+\n", version.stdout), version
    wrong = run("train", "--no-such-flag")
    assert (wrong.returncode, wrong.stdout) == (2, "") and "Usage: ane-trainer train" in wrong.stderr
    failed = run("eval", str(tmp_path / "none"))
    assert (failed.returncode, failed.stdout) == (1, "") and "there is no run" in failed.stderr


def test_the_worker_of_a_supervised_device_is_found(tmp_path: Path) -> None:
    # Modules beside the user are not those that the worker imports.
    (tmp_path / "ane_trainer.py").write_text("raise SystemExit('the wrong module')\n")
    steps = ["--supervised", "true", "--max-steps", "2", "--out", str(tmp_path / "run")]
    code = "from ane_trainer.program import main; raise SystemExit(main())"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.pop(0); {code}", *TINY, *steps],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_ctrl_c_ends_a_run_at_a_step_with_130(tmp_path: Path) -> None:
    run = tmp_path / "run"
    arguments = [*TINY, "--epochs", "1000", "--out", str(run)]
    with subprocess.Popen([*PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        # The first line comes before a handler is there; the progress of an epoch comes after.
        lines = iter(child.stdout.readline, "")
        assert any("epoch" in line for line in lines)
        child.send_signal(signal.SIGINT)
        said = child.stdout.read()
        assert child.wait() == 130, said
    assert f"ane-trainer train --resume {run}" in said


def test_ctrl_c_ends_what_has_no_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    from ane_trainer import program

    found = []
    monkeypatch.setattr(program, "cli", lambda *arguments: found.append(signal.getsignal(signal.SIGINT)) or 0)
    before = signal.getsignal(signal.SIGINT)
    try:
        assert program.main() == 0
    finally:
        signal.signal(signal.SIGINT, before)
    assert found == [signal.SIG_DFL]
