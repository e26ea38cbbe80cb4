"""Kaggle's own client, the package kaggle: signed in, and with whatever can go wrong as a sentence that names the page to visit.

The client signs in as soon as it is imported, prints what it has to say, and may end the process. Therefore it is imported only within
`connected`.
"""

import contextlib
import importlib.util
import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import environment
from pipeline.errors import InputError

COMPETITION = "facial-keypoints-detection"
PAGE = f"https://www.kaggle.com/competitions/{COMPETITION}"
SUBMISSIONS_PAGE = f"{PAGE}/submissions"
TOKEN_PAGE = "https://www.kaggle.com/settings/api"
CLIENT_PAGE = "https://pypi.org/project/kaggle"
INSTALL = 'pip install "kaggle>=2.0", or -e ".[kaggle]" in the folder of the project'
# Name -> what it means to the client. They are not in `pipeline.environment`, because no run and no key depends on them.
VARIABLES = {
    "KAGGLE_API_TOKEN": "token for `keypoints kaggle`, or the file that contains it",
    "KAGGLE_USERNAME": "name for `keypoints kaggle`, together with KAGGLE_KEY",
    "KAGGLE_KEY": "token of the older kind for `keypoints kaggle`, together with KAGGLE_USERNAME",
    "KAGGLE_CONFIG_DIR": "folder of kaggle.json for `keypoints kaggle`, instead of ~/.kaggle",
    "HTTPS_PROXY": "proxy for `keypoints kaggle`",
}
# Variables whose values are never shown; the address of a proxy may contain a password.
SECRET = ("KAGGLE_API_TOKEN", "KAGGLE_KEY", "HTTPS_PROXY")
# What Kaggle's replies call its limit on submissions.
LIMIT_WORDS = ("allowance", "limit", "too many submissions")
# Characters of Kaggle's own words in a message.
LONGEST = 200
# Seconds between two looks at a submission, and until the command stops looking.
PAUSE, PATIENCE = 5, 60


@dataclass(frozen=True)
class Receipt:
    """Kaggle's reply to a submission: its words, and the number of the submission or None."""

    reply: str
    ref: int | None


@dataclass(frozen=True)
class Score:
    """What Kaggle knows of a submission. status: pending, complete or error. Scores are texts, as Kaggle gives them; "" if not known."""

    status: str
    public: str = ""
    private: str = ""
    error: str = ""


def check_installed() -> None:
    """Raises InputError if Kaggle's client is not installed."""
    if importlib.util.find_spec("kaggle") is None:
        raise InputError(f"Kaggle's client is not installed. Install it: {INSTALL} ({CLIENT_PAGE}).")


@contextlib.contextmanager
def connected(doing: str, otherwise: str) -> Iterator[Any]:
    """Yields a signed-in `KaggleApi` for the functions below.

    doing: what the client is used for, such as "download". otherwise: what the user can do without the client, as a sentence.

    Raises InputError if there is no usable token, and instead of any error of the client or the network.
    """
    check_installed()
    try:
        with _hushed():
            api = _signed_in()
        yield api
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        if told := _sentence(error, doing, otherwise):
            raise InputError(told) from error
        raise


