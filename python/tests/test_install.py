"""Installing the package from a checkout, as its users do."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from documents import ROOT, blocks


class Environment:
    """A fresh virtual environment."""

    def __init__(self, folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        self.folder = folder
        self.python = folder / "bin" / "python"
        self.variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        self.variables["PATH"] = os.pathsep.join([str(folder / "bin"), os.environ["PATH"]])
        self.variables["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"

    def output(self, script: str, within: Path) -> str:
        """What a line of a shell prints; it must succeed."""
        done = subprocess.run(["sh", "-c", script], cwd=within, env=self.variables, capture_output=True, text=True)
        assert done.returncode == 0, f"$ {script}\n{done.stdout}{done.stderr}"
        return done.stdout

    def packages(self) -> Path:
        """Where its packages lie."""
        (folder,) = self.folder.glob("lib/python*/site-packages")
        return folder

    def borrow(self) -> None:
        """Lends it PyTorch and Keras of the environment of the tests; what is installed in it comes first."""
        folders = [entry for entry in sys.path if any((Path(entry) / name).is_dir() for name in ("torch", "keras"))]
        (self.packages() / "borrowed.pth").write_text("".join(f"{folder}\n" for folder in folders))


FOUND = """
import sys, ane_trainer, ane_trainer._native
from importlib.metadata import entry_points
assert "torch" not in sys.modules and "keras" not in sys.modules
print(ane_trainer.__file__, [entry.name for entry in entry_points(group="torch_dynamo_backends")])
"""


@pytest.mark.full
def test_the_section_of_the_readme_works_as_pasted_in_a_fresh_environment(tmp_path: Path) -> None:
    (section,) = (block for block in blocks("README.md", "sh") if block.heading == "From Python")
    install, *programs = section.text.splitlines()
    assert install == "pip install ." and programs, section.text
    environment = Environment(tmp_path / "venv")
    environment.output(install, within=ROOT)
    (tmp_path / "found.py").write_text(FOUND)
    found = environment.output("python found.py", within=tmp_path)
    assert found.startswith(str(environment.packages())) and "'ane'" in found, found
    assert "software" in environment.output("ane-trainer devices", within=tmp_path)

    environment.borrow()
    # Beside a checkout's own examples, so that the data set is not left in the tree.
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    for program in programs:
        said = environment.output(program, within=tmp_path)
        last = said.splitlines()[-1].split()
        assert last[:2] == ["test", "accuracy"] and float(last[2]) > 96, said
    (code,) = (block for block in blocks("README.md", "python") if block.heading == "From Python")
    (tmp_path / "pasted.py").write_text(code.text)
    assert environment.output("python pasted.py", within=tmp_path).startswith("tensor(")
