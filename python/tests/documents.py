"""Code blocks of the documents, as a reader pastes them."""

from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
FENCE = "```"


class Block(NamedTuple):
    """A block between fences: the document it is in, the line of its first fence, its heading and its text."""

    document: str
    line: int
    heading: str
    text: str


def blocks(document: str, language: str) -> list[Block]:
    """The blocks of a language in a document of the tree, in order."""
    found = []
    heading, opened, lines = "", None, list[str]()
    for number, line in enumerate((ROOT / document).read_text().splitlines(), start=1):
        if opened is not None and line == FENCE:
            if opened[1] == language:
                found.append(Block(document, opened[0], heading, "\n".join(lines) + "\n"))
            opened = None
        elif opened is not None:
            lines.append(line)
        elif line.startswith(FENCE):
            opened, lines = (number, line.removeprefix(FENCE)), []
        elif line.startswith("#"):
            heading = line.lstrip("# ")
    assert opened is None, f"{document}: the block of line {opened} has no end"
    return found
