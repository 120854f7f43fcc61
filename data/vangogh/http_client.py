"""Polite HTTP GET: paced, identified, retried; standard library only.

Conventions: one request at a time; all waiting happens in one place (``_pace``), through an
injectable clock, so that a server's Retry-After holds for *every* later request and not only for
the one that was refused. An operation is a callable that opens a response and consumes it;
``PoliteClient.run`` repeats the whole operation, because a body can break half-way as easily as a
connection.

In: URL -> out: ``http.client.HTTPResponse`` or one of the errors below, whose text is one line for
people.

Reference: https://www.mediawiki.org/wiki/API:Etiquette and
https://foundation.wikimedia.org/wiki/Policy:Wikimedia_Foundation_User-Agent_Policy
"""

from __future__ import annotations

import datetime
import email.utils
import html
import http.client
import random
import re
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

T = TypeVar("T")

# 500 is here because Wikimedia's thumbnail servers answer it for what is often a passing overload.
RETRIED_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
MAX_BACKOFF_SEC = 60.0


class FetchError(Exception):
    """A request failed for good; the others may still succeed."""


class TransientError(FetchError):
    """A request failed in a way that another attempt may cure.

    Attributes:
        retry_after_sec: how long the server asked us to wait, or None if it did not say.
    """

    def __init__(self, message: str, *, retry_after_sec: float | None = None):
        super().__init__(message)
        self.retry_after_sec = retry_after_sec


class StatusError(FetchError):
    """The server answered with an HTTP status that another attempt will not change."""

    def __init__(self, message: str, *, status: int):
        super().__init__(message)
        self.status = status


class UnavailableError(FetchError):
    """Nothing more can be fetched now: no network, or the server wants us away. Stops the run."""


class PoliteClient:
    """Sequential GET client with pacing, retries, exponential backoff with jitter, and Retry-After.

    Args:
        user_agent: who is asking, with a way to make contact.
        requests_per_sec: upper limit of the request rate, > 0.
        timeout_sec: limit on connecting and on every single read.
        max_attempts: attempts per operation, >= 1.
        max_wait_sec: if a server asks for a longer pause than this, the run stops instead.
        sleep, clock: ``time.sleep`` and ``time.monotonic``, replaced together in tests.
        rng: source of the jitter.
    """

    def __init__(
        self,
        *,
        user_agent: str,
        requests_per_sec: float = 1.0,
        timeout_sec: float = 60.0,
        max_attempts: int = 5,
        max_wait_sec: float = 900.0,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ):
        if requests_per_sec <= 0:
            raise ValueError(f"requests_per_sec must be > 0. Received: {requests_per_sec}")
        if max_attempts < 1:
            raise ValueError(f"max_attempts must be >= 1. Received: {max_attempts}")
        self._user_agent = user_agent
        self._interval_sec = 1.0 / requests_per_sec
        self._timeout_sec = timeout_sec
        self._max_attempts = max_attempts
        self._max_wait_sec = max_wait_sec
        self._sleep = sleep
        self._clock = clock
        self._rng = rng or random.Random()
        self._not_before = -float("inf")  # on self._clock: no request may start earlier
        self._reached_somebody = False

    def run(self, operation: Callable[[], T]) -> T:
        """Runs `operation`, again while it raises TransientError and attempts are left.

        Raises:
            FetchError: whatever the last attempt raised.
            UnavailableError: no network, or a Retry-After above `max_wait_sec`.
        """
        for attempt in range(1, self._max_attempts + 1):
            self._pace()
            try:
                return operation()
            except TransientError as error:
                asked_sec = error.retry_after_sec or 0.0
                if asked_sec > self._max_wait_sec:
                    raise UnavailableError(
                        f"The server asks for a pause of {asked_sec:.0f} s ({error}). Run the same"
                        " command"
                        " again after that; finished pictures are kept."
                    ) from error
                # The pause also precedes the *next* operation when this was the last attempt.
                self._hold_off(max(asked_sec, self._backoff_sec(attempt)))
                if attempt == self._max_attempts:
                    raise
        raise AssertionError("unreachable: the loop returns or raises")

    def open(self, url: str, *, headers: Mapping[str, str] | None = None) -> http.client.HTTPResponse:
        """Opens `url` once (redirects followed). Use it inside an operation given to `run`.

        Raises:
            TransientError: a status or a broken connection that is worth another attempt.
            StatusError: any other status.
            FetchError: an address that is not HTTP.
            UnavailableError: the host cannot be reached at all.
        """
        if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
            # urllib would happily open file:// or ftp:// named by a hostile API answer.
            raise FetchError(f"expected an http(s) address. Received: {url!r}")
        url = urllib.parse.quote(url, safe="%/:=&?~#+!$,;'@()*[]|")
        request = urllib.request.Request(url, headers={"User-Agent": self._user_agent, **(headers or {})})
        try:
            response = urllib.request.urlopen(request, timeout=self._timeout_sec)
        except urllib.error.HTTPError as error:
            self._reached_somebody = True
            with error:
                raise self._status_error(error) from error
        except (OSError, http.client.HTTPException) as error:
            raise self._connection_error(error, url) from error
        self._reached_somebody = True
        return response

    def _pace(self) -> None:
        wait_sec = self._not_before - self._clock()
        if wait_sec > 0:
            self._sleep(wait_sec)
        self._hold_off(self._interval_sec)

    def _hold_off(self, wait_sec: float) -> None:
        self._not_before = max(self._not_before, self._clock() + wait_sec)

    def _backoff_sec(self, attempt: int) -> float:
        # "Equal jitter" keeps clients that failed together from coming back together.
        return min(MAX_BACKOFF_SEC, 2.0 ** (attempt - 1)) * self._rng.uniform(0.5, 1.5)

    def _status_error(self, error: urllib.error.HTTPError) -> FetchError:
        message = f"HTTP {error.code} {error.reason}{_body_hint(error)}"
        if error.code in RETRIED_STATUSES:
            wait_sec = parse_retry_after(error.headers.get("Retry-After"))
            return TransientError(message, retry_after_sec=wait_sec)
        if error.code == 403:
            message += "; the server may want --contact=YOUR_EMAIL_OR_URL, or block this network"
        return StatusError(message, status=error.code)

    def _connection_error(self, error: Exception, url: str) -> FetchError:
        reason = getattr(error, "reason", None) or error
        # Refused or unresolved: there is no server to be patient with. Other failures (time-outs,
        # resets) mean the same only if nothing has ever answered.
        no_server = isinstance(reason, (socket.gaierror, ConnectionRefusedError))
        if no_server or not self._reached_somebody:
            return UnavailableError(
                f"Cannot reach {urllib.parse.urlsplit(url).netloc} ({_one_line(reason)}). Check"
                " the internet"
                " connection (or HTTPS_PROXY) and run the same command again; finished pictures"
                " are kept."
            )
        return TransientError(f"connection failed: {_one_line(reason)}")


