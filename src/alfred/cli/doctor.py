"""What is installed, what it would run on, and what data are at hand."""

import importlib.metadata
import importlib.util
import os
import platform

import typer
from rich.markup import escape
from rich.table import Table

from alfred.cli.screen import out
from alfred.core.home import VARIABLE, home
from alfred.core.version import __version__

OPTIONAL = {
    "skfolio": "sample prices (pip install 'alfred[sample]')",
    "yfinance": "prices from Yahoo (pip install 'alfred[yahoo]')",
    "index-constitution": "dated index membership (pip install 'alfred[constituents]')",
    "bt": "benchmarks (pip install 'alfred[bench]')",
}


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(doctor)


def doctor() -> None:
    """Show what is installed, the device that networks would train on, and the data at hand."""
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
