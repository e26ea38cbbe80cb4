"""`keypoints kaggle` downloads and submits with Kaggle's own client, which speaks to a local server here. Kaggle itself is never asked."""

import dataclasses
import io
import json
import zipfile
from importlib.util import find_spec
from pathlib import Path

import kagglish
import kinds
import numpy as np
import pytest
from kagglish import scored

from pipeline import commands
from pipeline.commands import kaggle
from pipeline.commands.support import kaggle_client
from pipeline.commands.support.last_run import Run
from pipeline.errors import InputError
from pipeline.results.predictions import Predictions
from pipeline.store.hdf5 import artifacts
from pipeline.store.workspace import files, runlog
from pipeline.tasks.kaggle import PACK
from pipeline.tasks.results import Predict

needs_client = pytest.mark.skipif(find_spec("kaggle") is None, reason="Kaggle's client is not installed")
RULES_PAGE = "https://www.kaggle.com/competitions/facial-keypoints-detection/rules"
DATA_PAGE = "https://www.kaggle.com/competitions/facial-keypoints-detection/data"
SUBMISSIONS_PAGE = "https://www.kaggle.com/competitions/facial-keypoints-detection/submissions"
TOKEN_PAGE = "https://www.kaggle.com/settings/api"


@pytest.fixture
def server():
    own = kagglish.running(kagglish.Server())
    yield own
    own.shutdown()
    own.server_close()


@pytest.fixture
def keypoints(server, tmp_path, monkeypatch, capsys):
    """`keypoints` in this process: a function that gives exit code, standard output and standard error."""
    return kagglish.Here(server, tmp_path, monkeypatch, capsys)


def pack(*names):
    """A zip file as Kaggle serves it, with files of these names."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in names:
            archive.writestr(name, f"{name}\n")
    return content.getvalue()


WHOLE = pack("training.zip", "test.zip", "IdLookupTable.csv", "SampleSubmission.csv")


# Download


@needs_client
def test_download(server, tmp_path):
    """One zip file appears in data/, and the token is sent."""
    server.pack = WHOLE
    code, out, err = kagglish.keypoints(tmp_path, server.address, "kaggle", "download")
    assert (code, err) == (0, "")
    assert (tmp_path / "data" / PACK).read_bytes() == WHOLE
    assert [path.name for path in (tmp_path / "data").iterdir()] == [PACK]
    name, content = server.asked[-1]
    assert (name, content["competitionName"], content["authorization"]) == (
        "DownloadDataFiles",
        kaggle_client.COMPETITION,
        "Bearer a-token",
    )
    assert "Predict\n" in out
    assert "--dataset-path" not in out


@needs_client
def test_a_file_that_is_there(keypoints, server, tmp_path):
    """A complete file is kept, and nobody is asked; an incomplete one is named."""
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces" / PACK).write_bytes(WHOLE)
    before = len(server.asked)
    code, out, _ = keypoints("kaggle", "download", "--to", "faces")
    assert (code, len(server.asked)) == (0, before)
    assert f"faces/{PACK} is already there and complete." in out
    assert out.endswith("Predict --dataset-path faces\n")
    (tmp_path / "faces" / PACK).write_bytes(WHOLE[:-30])
    code, _, err = keypoints("kaggle", "download", "--to", "faces")
    assert (code, "Remove it, and run the command again." in err) == (2, True)


@needs_client
@pytest.mark.parametrize(
    ("content", "sent", "said"),
    [
        (WHOLE, 100, "The download was interrupted, and nothing of it was kept. Try again. The files are also on"),
        (b"<html>Log in</html>", None, "is not a usable zip file (File is not a zip file). The files are also on"),
        (pack("training.zip"), None, f"{PACK} lacks test.csv or test.zip, IdLookupTable.csv. The files are also on"),
        (WHOLE.replace(b"training.zip\n", b"trainig.zip!\n"), None, f"training.zip in {PACK} is damaged. The files are also on"),
    ],
    ids=["interrupted", "a page", "incomplete", "damaged"],
)
def test_nothing_incomplete_remains(keypoints, server, tmp_path, content, sent, said):
    """A download that ends early, or is not Kaggle's file, is one sentence with the page, and leaves the folder empty."""
    server.pack, server.sent = content, sent
    code, _, err = keypoints("kaggle", "download", "--to", "faces")
    assert code == 2
    assert said in err
    assert DATA_PAGE in err
    assert err.count("\n") == 1
    assert list((tmp_path / "faces").iterdir()) == []


