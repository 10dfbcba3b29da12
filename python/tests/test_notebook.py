"""The notebook runs from top to bottom and draws what it promises."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).resolve().parents[2] / "examples" / "mnist.ipynb"


def test_the_notebook_is_kept_without_results() -> None:
    cells = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    assert cells
    assert [cell["id"] for cell in cells if cell["outputs"] or cell["execution_count"] is not None] == []


def texts(outputs: list[Any]) -> str:
    return "".join(output.get("text", "") for output in outputs)


@pytest.mark.full
def test_the_notebook_trains_and_draws_its_curves(tmp_path: Path) -> None:
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = {cell["id"]: cell["outputs"] for cell in notebook.cells if cell.cell_type == "code"}
    for name, least in (("data", (600, 80)), ("curves", (800, 280))):
        (image,) = [o["data"]["image/png"] for o in outputs[name] if "image/png" in o.get("data", {})]
        png = base64.b64decode(image)
        (tmp_path / f"{name}.png").write_bytes(png)
        # Width and height are the first words of a PNG's first chunk.
        width, height = int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")
        assert png.startswith(b"\x89PNG") and width >= least[0] and height >= least[1], (name, width, height)
    last = texts(outputs["training"]).strip().splitlines()[-1]
    assert last.startswith("epoch 3: ") and float(last.split()[-2]) > 97.5, last
    assert "100.0 % of the products' work on the engine" in texts(outputs["placement"])
