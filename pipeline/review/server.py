"""The server of the review page. It answers this machine's browser only.

Every page on the internet can send requests to a server on this machine, and every program on it can connect to it. So the server listens
on 127.0.0.1 only, and what concerns the data needs a secret in a header, which no other page can set: the address that the command prints
has the secret behind #, where no browser sends it to a server. Requests for another host (DNS rebinding) or from another origin are refused
first. The files of the page contain no data.
"""

import json
import secrets
import socket
from collections.abc import Awaitable, Callable
from importlib import resources
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.data.corrections import ConflictError
from pipeline.errors import InputError
from pipeline.review.wish import Wish, WrongRequestError

if TYPE_CHECKING:
    from pipeline.review.judgement import RankedBy
    from pipeline.review.session import Review

HOST = "127.0.0.1"
HEADER = "x-review-key"
LONGEST_BODY = 1 << 14  # bytes of a request
KINDS = {"html": "text/html; charset=utf-8", "css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}
SECURITY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}

# Waits until the labels are read. Raises InputError if they cannot be read.
Opened = Callable[[], "Review"]


def listening(port: int) -> socket.socket:
    """A socket on this machine's own address. port: 0 for any free one. Raises InputError if the port cannot be used."""
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((HOST, port))
        found.listen()  # a browser may ask before the server runs
    except (OSError, OverflowError) as error:
        found.close()
        why = str(getattr(error, "strerror", "") or error).lower()
        raise InputError(f"--port {port} cannot be used: {why}. Give another one.") from None
    return found


def address(port: int, secret: str) -> str:
    """The address of the page, with the secret."""
    return f"http://{HOST}:{port}/#key={secret}"


def server(opened: Opened, at: socket.socket, secret: str) -> uvicorn.Server:
    """The server for a socket, before it runs. It runs until the process is interrupted, or until its `should_exit` is set."""
    app = application(opened, secret, at.getsockname()[1])
    config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False, lifespan="off", ws="none", http="h11")
    return uvicorn.Server(config)


def application(opened: Opened, secret: str, port: int) -> ASGIApp:
    """The pages, and the answers to their requests. port: at which the server is reached."""
    pages = [Route(path, _file(name)) for path, name in _files().items()]
    answers = [
        Route("/api/review", _answering(lambda request: opened().summary(_ranked(request, opened())))),
        Route("/api/samples/{rank:int}", _answering(lambda request: opened().shown(*_asked(request, opened())))),
        Route("/api/pictures/{rank:int}", _answering(lambda request: _picture(opened(), *_asked(request, opened())))),
        Route("/api/changes", _changing(opened), methods=["POST"]),
    ]
    return Guard(Starlette(routes=[*pages, *answers]), secret, port)


class Guard:
    """Refuses what does not come from the page, before anything is read, and adds the headers that confine the page."""

    def __init__(self, app: ASGIApp, secret: str, port: int) -> None:
        self.app, self.secret = app, secret
        self.hosts = {f"{HOST}:{port}", f"localhost:{port}"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        if scope["type"] != "http":
            return

        async def confined(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = [(name.lower().encode(), value.encode()) for name, value in SECURITY.items()]
                message = {**message, "headers": [*message["headers"], *headers]}
            await send(message)

        refusal = self._refusal(Request(scope))
        await (refusal or self.app)(scope, receive, confined)

    def _refusal(self, request: Request) -> Response | None:
        hosts, origins = request.headers.getlist("host"), request.headers.getlist("origin")
        if len(hosts) != 1 or hosts[0] not in self.hosts:
            return _refused(421, "This server answers only for its own address.")
        if any(origin != f"http://{hosts[0]}" for origin in origins):
            return _refused(403, "This server answers only its own page.")
        if request.url.path.startswith("/api/"):
            if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
                return _refused(403, "This server answers only its own page.")
            given = request.headers.get(HEADER, "")
            if not secrets.compare_digest(given.encode(), self.secret.encode()):
                return _refused(401, "Open the address that `keypoints review` has printed.")
        return None


def _files() -> dict[str, str]:
    """The files of the page by their paths."""
    names = sorted(each.name for each in resources.files("pipeline.review").joinpath("page").iterdir())
    return {("/" if name == "index.html" else f"/{name}"): name for name in names if name.rpartition(".")[2] in KINDS}


def _file(name: str) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        content = resources.files("pipeline.review").joinpath("page", name).read_bytes()
        return Response(content, media_type=KINDS[name.rpartition(".")[2]])

    return answer


def _answering(find: Callable[[Request], Any]) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        return _guarded(lambda: find(request))

    return answer


def _changing(opened: Opened) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return _refused(415, "A change is JSON.")
        content = b""
        async for block in request.stream():
            content += block
            if len(content) > LONGEST_BODY:
                return _refused(413, "The request is too long.")
        return await run_in_threadpool(_guarded, lambda: opened().change(_wish(content)))

    return answer


def _wish(content: bytes) -> Wish:
    """The change that a request asks for. Raises WrongRequestError if it is none."""
    try:
        given = json.loads(content)
        point = given.get("point")
        wish = Wish(**{**given, "point": None if point is None else (float(point[0]), float(point[1]))})
        numbers, texts = (wish.sample, wish.keypoint), (wish.old, wish.why, wish.new or "")
        if not (
            all(type(each) is int for each in numbers) and all(isinstance(each, str) for each in texts) and type(wish.occluded) is bool
        ):
            raise TypeError
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError, OverflowError):
        raise WrongRequestError("The request is not a change.") from None
    return wish


def _guarded(find: Callable[[], Any]) -> Response:
    """The answer, or what is wrong as a sentence."""
    try:
        found = find()
    except ConflictError as error:
        return JSONResponse({"told": str(error), "value": str(error.standing)}, 409)
    except WrongRequestError as error:
        return _refused(404 if "There is no" in str(error) else 422, str(error))
    except InputError as error:
        return _refused(500, str(error))
    except OSError as error:
        return _refused(507, f"{error.filename}: {(error.strerror or str(error)).lower()}.")
    return found if isinstance(found, Response) else JSONResponse(found)


def _ranked(request: Request, review: "Review") -> "RankedBy":
    """What a request ranks samples by."""
    return review.ranked(request.query_params.get("by", ""), request.query_params.get("of", ""))


def _asked(request: Request, review: "Review") -> tuple[int, "RankedBy"]:
    """The rank of a sample, from 0, and what samples are ranked by."""
    return request.path_params["rank"], _ranked(request, review)


def _picture(review: "Review", rank: int, ranked: "RankedBy") -> Response:
    picture = review.samples.picture(review.sample(rank, ranked))
    return Response(picture.content, media_type=picture.kind)


def _refused(status: int, why: str) -> JSONResponse:
    return JSONResponse({"told": why}, status)
