"""Asks services over HTTP: politely, patiently, and without ever letting a key out.

Every request of a provider, from whichever thread, takes its turn at the provider's rate. What may pass by itself
(time-outs, broken connections, 429, 5xx, an HTML page or half a document where JSON was due) is tried again with
exponential back-off and jitter, or after what the service's Retry-After says; other refusals fail at once.
"""

import datetime as dt
import email.utils
import json
import os
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
from pydantic import PositiveFloat, PositiveInt

from alfred.core.errors import ConfigError, FetchError
from alfred.core.settings import Settings
from alfred.core.version import __version__
from alfred.lake.contracts import ProviderDescription
from alfred.lake.keys import key_of, scrub, scrub_body, scrub_parsed

CONTACT = "ALFRED_CONTACT"
WANT_A_CONTACT = ("edgar",)
MAX_REDIRECTS = 5
EXCERPT = 200
T = TypeVar("T")


class WebSettings(Settings):
    """How patient to be with a service.

    Attributes:
        tries: requests made for one answer before giving up.
        silence_s: seconds without a byte after which a try is given up.
        try_s: seconds that one try may take in all, however slowly bytes come.
        total_s: seconds for all tries and waits between them; a service that asks for a longer wait fails at once.
        first_wait_s, longest_wait_s: back-off before the second try, doubled for each further one up to the longest.
        largest_bytes: size beyond which an answer is refused.
    """

    tries: PositiveInt = 5
    silence_s: PositiveFloat = 20.0
    try_s: PositiveFloat = 120.0
    total_s: PositiveFloat = 300.0
    first_wait_s: PositiveFloat = 1.0
    longest_wait_s: PositiveFloat = 60.0
    largest_bytes: PositiveInt = 256_000_000


