"""A service on loopback that answers as a test tells it: well, late, with errors, half, or not at all."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

HTML = "<!DOCTYPE html>\n<html><head><title>Sorry</title></head><body>We are doing maintenance.</body></html>"


@dataclass(frozen=True)
class Answer:
    """One answer.

    Attributes:
        delay_s: pause before it, and where `drip` is set, between its bytes.
        announced: Content-Length to claim in place of the body's own.
        closed: end the connection without an answer.
    """

    body: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    drip: bool = False
    announced: int | None = None
    closed: bool = False


@dataclass(frozen=True)
class Seen:
    """One request as it came."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: str
    at: float


Route = list[Answer] | Callable[[Seen], Answer]


@dataclass
class Service:
    """Answers by path: the answers given in turn, the last one from then on; or what a function says."""

    url: str = ""
    routes: dict[str, Route] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def on(self, path: str, *answers: Answer | Callable[[Seen], Answer]) -> None:
        first = answers[0]
        self.routes[path] = list(answers) if isinstance(first, Answer) else first  # type: ignore[arg-type]

    def asked(self, path: str = "") -> list[Seen]:
        return [seen for seen in self.seen if seen.path.startswith(path)]

    def answer(self, seen: Seen) -> Answer:
        with self.lock:
            self.seen.append(seen)
            found = [
                path
                for path in self.routes
                if seen.path == path or (path.endswith("*") and seen.path.startswith(path[:-1]))
            ]
            if not found:
                return Answer("no such page", status=404)
            route = self.routes[found[0]]
            if isinstance(route, list):
                return route.pop(0) if len(route) > 1 else route[0]
        return route(seen)


@contextmanager
def serving() -> Iterator[Service]:
    """A running service; it stops with the block."""
    service = Service()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # or every answer waits 40 ms for an acknowledgement

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            answer = service.answer(Seen(parts.path, query, dict(self.headers), body, time.monotonic()))
            if answer.delay_s and not answer.drip:
                time.sleep(answer.delay_s)
            try:
                self._send(answer)
            except OSError:
                self.close_connection = True

        do_POST = do_GET  # noqa: N815 - the name that the base class looks for

        def _send(self, answer: Answer) -> None:
            if answer.closed:
                self.close_connection = True
                return
            body = answer.body.encode()
            self.send_response(answer.status)
            for name, value in {"Content-Type": "text/plain; charset=utf-8", **answer.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body) if answer.announced is None else answer.announced))
            self.end_headers()
            if answer.drip:
                for at in range(len(body)):
                    self.wfile.write(body[at : at + 1])
                    time.sleep(answer.delay_s)
            else:
                self.wfile.write(body)
            if answer.announced is not None:
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # clients that hang up are what is tested

    server = Server(("127.0.0.1", 0), Handler)
    service.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02), daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
