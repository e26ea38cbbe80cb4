"""examples/tour.ipynb, executed with small parameters, and the nets that it trains."""

import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from fresh import ROOT

from pipeline.keypoints.kaggle import KAGGLE

NOTEBOOK = ROOT / "examples" / "tour.ipynb"
NEEDED = ("ipykernel", "nbclient", "nbformat")
# What follows the cell with the parameters, and what follows the notebook: the nets predict the same images in other ways.
SMALL = "FACES, NEW = 60, 6\nEPOCHS, LAST = 1, 1"
AFTER = """
from pipeline import commands

paths = [FOLDER / name for name in names[FACES:]]
table.to_csv("files.csv")
nets.predict(drawn.images[FACES:]).to_csv("arrays.csv")
(artifact,) = made("submissions/predictions-*.h5")
kp.load_nets([small, small]).predict(paths).to_csv("twice.csv")
kp.load_nets(small).predict(paths).to_csv("once.csv")
flags = [f"--nets={artifact}", f"--dataset-path={FOLDER}", f"--workspace-root={WORKSPACE}"]
assert commands.main(["annotate", *map(str, paths), "--out", "annotated", *flags]) == 0
"""
# Small nets that are compiled fast. The images have 96 x 96 pixels.
SETTINGS = """
[Load]
side = 48
[TrainBase]
filters = 0.5
optimizer = adamw
[TrainSpecialist]
optimizer = adamw
"""
EXECUTE = """
import sys, nbclient, nbformat

book = nbformat.read(sys.argv[1], 4)
try:
    nbclient.NotebookClient(book, timeout=500, kernel_name="python3").execute()
finally:
    nbformat.write(book, sys.argv[1])
"""


def source(cell):
    """The text of a cell."""
    return "".join(cell["source"])


@pytest.fixture(scope="module")
def tour(tmp_path_factory):
    """The folder in which the notebook has been executed, and its cells with their outputs."""
    if lacking := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        pytest.skip(f"{', '.join(lacking)} of the extra `test` are not installed")
    folder, book = tmp_path_factory.mktemp("tour"), json.loads(NOTEBOOK.read_text())
    (folder / "luigi.cfg").write_text((ROOT / "luigi.cfg").read_text() + SETTINGS)
    place = next(number for number, cell in enumerate(book["cells"]) if "parameters" in cell["metadata"].get("tags", ()))
    added = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": []}
    book["cells"].insert(place + 1, {**added, "id": "small", "source": SMALL})
    book["cells"].append({**added, "id": "after", "source": AFTER})
    (folder / "tour.ipynb").write_text(json.dumps(book))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "IPYTHONDIR": str(folder), "JUPYTER_RUNTIME_DIR": str(folder / "runtime")}
    command = [sys.executable, "-c", EXECUTE, str(folder / "tour.ipynb")]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=580, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder, json.loads((folder / "tour.ipynb").read_text())["cells"]


def test_the_notebook_is_stored_without_outputs():
    """Outputs differ between machines and hide what a change of the notebook changes."""
    for cell in json.loads(NOTEBOOK.read_text())["cells"]:
        if cell["cell_type"] == "code":
            assert (cell["execution_count"], cell["outputs"]) == (None, [])


@pytest.mark.slow
def test_every_step_of_the_tour_shows_something(tour):
    """No command of the notebook fails, and there are seven pictures: samples, curves, filters, layers, comparison, faces, errors."""
    _, cells = tour
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    text = "".join("".join(output.get("text", ())) for output in outputs)
    assert "60 labelled instances; the first is in 0000.png, (96, 96) pixels" in text
    assert "px on 6 faces that the nets have never seen" in text
    assert "Traceback" not in text
    assert "keypoints: " not in text  # the beginning of the sentence that a failed command prints
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 7


@pytest.mark.slow
def test_trained_nets_predict_what_annotate_writes(tour):
    """Files, arrays and ensembles of equal nets give the same values, which are those of `keypoints annotate` and of Predict."""
    folder, _ = tour
    files, arrays, once, twice = (pd.read_csv(folder / f"{name}.csv") for name in ("files", "arrays", "once", "twice"))
    columns = list(KAGGLE.columns)
    annotated = pd.read_csv(folder / "annotated" / "keypoints.csv")
    assert files["image"].tolist() == annotated["photo"].tolist()
    np.testing.assert_array_equal(files[columns].round(2), annotated[columns])
    np.testing.assert_array_equal(arrays[columns], files[columns])
    np.testing.assert_allclose(twice[columns], once[columns], atol=1e-4)
    (path,) = (folder / "tour" / "work" / "submissions").glob("predictions-*.csv")
    # In a CSV table, an integer is the centre of a pixel.
    predicted = pd.read_csv(path)[["x", "y"]].to_numpy().reshape(len(files), -1) + 0.5
    np.testing.assert_allclose(files[columns], predicted, atol=0.01)
