"""The lake on an object store: a small server on loopback that answers as S3 does, conditional writes included."""

import datetime as dt
import threading
import urllib.parse
import xml.sax.saxutils
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import polars as pl
import pytest

from alfred.core.errors import DataError
from alfred.lake.store import Lake, WriteReport

LATE = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
SECRET = "only-this-test-knows-it"


class Bucket(BaseHTTPRequestHandler):
    """GET with ranges, HEAD, PUT with If-None-Match, DELETE and the second version of listing."""

    protocol_version = "HTTP/1.1"
    wbufsize = 65_536  # one packet an answer
    objects: ClassVar[dict[str, bytes]] = {}
    lock = threading.Lock()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Say nothing."""

    def parts(self) -> tuple[str, dict[str, str]]:
        split = urllib.parse.urlsplit(self.path)
        key = urllib.parse.unquote(split.path).partition("/bucket")[2].lstrip("/")
        return key, dict(urllib.parse.parse_qsl(split.query, keep_blank_values=True))

    def answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_PUT(self) -> None:
        key, _ = self.parts()
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.lock:
            if self.headers.get("If-None-Match") == "*" and key in self.objects:
                self.answer(412)
                return
            self.objects[key] = body
        self.answer(200, headers={"ETag": f'"{md5(body).hexdigest()}"'})

    def do_GET(self) -> None:
        key, query = self.parts()
        if "list-type" in query:
            self.answer(200, self.listing(query), {"Content-Type": "application/xml"})
            return
        with self.lock:
            body = self.objects.get(key)
        if body is None:
            self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
            return
        headers = {"ETag": f'"{md5(body).hexdigest()}"', "Last-Modified": "Thu, 02 Jan 2020 00:00:00 GMT"}
        wanted = self.headers.get("Range")
        if wanted is None:
            if self.command == "HEAD":
                headers["Content-Length"] = str(len(body))
            self.answer(200, body, headers)
            return
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        begin = int(first) if first else max(0, len(body) - int(last))
        end = min(int(last) + 1, len(body)) if first and last else len(body)
        headers["Content-Range"] = f"bytes {begin}-{end - 1}/{len(body)}"
        self.answer(206, body[begin:end], headers)

    do_HEAD = do_GET  # noqa: N815 - its name there

    def do_DELETE(self) -> None:
        key, _ = self.parts()
        with self.lock:
            self.objects.pop(key, None)
        self.answer(204)

    def listing(self, query: dict[str, str]) -> bytes:
        prefix, delimiter, after = (query.get(name, "") for name in ("prefix", "delimiter", "start-after"))
        with self.lock:
            sizes = {key: len(body) for key, body in sorted(self.objects.items())}
        keys = {key: size for key, size in sizes.items() if key.startswith(prefix) and key > after}
        folders = {
            prefix + key[len(prefix) :].partition(delimiter)[0] + delimiter
            for key in keys
            if delimiter and delimiter in key[len(prefix) :]
        }
        plain = "".join(
            f"<Contents><Key>{xml.sax.saxutils.escape(key)}</Key><LastModified>2020-01-02T00:00:00.000Z</LastModified>"
            f'<ETag>"{key}"</ETag><Size>{size}</Size></Contents>'
            for key, size in keys.items()
            if not any(key.startswith(folder) for folder in folders)
        )
        common = "".join(f"<CommonPrefixes><Prefix>{folder}</Prefix></CommonPrefixes>" for folder in sorted(folders))
        return f"<ListBucketResult><IsTruncated>false</IsTruncated>{plain}{common}</ListBucketResult>".encode()


@pytest.fixture
def lake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    Bucket.objects.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Bucket)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    settings = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}", "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": SECRET,
    }  # fmt: skip
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    yield Lake("s3://bucket/lake")
    server.shutdown()
    thread.join()
    server.server_close()


def bars(*closes: float) -> pl.DataFrame:
    days = [dt.datetime(2020, 1, 1 + at, 21, tzinfo=dt.UTC) for at in range(len(closes))]
    return pl.DataFrame(
        {"symbol": "A", "date": [day.date() for day in days], "close": closes, "known_at": days, "source": "test"}
    )


def test_tables_live_in_a_bucket(lake: Lake) -> None:
    assert lake.versions() == {}
    assert lake.write("bars", bars(1.0, 2.0)) == WriteReport("bars", 2, 0, 0, 0)
    assert lake.write("bars", bars(1.0, 2.0)) == WriteReport("bars", 0, 0, 2, 0)
    assert lake.write("bars", bars(1.0, 2.5, 3.0)) == WriteReport("bars", 1, 1, 1, 1)
    assert lake.asof(LATE).bars()["close"].to_list() == [1.0, 2.5, 3.0]
    assert lake.asof(LATE, {"bars": 0}).bars()["close"].to_list() == [1.0, 2.0]
    assert lake.remove("bars", bars(0.0)) == 1
    assert lake.asof(LATE).coverage()["rows"].to_list() == [2]
    assert all(key.startswith("lake/bars/") for key in Bucket.objects)


def test_writers_to_a_bucket_lose_nothing(lake: Lake) -> None:
    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(lambda count: lake.write("bars", bars(*[1.0] * count)), (1, 2, 3, 4)))
    assert sum(report.inserted for report in reports) == 4
    assert len(lake.asof(LATE).bars()) == 4


def test_a_bucket_that_refuses_is_named_without_the_key(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Bucket) -> None:
        self.answer(403, f"<Error><Code>SignatureDoesNotMatch</Code>{SECRET}</Error>".encode())

    monkeypatch.setattr(Bucket, "do_GET", refuse)
    with pytest.raises(DataError, match="of the lake at s3://bucket/lake cannot be opened") as caught:
        lake.versions()
    assert SECRET not in str(caught.value)
