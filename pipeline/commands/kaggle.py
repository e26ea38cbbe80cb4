"""`keypoints kaggle`: downloads the files of Kaggle's competition, and submits what a run has predicted, with Kaggle's own client."""

import contextlib
import os
import re
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import environment, units
from pipeline.commands.support import ancestry, kaggle_client, reading
from pipeline.errors import InputError
from pipeline.store.workspace import files, runlog
from pipeline.store.workspace.called import called

if TYPE_CHECKING:
    from pipeline.commands.support.last_run import Run
    from pipeline.results.predictions import Predictions
    from pipeline.store.run.stage import Stage

ACTIONS = ("download", "submit")
# Rows of the table in which Kaggle says what to predict, IdLookupTable.csv.
ROWS = 27_124
EVENT = "kaggle"  # in the run log
PREDICT = "Predict"
BY_HAND = f"The files are also on {kaggle_client.PAGE}/data, behind the button Download All."


# Download


def download(folder: Path) -> int:
    """Downloads Kaggle's files as one zip file into a folder, which is made if necessary, and returns the exit code 0.

    A complete zip file that is there is kept. Nothing incomplete is left behind. Raises InputError if that is impossible.
    """
    from pipeline.tasks.kaggle import FILES, PACK, find

    target = folder / PACK
    if target.is_file():
        _check(target, "Remove it, and run the command again.")
        print(f"{target} is already there and complete.")
        return _said_how_to_train(folder)
    kaggle_client.check_installed()
    if folder.is_dir() and (others := [str(path) for stem in FILES if (path := find(folder, stem))]):
        raise InputError(f"{others[0]} is already there, and Load would read it instead of {PACK}. Name another folder with --to.")
    with files.room_for(target), _scratch(folder) as scratch:
        with kaggle_client.connected("download", f"{BY_HAND} Put {PACK} into {folder}.") as client:
            print(f"Downloading {PACK} (about 76 MB) from {kaggle_client.PAGE}")
            downloaded = kaggle_client.download(client, scratch)
        _check(downloaded, BY_HAND)
        with files.publishing(target) as draft:
            downloaded.replace(draft)
    print(f"{target}, {units.size(target.stat().st_size)}")
    return _said_how_to_train(folder)


def _said_how_to_train(folder: Path) -> int:
    path = [] if folder == Path("data") else ["--dataset-path", str(folder)]
    print(f"To train with it: {called('luigi', '--module', 'pipeline', PREDICT, *path)}")
    return 0


def _check(path: Path, otherwise: str) -> None:
    """Raises InputError unless a zip file is intact and contains the three files. `otherwise` says what to do then."""
    from pipeline.tasks.kaggle import FILES, PACK, find

    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except Exception as error:  # zipfile raises errors of many types for a damaged file
        raise InputError(f"{path.name} is not a usable zip file ({error}). {otherwise}") from None
    if damaged:
        raise InputError(f"{units.printable(damaged)} in {path.name} is damaged. {otherwise}")
    if lacking := [what for stem, what in FILES.items() if not find(path, stem)]:
        raise InputError(f"{PACK} lacks {', '.join(lacking)}. {otherwise}")


@contextlib.contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """A new empty folder in `folder` for an unfinished download, which is removed afterwards, as are those of dead processes."""
    own = f".download.{environment.process()}.part"
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(f".download.{environment.host()}-*.part"):
        if (number := re.search(r"-(\d+)\.part$", left.name)) and not Path(f"/proc/{number[1]}").exists():
            shutil.rmtree(left, ignore_errors=True)
    (folder / own).mkdir()
    try:
        yield folder / own
    finally:
        shutil.rmtree(folder / own, ignore_errors=True)


# Submit


@dataclass(frozen=True)
class Submission:
    """A submission that may go to Kaggle.

    file: the table. key: of the artifact of Predict that it belongs to. rmse: on the validation samples, px. workspace: where it is.
    """

    file: Path
    key: str
    rmse: float
    workspace: Path

    @property
    def about(self) -> str:
        """What identifies it, in the message to Kaggle."""
        return f"keypoints {self.key}, validation RMSE {self.rmse:.3f} px"

    @property
    def log(self) -> Path:
        """The folder of its run log."""
        return self.workspace / "models"

    def entries(self) -> list[dict[str, Any]]:
        """What the run log says of earlier submissions of the same file, oldest first."""
        return [entry for entry in runlog.entries(self.log) if entry.get("event") == EVENT and entry.get("key") == self.key]

    def sent(self) -> dict[str, Any] | None:
        """The entry of the last submission of the same file, unless Kaggle could not score it; None if there is none."""
        last = next(iter([entry for entry in self.entries() if entry.get("status") in ("submitted", "scored")][::-1]), {})
        if "error" in last:
            return None
        return next((entry for entry in reversed(self.entries()) if entry.get("status") == "submitted"), None)


