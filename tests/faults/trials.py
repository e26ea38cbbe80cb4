"""What goes wrong in a run, and what must hold when it has ended and after the same command was run again."""

import contextlib
import os
import random
import re
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

from pipeline.store.run.closing import GO_ON
from pipeline.store.workspace import runlog

from .injected import FOLDERS
from .points import KILLS, SHORTAGES, SIGNALS, Point
from .processes import PATIENCE, Run
from .scenes import Scenes, hashes, published

NUMBER_OF = {"SIGTERM": signal.SIGTERM, "Ctrl-C": signal.SIGINT}
# The message for a full disk: which file, why, how much is needed, where, and what to do.
SHORTAGE_SAID = re.compile(
    r"\S+ could not be written: .+\. (.+ are needed; )?(.+ are free in /.+\. Free some space there|[Tt]he limit for a file is .+)\."
)
CHECKPOINT = re.compile(r"\.checkpoint-(\d+)\.h5$")
SET_ASIDE_OR_CHECKPOINT = re.compile(r"\.damaged-\d+$|\.checkpoint-")
# In the scene of the numbers: which stage reads whose artifact. The run itself checks what no stage reads.
READERS = {"draw": {"scale", "guess"}, "scale": {"picture", "total"}, "guess": {"total"}}


class Trial:
    """Several points, one after the other, in a folder of their own, and then an undisturbed run.

    wrong: the violated conditions.
    seconds: how long the run took to end after the last signal.
    reached: whether all faults occurred; of several processes, each performs a varying part of the operations.
    """

    def __init__(self, scenes: Scenes, *points: Point):
        self.scenes, self.points, self.point, self.scene = scenes, points, points[0], scenes[points[0].scene]
        self.wrong: list[str] = []
        self.seconds: float | None = None
        self.reached = True
        self.folder = self.root = scenes.empty_folder()
        self.scene.prepare(self.folder)

    def run(self) -> "Trial":
        with self._disk() as grow:
            for point in self.points:
                self.point = point
                self._disturbed()
            grow()
            damaged = self._damaged() if self.point.damage else None
            self._again(damaged)
        return self

    def _must(self, true, what: str) -> None:
        if not true:
            self.wrong.append(what)

    # The disturbed run

    def _disturbed(self) -> None:
        point, request, runs = self.point, {}, len(self._log("run"))
        (self.folder / "fired").unlink(missing_ok=True)
        if point.at:
            request["fault"] = {"action": point.action, "at": point.at}
        if point.action == "file size limit":
            request["limit"] = point.size
        run = self._start("output-disturbed", **request)
        beside = self._start_beside() if point.beside else None
        if not point.at and not point.size:
            run.wait_for(point.said)
            time.sleep(point.moment * self.scene.seconds)
            self._signal(run)
        code = run.end()
        self.reached &= bool(point.size) or (self.folder / "fired").exists()
        begun = len(self._log("run")) > runs or point.action in SHORTAGES
        self._check_end(run, code, begun)
        self._check_files(begun)
        if beside:
            self._check_beside(beside)

    def _start(self, output: str, **request) -> Run:
        place = () if self.root == self.folder else (f"--workspace-root={self.root}",)
        arguments = (*self.scene.arguments, f"--workers={self.point.workers}", *place)
        return self.scenes.run(arguments, self.folder, output=output, fresh=self.point.beside, **request)

    def _start_beside(self) -> Run:
        """Starts another command, with the same values in another notation, through another path."""
        path = self.folder.with_name(f"{self.folder.name}-too")
        path.symlink_to(self.folder)
        return self.scenes.run((*self.scene.arguments, "--Draw-size=3"), path, output="output-beside", fresh=True)

    def _signal(self, run: Run) -> None:
        (self.folder / "fired").write_text(str(time.time()))
        number = NUMBER_OF.get(self.point.action, signal.SIGKILL)
        run.signal(number, group=self.point.action in ("Ctrl-C", "kill all"))

    # When it has ended

    def _check_end(self, run: Run, code: int | None, begun: bool) -> None:
        """Checks how the process ended and what it printed last."""
        action, words, faults = self.point.action, run.output.rstrip(), len(self.wrong)
        complete = hashes(self.root) == self.scene.hashes
        deadly = self._signals_to_die_of(begun and not complete)
        self._must(code is not None, f"hung for {PATIENCE} s")
        self._must(code != 0 or complete, "exit code 0, but files are missing")
        self._must(code is None or code >= 0 or -code in deadly, f"ended by signal {code}")
        if action in SIGNALS:
            self._check_quiet()
        if begun and code != -signal.SIGKILL:
            self._must(action == "input/output error" or "Traceback" not in words, "a traceback was printed")
            self._must(complete or words.endswith(GO_ON), "the summary does not say how to continue")
            self._must(
                action not in SHORTAGES or not code or SHORTAGE_SAID.search(words), "the message does not say how much space is needed"
            )
        if len(self.wrong) > faults:
            self.wrong.append(f"it had said (exit code {code}): {words[-2000:]}")

    def _signals_to_die_of(self, busy: bool) -> set[int]:
        """Between its start and its summary, a run turns SIGTERM into KeyboardInterrupt, with which Python ends as if by Ctrl-C."""
        if self.point.action in KILLS:
            return {signal.SIGKILL}
        if self.point.action in SIGNALS:
            return {signal.SIGINT} if busy else {signal.SIGINT, signal.SIGTERM}
        return set()

    def _check_quiet(self) -> None:
        """Nothing is written after the last process of the group has ended."""
        if (self.folder / "fired").exists():
            self.seconds = time.time() - float((self.folder / "fired").read_text())
        before = self._states()
        time.sleep(0.2)
        self._must(self.point.beside or self._states() == before, "files changed after the last process had ended")

    def _check_files(self, begun: bool) -> None:
        """No partial file is published, and a run of one process that was not killed leaves nothing behind."""
        for name, digest in hashes(self.root).items():
            self._must(self.scene.hashes.get(name) == digest, f"{name} is incomplete or wrong")
        alone = self.point.workers == 1 and not self.point.beside
        if alone and begun and self.point.action not in (*KILLS, "input/output error"):
            self._must(not (left := self._hidden()), f"left behind: {left}")

    def _check_beside(self, beside: Run) -> None:
        code = beside.end()
        self._must(code == 0, f"the simultaneous run ended with {code}: {beside.output[-2000:]}")
        self._must(hashes(self.root) == self.scene.hashes, "the simultaneous run did not make all files")

    # Damage, and the next run

    def _damaged(self) -> str | None:
        """Damages one file that the next run will read, chosen by the point; returns its name, or None if there is no such file."""
        there = published(self.root)
        stages = {_stage(name) for name in self._finished()}
        read = sorted(name for name in there if _stage(name) in stages and not stages.issuperset(READERS.get(_stage(name), {"any"})))
        if not read:
            return None
        rng = random.Random(self.point.at)
        name = rng.choice(read)
        content = bytearray(there[name].read_bytes())
        if rng.random() < 0.5:
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
            there[name].write_bytes(content)
        else:
            os.truncate(there[name], rng.randrange(len(content)))
        return name

    def _again(self, damaged: str | None) -> None:
        """The same command succeeds, gives the same bytes, and repeats no finished stage."""
        done, spoiled = self._finished(), self.root.joinpath(damaged).read_bytes() if damaged else b""
        resumed = self._resumed()
        run = self._start("output-next")
        code = run.end()
        self._must(code == 0, f"the next run ended with {code}: {run.output[-3000:]}")
        self._must(resumed in run.output, f"not printed: {resumed}")
        if damaged:
            asides = [path.read_bytes() for path in self.root.glob(f"{damaged}.damaged-*")]
            self._must(asides == [spoiled], f"the damaged {damaged} was not kept")
        now = hashes(self.root)
        for name in {*now, *self.scene.hashes}:
            self._must(now.get(name) == self.scene.hashes.get(name), f"after the next run {name} differs: {run.output[-3000:]}")
        for name, state in done.items():
            self._must(state == _state(self.root / name) or _stem(name) == _stem(damaged), f"{name} was finished but made again")
        self._must(not (left := self._left_behind()), f"left behind after the next run: {left}")
        counts = Counter(entry.get("stage") for entry in self._log("stage") if entry.get("status") == "done")
        twice = [stage for stage, count in counts.items() if count > 1 and not damaged]
        self._must(not twice, f"finished twice: {twice}")

    def _resumed(self) -> str:
        """What an unfinished training must print: the epoch after which it resumes."""
        numbers = [
            int(found[1])
            for path in (self.root / "models").glob("*.checkpoint-*.h5")
            if (found := CHECKPOINT.search(path.name)) and not path.with_name(path.name.replace(found[0], ".h5")).exists()
        ]
        return f"resumes after epoch {max(numbers)} of" if numbers else ""

    def _finished(self) -> dict[str, tuple]:
        """The states of the files of finished stages, by name."""
        whole = {name for name, digest in hashes(self.root).items() if self.scene.hashes.get(name) == digest}
        return {name: _state(self.root / name) for name in whole if f"{_stem(name)}.h5" in whole}

    def _hidden(self) -> list[str]:
        found = (path.name for folder in FOLDERS for path in (self.root / folder).glob(".*"))
        return sorted(name for name in found if not name.startswith(".file-hashes"))

    def _left_behind(self) -> list[str]:
        """Temporary files and locks, checkpoints, and files that were quarantined although nothing was damaged."""
        unwanted = CHECKPOINT if self.point.damage else SET_ASIDE_OR_CHECKPOINT
        visible = (path.name for folder in FOLDERS for path in (self.root / folder).glob("[!.]*"))
        return self._hidden() + [name for name in visible if unwanted.search(name)]

    # Inspection

    def _log(self, event: str) -> list[dict]:
        return [entry for entry in runlog.entries(self.root / "models") if entry.get("event") == event]

    def _states(self) -> dict[str, tuple]:
        return {str(path): _state(path) for folder in FOLDERS for path in (self.root / folder).glob("*")}

    @contextlib.contextmanager
    def _disk(self):
        """A small file system for the disturbed run, which then grows."""
        if self.point.action != "small disk":
            yield lambda: None
            return
        self.root = self.folder / "disk"
        self.root.mkdir()
        mount(self.root, self.point.size)
        try:
            yield lambda: mount(self.root, 10**8, "remount,")
        finally:
            subprocess.run(["umount", self.root], check=True)


def mount(folder: Path, size: int, how: str = "") -> None:
    """A file system of `size` bytes, rounded to pages of memory."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"{how}size={size}", "keypoints-faults", folder], check=True, capture_output=True)


def can_mount(folder: Path) -> bool:
    """Whether a small disk can be created for a test, which requires root."""
    try:
        mount(folder, 1)
        subprocess.run(["umount", folder], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def _state(path: Path) -> tuple | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ino


def _stage(name: str) -> str:
    """The stage of an artifact, or of a file beside one, judged by its name."""
    return Path(name).name.split("-")[0]


def _stem(name: str | None) -> str:
    return name.split(".")[0] if name else ""
