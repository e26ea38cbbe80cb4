"""What a run takes from its environment, and that nothing else of it changes a result."""

import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from pipeline import environment
from pipeline.errors import InputError
from pipeline.results import curves, experiment_figure, feature_maps, style
from pipeline.store.run.targets import expanded

ROOT = Path(__file__).parent.parent
# Seconds that a process may take on a busy machine before the test gives up.
PATIENCE = 120


def python(code, *, cwd, **variables):
    """Runs code in a process of its own; a variable that is None is removed."""
    kept = {name: value for name, value in os.environ.items() if name not in variables} | {"PYTHONPATH": str(ROOT)}
    kept |= {name: value for name, value in variables.items() if value is not None}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=cwd, env=kept, capture_output=True, text=True, timeout=PATIENCE, check=False)


# Figures


def two_trainings():
    return curves.two_trainings(("a", "b"), [(np.array([3.0, 2.0]), np.array([4.0, 3.0]))] * 2)


def learning_curves():
    rmse = np.array([[3.0, 2.0], [2.0, 1.5]])
    content = curves.Curves(
        np.array(["base", "nose"]), np.array([30, 2], np.int32), np.array([1, 2], np.int32), rmse, rmse + 1, rmse[1], rmse[1] + 1
    )
    return curves.learning_curves(content)


def filters():
    return feature_maps.filters("TrainBase@0", "stem", np.linspace(-1, 1, 75).reshape(5, 5, 3))


def page_picture():
    figure = Figure()
    picture = style.picture("a", "b", lambda drawn, theme: drawn.subplots().plot([1, 2], color=theme.colours[0]))
    figure.text(0, 0, picture.light + picture.dark)
    return picture


@pytest.mark.parametrize("draw", [two_trainings, learning_curves, filters, page_picture])
def test_figures_are_drawn_with_our_own_settings_alone(draw, tmp_path):
    """A user's matplotlibrc with other fonts, colours, sizes and TeX gives the same bytes, and applies again afterwards."""

    def drawn():
        figure = draw()
        if not isinstance(figure, Figure):
            return figure
        style.save_png(figure, tmp_path / "a.png")
        return (tmp_path / "a.png").read_bytes()

    plain = drawn()
    hostile = {
        "text.usetex": True,
        "font.size": 30,
        "axes.facecolor": "pink",
        "lines.linewidth": 9,
        "savefig.bbox": "tight",
        "image.cmap": "jet",
    }
    with matplotlib.rc_context(hostile):
        assert drawn() == plain
        assert {name: matplotlib.rcParams[name] for name in hostile} == hostile


def test_every_function_that_returns_a_figure_uses_our_own_settings():
    """A figure is drawn with the settings at the time when its parts are made, not only with those when it is saved."""
    made = [curves.learning_curves, curves.two_trainings, experiment_figure.compared, feature_maps.filters, feature_maps.activations]
    sources = [line for path in (ROOT / "pipeline" / "results").glob("*.py") for line in path.read_text().split("\n\n\n")]
    returning = [text for text in sources if ") -> Figure:" in text]
    assert len(returning) == len(made)
    assert all(text.startswith("@own_settings()\ndef ") for text in returning)


def test_a_notebooks_backend_is_not_used(tmp_path):
    """MPLBACKEND may name a module that exists only in the environment of the notebook, and matplotlibrc may name another backend."""
    (tmp_path / "matplotlibrc").write_text("backend: TkAgg\ntext.usetex: True\n")
    code = (
        "import os; from pipeline.results import style; import matplotlib, matplotlib.pyplot;"
        "print(matplotlib.get_backend().lower(), os.environ['MPLBACKEND'])"
    )
    notebook = "module://matplotlib_inline.backend_of_another_environment"
    result = python(code, cwd=tmp_path, MPLBACKEND=notebook)
    assert (result.stdout, result.stderr) == (f"agg {notebook}\n", "")


# Keras