def submit(what: str | None, message: str, stages: "list[Stage]", selected: "Run") -> int:
    """Submits the table of an artifact of Predict, given as for `addresses.locate`, or of the selected run, and prints the score.

    A file that has been submitted is not submitted again; its score is looked up. Both go into the run log of the workspace.

    Returns the exit code: 0, or 1 if Kaggle could not score it. Raises InputError if it cannot be submitted.
    """
    kaggle_client.check_installed()
    submission = _submission(_artifact(what, stages, selected))
    print(f"{submission.file}: validation RMSE {submission.rmse:.3f} px")
    with kaggle_client.connected("submission", f"You can also upload the file on {kaggle_client.SUBMISSIONS_PAGE}.") as client:
        if sent := submission.sent():
            print(f"It was submitted on {str(sent.get('time', ''))[:10]}, and is not submitted again.")
        else:
            kaggle_client.check_limit(client)
            sent = _sent(client, submission, f"{message} ({submission.about})" if message else submission.about)
            print(f"Kaggle: {units.printable(sent['reply'])}")
        return _score(client, submission, sent)


def _sent(client: Any, submission: Submission, message: str) -> dict[str, Any]:
    """Submits, and returns the entry that the run log gets."""
    print(f"Submitting it to {kaggle_client.PAGE} with the message: {units.printable(message)}")
    receipt = kaggle_client.submit(client, submission.file, message)
    entry = {"event": EVENT, "status": "submitted", "key": submission.key, "message": message, "reply": receipt.reply, "ref": receipt.ref}
    runlog.append(submission.log, entry)
    return entry


def _score(client: Any, submission: Submission, sent: dict[str, Any]) -> int:
    """Prints the score of a submission, adds it to the run log, and returns the exit code."""
    found = kaggle_client.awaited_score(
        client, sent.get("ref"), str(sent.get("message", "")), lambda: print("Waiting for the score ...", flush=True)
    )
    if found.status == "pending":
        again = called("keypoints", "kaggle", "submit")
        print(f"It has not been scored yet. `{again}` shows the score later, as does {kaggle_client.SUBMISSIONS_PAGE}.")
        return 0
    entry = {"event": EVENT, "status": "scored", "key": submission.key, "ref": sent.get("ref")}
    entry |= {name: value for name, value in (("public_score", found.public), ("private_score", found.private)) if value}
    if found.status == "error":
        entry["error"] = found.error
    if not any(entry.items() <= earlier.items() for earlier in submission.entries()):
        runlog.append(submission.log, entry)
    if found.status == "error":
        print(f"Kaggle could not score it: {units.printable(found.error) or 'it does not say why'}. See {kaggle_client.SUBMISSIONS_PAGE}.")
        return 1
    private = f", private {units.printable(found.private)}" if found.private else ""
    print(f"Score: public {units.printable(found.public) or 'not given'}{private} ({kaggle_client.SUBMISSIONS_PAGE})")
    return 0


def _artifact(what: str | None, stages: "list[Stage]", selected: "Run") -> Path:
    """The artifact of Predict that is meant. Raises InputError if it does not exist, or is stale and was not named by its key."""
    from pipeline.commands.support.addresses import locate, named

    stage = next((stage for stage in stages if stage.task_family == PREDICT), None)
    if what and (named(what) or "@" in what):
        return locate(what, stages)
    if stage is None or (what and what.lower() != PREDICT.lower()):
        raise InputError(f"{what or 'This run'} has no submission. Name an artifact of {PREDICT}: {PREDICT}@KEY, a key or a file.")
    current, made = stage.path, selected.predicted if selected.last else None
    if not made and not current.is_file():
        raise InputError(f"There is no submission yet. To make one: {selected.command}")
    if made and made != current:
        _refuse_others(made)
        raise InputError(
            f"{made} is stale: code, data or settings have changed since it was made, as `{called('keypoints', 'status')}` shows. Run"
            f" {PREDICT} again, or submit it as it is: {called('keypoints', 'kaggle', 'submit', made.stem.rpartition('-')[2])}"
        )
    return current


def _submission(artifact: Path) -> Submission:
    """The submission that belongs to an artifact of Predict. Raises InputError if it is damaged, or is none for Kaggle."""
    _refuse_others(artifact)
    content = _content(artifact)
    if (rows := len(content.submission[0])) != ROWS:
        raise InputError(
            f"{artifact.with_suffix('.csv')} has {rows:,} rows, and Kaggle's table asks for {ROWS:,}: it was made from other faces in the"
            f" formats of Kaggle's files. Get those of the competition with {called('keypoints', 'kaggle', 'download')}, and run {PREDICT}."
        )
    root = Path(os.path.normpath(ancestry.root_of(artifact)))
    return Submission(artifact.with_suffix(".csv"), str(reading.attributes(artifact)["key"]), float(content.rmse), root)


def _refuse_others(artifact: Path) -> None:
    """Raises InputError if an artifact is damaged, is not of Predict, or was made from drawn faces or from an own set."""
    if reading.attributes(artifact).get("stage") != PREDICT:
        raise InputError(f"{artifact} is no submission. Name an artifact of {PREDICT}: {PREDICT}@KEY, a key or a file.")
    mend = f"Get Kaggle's faces with {called('keypoints', 'kaggle', 'download')}, and run {PREDICT} on them."
    if artifact.stem.startswith("submission-rendered") or any(stage == "Render" for stage, _ in ancestry.ancestors(artifact)):
        raise InputError(f"{artifact} was made from faces that the program drew, so Kaggle cannot score it. {mend}")
    if _content(artifact).row_ids is None:
        raise InputError(f"{artifact} was made from a keypoint set of your own, so Kaggle cannot score it. {mend}")


def _content(artifact: Path) -> "Predictions":
    from pipeline.results.predictions import Predictions

    return reading.load(artifact, Predictions)
