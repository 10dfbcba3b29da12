"""A run of each model, exported."""

from functools import cache

import pytest
from exported_run import MODELS, STEPS, Run, program


@pytest.fixture(scope="session", params=MODELS)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of each model."""

    @cache
    def made(model: str) -> Run:
        folder = tmp_path_factory.mktemp(model) / "run"
        program("train", "--model", model, "--out", str(folder), *STEPS)
        run = Run(folder, model)
        run.export("safetensors")
        return run

    return made(request.param)
