"""luigid as a worker sees it: it may be away for a while, and what it is told of a running stage never holds the stage up.

Luigi's own client waits for half a minute between two attempts, inside the training loop too, and prints a traceback for each.
"""

import threading
from typing import Any

import luigi
from luigi.rpc import RemoteScheduler, RPCError
from luigi.worker import TaskStatusReporter

from pipeline import units
from pipeline.errors import InputError
from pipeline.store.run import interrupts
from pipeline.store.workspace.console import say, warn_once

# A request that gets no answer is repeated for two minutes, in which a server can be restarted, unless the configuration says otherwise.
CONNECT_TIMEOUT = 5.0
ATTEMPTS = 25
WAIT = 5
# Seconds that a report or a sign of life may take, and that the last report of a stage is waited for.
BRIEF = 2.0

_Client: Any = RemoteScheduler  # its methods are made at run time


class Unreachable(InputError):
    """luigid has not answered for as long as this program waits for it."""


class Server(_Client):
    """luigid at a URL. Requests are repeated as [core] rpc_retry_attempts and rpc_retry_wait say, and then raise Unreachable."""

    def __init__(self, url: str):
        config = luigi.configuration.get_config()
        super().__init__(url, config.getfloat("core", "rpc_connect_timeout", CONNECT_TIMEOUT))
        self._rpc_retry_attempts = config.getint("core", "rpc_retry_attempts", ATTEMPTS)
        self._rpc_retry_wait = config.getint("core", "rpc_retry_wait", WAIT)
        self._rpc_log_retries = False
        self._for_signs_of_life = _Brief(url)

    @property
    def url(self) -> str:
        """The address, without a slash at the end."""
        return str(self._url)

    def ping(self, **worker: Any) -> Any:
        """Tells luigid that a worker lives, and returns its messages for the worker; None if it does not answer at once."""
        try:
            return self._for_signs_of_life.ping(**worker)
        except (RPCError, ValueError):
            return None

    def _get_retryer(self) -> Any:
        return super()._get_retryer().copy(before_sleep=self._report_absence)

    def _report_absence(self, state: Any) -> None:
        if state.attempt_number == 1:
            wait = units.clock((self._rpc_retry_attempts - 1) * self._rpc_retry_wait)
            say(f"luigid at {self.url} does not answer ({_reason(state.outcome.exception())}). It is asked again for {wait}.")

    def _fetch(self, url_suffix: str, body: Any) -> Any:
        try:
            return super()._fetch(url_suffix, body)
        except RPCError as error:
            raise Unreachable(
                f"luigid at {self.url} does not answer ({_reason(error.sub_exception)}). Start it, or correct the address, and run the same"
                " command again: finished stages are kept."
            ) from error

    def _request(self, url: str, data: Any, attempts: int = 3, allow_null: bool = True) -> Any:
        try:
            return super()._request(url, data, attempts, allow_null)
        except ValueError as error:
            raise InputError(f"{self.url} does not answer like luigid. Correct the address.") from error


class _Brief(_Client):
    """luigid for requests that may get lost: one attempt, and a short time for the answer."""

    def __init__(self, url: str):
        super().__init__(url, connect_timeout=BRIEF)
        self._rpc_retry_attempts, self._rpc_log_retries = 1, False


class Reports(TaskStatusReporter):
    """Tells luigid how far a stage is, from a thread of its own. Only the latest report of each kind is sent; it may get lost.

    Luigi gives its methods to the stage that is running.
    """

    def __init__(self, server: Server, task_id: str, worker_id: str, messages: Any = None):
        super().__init__(server, task_id, worker_id, messages)
        self._url = server.url
        self._latest: dict[str, Any] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._ended = False

    def update_status_message(self, message: str) -> None:
        """Shows a line of text on luigid's page."""
        self._send("set_task_status_message", message)

    def update_progress_percentage(self, percentage: int) -> None:
        """Shows a percentage on luigid's page."""
        self._send("set_task_progress_percentage", percentage)

    def close(self) -> None:
        """Waits a moment for the last report to be sent."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(BRIEF)

    def _send(self, request: str, value: Any) -> None:
        with self._changed:
            self._latest[request] = value
            self._changed.notify()
        if self._thread is None:  # not earlier, because a thread does not survive the fork of a worker process
            self._thread = interrupts.start_thread(self._keep_sending)

    def _keep_sending(self) -> None:
        server = _Brief(self._url)
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._latest or self._ended)
                if not self._latest:
                    return
                request = next(iter(self._latest))
                value = self._latest.pop(request)
            try:
                getattr(server, request)(self._task_id, value)
            except Exception as error:
                warn_once(f"luigid at {self._url} does not answer ({_reason(error)}). The stage goes on without its page.")


def _reason(error: BaseException | None) -> str:
    """Why a request failed, in a few words."""
    while isinstance(error, RPCError) and error.sub_exception is not None:
        error = error.sub_exception
    text = str(error)
    known = {"refused": "connection refused", "timed out": "no answer in time", "resolve": "unknown host", "getaddrinfo": "unknown host"}
    return next((words for part, words in known.items() if part in text.lower()), text.partition("\n")[0] or type(error).__name__)