class Again(Exception):  # noqa: N818 - control flow between a try and the loop, never seen outside
    """One try failed in a way that may pass; `wait_s` is what the service asked for, None where it said nothing."""

    def __init__(self, reason: str, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.wait_s = wait_s


class Refused(Exception):  # noqa: N818 - as above
    """Another try would end the same way."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass
class _Pace:
    """Turns of one service, evenly spaced, shared by all threads."""

    interval_s: float
    next_at: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def turn(self) -> float:
        """Take the next turn; seconds until it comes."""
        with self.lock:
            now = time.monotonic()
            at = max(now, self.next_at)
            self.next_at = at + self.interval_s
            return at - now

    def pause(self, wait_s: float) -> None:
        """No turn for anybody before `wait_s` seconds have passed."""
        with self.lock:
            self.next_at = max(self.next_at, time.monotonic() + wait_s)


_paces: dict[tuple[str, float], _Pace] = {}
_paces_lock = threading.Lock()


def _pace(description: ProviderDescription) -> _Pace:
    with _paces_lock:
        key = (description.name, description.requests_per_second)
        return _paces.setdefault(key, _Pace(1 / description.requests_per_second))


class Patience:
    """A service's rate limit and retries, for whatever client asks it. Safe to share between threads."""

    def __init__(self, description: ProviderDescription, settings: WebSettings | None = None) -> None:
        self.description = description
        self.settings = settings or WebSettings()
        self._pace = _pace(description)
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Wait for nothing any more: every request under way or to come fails soon."""
        self._stopped.set()

    def ask(self, where: str, send: Callable[[float], T]) -> T:
        """What `send` returns, tried again as long as it raises `Again`.

        Args:
            where: address without secrets, for the error's text.
            send: makes one try; gets the instant (`time.monotonic`) by which it must have ended.

        Raises:
            FetchError: the last try failed, or one was refused; the message says where and why.
        """
        end = time.monotonic() + self.settings.total_s
        reason, tried = "there was no time for a try", 0
        while tried < self.settings.tries and not self._stopped.is_set():
            if not self._wait(self._pace.turn(), end):
                break
            tried += 1
            answer, failure = _attempt(send, min(end, time.monotonic() + self.settings.try_s))
            if failure is None:
                return answer  # type: ignore[return-value] # an answer without a failure is what `send` returned
            reason = failure.reason
            if isinstance(failure, Refused):
                break
            wait_s = self._back_off(tried) if failure.wait_s is None else failure.wait_s
            if failure.wait_s is not None:
                self._pace.pause(failure.wait_s)
            if time.monotonic() + wait_s > end:
                reason += f", and the next try would be in {wait_s:,.0f} s"
                break
            if tried < self.settings.tries and not self._wait(wait_s, end):
                break
        after = f" after {tried} tries" if tried > 1 else ""
        raise FetchError(scrub(f"{self.description.name} gave no usable answer at {where}{after}: {reason}."))

    def _back_off(self, tried: int) -> float:
        longest: float = min(self.settings.longest_wait_s, self.settings.first_wait_s * 2 ** (tried - 1))
        jitter: float = random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
        return longest * jitter

    def _wait(self, wait_s: float, end: float) -> bool:
        """Whether there is time left after waiting."""
        if time.monotonic() + wait_s > end:
            return False
        return not self._stopped.wait(wait_s)


def _attempt(send: Callable[[float], T], end: float) -> tuple[T | None, Again | Refused | None]:
    # The failure is handed on as a value: an error raised from inside an `except` would carry the client's own
    # exception, whose text or request may hold the address with its query.
    try:
        return send(end), None
    except (Again, Refused) as failure:
        return None, failure


def check_status(status: int, retry_after: str | None, excerpt: str) -> None:
    """Raise `Again` for 429 and 5xx, `Refused` for any other status that is no success."""
    said = f" ({excerpt})" if excerpt else ""
    if status == httpx.codes.TOO_MANY_REQUESTS or status >= httpx.codes.INTERNAL_SERVER_ERROR:
        raise Again(f"status {status}{said}", seconds_of(retry_after))
    if status >= httpx.codes.BAD_REQUEST:
        raise Refused(f"status {status}{said}")


def seconds_of(retry_after: str | None) -> float | None:
    """Seconds to wait from a Retry-After header, which is a number of seconds or a date; None where unreadable."""
    if retry_after is None:
        return None
    text = retry_after.strip()
    if text.isdigit():
        return float(text)
    try:
        at = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=dt.UTC)
    return max(0.0, (at - dt.datetime.now(dt.UTC)).total_seconds())


def is_html(body: str) -> bool:
    """Whether a body is a web page."""
    head = body[:500].lstrip("\ufeff \t\r\n").lower()
    return head.startswith(("<!doctype html", "<html"))


def excerpt_of(body: str) -> str:
    """The beginning of an error's body on one line; of a web page nothing."""
    return "" if is_html(body) else " ".join(body[:EXCERPT].split())


def parsed(body: str) -> Any:
    """A JSON document; `Again` where the body is a web page or cut off."""
    if is_html(body):
        raise Again("a web page came in place of JSON")
    try:
        return json.loads(body)
    except ValueError as error:
        where = f" at character {error.pos:,}" if isinstance(error, json.JSONDecodeError) else ""
        raise Again(f"the JSON is cut off or broken{where} of {len(body):,}") from None


def address(url: str) -> str:
    """`url` without user, query and fragment."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def user_agent(description: ProviderDescription) -> str:
    """`Alfred/0.1.0`, followed by ALFRED_CONTACT for services that demand to know whom to write to.

    Raises:
        ConfigError: the service demands a contact and the variable is not set.
    """
    name = f"Alfred/{__version__}"
    if description.name not in WANT_A_CONTACT:
        return name
    contact = os.environ.get(CONTACT, "").strip()
    if not contact:
        raise ConfigError(
            f"{description.name} serves only who says how to be reached; set {CONTACT} to your name and e-mail address."
        )
    return f"{name} {contact}"


class HttpWeb:
    """`Web` over httpx for one provider; safe to share between threads. Redirects are followed on one host only."""

    def __init__(self, description: ProviderDescription, settings: WebSettings | None = None) -> None:
        key_of(description)  # from here on the key is hidden wherever it turns up
        self.patience = Patience(description, settings)
        settings = self.patience.settings
        self._client = httpx.Client(
            headers={"User-Agent": user_agent(description)},
            timeout=httpx.Timeout(settings.silence_s),
            limits=httpx.Limits(max_connections=max(1, description.concurrency)),
        )

    def close(self) -> None:
        """Give up what is under way and close the connections."""
        self.patience.stop()
        self._client.close()

    def text(self, url: str, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None) -> str:
        """The body of a successful answer; the service's key, where it repeats it, is replaced.

        A web page is a failure where `headers` accept only something else ("Accept": "text/csv").
        """
        wants = dict(headers or {}).get("Accept", "*/*")

        def send(end: float) -> str:
            body = scrub(self._get(url, params, headers, end))
            if is_html(body) and not any(kind in wants for kind in ("html", "*/*")):
                raise Again(f"a web page came in place of {wants}")
            return body

        return self.patience.ask(address(url), send)

    def json(self, url: str, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None) -> Any:
        """The parsed body, with the service's key replaced in all its strings.

        A web page or cut-off JSON under status 200 is retried, then a FetchError.
        """
        accepting = {"Accept": "application/json", **(headers or {})}
        # Replaced after parsing alone: in the text, "\nKEY" holds a key that begins with n, and would become no JSON.
        return self.patience.ask(address(url), lambda end: scrub_parsed(parsed(self._get(url, params, accepting, end))))

    def _get(self, url: str, params: Mapping[str, str] | None, headers: Mapping[str, str] | None, end: float) -> str:
        """The body as it came: a key may be in it."""
        try:
            request = self._client.build_request("GET", url, params=dict(params) if params else None, headers=headers)
            for _ in range(MAX_REDIRECTS):
                with _Answer(self._client, request) as response:
                    if not response.has_redirect_location:
                        return self._body(response, end)
                    request = _redirected(request, response)
        except httpx.TimeoutException as error:
            raise Again(f"no answer in time ({type(error).__name__})") from None
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise Again(f"the connection failed ({type(error).__name__}: {error})") from None
        except httpx.InvalidURL as error:
            raise Refused(f"this is no address ({error})") from None
        raise Refused(f"more than {MAX_REDIRECTS} redirects")

    def _body(self, response: httpx.Response, end: float) -> str:
        parts, size, settings = [], 0, self.patience.settings
        for part in response.iter_bytes():
            parts.append(part)
            size += len(part)
            if size > settings.largest_bytes:
                raise Refused(f"the answer is larger than {settings.largest_bytes:,} bytes")
            if time.monotonic() > end:
                raise Again(f"the answer was not complete in time, {size:,} bytes had come")
        body = _decoded(b"".join(parts), response.charset_encoding)
        said = excerpt_of(scrub_body(body)) if response.is_error else ""
        check_status(response.status_code, response.headers.get("Retry-After"), said)
        return body


class _Answer:
    """A streamed response, closed whatever happens: `Client.stream` takes no ready request."""

    def __init__(self, client: httpx.Client, request: httpx.Request) -> None:
        self._response = client.send(request, stream=True)

    def __enter__(self) -> httpx.Response:
        return self._response

    def __exit__(self, *_: object) -> None:
        self._response.close()


def _redirected(request: httpx.Request, response: httpx.Response) -> httpx.Request:
    """The next request; one that would hand the query, and with it the key, to another host is refused."""
    following = response.next_request
    if following is None or following.url.host != request.url.host:
        raise Refused("the service redirects to another host")
    if request.url.scheme == "https" and following.url.scheme != "https":
        raise Refused("the service redirects to an unencrypted address")
    return following


def _decoded(body: bytes, charset: str | None) -> str:
    try:
        return body.decode(charset or "utf-8", errors="replace")
    except LookupError:
        return body.decode("utf-8", errors="replace")