@needs_client
def test_rules_that_were_not_accepted(keypoints, server, tmp_path):
    """Kaggle's words and the page of the rules."""
    server.replies["DownloadDataFiles"] = 403, {"code": 403, "message": kagglish.RULES}
    code, _, err = keypoints("kaggle", "download")
    assert (code, err.count("\n")) == (2, 1)
    assert f"Kaggle refuses the download (403: {kagglish.RULES.rstrip('.')}). Accept the rules" in err
    assert RULES_PAGE in err


@needs_client
def test_no_network(keypoints, server, tmp_path):
    """A server that cannot be reached is one sentence, without a token."""
    server.shutdown()
    server.server_close()
    code, _, err = keypoints("kaggle", "download")
    assert (code, err.count("\n")) == (2, 1)
    assert "Kaggle cannot be reached: the connection is refused. Check the network" in err
    assert kagglish.TOKEN not in err


def token_file(home):
    (home / ".kaggle").mkdir()
    (home / ".kaggle" / "access_token").write_text("old")


def kaggle_json(text):
    def write(home):
        (home / ".kaggle").mkdir()
        (home / ".kaggle" / "kaggle.json").write_text(text)
        (home / ".kaggle" / "kaggle.json").chmod(0o600)

    return write


@needs_client
@pytest.mark.parametrize(
    ("make", "variables", "said"),
    [
        (lambda home: None, {}, "Kaggle's client has no token. Create one on"),
        (lambda home: None, {"KAGGLE_API_TOKEN": "old"}, "Kaggle does not accept the token in KAGGLE_API_TOKEN. Create a new one on"),
        (token_file, {}, ".kaggle/access_token. Create a new one on"),
        (kaggle_json("{"), {}, ".kaggle/kaggle.json is not the JSON file that Kaggle gives out. Create a new one on"),
        (kaggle_json('{"username": "a"}'), {}, ".kaggle/kaggle.json lacks the username or the key. Create a new one on"),
        (lambda home: None, {"KAGGLE_KEY": "k"}, "KAGGLE_KEY is set but KAGGLE_USERNAME is not"),
    ],
    ids=["none", "variable", "file", "no json", "no key", "half"],
)
def test_tokens_that_cannot_be_used(keypoints, server, tmp_path, make, variables, said):
    """What is wrong with the token, where it is, and the page that gives a new one; the client's own advice is not printed."""
    server.replies["IntrospectToken"] = 404, {"code": 404, "message": "Not found"}
    make(tmp_path / "home")
    code, out, err = keypoints("kaggle", "download", **{"KAGGLE_API_TOKEN": "", **variables})
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err
    assert TOKEN_PAGE in err


@needs_client
def test_a_wrong_key_of_the_older_kind(keypoints, server, tmp_path):
    """It shows only when Kaggle is asked, with status 401."""
    server.replies["DownloadDataFiles"] = 401, {"code": 401, "message": "Unauthenticated"}
    variables = {"KAGGLE_API_TOKEN": "", "KAGGLE_USERNAME": "someone", "KAGGLE_KEY": "wrong"}
    code, _, err = keypoints("kaggle", "download", **variables)
    assert (code, err.count("\n")) == (2, 1)
    assert f"Kaggle does not accept the token (401: Unauthenticated). Create a new one on {TOKEN_PAGE}" in err
    assert "wrong" not in err


def test_the_client_is_not_installed(tmp_path, monkeypatch, capsys):
    """One sentence says how to install it, before anything else happens."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(kaggle_client.importlib.util, "find_spec", lambda name: None)
    for action in ("download", "submit"):
        assert commands.main(["kaggle", action]) == 2
        assert capsys.readouterr().err.startswith("keypoints: Kaggle's client is not installed. Install it: pip install \"kaggle>=")
    assert list(tmp_path.iterdir()) == []


def test_files_that_would_be_read_instead(tmp_path, monkeypatch, capsys):
    """A folder with one of Kaggle's files does not get the zip file, which Load would not read."""
    monkeypatch.setattr(kaggle_client, "check_installed", lambda: None)
    (tmp_path / "training.csv").write_text("")
    assert commands.main(["kaggle", "download", "--to", str(tmp_path)]) == 2
    assert "training.csv is already there, and Load would read it instead of" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("download --message hello", "--message has no effect on kaggle download. Leave it out."),
        ("download Predict", "Predict has no effect on kaggle download. Leave it out."),
        ("submit --to data", "--to has no effect on kaggle submit. Leave it out."),
        ("download --workspace-root W", "kaggle download needs no run. Leave out --workspace-root=W; --to FOLDER says where the files go."),
    ],
)
def test_arguments_of_the_other_action(arguments, said, capsys):
    """They would have no effect, so they are refused."""
    assert commands.main(["kaggle", *arguments.split()]) == 2
    assert capsys.readouterr().err == f"keypoints: {said}\n"


