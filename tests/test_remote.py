"""A remote store: hosts without a shared disk, here folders, share results and checkpoints through S3 (moto's) or a folder."""

import hashlib
import importlib
import json
import os
import signal
from pathlib import Path

import luigi
import pytest
from luigid import WORKERS, Luigid
from workplace import PATIENCE, forget_chainlet, until

from pipeline.commands import forget, status
from pipeline.commands.support import addresses
from pipeline.errors import InputError
from pipeline.store import remote
from pipeline.store.run import targets

pytest.importorskip("s3fs", reason="s3fs, of the extra cluster, is not installed")
pytest.importorskip("moto.server", reason="moto[server] is not installed")

import s3fs
from bucket import CREDENTIALS, Bucket, altered, failing

URL = "s3://bucket/work"
STAGES = ["Draw", "Guess", "Picture", "Scale", "Total"]
DENIED = failing("403 Forbidden", "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.")
FULL = failing("507 Insufficient Storage", "XMinioStorageFull", "Storage backend has reached its minimum free drive threshold.")


@pytest.fixture(scope="module")
def server():
    bucket = Bucket()
    yield bucket
    bucket.stop()


@pytest.fixture
def bucket(server, monkeypatch):
    """The store, empty; this process and those that it starts can reach it."""
    server.clear()
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": server.url}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    yield server
    s3fs.S3FileSystem.clear_instance_cache()


