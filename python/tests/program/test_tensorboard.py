"""The event files of a run, as TensorBoard reads them."""

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TRAIN = ["--model", "784-16-10", "--batch", "1000", "--epochs", "3", "--device", "software", "--checkpoint-every", "10"]


def train(*arguments: str, crash: str | None = None) -> None:
    """A training that ends well, or where the run is told to crash."""
    environment = os.environ | ({} if crash is None else {"ANE_TRAINER_CRASH": crash})
    command = [sys.executable, "-m", "ane_trainer.program", "train", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode == 0) == (crash is None), done.stderr


def scalars(directory: Path) -> dict[str, dict[int, float]]:
    """What TensorBoard keeps, by tag and step; a step that it keeps twice is an error."""
    from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator

    found = EventAccumulator(str(directory), size_guidance={SCALARS: 0})
    found.Reload()
    kept = {}
    for tag in found.Tags()["scalars"]:
        events = found.Scalars(tag)
        kept[tag] = {event.step: event.value for event in events}
        assert len(kept[tag]) == len(events), tag
    return kept


def table(run: Path) -> dict[str, dict[int, float]]:
    """The metrics of a run as its events should have them."""
    import numpy as np

    with (run / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    columns: dict[str, dict[int, float]] = {}
    for row in rows:
        for name, text in row.items():
            tag = name.replace("train_", "train/").replace("validation_", "validation/")
            if name != "step" and text:
                columns.setdefault(tag, {})[int(row["step"])] = float(np.float32(text))
    return columns


def must_agree(events: dict[str, dict[int, float]], run: Path) -> None:
    """The events of a run are its table."""
    columns = table(run)
    assert len(columns["train/loss"]) == 3
    for tag, values in columns.items():
        assert events[tag] == values, tag


@pytest.mark.full
def test_event_files_have_the_values_of_the_table(tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(*TRAIN, "--out", str(run))
    events = scalars(run / "tensorboard")
    must_agree(events, run)
    assert len(events["step/loss"]) == 3 * 55
    assert min(events["time/engine_ms"].values()) > 0


@pytest.mark.full
def test_a_resumed_run_has_every_step_once(tmp_path: Path) -> None:
    run = tmp_path / "run"
    # Some steps after the second epoch are taken twice.
    train(*TRAIN, "--out", str(run), crash="write:30")
    assert len(table(run)["train/loss"]) < 3
    train("--resume", str(run), "--checkpoint-every", "10")
    assert len(list((run / "tensorboard").iterdir())) == 2
    events = scalars(run / "tensorboard")
    must_agree(events, run)
    assert sorted(events["step/loss"]) == list(range(1, 3 * 55 + 1))


@pytest.mark.full
def test_a_run_that_goes_on_elsewhere_brings_its_earlier_epochs_along(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    train(*TRAIN, "--out", str(first), crash="write:30")
    train("--resume", str(first), "--out", str(second))
    must_agree(scalars(second / "tensorboard"), second)


@pytest.mark.full
def test_a_file_that_is_being_written_is_read_up_to_its_last_whole_event(tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(*TRAIN, "--out", str(run))
    [file] = (run / "tensorboard").iterdir()
    whole = file.read_bytes()
    expected = scalars(run / "tensorboard")
    for name, end in [("head", len(whole) - 1), ("body", len(whole) - 40), ("half", len(whole) // 2)]:
        directory = tmp_path / name
        directory.mkdir()
        shutil.copy(file, directory)
        (directory / file.name).write_bytes(whole[:end])
        events = scalars(directory)
        assert events["train/loss"], name
        for tag, values in events.items():
            assert values.items() <= expected[tag].items(), (name, tag)