def no_backend_named(monkeypatch, home):
    """KERAS_BACKEND is not set, and the home folder is `home`."""
    for name in ("KERAS_BACKEND", "KERAS_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))


@pytest.mark.parametrize("text", ["{", "[]", "null", '{"backend": 3}', '{"backend": ""}', "{}", "\xff" * 9, None])
def test_a_keras_json_that_names_no_backend(text, tmp_path, monkeypatch):
    """A file that is missing, damaged or of another shape means TensorFlow."""
    no_backend_named(monkeypatch, tmp_path)
    (tmp_path / ".keras").mkdir()
    if text is not None:
        (tmp_path / ".keras" / "keras.json").write_text(text, encoding="latin-1")
    assert environment.backend() == ("tensorflow", "the default")


def test_an_unusable_backend_is_one_sentence(tmp_path, monkeypatch):
    """It names the variable or the file, before Keras is imported."""
    no_backend_named(monkeypatch, tmp_path)
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".keras" / "keras.json").write_text('{"backend": "theano", "image_data_format": "channels_first"}')
    with pytest.raises(InputError, match=r"/\.keras/keras\.json names the backend 'theano', which cannot train here\. Set KERAS_BACKEND"):
        environment.check_backend()
    monkeypatch.setenv("KERAS_BACKEND", "numpy")
    with pytest.raises(InputError, match=r"^KERAS_BACKEND names the backend 'numpy', which cannot train here"):
        environment.check_backend()
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    monkeypatch.setattr(environment.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"^KERAS_BACKEND names the backend torch, which is not installed"):
        environment.check_backend()


def test_no_home_is_needed(monkeypatch):
    """A container may run under a user number without a name and without HOME."""
    no_backend_named(monkeypatch, "/nowhere")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000)
    assert environment.keras_home() is None
    assert environment.backend().name == "tensorflow"
    assert str(expanded("data", "--dataset-path")) == "data"
    with pytest.raises(InputError, match=r"^--workspace-root ~/faces: no home folder is known\. Write the path in full\.$"):
        expanded("~/faces", "--workspace-root")


@pytest.mark.keras
def test_other_programs_settings_of_keras_do_not_count(tmp_path):
    """An old keras.json and variables that limit a training are without effect, and the home folder is left as it is."""
    (tmp_path / ".keras").mkdir()
    settings = '{"floatx": "float16", "epsilon": 1, "backend": "tensorflow", "image_data_format": "channels_first"}'
    (tmp_path / ".keras" / "keras.json").write_text(settings)
    code = (
        "from pipeline.nets import device; device.prepare(seed=0, threads=0); from keras import config\n"
        "print(config.floatx(), config.image_data_format(), config.epsilon(), config.dtype_policy().name, config.max_epochs())"
    )
    result = python(
        code, cwd=tmp_path, HOME=str(tmp_path), KERAS_HOME=None, KERAS_BACKEND=None, KERAS_MAX_EPOCHS="1", MPLBACKEND="nonsense"
    )
    assert (result.stdout, result.stderr) == ("float32 channels_last 1e-07 float32 None\n", "")
    assert [path.name for path in tmp_path.glob(".keras/*")] == ["keras.json"]


@pytest.mark.parametrize(
    ("ending", "code", "said"),
    [
        ("os.abort()", -6, "The backend of Keras ended this process while it started. It wrote:\nno memory for 3 threads\n"),
        ("raise ImportError('no room')", 1, "InputError: The backend tensorflow (KERAS_BACKEND) does not start: no room. Run `keypoints"),
    ],
)
def test_a_backend_that_dies_while_it_starts(tmp_path, ending, code, said):
    """What it wrote is shown, although it is hidden when the start succeeds."""
    (tmp_path / "keras.py").write_text(f"import os\nos.write(2, b'no memory for 3 threads\\n')\n{ending}\n")
    (tmp_path / "start.py").write_text("from pipeline.nets import device\ndevice.prepare(seed=0, threads=0)\n")
    path = f"{tmp_path}{os.pathsep}{ROOT}"
    result = python("import start", cwd=tmp_path, PYTHONPATH=path, KERAS_BACKEND="tensorflow")
    assert result.returncode == code
    assert said in result.stderr