class Host:
    """A host with a disk of its own and a remote store."""

    def __init__(self, place, name, url=URL):
        self.place, self.root, self.url = place, place.root / name, url

    @property
    def flags(self):
        return ("--workspace-root", str(self.root), "--workspace-remote", self.url)

    def settle(self):
        """Makes this process one of this host, which knows nothing yet of the store."""
        config = luigi.configuration.get_config()
        config.set("workspace", "root", str(self.root))
        config.set("workspace", "remote", self.url)
        remote.opened.cache_clear()
        forget_chainlet()
        importlib.invalidate_caches()

    def build(self, task="Total", module="chainlet"):
        """Runs a task in this process."""
        self.settle()
        return luigi.build([getattr(importlib.import_module(module), task)()], local_scheduler=True, log_level="ERROR")

    def ran(self):
        """The stages that were made here, in order."""
        log = self.root / "models" / "runs.jsonl"
        entries = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return [entry["stage"] for entry in entries if entry.get("status") == "done"]

    def files(self):
        """The SHA-256 of each artifact and of the files published with it, by name."""
        paths = [path for path in self.root.glob("*/*-*") if path.suffix in (".h5", ".csv")]
        return {path.relative_to(self.root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


@pytest.fixture
def host(workplace):
    """A function that returns a host, given its name."""
    workplace.configure(WORKERS)
    yield lambda name, url=URL: Host(workplace, name, url)
    luigi.configuration.get_config().remove_section("workspace")
    remote.opened.cache_clear()


def stored(bucket):
    """The SHA-256 of each object of the store, by its name in a workspace."""
    return {name.removeprefix("work/"): hashlib.sha256(bucket.read(name)).hexdigest() for name in bucket.names()}


def stages():
    """The stages of the chain, once each."""
    return list({stage.address: stage for stage in importlib.import_module("chainlet").Total().needed_stages()}.values())


def name_of(bucket, start):
    """The one object whose name starts so."""
    (name,) = [name for name in bucket.names() if name.removeprefix("work/").startswith(start)]
    return name


# Results


def test_a_second_host_makes_nothing(bucket, host, capfd):
    """It fetches what it was asked for and nothing else, and all bytes are equal."""
    first, second = host("first"), host("second")
    assert first.build()
    assert stored(bucket) == first.files()
    assert second.build()
    assert second.ran() == []
    assert sorted(name.split("-")[0] for name in second.files()) == ["models/picture", "submissions/total"]
    assert second.files().items() <= first.files().items()
    assert "fetched from s3://bucket/work" in capfd.readouterr().err


def test_a_result_is_there_only_with_its_files(bucket, host):
    """A file that was published with an artifact is uploaded before it, fetched with it, and what a later stage needs is fetched for it."""
    first, second = host("first"), host("second")
    assert first.build("Scale")
    puts = [path.rpartition(".")[2] for method, path in bucket.requests if method == "PUT" and "scale" in path]
    assert puts == ["csv", "h5"]
    assert second.build()
    assert sorted(second.ran()) == ["Guess", "Picture", "Total"]
    assert second.files() == stored(bucket)


def test_a_folder_as_store(host, tmp_path):
    """Files appear there whole, under the names that they have in a workspace, and drafts do not stay."""
    url = f"file://{tmp_path}/store"
    first, second = host("first", url), host("second", url)
    assert first.build()
    assert second.build()
    assert second.ran() == []
    there = {path.relative_to(tmp_path / "store").as_posix() for path in (tmp_path / "store").rglob("*") if path.is_file()}
    assert there == first.files().keys()


def test_a_warm_rerun(bucket, host):
    """It asks the store once for each stage, and transfers nothing."""
    first = host("first")
    assert first.build()
    bucket.requests.clear()
    assert first.build()
    assert {method for method, _ in bucket.requests} == {"HEAD"}
    assert len(bucket.requests) == len(set(bucket.requests)) == len(STAGES)


def test_results_of_earlier_runs(bucket, host):
    """The first run with a store uploads what runs without one have made; the keys do not depend on the store."""
    first = host("first")
    first.url = ""
    assert first.build()
    assert bucket.names() == []
    first.url = URL
    assert first.build()
    assert stored(bucket) == first.files()
    assert sorted(first.ran()) == STAGES


def test_without_a_store(workplace):
    """Nothing of fsspec is imported, not even by a run."""
    code = "import atexit, sys; from luigi.cmdline import luigi_run; atexit.register(lambda: print('fsspec' in sys.modules)); "
    code += "sys.argv[1:3] = []; luigi_run(sys.argv[1:])"
    ended = workplace.run("Total", python=("-c", code))
    assert (ended.returncode, ended.stdout) == (0, "False\n"), ended.stderr


def test_forgotten_results(bucket, host, capsys, monkeypatch):
    """`keypoints forget` renames them in the store, too, so that the next run makes them again instead of fetching them."""
    first = host("first")
    assert first.build()
    before = first.files()
    first.settle()
    monkeypatch.setattr(forget.in_use, "needed_by", lambda *arguments: None)  # this process, which has just made them
    assert forget.run("Scale", stages()) == 0
    left = [name.split("/")[2].split("-")[0] for name in bucket.names() if name.endswith(".h5")]
    assert left == ["draw", "guess"]
    assert f"quarantined: {URL}/models/scale-" in capsys.readouterr().out
    assert first.build()
    assert sorted(first.ran()[len(STAGES) :]) == ["Picture", "Scale", "Total"]
    assert first.files() == before


def test_the_states_of_stages(bucket, host, capsys):
    """`keypoints status` tells what is in the store, and fetches nothing; a command that names a stage fetches its artifact."""
    first, second = host("first"), host("second")
    assert first.build()
    second.settle()
    assert status.run(stages()) == 0
    said = capsys.readouterr().out
    assert said.count(f"in {URL}; a run fetches it if it needs it") == len(STAGES)
    assert "A run would compute nothing" in said
    assert second.files() == {}
    assert addresses.locate("Guess", stages()).is_file()
    assert len(second.files()) == 1


# Several hosts at once, and hosts that die


def test_two_hosts_and_one_server(bucket, host, tmp_path_factory):
    """Two hosts that share nothing but luigid and the store make each stage once, and both exit with 0."""
    luigid = Luigid(tmp_path_factory.mktemp("luigid"))
    try:
        hosts = [host(name) for name in ("first", "second")]
        place = hosts[0].place
        workers = [place.start("Total", *each.flags, *luigid.flags, CHAINLET="Draw:wait") for each in hosts]
        until(lambda: luigid.workers() == 2 and (place.root / "waiting").exists())
        (place.root / "go").touch()
        for worker in workers:
            _, err = worker.communicate(timeout=PATIENCE)
            assert worker.returncode == 0, err
    finally:
        luigid.stop(signal.SIGKILL)
    assert sorted(hosts[0].ran() + hosts[1].ran()) == STAGES
    for each in hosts:
        assert each.files().items() <= stored(bucket).items()
    assert any("submissions/total" in name for name in hosts[0].files().keys() & hosts[1].files().keys())


def test_a_host_with_results_of_earlier_runs(bucket, host, tmp_path_factory):
    """In a shared run, they are in the store before others are told that they are done: another host that goes on with them has them."""
    luigid = Luigid(tmp_path_factory.mktemp("luigid"))
    try:
        first, second = host("first"), host("second")
        first.url = ""
        assert first.build("Draw")
        first.url = URL
        puts = []
        bucket.fault = lambda method, path: puts.append(luigid.rpc.task_list("DONE", "")) if method == "PUT" and "draw" in path else None
        place = first.place
        stopped = place.start("Scale", *first.flags, *luigid.flags, CHAINLET="Scale:wait")
        until(lambda: (place.root / "waiting").exists())
        other = place.start("Guess", *second.flags, *luigid.flags)
        _, err = other.communicate(timeout=PATIENCE)
        assert other.returncode == 0, err
        (place.root / "go").touch()
        _, err = stopped.communicate(timeout=PATIENCE)
        assert stopped.returncode == 0, err
    finally:
        luigid.stop(signal.SIGKILL)
    assert puts == [{}]
    assert second.ran() == ["Guess"]


def test_a_host_that_dies_in_the_middle_of_a_stage(bucket, host, capfd):
    """Another one goes on from the newest checkpoint in the store, with the same bytes; then the store has no checkpoints any more."""
    first, second, undisturbed = host("first"), host("second"), host("undisturbed", "")
    dying = first.place.run("--module", "chainlet.steps", "Climb", *first.flags, CHAINLET="Climb 4:kill")
    assert dying.returncode == -signal.SIGKILL
    assert [name.rpartition("-")[2] for name in bucket.names()] == ["0003.h5", "0004.h5"]
    assert second.build("Climb", "chainlet.steps")
    assert "resumes after step 4" in capfd.readouterr().err
    assert undisturbed.build("Climb", "chainlet.steps")
    assert second.files() == undisturbed.files() == stored(bucket)


def test_a_damaged_checkpoint(bucket, host, capfd):
    """The one before it is used."""
    first, second = host("first"), host("second")
    first.place.run("--module", "chainlet.steps", "Climb", *first.flags, CHAINLET="Climb 4:kill")
    newest = bucket.names()[-1]
    bucket.write(newest, altered(bucket.read(newest)))
    assert second.build("Climb", "chainlet.steps")
    assert "resumes after step 3" in capfd.readouterr().err


def test_a_host_that_dies_in_the_middle_of_an_upload(bucket, host):
    """Killed between a file and its artifact: for others the result is not there, and the same host uploads it later."""
    first, second = host("first"), host("second")
    process = first.place.start("Scale", *first.flags)

    def fault(method, path):
        if method == "PUT" and "scale" in path and path.endswith(".h5"):
            os.killpg(process.pid, signal.SIGKILL)
            return DENIED
        return None

    bucket.fault = fault
    process.communicate(timeout=PATIENCE)
    bucket.fault = lambda method, path: None
    assert process.returncode == -signal.SIGKILL
    assert sorted(name.split("-")[0].removeprefix("work/") for name in bucket.names()) == ["data/draw", "models/scale"]
    assert name_of(bucket, "models/scale").endswith(".csv")
    assert second.build()
    assert sorted(second.ran()) == ["Guess", "Picture", "Scale", "Total"]
    before = stored(bucket)
    assert first.build()
    assert first.ran() == ["Draw"]  # what follows was fetched; its own Scale, killed before its line in the log, was kept
    assert stored(bucket) == before
    assert first.files().items() <= before.items()


# A store that is away, full, or returns other bytes


@pytest.mark.parametrize("how", ["credentials", "no server", "no bucket"])
def test_a_store_that_cannot_be_used(bucket, host, how, monkeypatch):
    """If it does not answer the first time, the command ends with a sentence before anything is made."""
    first = host("first", URL if how != "no bucket" else "s3://nowhere/work")
    bucket.fault = lambda method, path: DENIED if how == "credentials" else None
    if how == "no server":
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    ended = first.place.run("Draw", *first.flags)
    assert ended.returncode == 30
    assert "Traceback" not in ended.stderr
    reason = {"credentials": "access is denied (Forbidden)", "no server": "Could not connect", "no bucket": "there is no such bucket"}[how]
    assert f"--workspace-remote {first.url} cannot be used: {reason}" in ended.stderr
    assert first.files() == {}


def test_a_store_that_becomes_unusable(bucket, host):
    """The run goes on and keeps its results, says that they may be missing in the store, and exits with 40; again, it uploads them."""
    first = host("first")
    bucket.fault = lambda method, path: DENIED if method == "PUT" and "draw" not in path else None
    ended = first.place.run("Total", *first.flags)
    assert ended.returncode == 40
    assert "Traceback" not in ended.stderr
    assert "could not be uploaded to s3://bucket/work: access is denied" in ended.stderr
    assert "4 results may be missing in s3://bucket/work: access is denied" in ended.stderr
    assert "the same command uploads what is missing" in ended.stderr
    assert sorted(first.ran()) == STAGES
    bucket.fault = lambda method, path: None
    assert first.build()
    assert len(first.ran()) == len(STAGES)
    assert stored(bucket) == first.files()


def test_a_store_that_is_full(bucket, host, capfd):
    """Checkpoints that it does not take do not stop a stage, and a result that it does not take is kept."""
    first = host("first")
    bucket.fault = lambda method, path: FULL if method == "PUT" else None
    with pytest.raises(InputError, match=r"1 result may be missing in s3://bucket/work: .*minimum free drive.*\. They are kept in"):
        first.build("Climb", "chainlet.steps")
    assert first.ran() == ["Climb"]
    assert capfd.readouterr().err.count("The stage goes on.") == 1
    assert bucket.names() == []
    bucket.fault = lambda method, path: None
    assert first.build("Climb", "chainlet.steps")
    assert stored(bucket) == first.files()


def test_a_folder_on_a_full_disk(host, tmp_path, monkeypatch):
    """No part of a file stays there."""
    from fsspec.implementations.local import LocalFileSystem

    def partly(self, path, there, **options):
        Path(there).write_bytes(Path(path).read_bytes()[:100])
        raise OSError(28, "No space left on device", there)

    monkeypatch.setattr(LocalFileSystem, "put_file", partly)
    with pytest.raises(InputError, match=r"1 result may be missing in file://.*: it has no space left\. They are kept"):
        host("first", f"file://{tmp_path}/store").build("Draw")
    assert [path for path in (tmp_path / "store").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("who", ["the client", "the digest"])
def test_bytes_that_are_damaged_on_the_way(bucket, host, who, capfd, monkeypatch):
    """They are fetched again, whether the client of the store notices it or the digest in the artifact does."""
    monkeypatch.setenv("AWS_RESPONSE_CHECKSUM_VALIDATION", "when_supported" if who == "the client" else "when_required")
    first, second = host("first"), host("second")
    assert first.build()
    s3fs.S3FileSystem.clear_instance_cache()
    bucket.requests.clear()
    total = name_of(bucket, "submissions/total")
    downloads = lambda: bucket.requests.count(("GET", f"/bucket/{total}"))  # noqa: E731
    bucket.fault = lambda method, path: altered if method == "GET" and downloads() == 1 and "total" in path else None
    assert second.build()
    assert downloads() == 2
    assert ("is damaged (its content does not agree with its checksum)" in capfd.readouterr().err) == (who == "the digest")
    assert second.ran() == []
    assert second.files().items() <= first.files().items()


@pytest.mark.parametrize("suffix", [".h5", ".csv"])
def test_bytes_that_are_damaged_in_the_store(bucket, host, suffix, capfd):
    """The artifact is renamed there, made again and uploaded again; nothing damaged gets into the workspace."""
    first, second = host("first"), host("second")
    assert first.build("Scale")
    (damaged,) = [name for name in bucket.names() if "scale" in name and name.endswith(suffix)]
    bucket.write(damaged, altered(bucket.read(damaged)) if suffix == ".h5" else b"other numbers")
    assert second.build("Scale")
    assert "was kept there as scale-" in capfd.readouterr().err
    assert second.ran() == ["Scale"]
    assert second.files() == first.files()
    assert [name for name in bucket.names() if name.endswith(".h5.damaged-1")] != []
    assert first.files().items() <= stored(bucket).items()


def test_a_damaged_result_in_the_workspace(bucket, host):
    """It is set aside and replaced by the one in the store."""
    first = host("first")
    assert first.build("Draw")
    (path,) = first.root.glob("data/draw-*.h5")
    before = path.read_bytes()
    path.write_bytes(altered(before))
    assert first.build("Draw")
    assert path.read_bytes() == before
    assert first.ran() == ["Draw"]
    assert [left.name for left in first.root.glob("data/*.damaged-1")] == [f"{path.name}.damaged-1"]


# Addresses


@pytest.mark.parametrize(
    ("flag", "address", "why"),
    [
        ("root", "s3://bucket/work", "is an address. Name a folder there, and give the address to --workspace-remote."),
        ("remote", "/mnt/store", "is not an address. Write it like s3://BUCKET/FOLDER or file:///FOLDER."),
        ("remote", "nothing://there", "nothing is not known; use s3, gs, az, sftp or file."),
        ("remote", "sftp://me:secret@host/work", "contains a password, which logs would show."),
    ],
    ids=["a store as workspace", "a folder as store", "another protocol", "a password"],
)
def test_addresses_that_are_refused(host, tmp_path, flag, address, why):
    """A sentence says why, and nothing is made."""
    luigi.configuration.get_config().set("workspace", flag, address)
    with pytest.raises(InputError) as refused:
        targets.check_workspace()
    assert why in str(refused.value)
    assert "secret" not in str(refused.value)
    assert not list(tmp_path.glob("s3*"))