def test_unfinished_downloads_of_dead_processes(tmp_path):
    """A download that was killed leaves a folder, which the next one removes; that of a living process stays."""
    host = kaggle.environment.host()
    dead, living = tmp_path / f".download.{host}-4194305.part", tmp_path / f".download.{host}-1.part"
    for folder in (dead, living):
        folder.mkdir()
        (folder / PACK).write_text("half")
    with kaggle._scratch(tmp_path) as scratch:
        assert sorted(tmp_path.iterdir()) == sorted([living, scratch])
    assert list(tmp_path.iterdir()) == [living]


# What Kaggle may reply


def reply(status, content):
    import requests

    response = requests.Response()
    response.status_code, response.reason = status, "A reason"
    response._content = content if isinstance(content, bytes) else json.dumps(content).encode()
    return requests.HTTPError("an error", response=response)


@needs_client
@pytest.mark.parametrize(
    ("status", "content", "doing", "said", "page"),
    [
        (401, {}, "download", "does not accept the token (401: A reason)", TOKEN_PAGE),
        (403, {"code": 403, "message": "No."}, "submission", "Kaggle refuses the submission (403: No). Accept the rules", RULES_PAGE),
        (400, {"message": kagglish.LIMIT}, "submission", "Kaggle's limit on submissions is reached (Submission not", SUBMISSIONS_PAGE),
        (404, {}, "download", "Kaggle refuses the download (404: A reason). By hand.", ""),
        (429, b"<html>", "download", "too many requests from this account (429: A reason). Wait", ""),
        (503, b"\x1b[2J", "download", "Kaggle's server has failed (503: A reason). Try again later. By hand.", ""),
        (200, {"code": 500, "message": "x" * 999}, "download", f"Kaggle's server has failed (500: {'x' * 200}...)", ""),
        (400, [], "download", "Kaggle refuses the download (400: A reason). By hand.", ""),
    ],
    ids=["token", "rules", "limit", "unknown", "often", "server", "hidden", "odd"],
)
def test_statuses(status, content, doing, said, page):
    """Each status is a sentence with Kaggle's own words, shortened, and the page to visit."""
    told = kaggle_client._sentence(reply(status, content), doing, "By hand.")
    assert said in told
    assert page in told
    assert "\x1b" not in told


@needs_client
def test_connections():
    """Each way in which a connection fails is named; an error of the user's own disk is left to others."""
    from requests import exceptions

    said = {
        exceptions.ProxyError("x"): "the proxy does not answer",
        exceptions.SSLError("x"): "its certificate cannot be verified",
        exceptions.ReadTimeout("x"): "it does not answer",
        exceptions.ConnectionError("NameResolutionError"): "its name is not found",
        ConnectionResetError(104, "reset"): "the connection is lost",
    }
    for error, reason in said.items():
        assert kaggle_client._sentence(error, "download", "By hand.").startswith(f"Kaggle cannot be reached: {reason}. ")
    assert kaggle_client._sentence(OSError(28, "No space left on device"), "download", "") == ""
    assert "a proxy or the login page" in kaggle_client._sentence(exceptions.JSONDecodeError("x", "", 0), "download", "")
    assert "Kaggle's client has failed (KeyError: 'x'). Update it" in kaggle_client._sentence(KeyError("x"), "download", "")


# Submit


def written(folder, key="0123456789", *, stem="submission", rows=5, inputs=None, **more):
    """An artifact of Predict with its table, whose content is random."""
    content = dataclasses.replace(kinds.filled(Predictions, np.random.default_rng(0)), row_ids=np.arange(rows), **more)
    content = dataclasses.replace(content, locations=np.zeros(rows, np.float32), rmse=np.float32(1.5))
    path = folder / "submissions" / f"{stem}-{key}.h5"
    with files.publishing(path.with_suffix(".csv")) as draft:
        draft.write_text("RowId,Location\n1,2.0\n")
    made_from = {"stage": "Predict", "parameters": {}, "inputs": inputs or {}, "code": {}}
    with artifacts.writing(path, {"stage": "Predict", "key": key, "made_from": made_from}, [path.with_suffix(".csv")]) as file:
        artifacts.put(file, content)
    return path


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """A workspace with Kaggle's files, which have no content, and the artifact that Predict would make of them, which a run has noted."""
    for name in ("training.csv", "test.csv", "IdLookupTable.csv"):
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / name).write_text("ImageId,Image\n")
    monkeypatch.chdir(tmp_path)
    with Run(["--workspace-root=."]).stages() as stages:
        (stage,) = (stage for stage in stages if isinstance(stage, Predict))
        key = stage.key
    written(tmp_path, key)
    noted(tmp_path, f"submissions/submission-{key}.h5")
    return tmp_path


