"""Fresh processes that import the project, or a copy of it that a test may edit."""

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


def changed(before, after):
    """Addresses of the stages whose keys differ."""
    assert list(before) == list(after)
    return {address for address in before if before[address]["key"] != after[address]["key"]}
