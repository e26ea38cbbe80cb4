"""Fresh processes that import the project, or a copy of it that a test may edit."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
COMMANDS = re.findall(r"^```sh\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


def first_command():
    """The words of the first command in the README, after the installation."""
    return COMMANDS[0].strip().split("&&")[-1].split()


def run(*command, cwd=None):
    """Runs Python in an empty folder with the project's luigi.cfg, so that no test sees or changes a user's results.

    `cwd` is a folder with a copy of the package and a luigi.cfg to use instead.
    """
    with tempfile.TemporaryDirectory() as empty:
        shutil.copy(ROOT / "luigi.cfg", empty)
        environment = {**os.environ, "PYTHONPATH": str(cwd or ROOT)}
        command = [sys.executable, *map(str, command)]
        return subprocess.run(command, cwd=cwd or empty, env=environment, capture_output=True, text=True, timeout=600, check=False)


def provenances(*flags, cwd=None):
    """The provenance of each stage by address, with its key, as a fresh process computes them."""
    code = (
        "import json, sys; from pipeline.commands.support.last_run import Run\n"
        "with Run.selected_by(sys.argv[1:]).stages() as stages:\n"
        "    print(json.dumps({stage.address: {**stage.provenance, 'key': stage.key} for stage in stages}))"
    )
    result = run("-B", "-c", code, *flags, cwd=cwd)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


# Computes provenances as `provenances` does, each time in a fork of this process, which has parsed the code once.
NURSERY = """
import json, os, sys
import pandas, sklearn.model_selection
import pipeline
from pipeline.commands.support.last_run import Run
from pipeline.store.keys.fingerprints import fingerprint

for name in ("Load", "Augment", "TrainBase", "TrainSpecialist", "LearningCurves", "Predict"):
    fingerprint(getattr(pipeline, name))
for line in sys.stdin:
    if not os.fork():
        with Run.selected_by(json.loads(line)).stages() as stages:
            print(json.dumps({stage.address: {**stage.provenance, "key": stage.key} for stage in stages}), flush=True)
        os._exit(0)
    if os.wait()[1]:
        print("null", flush=True)
"""


@contextlib.contextmanager
def nursery_of_provenances(cwd=None):
    """Yields a function that returns what `provenances` does, in a fraction of its time.

    The source files are read anew each time, so that edits of them count. Variables of the environment, versions of packages and the
    project's luigi.cfg are those of the beginning.
    """
    with tempfile.TemporaryDirectory() as empty:
        shutil.copy(ROOT / "luigi.cfg", empty)
        options = {"cwd": cwd or empty, "env": {**os.environ, "PYTHONPATH": str(cwd or ROOT)}, "text": True}
        with subprocess.Popen([sys.executable, "-B", "-c", NURSERY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options) as process:

            def computed(*flags):
                print(json.dumps(list(map(str, flags))), file=process.stdin, flush=True)
                found = json.loads(process.stdout.readline())
                assert found is not None, "the provenances could not be computed: see what the process wrote to standard error"
                return found

            yield computed
            process.stdin.close()


def changed(before, after):
    """Addresses of the stages whose keys differ."""
    assert list(before) == list(after)
    return {address for address in before if before[address]["key"] != after[address]["key"]}
