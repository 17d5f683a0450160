"""A server that speaks MongoDB's wire protocol, for tests: in memory, on a free port of loopback.

It answers what a driver asks to keep and read files of GridFS: the handshake (OP_QUERY or OP_MSG), find with equality
and sort, getMore in small batches, insert. Anything else is an error, as a real server's. No package with a server
could be installed: those of the registries fetch MongoDB's program when they are first run.
"""

import operator
import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import bson

OP_REPLY, OP_QUERY, OP_MSG = 1, 2004, 2013
BATCH = 2
HELLO = {
    "ismaster": True, "isWritablePrimary": True, "helloOk": True, "maxBsonObjectSize": 16 << 20,
    "maxMessageSizeBytes": 48_000_000, "maxWriteBatchSize": 100_000, "minWireVersion": 0, "maxWireVersion": 21,
    "ok": 1.0,
}  # fmt: skip


@dataclass
class Store:
    """Collections by full name, open cursors, and the commands that were asked."""

    port: int = 0
    collections: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    cursors: dict[int, tuple[str, list[dict[str, Any]]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def answer(self, command: dict[str, Any]) -> dict[str, Any]:
        name, database = next(iter(command)), command.get("$db", "admin")
        self.asked.append(name)
        handler = getattr(self, f"do_{name.lower()}", None)
        if handler is None:
            return {"ok": 0.0, "errmsg": f"no such command: '{name}'", "code": 59, "codeName": "CommandNotFound"}
        return handler(command, f"{database}.{command[name]}")

    def do_hello(self, command: dict[str, Any], place: str) -> dict[str, Any]:
        return HELLO

    do_ismaster = do_hello

    def do_ping(self, command: dict[str, Any], place: str) -> dict[str, Any]:
        return {"ok": 1.0}

    do_endsessions = do_createindexes = do_killcursors = do_ping

    def do_buildinfo(self, command: dict[str, Any], place: str) -> dict[str, Any]:
        return {"version": "7.0.0", "ok": 1.0}

    def do_insert(self, command: dict[str, Any], place: str) -> dict[str, Any]:
        self.collections.setdefault(place, []).extend(command["documents"])
        return {"n": len(command["documents"]), "ok": 1.0}

    def do_listindexes(self, command: dict[str, Any], place: str) -> dict[str, Any]:
        return {"cursor": {"id": 0, "ns": place, "firstBatch": []}, "ok": 1.0}

    def do_find(self, command: dict[str, Any], place: str) -> dict[str, Any]:
        wanted = command.get("filter", {})
        found = [one for one in self.collections.get(place, []) if _meets(one, wanted)]
        for key, way in reversed(list(command.get("sort", {}).items())):
            found.sort(key=lambda one: one[key], reverse=way < 0)
        found = found[command.get("skip", 0) :]
        if command.get("limit"):
            found = found[: command["limit"]]
        return self._page(place, found, "firstBatch", once=command.get("singleBatch", False))

    def do_getmore(self, command: dict[str, Any], place: str) -> dict[str, Any]:
        where, rest = self.cursors.pop(command["getMore"])
        return self._page(where, rest, "nextBatch")

    def _page(self, place: str, found: list[dict[str, Any]], name: str, once: bool = False) -> dict[str, Any]:
        page, rest = found[:BATCH], found[BATCH:]
        number = 0
        if rest and not once:
            number = len(self.asked) + 1000
            self.cursors[number] = (place, rest)
        return {"cursor": {"id": bson.Int64(number), "ns": place, name: page}, "ok": 1.0}


def _meets(document: dict[str, Any], wanted: dict[str, Any]) -> bool:
    for key, value in wanted.items():
        if isinstance(value, dict):
            if any(not _holds(document.get(key), sign, bound) for sign, bound in value.items()):
                return False
        elif document.get(key) != value:
            return False
    return True


def _holds(value: Any, sign: str, bound: Any) -> bool:
    compare = {"$eq": operator.eq, "$gte": operator.ge}
    return bool(compare[sign](value, bound))


class _Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while header := self._read(16):
            length, number, _, kind = struct.unpack("<iiii", header)
            body = self._read(length - 16)
            if kind == OP_QUERY:
                name_ends = body.index(b"\0", 4)
                command = bson.decode(body[name_ends + 9 :])
                reply = struct.pack("<iqii", 8, 0, 0, 1) + bson.encode(self.server.store.answer(command))
                self._send(number, OP_REPLY, reply)
            elif kind == OP_MSG:
                command = _command(body)
                answer = self.server.store.answer(command)
                if not struct.unpack_from("<I", body)[0] & 2:  # no answer is wanted
                    self._send(number, OP_MSG, struct.pack("<IB", 0, 0) + bson.encode(answer))

    def _send(self, number: int, kind: int, body: bytes) -> None:
        self.request.sendall(struct.pack("<iiii", 16 + len(body), 1, number, kind) + body)

    def _read(self, count: int) -> bytes:
        parts = b""
        while len(parts) < count:
            part = self.request.recv(count - len(parts))
            if not part:
                return b""
            parts += part
        return parts


def _command(body: bytes) -> dict[str, Any]:
    """The document of an OP_MSG, with its sequences put in."""
    at, command, sequences = 4, {}, {}
    while at < len(body):
        kind, at = body[at], at + 1
        (size,) = struct.unpack_from("<i", body, at)
        if kind == 0:
            command = bson.decode(body[at : at + size])
        else:
            ends = body.index(b"\0", at + 4)
            sequences[body[at + 4 : ends].decode()] = bson.decode_all(body[ends + 1 : at + size])
        at += size
    return {**command, **sequences}


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    store: Store


@contextmanager
def running() -> Iterator[Store]:
    """A server with an empty store; gone after the block."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.store = Store(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server.store
        finally:
            server.shutdown()
            thread.join()