def noted(folder, predicted):
    """Writes a finished run into the log."""
    run = {"event": "run", "run": "1-1", "arguments": ["Predict"], "folder": str(folder)}
    runlog.append(folder / "models", run)
    runlog.append(folder / "models", {"event": "end", "run": "1-1", "artifacts": {"Predict": predicted}})


def logged(folder):
    return [entry for entry in runlog.entries(folder / "models") if entry["event"] == "kaggle"]


@needs_client
def test_submit(server, workspace):
    """The table is uploaded; message, reply and scores go into the run log."""
    (table,) = workspace.glob("submissions/*.csv")
    key = table.stem.rpartition("-")[2]
    code, out, err = kagglish.keypoints(workspace, server.address, "kaggle", "submit", "--message", "first try")
    assert code == 0, err
    assert err.startswith("Last finished run: Predict with default settings")
    assert server.uploaded == [table.read_bytes()]
    (request,) = (content for name, content in server.asked if name == "CreateSubmission")
    assert request["submissionDescription"] == f"first try (keypoints {key}, validation RMSE 1.500 px)"
    assert request["blobFileTokens"] == "an-upload"
    assert "Kaggle: Successfully submitted to Facial Keypoints Detection\n" in out
    assert "Score: public 2.01, private 1.99" in out
    sent, score = logged(workspace)
    assert {"status": "submitted", "key": key, "ref": 77, "message": request["submissionDescription"]}.items() <= sent.items()
    assert sent["reply"] == "Successfully submitted to Facial Keypoints Detection"
    assert {"status": "scored", "key": key, "ref": 77, "public_score": "2.01", "private_score": "1.99"}.items() <= score.items()


@needs_client
def test_the_same_file_is_not_submitted_again(keypoints, server, workspace):
    """The second call shows the score, and spends none of the submissions of the day."""
    assert keypoints("kaggle", "submit")[0] == 0
    code, out, _ = keypoints("kaggle", "submit")
    assert code == 0
    assert "and is not submitted again" in out
    assert "Score: public 2.01" in out
    assert server.names().count("CreateSubmission") == 1
    assert len(logged(workspace)) == 2


@needs_client
def test_a_score_that_comes_later(keypoints, server, workspace):
    """A submission that is not scored within a minute is looked up by the next call; one that cannot be scored may be submitted again."""
    server.replies["ListSubmissions"] = 200, {"submissions": [scored(77, "PENDING")]}
    code, out, _ = keypoints("kaggle", "submit")
    assert (code, len(logged(workspace))) == (0, 1)
    assert "It has not been scored yet. `" in out
    assert server.names().count("ListSubmissions") == kaggle_client.PATIENCE // kaggle_client.PAUSE + 1
    server.replies["ListSubmissions"] = 200, {"submissions": [scored(77, "ERROR", errorDescription="Row 3\nis odd")]}
    code, out, _ = keypoints("kaggle", "submit")
    assert code == 1
    assert f"Kaggle could not score it: Row 3 is odd. See {SUBMISSIONS_PAGE}." in out
    assert logged(workspace)[-1]["error"] == "Row 3 is odd"
    server.replies["ListSubmissions"] = 200, {"submissions": [scored(77, "COMPLETE", publicScore="2.5")]}
    assert keypoints("kaggle", "submit")[0] == 0
    assert server.names().count("CreateSubmission") == 2


@needs_client
@pytest.mark.parametrize(
    ("replies", "said"),
    [
        ({"GetSubmissionLimits": (200, {"numToday": 5, "numAllowedNow": 0})}, "Kaggle's limit on submissions is reached (5 today)."),
        ({"CreateSubmission": (400, {"code": 400, "message": kagglish.LIMIT})}, "Kaggle's limit on submissions is reached (Submission not"),
    ],
    ids=["before", "after"],
)
def test_daily_limit(keypoints, server, workspace, replies, said):
    """It is one sentence with the page, and nothing is noted; if Kaggle says so beforehand, nothing is uploaded."""
    server.replies |= replies
    code, _, err = keypoints("kaggle", "submit")
    assert code == 2
    assert said in err.splitlines()[-1]
    assert SUBMISSIONS_PAGE in err
    assert logged(workspace) == []
    assert bool(server.uploaded) == ("CreateSubmission" in replies)


