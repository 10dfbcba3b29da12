"""Models go out of Keras and weights come back, and what is wrong is said with its place."""

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

Json = dict[str, Any]
Ask = Callable[..., Json]
ModelFile = Callable[[str], Path]

SETTINGS: Json = {"do": "export", "seed": 3, "batch": 2, "examples": [1, 1, 3], "outputs": 2}

NET = """
def build(width=4, activation="relu"):
    print("this is stdout, which is the user's")
    model = keras.Sequential(
        [keras.Input((3,)), L.Dense(width, activation=activation), L.BatchNormalization(), L.Dense(2)]
    )
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model

ready = build(5)
number = 7

class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = L.Dense(2)

    def call(self, x):
        return self.dense(x)

def unbuilt():
    return keras.Sequential([L.Flatten(), L.Dense(10)])

def fails():
    raise RuntimeError("no luck")

def leaves():
    raise SystemExit(0)

def needs(classes):
    return build(classes)

def huber():
    model = keras.Sequential([keras.Input((3,)), L.Dense(2)])
    model.compile("sgd", keras.losses.Huber(delta=0.5))
    return model

def own_loss():
    model = keras.Sequential([keras.Input((3,)), L.Dense(2)])
    model.compile("sgd", lambda y, x: keras.ops.sum(x))
    return model
"""


@pytest.fixture
def model_file(tmp_path: Path) -> ModelFile:
    """Writes a file that defines models."""

    def write(text: str) -> Path:
        path = tmp_path / "my_model.py"
        path.write_text("import keras\nfrom keras import layers as L\n\n" + text)
        return path

    return write


def test_a_model_goes_out_and_its_weights_come_back(ask: Ask, model_file: ModelFile, tmp_path: Path) -> None:
    import keras

    out = tmp_path / "out"
    source = f"{model_file(NET)}:build(width=6)"
    result = ask(**SETTINGS, source=source, output=str(out))
    assert result["ok"], result
    assert result["framework"] == "keras"
    assert result["compile"]["optimizer"]["class_name"] == "Adam" or result["compile"]["optimizer"] == "adam"
    assert result["compile"]["loss"]["config"]["from_logits"] is True
    assert result["compile_error"] is None

    config = json.loads((out / "config.json").read_text())
    assert config["class_name"] == "Sequential"
    weights = load_file(out / "weights.safetensors")
    names = sorted(weights)
    assert [n.partition(".")[0] for n in names] == [str(i) for i in range(8)]
    assert weights[names[0]].shape == (3, 6)
    # The same seed gives the same weights.
    again = tmp_path / "again"
    ask(**SETTINGS, source=source, output=str(again))
    for a, b in zip(weights.values(), load_file(again / "weights.safetensors").values(), strict=True):
        assert np.array_equal(a, b)

    # Names may differ after the index.
    changed = {n.partition(".")[0] + ".other": w + 1 for n, w in weights.items()}
    save_file(changed, tmp_path / "trained.safetensors")
    trained = tmp_path / "trained.keras"
    request = {"config": str(out / "config.json"), "weights": str(tmp_path / "trained.safetensors")}
    assert ask(do="save", output=str(trained), **request)["ok"]
    loaded = keras.saving.load_model(trained, safe_mode=True)
    for i, w in enumerate(loaded.get_weights()):
        assert np.array_equal(w, weights[names[i]] + 1)
    # And that file goes out as well.
    result = ask(**SETTINGS, source=str(trained), output=str(tmp_path / "third"))
    assert result["ok"], result
    third = load_file(tmp_path / "third/weights.safetensors")
    assert [third[n].shape for n in sorted(third)] == [w.shape for w in loaded.weights]


def test_losses_are_said_with_their_settings(ask: Ask, model_file: ModelFile, tmp_path: Path) -> None:
    source = model_file(NET)
    result = ask(**SETTINGS, source=f"{source}:huber", output=str(tmp_path / "out"))
    assert result["compile"]["loss"]["config"]["delta"] == 0.5
    # A loss of one's own is no reason to refuse the model; whoever wants to use it finds out.
    result = ask(**SETTINGS, source=f"{source}:own_loss", output=str(tmp_path / "out"))
    assert result["ok"], result


def test_counters_need_not_come_back(ask: Ask, tmp_path: Path) -> None:
    import keras
    from keras import layers

    norm = layers.Normalization()
    norm.adapt(np.array([[1.0, 2.0], [3.0, 6.0]]))
    model = keras.Sequential([keras.Input((2,)), norm, layers.Dense(1)])
    path, out = tmp_path / "normal.keras", tmp_path / "out"
    model.save(path)
    assert ask(**SETTINGS, source=str(path), output=str(out))["ok"]
    weights = load_file(out / "weights.safetensors")
    counters = [n for n, w in weights.items() if w.dtype.kind == "i"]
    assert [n.partition(".")[0] for n in counters] == ["2"]
    save_file({n: w for n, w in weights.items() if n not in counters}, tmp_path / "w.safetensors")
    request = {"config": str(out / "config.json"), "weights": str(tmp_path / "w.safetensors")}
    saved = tmp_path / "saved.keras"
    assert ask(do="save", output=str(saved), **request)["ok"]
    x = np.array([[2.0, 5.0]])
    again = keras.saving.load_model(saved, safe_mode=True)
    assert np.array_equal(model.predict(x, verbose=0), again.predict(x, verbose=0))