def read_chunks(response: http.client.HTTPResponse, *, chunk_bytes: int = 1 << 18) -> Iterator[bytes]:
    """Yields the body in blocks of at most `chunk_bytes`; checks its length against Content-Length.

    Raises:
        TransientError: the body broke off early.
    """
    header = response.headers.get("Content-Length")
    received = 0
    while True:
        try:
            block = response.read(chunk_bytes)
        except (OSError, http.client.HTTPException) as error:
            raise TransientError(f"connection broke in the body: {_one_line(error)}") from error
        if not block:
            break
        received += len(block)
        yield block
    # read(n) returns b"" at a premature end without raising (bpo-44687 and relatives): count
    # ourselves.
    if header is not None and received != int(header):
        raise TransientError(f"truncated answer: {received} of {header} bytes")


def parse_retry_after(value: str | None) -> float | None:
    """Seconds that a Retry-After header asks for (a number or a date); None if it is unreadable."""
    if value is None:
        return None
    value = value.strip()
    if re.fullmatch(r"\d+(\.\d+)?", value):
        return float(value)
    try:
        when = email.utils.parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None  # a malformed header asks for nothing; the backoff still applies
    if when.tzinfo is None:
        when = when.replace(tzinfo=datetime.UTC)
    return max(0.0, (when - datetime.datetime.now(datetime.UTC)).total_seconds())


def _body_hint(error: urllib.error.HTTPError) -> str:
    """The readable beginning of an error page, where servers explain themselves."""
    try:
        body = error.read(4000)
    except (OSError, http.client.HTTPException):
        return ""  # the status is the message; the page was a courtesy
    text = re.sub(r"(?s)<(style|script|title).*?</\1>|<[^>]*>", " ", body.decode("utf-8", "replace"))
    text = _one_line(html.unescape(text))
    return f": {text[:160]}" if text else ""


def _one_line(value: object) -> str:
    return " ".join(str(value).split()) or type(value).__name__