def refusal(capsys, monkeypatch, *arguments):
    """The message with which `keypoints kaggle submit ARGUMENTS` refuses before anybody is asked."""
    monkeypatch.setattr(kaggle_client, "check_installed", lambda: None)
    monkeypatch.setattr(kaggle_client, "connected", lambda doing, otherwise: pytest.fail("Kaggle would have been asked"))
    monkeypatch.setattr(kaggle, "ROWS", 5)
    assert commands.main(["kaggle", "submit", *map(str, arguments)]) == 2
    return capsys.readouterr().err.splitlines()[-1].removeprefix("keypoints: ")


def test_a_stale_submission(workspace, capsys, monkeypatch):
    """The last run's submission is refused if code, data or settings have changed since; its key names it all the same."""
    (artifact,) = workspace.glob("submissions/*.h5")
    with (workspace / "data" / "training.csv").open("a") as file:
        file.write("more")
    said = refusal(capsys, monkeypatch)
    assert f"{artifact.name} is stale: code, data or settings have changed" in said
    assert said.endswith(f"keypoints kaggle submit {artifact.stem.rpartition('-')[2]}")
    with Run.selected_by([]).stages() as stages:
        named = kaggle._artifact(artifact.stem.rpartition("-")[2], stages, Run.selected_by([]))
    assert named.resolve() == artifact


def test_a_damaged_submission(workspace, capsys, monkeypatch):
    """A table that has been edited is refused."""
    (table,) = workspace.glob("submissions/*.csv")
    table.write_text("RowId,Location\n1,3.0\n")
    assert f"{table.name} has changed since it was written: its checksum differs." in refusal(capsys, monkeypatch)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ({"stem": "submission-rendered"}, "was made from faces that the program drew, so Kaggle cannot score it. Get Kaggle's faces with"),
        ({"inputs": {"Render": "0123456789"}}, "was made from faces that the program drew"),
        ({"stem": "predictions", "own": True}, "was made from a keypoint set of your own, so Kaggle cannot score it."),
        ({"rows": 4}, "has 4 rows, and Kaggle's table asks for 5: it was made from other faces in the formats of Kaggle's files."),
    ],
    ids=["rendered", "drawn", "own", "other"],
)
def test_submissions_that_are_not_for_kaggle(workspace, tmp_path, capsys, monkeypatch, made, said):
    """Predictions of drawn faces, of an own set, or of other faces in Kaggle's formats are refused in a sentence."""
    own = made.pop("own", False)
    path = written(tmp_path / "other", **made)
    if own:
        content = dataclasses.replace(artifacts.load(path, Predictions), row_ids=None, locations=None)
        with artifacts.writing(path, artifacts.attributes(path) | {"key": "0123456789"}, [path.with_suffix(".csv")]) as file:
            artifacts.put(file, content)
    assert said in refusal(capsys, monkeypatch, path)


def test_there_is_no_submission(tmp_path, monkeypatch, capsys, workspace):
    """Without a finished run, with an artifact of another stage, and with another stage's address: what to do instead."""
    (artifact,) = workspace.glob("submissions/*.h5")
    artifact.unlink()
    assert refusal(capsys, monkeypatch).startswith("There is no submission yet. To make one: ")
    base = tmp_path / "models" / "trainbase-0123456789.h5"
    kinds_path = kinds.write(kinds.Trained, tmp_path / "models")
    kinds_path.rename(base)
    assert "is no submission. Name an artifact of Predict" in refusal(capsys, monkeypatch, base)
    assert refusal(capsys, monkeypatch, "TrainBase").startswith("TrainBase has no submission. Name an artifact of Predict")


def test_kaggles_table_has_as_many_rows():
    """The number is that of Kaggle's page about the data."""
    assert kaggle.ROWS == 27124


def test_the_client_is_imported_only_when_it_is_used():
    """Its import signs in, so no module may import it at its top."""
    for module in Path(kaggle.__file__).parent.rglob("*.py"):
        assert not any(line.startswith(("import kaggle", "from kaggle")) for line in module.read_text().splitlines()), module


def test_any_error_of_the_client_is_a_sentence(monkeypatch):
    """Whatever happens while it signs in."""
    monkeypatch.setattr(kaggle_client, "check_installed", lambda: None)
    monkeypatch.setattr(kaggle_client, "_signed_in", lambda: {}["username"])
    pytest.importorskip("requests")
    with pytest.raises(
        InputError, match=r"Kaggle's client has failed \(KeyError: 'username'\)\. Update it: pip install --upgrade kaggle\. By hand\."
    ):
        with kaggle_client.connected("download", "By hand."):
            pass
