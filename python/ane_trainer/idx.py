"""IDX, the format of MNIST's files: a magic number, sizes, then bytes; raw or gzip."""

import gzip
import io
import math
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

GZIP_MAGIC = b"\x1f\x8b"
"""The first bytes of gzip; no IDX file starts with them."""

MOST_BYTES = 1 << 30
"""Most values that are believed of a header: twenty times those of MNIST."""


def read_idx(path: Path, rank: int) -> npt.NDArray[np.uint8]:
    """The values of a file of unsigned bytes with `rank` sizes.

    Raises `RuntimeError` where the content is not exactly one such file, and `OSError` where it
    cannot be read.
    """
    with path.open("rb") as file:
        packed = file.peek(2)[:2] == GZIP_MAGIC
        if not packed:
            return _parse(path, file, rank)
        try:
            with gzip.open(file) as unpacked:
                return _parse(path, unpacked, rank)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise _damaged(path, f"the gzip stream is damaged: {error}") from error


def _parse(path: Path, file: BinaryIO | io.BufferedIOBase, rank: int) -> npt.NDArray[np.uint8]:
    header_bytes = 4 * (1 + rank)
    header = file.read(header_bytes)
    # The magic number comes first: another kind of file says more than one that is too short.
    magic = struct.pack(">HBB", 0, 8, rank)
    if len(header) >= 4 and header[:4] != magic:
        raise _damaged(
            path, f"expected the magic number 0x{magic.hex()}, found 0x{header[:4].hex()}"
        )
    if len(header) < header_bytes:
        raise _damaged(path, f"expected a header of {header_bytes} bytes, found {len(header)}")
    sizes = struct.unpack(f">{rank}I", header[4:])
    expected = math.prod(sizes)
    if not 0 < expected <= MOST_BYTES:
        raise _damaged(
            path, f"expected sizes with a product from 1 to {MOST_BYTES}, found {list(sizes)}"
        )
    # One byte too many is enough to know that there are more.
    values = file.read(expected + 1)
    if len(values) != expected:
        found = "more" if len(values) > expected else str(len(values))
        raise _damaged(
            path, f"expected {expected} bytes after the header of sizes {list(sizes)}, found {found}"
        )
    return np.frombuffer(values, dtype=np.uint8).reshape(sizes)


def _damaged(path: Path, what: str) -> RuntimeError:
    return RuntimeError(f"{path}: {what}; delete the file to have it fetched again")
