"""Shared libraries in the ELF format of 64-bit Linux: what one asks for, and the smallest that answers it.

The names of the format's tables and fields are those of elf(5).
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MAGIC = b"\x7fELF\x02\x01"

HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
SECTION = struct.Struct("<IIQQQQIIQQ")
SEGMENT = struct.Struct("<IIQQQQQQ")
SYMBOL = struct.Struct("<IBBHQQ")
PAIR = struct.Struct("<QQ")
VERNEED = struct.Struct("<HHIII")
VERNAUX = struct.Struct("<IHHII")
VERDEF = struct.Struct("<HHHHIII")
VERDAUX = struct.Struct("<II")

SHT_DYNAMIC, SHT_DYNSYM, SHT_VERNEED, SHT_VERSYM = 6, 11, 0x6FFFFFFE, 0x6FFFFFFF
DT_NEEDED, DT_HASH, DT_STRTAB, DT_SYMTAB, DT_STRSZ, DT_SYMENT, DT_SONAME = 1, 4, 5, 6, 10, 11, 14
DT_VERSYM, DT_VERDEF, DT_VERDEFNUM = 0x6FFFFFF0, 0x6FFFFFFC, 0x6FFFFFFD
PT_LOAD, PT_DYNAMIC, PT_GNU_STACK = 1, 2, 0x6474E551
STB_GLOBAL = 1
EM_X86_64, EM_AARCH64 = 62, 183

# Larger pages than any of these machines has, so that segments lie on pages of their own.
PAGE = 0x10000


@dataclass(frozen=True)
class Wanted:
    """A symbol that a library expects of others, with the version and the library it is expected from, if it says."""

    name: str
    version: str | None
    library: str | None


class Library:
    """A shared library that is read."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        header = HEADER.unpack_from(self._bytes)
        self.machine: int = header[2]
        start, size, count = header[6], header[11], header[12]
        self._sections = [SECTION.unpack_from(self._bytes, start + size * i) for i in range(count)]

    @staticmethod
    def is_one(path: Path) -> bool:
        """Whether a file is of this format at all."""
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC

    def needed(self) -> list[str]:
        """The libraries that are loaded before it, by name."""
        names = []
        for table, strings in self._tables(SHT_DYNAMIC):
            for tag, value in PAIR.iter_unpack(table):
                if tag == DT_NEEDED:
                    names.append(_text(strings, value))
        return names

    def wanted(self) -> Iterator[Wanted]:
        """The symbols that it cannot do without and does not have."""
        versions = self._versions()
        for (name, info, _, section, _, _), version, strings in self._symbols():
            if section == 0 and info >> 4 == STB_GLOBAL:
                named, library = versions.get(version, (None, None))
                yield Wanted(_text(strings, name), named, library)

    def defined(self) -> Iterator[str]:
        """The names of the symbols that it has."""
        for (name, _, _, section, _, _), _, strings in self._symbols():
            if section != 0:
                yield _text(strings, name)

    def _symbols(self) -> Iterator[tuple[tuple[int, ...], int, bytes]]:
        """Each symbol, the index of its version, and the strings that its name is among."""
        indices = [struct.unpack(f"<{len(table) // 2}H", table) for table, _ in self._tables(SHT_VERSYM)]
        for table, strings in self._tables(SHT_DYNSYM):
            versions = indices[0] if indices else (1,) * (len(table) // SYMBOL.size)
            for symbol, version in zip(SYMBOL.iter_unpack(table), versions):
                yield symbol, version & 0x7FFF, strings

    def _versions(self) -> dict[int, tuple[str, str]]:
        """Version and library by the index that symbols have."""
        found = {}
        for table, strings in self._tables(SHT_VERNEED):
            at = 0
            while True:
                _, count, library, auxiliary, further = VERNEED.unpack_from(table, at)
                place = at + auxiliary
                for _ in range(count):
                    _, _, index, name, following = VERNAUX.unpack_from(table, place)
                    found[index & 0x7FFF] = (_text(strings, name), _text(strings, library))
                    place += following
                if further == 0:
                    break
                at += further
        return found

    def _tables(self, kind: int) -> Iterator[tuple[bytes, bytes]]:
        """The sections of a kind, each with the strings that it refers to."""
        for section in self._sections:
            if section[1] == kind:
                yield self._content(section), self._content(self._sections[section[6]])

    def _content(self, section: tuple[int, ...]) -> bytes:
        return self._bytes[section[4] : section[4] + section[5]]


def _text(strings: bytes, at: int) -> str:
    return strings[at : strings.index(b"\0", at)].decode()


def returns(machine: int, value: int) -> bytes:
    """The code of a function that returns a small number and does nothing else."""
    if machine == EM_X86_64:
        return b"\xb8" + struct.pack("<I", value) + b"\xc3"
    if machine == EM_AARCH64:
        return struct.pack("<II", 0x52800000 | value << 5, 0xD65F03C0)
    raise ValueError(f"no code is known for the machine with the ELF number {machine}")


def name_hash(name: str) -> int:
    """The hash by which symbols and versions are found."""
    value = 0
    for byte in name.encode():
        value = (value << 4) + byte
        value = (value ^ (value & 0xF0000000) >> 24) & 0x0FFFFFFF
    return value


def library(machine: int, soname: str, functions: list[tuple[str, str | None]], code: bytes) -> bytes:
    """A shared library in which each function, a name and its version, is the same code."""
    strings = _Strings()
    own_name = strings.place(soname)
    versions = sorted({version for _, version in functions if version is not None})
    definitions = _definitions(strings, [soname, *versions])
    symbols = [bytes(SYMBOL.size)]
    indices = [0]
    text_at = HEADER.size + 4 * SEGMENT.size
    for name, version in functions:
        symbols.append(SYMBOL.pack(strings.place(name), STB_GLOBAL << 4 | 2, 0, 1, text_at, len(code)))
        indices.append(1 if version is None else 2 + versions.index(version))

    tables = [
        (DT_HASH, _hash_table([name for name, _ in functions])),
        (DT_SYMTAB, b"".join(symbols)),
        (DT_STRTAB, bytes(strings.bytes)),
    ]
    if versions:
        tables += [(DT_VERSYM, struct.pack(f"<{len(indices)}H", *indices)), (DT_VERDEF, definitions)]
    body = bytearray(code)
    dynamic = [(DT_SONAME, own_name), (DT_STRSZ, len(strings.bytes)), (DT_SYMENT, SYMBOL.size)]
    for tag, table in tables:
        body += bytes(-(text_at + len(body)) % 8)
        dynamic.append((tag, text_at + len(body)))
        body += table
    if versions:
        dynamic.append((DT_VERDEFNUM, 1 + len(versions)))
    dynamic.append((0, 0))

    end = text_at + len(body)
    dynamic_at = end + -end % PAGE
    entries = b"".join(PAIR.pack(*entry) for entry in dynamic)
    size = len(entries)
    read, write, execute = 4, 2, 1
    segments = [
        (PT_LOAD, read | execute, 0, 0, 0, end, end, PAGE),
        (PT_LOAD, read | write, dynamic_at, dynamic_at, dynamic_at, size, size, PAGE),
        (PT_DYNAMIC, read | write, dynamic_at, dynamic_at, dynamic_at, size, size, 8),
        # Without this, the stack of the whole process is made executable.
        (PT_GNU_STACK, read | write, 0, 0, 0, 0, 0, 16),
    ]
    shared_object = 3
    header = HEADER.pack(
        MAGIC + b"\x01", shared_object, machine, 1, 0, HEADER.size, 0, 0,
        HEADER.size, SEGMENT.size, len(segments), SECTION.size, 0, 0,
    )  # fmt: skip
    head = header + b"".join(SEGMENT.pack(*segment) for segment in segments) + bytes(body)
    return head + bytes(dynamic_at - end) + entries


class _Strings:
    """A table of strings that is filled."""

    def __init__(self) -> None:
        self.bytes = bytearray(1)

    def place(self, text: str) -> int:
        at = len(self.bytes)
        self.bytes += text.encode() + b"\0"
        return at


def _definitions(strings: _Strings, names: list[str]) -> bytes:
    """The table of versions: the first is the library itself."""
    table = b""
    size = VERDEF.size + VERDAUX.size
    for i, name in enumerate(names):
        further = size if i + 1 < len(names) else 0
        table += VERDEF.pack(1, 1 if i == 0 else 0, i + 1, 1, name_hash(name), VERDEF.size, further)
        table += VERDAUX.pack(strings.place(name), 0)
    return table


def _hash_table(names: list[str]) -> bytes:
    """Buckets of chains of symbols, whose numbers begin at 1."""
    buckets = [0] * max(1, len(names))
    chains = [0] * (1 + len(names))
    for number, name in enumerate(names, start=1):
        bucket = name_hash(name) % len(buckets)
        chains[number] = buckets[bucket]
        buckets[bucket] = number
    numbers = [len(buckets), len(chains), *buckets, *chains]
    return struct.pack(f"<{len(numbers)}I", *numbers)