@contextlib.contextmanager
def _hushed() -> Iterator[None]:
    """A context in which the client prints nothing on the standard output. Its warnings go to the standard error."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            yield
    finally:
        for line in dict.fromkeys(said.getvalue().splitlines()):
            if line.startswith("Warning"):
                print(_cut(line), file=sys.stderr)


def _signed_in() -> Any:
    """The client, after it has signed in. Raises InputError if there is no usable token, and whatever the client raises."""
    if environment.home() is None and not os.environ.get("KAGGLE_CONFIG_DIR"):
        raise InputError("Kaggle's client needs a folder for its settings, and there is no home folder. Set KAGGLE_CONFIG_DIR.")
    try:
        import kaggle

        api = kaggle.api
        if not getattr(api, "_authenticated", False):  # the import hides why
            api.authenticate()
    except ImportError as error:
        raise InputError(f"Kaggle's client cannot be imported ({error}). Install it again: {INSTALL} ({CLIENT_PAGE}).") from error
    except SystemExit:
        raise InputError(_without_token()) from None
    except UnicodeDecodeError:
        raise InputError(
            f"Kaggle's client finds a token that is no text. Create a new one on {TOKEN_PAGE}, and replace the old one."
        ) from None
    except OSError as error:  # also of requests, without a number
        if error.errno is None or not error.filename:
            raise
        what = f"{error.filename} cannot be used ({(error.strerror or str(error)).lower()}), but Kaggle's client needs it"
        raise InputError(f"{what}. Change its permissions, or name another folder with KAGGLE_CONFIG_DIR.") from error
    return api


def _without_token() -> str:
    """Why the client has found no token that it could use, and what to do, as a sentence."""
    new = f"Create a new one on {TOKEN_PAGE}"
    home = environment.home() or Path()
    if os.environ.get("KAGGLE_API_TOKEN"):
        return f"Kaggle does not accept the token in KAGGLE_API_TOKEN. {new}, and set the variable to it."
    for file in (home / ".kaggle" / "access_token", home / ".kaggle" / "access_token.txt"):
        if file.is_file() and file.stat().st_size:
            return f"Kaggle does not accept the token in {file}. {new}, and save it there."
    if fault := _fault_of_variables() or _fault_of_file(home):
        return f"{fault}. {new}."
    return (
        f"Kaggle's client has no token. Create one on {TOKEN_PAGE}, and save it as {home / '.kaggle' / 'access_token'}, or set"
        " KAGGLE_API_TOKEN to it."
    )


def _fault_of_variables() -> str:
    given = [name for name in ("KAGGLE_USERNAME", "KAGGLE_KEY") if os.environ.get(name)]
    lacking = {"KAGGLE_USERNAME": "KAGGLE_KEY", "KAGGLE_KEY": "KAGGLE_USERNAME"}
    return f"{given[0]} is set but {lacking[given[0]]} is not, and a token of this kind needs both" if len(given) == 1 else ""


def _fault_of_file(home: Path) -> str:
    """What is wrong with kaggle.json, where the client looks for it; "" if there is none."""
    settings = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "kaggle"
    folders = [Path(named)] if (named := os.environ.get("KAGGLE_CONFIG_DIR")) else [home / ".kaggle", settings]
    for file in [folder / "kaggle.json" for folder in folders if os.path.lexists(folder / "kaggle.json")]:
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except OSError as error:
            return f"The token in {file} cannot be read ({(error.strerror or str(error)).lower()})"
        except (ValueError, RecursionError):
            return f"{file} is not the JSON file that Kaggle gives out"
        if not isinstance(found, dict) or not (found.get("username") and found.get("key")):
            return f"{file} lacks the username or the key"
    return ""


# What the client is used for


def download(api: Any, folder: Path) -> Path:
    """Downloads all files of the competition as one file into a folder, which is empty before, and returns its path.

    A bar on the standard error shows the progress, if that is a terminal.
    """
    with _hushed():
        api.competition_download_files(COMPETITION, path=str(folder), force=True, quiet=not sys.stderr.isatty())
    (found,) = (path for path in folder.iterdir() if path.suffix != ".kaggle-partial")
    return found


def check_limit(api: Any) -> None:
    """Raises InputError if Kaggle says that no further submission is allowed today."""
    if not hasattr(api, "competition_get_submission_limits"):  # since 2.2
        return
    with _hushed():
        limits = api.competition_get_submission_limits(COMPETITION)
    # Before their first submission, users have no team, and all numbers are 0.
    if limits.num_today > 0 and limits.num_allowed_now == 0:
        raise InputError(_limit(f"{limits.num_today} today"))


def submit(api: Any, file: Path, message: str) -> Receipt:
    """Submits a file with a message. Raises InputError if the file could not be uploaded."""
    with _hushed():
        result = api.competition_submit(str(file), message, COMPETITION, quiet=True)
    reply, ref = str(result.message or ""), getattr(result, "ref", None) or None
    if reply == getattr(api, "COMPETITION_SUBMIT_UPLOAD_FAILED_MESSAGE", "Could not submit to competition"):
        raise InputError(f"{file} could not be uploaded to Kaggle. Try again later, or upload it by hand on {SUBMISSIONS_PAGE}.")
    return Receipt(reply, ref)


def score(api: Any, ref: int | None, message: str) -> Score:
    """What Kaggle says of a submission, which is known by its number or, without one, by its message."""
    with _hushed():
        found = api.competition_submissions(COMPETITION) or []
    for each in found:
        if each is not None and (each.ref == ref if ref else each.description == message):
            status = str(getattr(each.status, "name", each.status)).lower().rpartition("_")[2]
            return Score(status, each.public_score or "", each.private_score or "", " ".join((each.error_description or "").split()))
    return Score("pending")


def awaited_score(api: Any, ref: int | None, message: str, on_wait: Callable[[], None]) -> Score:
    """As `score`, after waiting up to a minute for the submission to be scored. `on_wait` is called if that takes any time."""
    for look in range(PATIENCE // PAUSE + 1):
        if look:
            time.sleep(PAUSE)
        if (found := score(api, ref, message)).status != "pending":
            break
        if not look:
            on_wait()
    return found


# What can go wrong


def _sentence(error: BaseException, doing: str, otherwise: str) -> str:
    """What an error of the client means and what to do; "" for an error of the user's own files."""
    import requests
    from requests import exceptions

    response = getattr(error, "response", None)
    if isinstance(response, requests.Response):
        return _of_status(response, doing, otherwise)
    if isinstance(error, exceptions.ChunkedEncodingError | exceptions.ContentDecodingError) or "does not match expected size" in str(error):
        return f"The {doing} was interrupted, and nothing of it was kept. Try again. {otherwise}"
    if isinstance(error, exceptions.JSONDecodeError | json.JSONDecodeError):
        return f"The reply to the {doing} is not one of Kaggle's; a proxy or the login page of a network may have sent it. {otherwise}"
    if isinstance(error, exceptions.ConnectionError | exceptions.Timeout | ConnectionError | TimeoutError):
        return f"Kaggle cannot be reached: {_reason(error)}. Check the network, and HTTPS_PROXY if you need a proxy. {otherwise}"
    if isinstance(error, OSError) and error.errno is not None:
        return ""
    return f"Kaggle's client has failed ({_cut(f'{type(error).__name__}: {error}')}). Update it: pip install --upgrade kaggle. {otherwise}"