def test_the_script_says_nothing_on_stdout_of_its_own(
    script: Path, model_file: ModelFile, tmp_path: Path
) -> None:
    request = tmp_path / "request.json"
    source = f"{model_file(NET)}:ready"
    request.write_text(json.dumps(SETTINGS | {"source": source, "output": str(tmp_path), "result": str(tmp_path / "result.json")}))
    run = subprocess.run([sys.executable, str(script), str(request)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout == "this is stdout, which is the user's\n"
    assert json.loads((tmp_path / "result.json").read_text())["ok"]


def test_a_model_that_was_never_built_takes_the_first_shape_that_fits(
    ask: Ask, model_file: ModelFile, tmp_path: Path
) -> None:
    source = f"{model_file(NET)}:unbuilt()"
    out = tmp_path / "out"
    request = SETTINGS | {"source": source, "output": str(out), "examples": [1, 28, 28]}
    result = ask(**request | {"outputs": 10})
    assert result["ok"], result
    assert json.loads((out / "config.json").read_text())["build_config"]["input_shape"] == [None, 28, 28, 1]
    (kernel, _) = load_file(out / "weights.safetensors").values()
    assert kernel.shape == (784, 10)
    refused = ask(**request | {"outputs": 7})
    assert refused["error"]["kind"] == "not_built"
    assert "gives (None, 10)" in refused["error"]["message"]


@pytest.mark.parametrize(
    ("name", "kind", "says"),
    [
        ("Missing", "no_name", "it defines Net, build"),
        ("number", "no_model", "is a int"),
        ("needs", "arguments", "classes"),
        ("build(depth=3)", "arguments", "depth"),
        ("build(width=open('x'))", "source", "literals"),
        ("build()()", "source", "neither a name nor a call"),
        ("build(", "source", "neither a name nor a call"),
        ("fails", "raised", "RuntimeError: no luck"),
        ("leaves", "raised", "SystemExit"),
        ("Net", "not_built", "never built"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(
    name: str, kind: str, says: str, ask: Ask, model_file: ModelFile, tmp_path: Path
) -> None:
    error = ask(**SETTINGS, source=f"{model_file(NET)}:{name}", output=str(tmp_path / "out"))["error"]
    assert error["kind"] == kind, error
    assert says in error["message"]
    if kind == "raised":
        line = NET[: NET.index(says.partition(":")[0])].count("\n") + 4
        assert error["where"].endswith(f"my_model.py:{line}")


def test_a_file_that_raises_is_named_with_its_line(ask: Ask, model_file: ModelFile, tmp_path: Path) -> None:
    path = model_file("x = 1\ny = x / 0\n")
    error = ask(**SETTINGS, source=f"{path}:build", output=str(tmp_path / "out"))["error"]
    assert (error["kind"], error["where"]) == ("raised", f"{path}:5")
    path = model_file("def (:\n")
    error = ask(**SETTINGS, source=f"{path}:build", output=str(tmp_path / "out"))["error"]
    assert (error["kind"], error["where"]) == ("raised", f"{path}:4")
    error = ask(**SETTINGS, source=f"{tmp_path}/none.py:build", output=str(tmp_path / "out"))["error"]
    assert error["kind"] == "no_file"


def test_files_that_are_no_models_are_refused(ask: Ask, tmp_path: Path) -> None:
    bad = tmp_path / "bad.keras"
    bad.write_bytes(b"nothing")
    error = ask(**SETTINGS, source=str(bad), output=str(tmp_path / "out"))["error"]
    assert error["kind"] == "not_loaded"
    with zipfile.ZipFile(bad, "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("metadata.json", "{}")
    error = ask(**SETTINGS, source=str(bad), output=str(tmp_path / "out"))["error"]
    assert error["kind"] == "not_loaded"


def test_code_in_a_saved_model_is_not_run(ask: Ask, tmp_path: Path) -> None:
    import keras
    from keras import layers

    mark = tmp_path / "mark"
    path = tmp_path / "lambda.keras"
    model = keras.Sequential([keras.Input((2,)), layers.Lambda(lambda x: x, output_shape=(2,))])
    model.save(path)
    error = ask(**SETTINGS, source=str(path), output=str(tmp_path / "out"))["error"]
    assert error["kind"] == "not_loaded"
    assert not mark.exists()


def test_weights_that_do_not_fit_change_nothing(ask: Ask, model_file: ModelFile, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert ask(**SETTINGS, source=f"{model_file(NET)}:build", output=str(out))["ok"]
    good = load_file(out / "weights.safetensors")
    file = tmp_path / "w.safetensors"

    def refused() -> str:
        request = {"config": str(out / "config.json"), "weights": str(file)}
        error = ask(do="save", output=str(tmp_path / "t.keras"), **request)["error"]
        assert error["kind"] == "weights", error
        assert not (tmp_path / "t.keras").exists()
        return str(error["message"])

    first = next(n for n in good if n.startswith("0."))
    save_file({n: w for n, w in good.items() if n != first}, file)
    assert "has no weight 0" in refused()
    save_file(good | {first: good[first].T.copy()}, file)
    assert "is [4, 3], the model's" in refused()
    save_file(good | {first: good[first].astype(np.int32)}, file)
    assert "is I32" in refused()
    for text in (b"", b"\xff" * 20, b"\x02" + b"\0" * 7 + b"[]", (out / "weights.safetensors").read_bytes()[:-4]):
        file.write_bytes(text)
        assert "cannot be read as safetensors" in refused()
