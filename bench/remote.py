"""Measures runs of hosts that share only luigid and a remote store: the takeover of a training, the bytes, and the requests of a rerun.

    python bench/remote.py [--epochs 20] [--threads 1] [--folder FOLDER]

The store is S3 by moto on this host; the two hosts are folders, and their processes report different names. Both are asked for the base
net of the drawn faces. After its first checkpoint the one that trains it is killed with SIGKILL, and the other goes on from the store. A
third folder, without store and server, gives the bytes to compare with. Goals: a takeover within 25 s, equal bytes, no stage that is made
twice, and at most one request a stage when the finished run is repeated.

    python bench/remote.py --shared

does the same with one folder for both hosts and without a store.
"""

import argparse
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster import ROOT, luigid
from timing import goal

URL = "s3://bucket/work"
COMMAND = "import platform, sys; platform.node = lambda name=sys.argv.pop(1): name; from luigi.cmdline import luigi_run; luigi_run()"


def main() -> None:
    """Runs both hosts, and then the third."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=20, help="epochs of the base net (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="threads of each worker (default: %(default)s)")
    parser.add_argument("--shared", action="store_true", help="one folder for both hosts instead of a store")
    parser.add_argument("--folder", type=Path, help="an empty folder for everything that is written (default: a temporary one)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        measure((options.folder or Path(temporary)).absolute(), options)


def measure(folder: Path, options: argparse.Namespace) -> None:
    """Prints the takeover, the comparison of bytes, and the requests of a rerun."""
    flags = ["--dataset-path", "rendered", "--Augment-copies", "1", "--TrainBase-epochs", str(options.epochs)]
    flags += ["--checkpoint-seconds", "2", "--device-threads", str(options.threads)]
    with luigid() as port, store(folder) as requests:
        shared = ["--scheduler-port", str(port), *([] if options.shared else ["--workspace-remote", URL])]
        roots = [folder / ("both" if options.shared else name) for name in ("first", "second")]
        workers = [start(folder, name, root, [*flags, *shared]) for name, root in zip(("first", "second"), roots, strict=True)]
        trains = wait_for(folder, r"TrainBase: epoch \d")
        while not any(roots[trains].glob("models/*.checkpoint-*.h5")):
            time.sleep(0.1)
        time.sleep(1)  # it is uploaded
        killed = time.time()
        os.killpg(workers[trains].pid, signal.SIGKILL)
        other = ("first", "second")[1 - trains]
        wait_for(folder, "TrainBase: started", only=other)
        most = 20.0 if options.shared else 25.0
        goal("seconds until the other host took the training over", time.time() - killed, at_most=most)
        wait_for(folder, "TrainBase: resumes after epoch", only=other)
        print(f"seconds until it went on from the checkpoint, after the start of Keras: {time.time() - killed:.1f}")
        print(f"exit code of the other host: {workers[1 - trains].wait()}")
        made = [entry["stage"] for root in dict.fromkeys(roots) for entry in log(root) if entry.get("status") == "done"]
        goal("stages that were made twice", len(made) - len(set(made)), at_most=0)
        requests.clear()
        again = start(folder, other, roots[1 - trains], [*flags, *shared]).wait()
        print(f"exit code of the rerun: {again}; its requests: {requests.counted()}; stages: {len(set(made))}")
    start(folder, "third", folder / "third", flags).wait()
    digests = {root.name: digest(root) for root in (roots[1 - trains], folder / "third")}
    for name, value in digests.items():
        print(f"{name}: {value}")
    goal("base nets that differ", len(set(digests.values())) - 1, at_most=0)


class Requests:
    """The requests in the log of a store."""

    def __init__(self, path: Path):
        self.path, self.begin = path, 0

    def clear(self) -> None:
        """Forgets what has been requested so far."""
        self.begin = len(self.lines())

    def lines(self) -> list[str]:
        """All requests, one a line."""
        return [line for line in self.path.read_text().splitlines() if "HTTP/1.1" in line] if self.path.exists() else []

    def counted(self) -> dict[str, int]:
        """The number of requests since `clear`, by method."""
        methods = [line.split('"')[1].split()[0].removeprefix("\x1b[33m") for line in self.lines()[self.begin :]]
        return {method: methods.count(method) for method in sorted(set(methods))}


@contextmanager
def store(folder: Path) -> Iterator[Requests]:
    """Starts S3 with one bucket, and sets the variables with which clients reach it."""
    import boto3

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    os.environ |= {"AWS_ACCESS_KEY_ID": "somebody", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
    os.environ |= {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_EC2_METADATA_DISABLED": "true"}
    path = folder / "store.txt"
    with path.open("w") as output:
        server = subprocess.Popen([sys.executable, "-m", "moto.server", "-p", str(port)], stderr=output, stdout=output)
    try:
        while socket.socket().connect_ex(("127.0.0.1", port)):
            time.sleep(0.1)
        boto3.client("s3").create_bucket(Bucket="bucket")
        yield Requests(path)
    finally:
        server.kill()
        server.wait()


def start(folder: Path, name: str, root: Path, flags: list[str]) -> subprocess.Popen[bytes]:
    """A worker on a host of that name; what it says is appended to NAME.txt."""
    command = [sys.executable, "-c", COMMAND, name, "--module", "pipeline", "TrainBase", "--workspace-root", str(root), *flags]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LUIGI_CONFIG_PATH": str(ROOT / "luigi.cfg")}
    with (folder / f"{name}.txt").open("a") as output:
        return subprocess.Popen(command, cwd=folder, env=environment, stderr=output, stdout=output, start_new_session=True)


def wait_for(folder: Path, text: str, only: str = "") -> int:
    """Waits until a host has said something that a regular expression finds; returns which it was, 0 or 1."""
    while True:
        for number, name in enumerate(("first", "second")):
            path = folder / f"{name}.txt"
            if only in ("", name) and path.exists() and re.search(text, path.read_text()):
                return number
        time.sleep(0.1)


def log(root: Path) -> list[dict[str, str]]:
    """The lines of the run log of a workspace."""
    return [json.loads(line) for line in (root / "models" / "runs.jsonl").read_text().splitlines()]


def digest(root: Path) -> str:
    """The SHA-256 of the base net in a workspace."""
    (path,) = (path for path in root.glob("models/trainbase-*.h5") if path.name.count(".") == 1)
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
