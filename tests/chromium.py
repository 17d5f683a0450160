"""A headless Chromium over the DevTools protocol, on loopback only: what a reader's browser makes of the page."""

import base64
import contextlib
import itertools
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import websocket

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-port=0",
    "--remote-allow-origins=*", "--hide-scrollbars",
)  # fmt: skip
PATIENCE = 60.0


def executable() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def required() -> str:
    """The browser's program; the test is skipped where there is none."""
    program = executable()
    if program is None:
        pytest.skip("no Chromium on this machine: install chromium to see the page as a reader does")
    return program


@dataclass
class Tab:
    """One page; `problems` are its console errors and exceptions, `requests` the addresses it asked for."""

    socket: websocket.WebSocket
    problems: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv())
            if message.get("id") == number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]
            self._heard(message)

    def _heard(self, message: dict[str, Any]) -> None:
        told = message.get("params", {})
        if message["method"] == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(told["exceptionDetails"])[:500])
        elif message["method"] == "Runtime.consoleAPICalled" and told["type"] in {"error", "warning", "assert"}:
            self.problems.append(json.dumps(told["args"])[:500])
        elif message["method"] == "Log.entryAdded" and told["entry"]["level"] in {"error", "warning"}:
            self.problems.append(told["entry"]["text"])
        elif message["method"] == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])

    def value(self, expression: str) -> Any:
        """The JSON value of a JavaScript expression; promises are awaited."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"])[:800])
        return answer["result"].get("value")

    def until(self, expression: str) -> Any:
        """Wait until an expression is truthy."""
        end = time.monotonic() + PATIENCE
        while not (found := self.value(expression)):
            if time.monotonic() > end:
                raise TimeoutError(f"{expression} did not come true in {PATIENCE:g} s; problems: {self.problems}")
            time.sleep(0.05)
        return found

    def size(self, width: int, height: int = 900) -> None:
        """The window's size in pixels; a phone where it is narrow."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    def scheme(self, name: str) -> None:
        """What the system prefers: light or dark."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def open(self, page: Path) -> None:
        """Go to a file and wait until every plot of it is drawn."""
        self.go(page.resolve().as_uri())

    def go(self, address: str) -> None:
        """Go to an address and wait until every plot there is drawn."""
        self.call("Page.navigate", url=address)
        self.until("document.readyState === 'complete' && document.documentElement.dataset.plots !== undefined")

    def picture(self, path: Path, top: int = 0, height: int | None = None) -> None:
        """A picture of the whole page, or of a part of it."""
        box = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": top, "width": box["width"], "height": height or box["height"] - top, "scale": 1}
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(shot["data"]))


@contextlib.contextmanager
def browser(program: str, profile: Path) -> Iterator[Tab]:
    """Start Chromium with a new profile, and end it."""
    process = subprocess.Popen(
        [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        port = _port(profile / "DevToolsActivePort")
        connection = _connect(port)
        try:
            tab = Tab(connection)
            for domain in ("Page", "Runtime", "Log", "Network"):
                tab.call(f"{domain}.enable")
            yield tab
        finally:
            connection.close()
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _port(path: Path) -> int:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if path.is_file() and (lines := path.read_text().splitlines()):
            return int(lines[0])
        time.sleep(0.05)
    raise TimeoutError(f"Chromium wrote no port within {PATIENCE:g} s.")


def _connect(port: int) -> websocket.WebSocket:
    import urllib.request

    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}/json/list", timeout=PATIENCE) as answer:
        pages = [target for target in json.load(answer) if target["type"] == "page"]
    return websocket.create_connection(
        pages[0]["webSocketDebuggerUrl"], timeout=PATIENCE, http_no_proxy=["127.0.0.1"], suppress_origin=True
    )
