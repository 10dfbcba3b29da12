"""Lets a PyTorch that was built for CUDA be imported where CUDA's libraries are not installed.

Its wheel for Linux is linked with libraries of some gigabytes that nothing calls on a machine without such a GPU.
For each that is missing this writes a library of the same name beside PyTorch's own,
in which every function returns CUDA's error "no device", so that PyTorch finds no GPU and goes on.
Where nothing is missing, as on a Mac or with a PyTorch for processors alone, nothing is written.

Run it with the Python whose PyTorch is meant; no compiler is needed.
"""

from __future__ import annotations

import ctypes
import importlib.util
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import elf

# The families of libraries that CUDA is made of.
OF_CUDA = re.compile(r"lib(cu|nv|nccl)")

# cudaErrorNoDevice; the driver's CUDA_ERROR_NO_DEVICE is the same number.
NO_DEVICE = 100


def main() -> int:
    """Writes what is missing and tries the import; the exit code tells whether that went well."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        print("there is no PyTorch here", file=sys.stderr)
        return 1
    folder = Path(spec.origin).parent / "lib"
    written = write(folder)
    print(f"{len(written)} libraries of CUDA that are not here were stood in for: {', '.join(written) or 'none'}")
    return subprocess.run([sys.executable, "-c", "import torch"]).returncode


def write(folder: Path) -> list[str]:
    """Writes a library for each one of CUDA that those in the folder need and that cannot be loaded; their names."""
    paths = [path for path in sorted(folder.glob("*.so*")) if elf.Library.is_one(path)]
    libraries = [elf.Library(path) for path in paths]
    names = {name for library in libraries for name in library.needed()}
    missing = sorted(name for name in names if OF_CUDA.match(name) and not is_there(name, folder))
    if not missing:
        return []

    functions: dict[str, set[tuple[str, str | None]]] = defaultdict(set)
    of_no_version = set()
    for library in libraries:
        for symbol in library.wanted():
            if symbol.library in missing:
                functions[symbol.library].add((symbol.name, symbol.version))
            elif symbol.version is None:
                of_no_version.add(symbol.name)
    of_no_version -= {name for library in libraries for name in library.defined()}
    # Symbols without a version may be in any library; the interpreter brings those of Python itself.
    functions[missing[0]] |= {(name, None) for name in of_no_version if not re.match("_?Py", name)}

    machine = libraries[0].machine
    code = elf.returns(machine, NO_DEVICE)
    for name in missing:
        wanted = sorted(functions[name], key=str)
        (folder / name).write_bytes(elf.library(machine, name, wanted, code))
    return missing


def is_there(name: str, folder: Path) -> bool:
    """Whether a library is beside PyTorch's, in a package of CUDA's beside it, or found by the system."""
    if (folder / name).exists() or any(folder.parents[1].glob(f"nvidia/**/{name}")):
        return True
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