def _of_status(response: Any, doing: str, otherwise: str) -> str:
    """What an HTTP status, and the words that come with it, mean."""
    status, words = _told(response)
    quoted = f" ({status}: {words})" if words else f" ({status})"
    if status == 401:
        return f"Kaggle does not accept the token{quoted}. Create a new one on {TOKEN_PAGE}, and replace the old one."
    if any(word in words.lower() for word in LIMIT_WORDS) and doing == "submission":
        return _limit(words)
    if status == 403:
        return (
            f"Kaggle refuses the {doing}{quoted}. Accept the rules of the competition on {PAGE}/rules, with the account that the token"
            " belongs to, and run the command again."
        )
    if status == 429:
        return f"Kaggle has had too many requests from this account{quoted}. Wait some minutes, and try again."
    if status >= 500:
        return f"Kaggle's server has failed{quoted}. Try again later. {otherwise}"
    return f"Kaggle refuses the {doing}{quoted}. {otherwise}"


def _told(response: Any) -> tuple[int, str]:
    """The status of a reply and Kaggle's words. A reply may say of itself that it is an error although its status does not."""
    try:
        content = response.json()
    except ValueError:  # also of requests
        content = {}
    content = content if isinstance(content, dict) else {}
    status, words = content.get("code"), content.get("message") or response.reason or ""
    return status if isinstance(status, int) and status >= 400 else response.status_code, _cut(str(words).rstrip(". "))


def _limit(words: str) -> str:
    return (
        f"Kaggle's limit on submissions is reached ({words}). The count starts anew at midnight UTC; {SUBMISSIONS_PAGE} shows what is left."
    )


def _reason(error: BaseException) -> str:
    """Why there is no connection, in words."""
    from requests import exceptions

    text = str(error)
    if isinstance(error, exceptions.ProxyError):
        return "the proxy does not answer"
    if isinstance(error, exceptions.SSLError):
        return "its certificate cannot be verified"
    if isinstance(error, exceptions.Timeout | TimeoutError):
        return "it does not answer"
    if "NameResolution" in text or "resolve" in text:
        return "its name is not found"
    return "the connection is refused" if "refused" in text else "the connection is lost"


def _cut(text: str) -> str:
    """A text of others in one line of limited length, without control characters."""
    line = "".join(character if character.isprintable() else " " for character in " ".join(text.split()))
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}..."
