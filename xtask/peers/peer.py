"""What every benchmark peer shares: its images, its memory and the requests that it answers.

A driver starts a peer, reads one hello line, and then sends one JSON request per line on standard input. Each request
is answered by one JSON line on standard output, so that several peers can be measured in turn:

    {"op": "run", "steps": 200}  ->  {"images_per_second": 41234.5, "loss": 2.30, "peak_bytes": 73400320}

Nothing is warmed up in secret: a driver discards the first run. The loss is that of the last step. The peak is that of
resident memory since the images were loaded, less what was resident then; null where the system does not tell. A peer
ends at the end of its input.
"""

import argparse
import json
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

STD = 0.3081


def read_idx(path: Path) -> np.ndarray:
    """The unsigned bytes of a raw (not compressed) IDX file, in the shape that its header gives."""
    raw = path.read_bytes()
    if len(raw) < 4 or raw[:3] != b"\0\0\x08":
        raise ValueError(f"{path}: not an IDX file of unsigned bytes")
    rank = raw[3]
    shape = struct.unpack_from(f">{rank}I", raw, 4)
    return np.frombuffer(raw, dtype=np.uint8, offset=4 + 4 * rank).reshape(shape).copy()


class Memory:
    """The peak of this process's resident memory over what is resident when this is made, where Linux tells."""

    STATUS = Path("/proc/self/status")
    CLEAR = Path("/proc/self/clear_refs")

    def __init__(self) -> None:
        self.start: int | None = None
        try:
            # 5 sets the peak to what is resident now (proc(5)).
            self.CLEAR.write_text("5")
            self.start = self.read("VmRSS")
        except OSError:
            pass

    def read(self, field: str) -> int:
        lines = self.STATUS.read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field + ":"))

    def peak(self) -> int | None:
        """Bytes."""
        return None if self.start is None else self.read("VmHWM") - self.start


def arguments(description: str) -> argparse.ArgumentParser:
    """The command line that all peers have."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--model", default="784-512-512-10", help="layer sizes joined by dashes, or a model by name")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--images", type=Path, required=True, help="raw IDX file")
    parser.add_argument("--labels", type=Path, required=True, help="raw IDX file")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def load(options: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """Images [N, rows, columns] and labels [N], enough of them for a batch."""
    pixels, labels = read_idx(options.images), read_idx(options.labels)
    if len(labels) != len(pixels) or options.batch > len(pixels):
        sys.exit(f"{len(labels)} labels for images {pixels.shape} do not suit batches of {options.batch}")
    return pixels, labels


def answer(run: Callable[[int], float], memory: Memory, batch: int, line: str) -> dict[str, float | str | None]:
    """The reply to one request; a request that cannot be served is told why. `run` takes steps and gives a loss."""
    try:
        request = json.loads(line)
    except json.JSONDecodeError as error:
        return {"error": f"not JSON: {error}"}
    if not isinstance(request, dict) or request.get("op") != "run":
        return {"error": 'a request is {"op": "run", "steps": N}'}
    steps = request.get("steps")
    if type(steps) is not int or steps < 1:
        return {"error": "steps must be a whole number from 1 up"}
    start = time.perf_counter()
    loss = run(steps)
    seconds = time.perf_counter() - start
    return {"images_per_second": steps * batch / seconds, "loss": loss, "peak_bytes": memory.peak()}


def serve(hello: dict[str, object], run: Callable[[int], float], memory: Memory, batch: int) -> None:
    """Says hello and serves requests until the input ends."""
    print(json.dumps(hello), flush=True)
    for line in sys.stdin:
        if line.strip():
            print(json.dumps(answer(run, memory, batch, line)), flush=True)
