"""`keypoints review`: a page in the browser on which labels are reviewed and corrected, the most doubtful ones first."""

import functools
import getpass
import secrets
import sys
import threading
import webbrowser
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from luigi.task import flatten

from pipeline.commands.support import doubts
from pipeline.commands.support.last_run import Run
from pipeline.errors import InputError
from pipeline.store.run.stage import Stage
from pipeline.store.run.targets import ExternalFile
from pipeline.store.workspace import locks
from pipeline.tasks.corrected import corrected_dataset
from pipeline.tasks.data import Load
from pipeline.units import printable

if TYPE_CHECKING:
    from pipeline.review.samples import ReviewedSamples
    from pipeline.review.session import Review


@dataclass(frozen=True)
class Reviewed:
    """What the user asks for: the port of the server, 0 for any free one, and whether to open a browser."""

    port: int
    browser: bool


def run(request: Reviewed, stages: list[Stage], selected: Run) -> int:
    """Answers the page until the process is interrupted. Returns 0.

    Raises InputError if the port is in use, if the packages of the extra are missing, and if the file of corrections cannot be understood.
    """
    try:
        from pipeline.review import server
    except ImportError as error:
        raise InputError(f"The review page needs the package {error.name}. Install it: pip install 'keypoints[review]'.") from None
    at, secret = server.listening(request.port), secrets.token_urlsafe(24)
    told: Future[Review] = Future()
    # The page opens at once, while the labels are still read.
    reading = threading.Thread(target=functools.partial(_open, told, stages, selected), daemon=True)
    found = corrected_dataset().label_corrections()
    if found.note:
        print(f"warning: {found.note}", file=sys.stderr)
    url = server.address(at.getsockname()[1], secret)
    print(
        f"Review page: {url}\nCorrections: {printable(found.path)}\nCtrl-C ends the server. What the page calls saved is in the file.",
        flush=True,
    )
    reading.start()
    if request.browser:
        threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
    server.serve(told.result, at, secret)
    return 0


def _open(told: "Future[Review]", stages: list[Stage], selected: Run) -> None:
    """Reads the labels and what is known about them, for the server's threads."""
    from pipeline.review.judgement import Ranking
    from pipeline.review.session import Review

    try:
        file, samples = corrected_dataset().file(), _samples(stages)
        ranking = Ranking(doubts.judgements(samples, stages, selected), len(samples))
        told.set_result(Review(samples, ranking, file, _user(), _locked))
    except Exception as error:
        told.set_exception(error)


def _samples(stages: list[Stage]) -> "ReviewedSamples":
    """The labelled samples of the set, as its label files have them. Raises InputError if these cannot be read."""
    from pipeline.data import ownset
    from pipeline.review.samples import OwnSamples, TableSamples

    load = next(stage for stage in stages if isinstance(stage, Load))
    for task in flatten(load.requires()):
        if isinstance(task, ExternalFile) and (lacking := task.lacking()):
            raise InputError(f"{lacking} does not exist.")
        if isinstance(task, Stage) and not task.complete():
            raise InputError("The faces are not drawn yet. Run the task Load first.")
    dataset, found = corrected_dataset(), load.uncorrected()
    if isinstance(found, ownset.OwnSet):
        return OwnSamples(found, ownset.convention(dataset.definition()))
    return TableSamples(found.images, found.keypoints, dataset.keypointset())


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""


def _locked(file: Path) -> AbstractContextManager[None]:
    return locks.locked(file, lambda who: None)
