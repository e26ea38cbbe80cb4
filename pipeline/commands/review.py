"""`keypoints review`: a page in the browser on which labels are reviewed and corrected, the most doubtful ones first."""

import contextlib
import getpass
import importlib.util
import secrets
import sys
import threading
import webbrowser
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.commands.support.last_run import Run
from pipeline.errors import InputError
from pipeline.store.run.stage import Stage
from pipeline.store.run.targets import ExternalFile
from pipeline.store.workspace import locks
from pipeline.tasks import labelfiles
from pipeline.tasks.corrected import corrected_dataset
from pipeline.units import printable

if TYPE_CHECKING:
    from uvicorn import Server

    from pipeline.review.samples import ReviewedSamples
    from pipeline.review.session import Review


# What reads labels imports this module, but only Load uses it; with scikit-learn, which it needs, it takes longer than all the rest.
UNUSED = "pipeline.data.duplicates"


@dataclass(frozen=True)
class Reviewed:
    """What the user asks for.

    port: of the server, 0 for any free one. browser: whether to open one. sample: the image, and perhaps the instance, to start with.
    """

    port: int
    browser: bool
    sample: tuple[str, ...] = ()


def run(request: Reviewed, selected: Run) -> int:
    """Answers the page until the process is interrupted. Returns 0.

    Raises InputError if the port is in use, if the packages of the extra are missing, if labels or corrections cannot be read,
    and if there is no such sample.
    """
    try:
        from pipeline.review import server
    except ImportError as error:
        raise InputError(f"The review page needs the package {error.name}. Install it: pip install 'keypoints[review]'.") from None
    with selected.in_force():
        found = corrected_dataset().label_corrections()
        if selected.last:
            print(selected.description(), file=sys.stderr)
        if found.note:
            print(f"warning: {found.note}", file=sys.stderr)
        at, secret = server.listening(request.port), secrets.token_urlsafe(24)
        told: Future[Review] = Future()
        serving = server.server(told.result, at, secret)
        url = server.address(at.getsockname()[1], secret)
        print(
            f"Review page: {url}\nCorrections: {printable(found.path)}\nWhat the page calls saved is in the file. Ctrl-C ends the server.",
            flush=True,
        )
        # The page opens at once, while the labels are still read.
        threading.Thread(target=_open, args=(told, selected, request.sample, serving), daemon=True).start()
        if request.browser:
            threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
        with contextlib.suppress(KeyboardInterrupt):
            serving.run(sockets=[at])
    if told.done():
        told.result()  # raises what was wrong with the labels
    return 0


def _open(told: "Future[Review]", selected: Run, sample: tuple[str, ...], serving: "Server") -> None:
    """Reads the labels and what is known about them, for the server's threads. The server ends if that fails."""
    _when_used(UNUSED)
    from pipeline.commands.support import doubts
    from pipeline.review.judgement import Ranking
    from pipeline.review.session import Review

    try:
        file, samples = corrected_dataset().file(), _samples()
        ranking = Ranking(doubts.judgements(samples, selected), len(samples))
        review = Review(samples, ranking, file, _user(), _locked)
        review.start_with(sample)
        told.set_result(review)
    except Exception as error:
        told.set_exception(error)
        serving.should_exit = True


def _samples() -> "ReviewedSamples":
    """The labelled samples of the set, as its label files have them. Raises InputError if these cannot be read."""
    from pipeline.commands.support import doubts
    from pipeline.data import ownset
    from pipeline.review.samples import OwnSamples, TableSamples

    dataset = corrected_dataset()
    if dataset.is_own:
        return OwnSamples(labelfiles.own_set(), ownset.convention(dataset.definition()), free=dataset.may_label_more)
    for task in labelfiles.required().values():
        if isinstance(task, ExternalFile) and (lacking := task.lacking()):
            raise InputError(f"{lacking} does not exist.")
        if isinstance(task, Stage) and not task.complete():
            raise InputError("The faces are not drawn yet. Run the task Load first.")
    faces = doubts.faces() or labelfiles.labelled_faces()
    return TableSamples(faces.images, faces.keypoints, dataset.keypointset())


def _when_used(name: str) -> None:
    """Lets a module be imported when one of its attributes is used, as the documentation of importlib shows.

    What the module's package has is not looked up in `sys.modules`, which would use an attribute.
    """
    if name not in sys.modules and (spec := importlib.util.find_spec(name)) and spec.loader:
        spec.loader = importlib.util.LazyLoader(spec.loader)
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        package, _, own = name.rpartition(".")
        setattr(sys.modules[package], own, module)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""


def _locked(file: Path) -> AbstractContextManager[None]:
    return locks.locked(file, lambda who: None)
