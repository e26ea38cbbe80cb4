"""A local server that speaks the protocol of Kaggle's client, and a way to run `keypoints kaggle` against it in a fresh process."""

import importlib
import json
import os
import subprocess
import sys
import threading
import time
import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from workplace import PATIENCE

from pipeline import commands
from pipeline.commands import kaggle

ROOT = Path(__file__).parent.parent
TOKEN = "a-token"
RULES = "You must accept this competition's rules before you'll be able to download files."
LIMIT = "Submission not allowed: Your team has used its submission allowance (5 of 5)."
# The client with another address, without its pauses; argv: the address, a number of rows, and the arguments of keypoints.
PROGRAM = """
import sys, time
from kagglesdk import kaggle_env
kaggle_env._env_to_endpoint[kaggle_env.KaggleEnv.PROD] = sys.argv[1]
time.sleep = lambda seconds: None
from pipeline import commands
from pipeline.commands import kaggle
kaggle.ROWS = int(sys.argv[2])
sys.argv[0] = "keypoints"
sys.exit(commands.main(sys.argv[3:]))
"""


class Server(ThreadingHTTPServer):
    """The server. Its attributes may be changed before it is asked.

    replies: status and content of the reply to a request, by its name, such as CreateSubmission; None instead of both: it hangs up.
    pack: the bytes of the competition's zip file. sent: how many of them are sent; None for all. asked: what it was asked: the name
    and the content of each request. uploaded: the bytes of each file that it was given. user: whether a token is valid.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.asked, self.uploaded, self.pack, self.sent = [], [], b"", None
        self.replies = {
            "IntrospectToken": (200, {"active": True, "username": "someone"}),
            "StartSubmissionUpload": (200, {"token": "an-upload", "createUrl": f"{self.address}/upload"}),
            "CreateSubmission": (200, {"message": "Successfully submitted to Facial Keypoints Detection", "ref": 77}),
            "GetSubmissionLimits": (200, {"numToday": 1, "numTotal": 9, "numAllowedNow": 4}),
            "ListSubmissions": (200, {"submissions": [scored(77, "COMPLETE", publicScore="2.01", privateScore="1.99")]}),
        }

    def names(self):
        """The names of the requests, in their order."""
        return [name for name, _ in self.asked]

    def handle_error(self, request, client_address):
        """A client that hangs up is no fault of the server."""


def scored(ref, status, **more):
    """A submission as Kaggle lists it."""
    return {"ref": ref, "status": status, "description": "", "date": "2026-01-01T00:00:00Z", **more}


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *arguments):
        pass

    def do_POST(self):
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = self.path.rpartition("/")[2]
        self.server.asked.append((name, {**content, "authorization": self.headers.get("Authorization")}))
        if name == "DownloadDataFiles" and name not in self.server.replies:
            self._send(302, b"", Location=f"{self.server.address}/storage/archive.zip?signature=secret")
        elif reply := self.server.replies[name]:
            self._send(reply[0], json.dumps(reply[1]).encode())
        else:
            self.close_connection = True

    def do_GET(self):
        pack, sent = self.server.pack, self.server.sent
        self._send(200, pack if sent is None else pack[:sent], length=len(pack), kind="application/zip")
        if sent is not None:
            self.close_connection = True

    def do_PUT(self):
        self.server.uploaded.append(self.rfile.read(int(self.headers["Content-Length"])))
        self._send(200, b"{}")

    def _send(self, status, content, *, length=None, kind="application/json", **headers):
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(content) if length is None else length), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


def running(server):
    """Starts the server in a thread and returns it."""
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    return server


def keypoints(folder, address, *arguments, rows=5):
    """Exit code, standard output and standard error of `keypoints ARGUMENTS` in a fresh process, with a home folder of its own."""
    (folder / "home").mkdir(exist_ok=True)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("KAGGLE", "LUIGI", "HTTP", "http", "XDG"))}
    environment = {**inherited, "HOME": str(folder / "home"), "PYTHONPATH": str(ROOT), "KAGGLE_API_TOKEN": TOKEN}
    command = [sys.executable, "-c", PROGRAM, address, str(rows), *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=5 * PATIENCE, check=False)
    return done.returncode, done.stdout, done.stderr


class Here:
    """`keypoints` in this process, with a client that asks the server and whose home folder is a temporary one."""

    def __init__(self, server, folder, monkeypatch, capsys):
        self.server, self.folder, self._patch, self._capsys = server, folder, monkeypatch, capsys
        (folder / "home").mkdir()
        monkeypatch.chdir(folder)
        for name in [name for name in os.environ if name.startswith(("KAGGLE", "XDG"))]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("HOME", str(folder / "home"))
        monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN)
        monkeypatch.setattr(time, "sleep", lambda seconds: None)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sdk = importlib.import_module("kagglesdk.kaggle_env")
            monkeypatch.setitem(sdk._env_to_endpoint, sdk.KaggleEnv.PROD, server.address)
            self._client = importlib.import_module("kaggle")
        self._api = importlib.import_module("kaggle.api.kaggle_api_extended").KaggleApi
        monkeypatch.setattr(self._api, "config", str(folder / "home" / ".kaggle" / "kaggle.json"))
        monkeypatch.setattr(kaggle, "ROWS", 5)

    def __call__(self, *arguments, **variables):
        """Exit code, standard output and standard error of `keypoints ARGUMENTS`."""
        for name, value in variables.items():
            self._patch.setenv(name, value)
        self._patch.setattr(self._client, "api", self._api())
        code = commands.main([str(argument) for argument in arguments])
        return code, *self._capsys.readouterr()
