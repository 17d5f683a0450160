"""Commands of the model store: `alfred models list | show | promote | prune | forecast | import`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from alfred.cli.screen import err, out
from alfred.cli.studies import Overrides
from alfred.core.home import home
from alfred.core.storage import cell, write_whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alfred.experiments.store import StoredModel

NAME = "A model: RUN/ANALYST/SEED (the run's name may be shortened, the seed left out), or an alias such as champion."
Name = Annotated[str, typer.Argument(help=NAME)]

models = typer.Typer(
    name="models",
    no_args_is_help=True,
    help="The model store: the last fits of every finished run, ready to forecast on any machine.\n\n"
    "It is kept with the tracking data: in the home, or on the server that ALFRED_TRACKING_URI names.",
)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.add_typer(models)


@models.command("list")
def list_all(
    family: Annotated[str, typer.Option(help="Only models of this family of studies.")] = "",
    sort: Annotated[
        str, typer.Option(help="A figure of the test rows, such as rank_ic or mae; default the latest run first.")
    ] = "",
) -> None:
    """List all models. Figures are of the analyst in its run, over all test rows and seeds; none is this model's alone.

    alfred models list --sort rank_ic
    """
    from alfred.experiments.store import stored_models

    found = list(stored_models(home(), family))
    if not found:
        out.print("The model store is empty; `alfred run` or `alfred demo` fills it.", soft_wrap=True)
        return
    if sort:
        best = 1 if sort.replace("-", "_") in {"mae", "loss", "seconds", "seconds_per_epoch", "parameters"} else -1
        figure = sort.replace("-", "_")
        found.sort(key=lambda one: best * one.figures.get(figure, -best * float("inf")))
    out.print(_table(found))


@models.command()
def show(name: Name) -> None:
    """Show what a model is, where it comes from and how its analyst did; its files are fetched and verified.

    alfred models show champion
    """
    from alfred.experiments.store import fetch, find_model

    model = find_model(home(), name)
    about = fetch(home(), model).about
    rows = {
        "model": model.name,
        "aliases": ", ".join(model.aliases) or "none",
        "family": model.family,
        "forecasts": f"{about.label}, {about.horizon_quarters} quarter(s) ahead, from {about.quarters} quarter(s)",
        "learnt from": f"{about.train_first} to {about.train_last}: {', '.join(about.training)}",
        "chosen on": f"quarters to {about.valid_last}",
        "prices": f"{about.data.get('provider', '')}, digest {about.data_digest[:10]}",
        "code": f"Alfred {about.alfred_version}, digest {about.code_digest[:10]}",
        "files": f"{model.size:,} bytes, all as they were stored; manifest {model.sha256[:16]}",
        "run's verdict": model.verdict,
    }
    table = Table(box=None, show_header=False, pad_edge=False)
    for label, text in rows.items():
        table.add_row(f"[dim]{label}[/]", escape(text))
    for figure in ("rank_ic", "sign_accuracy", "mae", "r2"):
        if figure in model.figures:
            table.add_row(f"[dim]{figure}[/]", _figure(model, figure))
    out.print(table)


@models.command()
def promote(
    name: Name,
    alias: Annotated[str, typer.Option("--as", help="The alias.")] = "champion",
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Take the alias away instead.")] = False,
) -> None:
    """Let an alias point to a model; one model of a family has it, and the one before stays in the store.

    alfred models promote demo-3f2a/ridge

    alfred models promote demo-3f2a/ridge --as challenger
    """
    from alfred.experiments.promotion import promote as give
    from alfred.experiments.promotion import withdraw as take
    from alfred.experiments.store import find_model

    model = find_model(home(), name)
    if withdraw:
        take(home(), model.family, alias)
        out.print(f"No model of {model.family} is called {alias} now.", markup=False, soft_wrap=True)
        return
    before = give(home(), model, alias)
    instead = f" instead of {before}" if before else ""
    out.print(f"{model.family}@{alias} is {model.name}{instead}.", markup=False, soft_wrap=True)
    if not model.figures.get("skilled"):
        err.print(
            f"[yellow]Its run grants {escape(model.analyst)} no skill: {escape(model.verdict)}[/]", soft_wrap=True
        )


@models.command()
def prune(
    keep: Annotated[int, typer.Option(min=0, help="Latest runs of each analyst whose models stay.")] = 1,
    family: Annotated[str, typer.Option(help="Only models of this family; default all.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Delete them; without it they are only listed.")] = False,
) -> None:
    """Delete models that have no alias and are not of an analyst's latest runs. What their runs found out stays.

    alfred models prune --keep 2

    alfred models prune --keep 2 --yes
    """
    from alfred.experiments.promotion import remove, superfluous
    from alfred.experiments.store import stored_models

    found = superfluous(stored_models(home(), family), keep)
    size = f"{sum(one.size for one in found) / 1e6:,.1f} MB"
    for one in found:
        out.print(one.name, markup=False, soft_wrap=True)
    if yes:
        remove(home(), found)
        out.print(f"Deleted {len(found)} model(s), {size}.")
    else:
        out.print(f"{len(found)} model(s), {size}, would be deleted; say --yes to do so.")


@models.command()
def forecast(
    name: Name,
    as_of: Annotated[str, typer.Option(help="Decision date (ISO); default the last quarter's end in the data.")] = "",
    symbols: Annotated[str, typer.Option(help="Names, such as AAPL,KO; default those its run was judged on.")] = "",
    csv: Annotated[Path | None, typer.Option(help="Write the forecasts to this file.")] = None,
) -> None:
    """Forecast the next quarter with a model, from the lake's latest data of the provider that it learnt from.

    alfred models forecast champion --symbols AAPL,KO
    """
    import polars as pl

    from alfred.experiments.next_quarter import next_quarter
    from alfred.experiments.store import analyst_from_store

    stored = analyst_from_store(name, home())
    wanted = tuple(part.strip() for part in symbols.split(",")) if symbols else ()
    rows, lacking = next_quarter(stored, home(), as_of or None, wanted)
    if lacking:
        err.print(
            f"[yellow]These data lack {len(lacking)} column(s) that it learnt from, taken as missing: "
            f"{escape(', '.join(lacking))}.[/]",
            soft_wrap=True,
        )
    if csv is not None:
        named = rows.with_columns(pl.Series("symbol", [cell(symbol) for symbol in rows["symbol"]], pl.String))
        write_whole(csv, named.write_csv())
        err.print(f"Wrote {csv}.", markup=False, soft_wrap=True)
    about = stored.about
    ahead = f"{about.label} {about.horizon_quarters} quarter(s) after {rows['as_of'][0]}"
    out.print(f"{ahead}, by {about.analyst}:", markup=False, soft_wrap=True)
    table = Table(box=None)
    table.add_column("symbol")
    for column in ("forecast", f"{rows['level'][0]:.0%} interval", "chance of a rise"):
        table.add_column(column, justify="right")
    for row in rows.sort("mean", descending=True).iter_rows(named=True):
        span = f"{row['lower']:+.3f} to {row['upper']:+.3f}"
        table.add_row(escape(row["symbol"]), f"{row['mean']:+.4f}", span, f"{row['prob_up']:.0%}")
    out.print(table)


@models.command("import")
def import_all(
    address: Annotated[
        str,
        typer.Argument(
            help="The store, such as mongodb://host/database. With a password, put it into ALFRED_MONGODB_URI instead."
        ),
    ] = "",
    study: Annotated[
        Path, typer.Option(help="A study's TOML file: data, columns and periods to take the weights up on.")
    ] = Path("study.toml"),
    overrides: Overrides = None,
) -> None:
    """Bring networks' weights from MongoDB's GridFS into the model store, each once. docs/models.md has the layout.

    A file that is not the network it claims to be, or holds anything but weights, is refused and never run. Imported
    models are not judged: nobody knows which quarters they were trained on. It needs the extra `mongodb`.

    alfred models import mongodb://localhost/alfred --study study.toml
    """
    from alfred.core.errors import ConfigError
    from alfred.experiments.importing import import_models
    from alfred.experiments.mongodb import URI_VARIABLE, has_password, place_of, read_gridfs
    from alfred.experiments.study import load_study

    told = os.environ.get(URI_VARIABLE, "")
    if bool(told) == bool(address):
        raise ConfigError(f"name the store once, as mongodb://host/database or in the variable {URI_VARIABLE}.")
    place, _ = place_of(address or told)
    if address and has_password(address):
        raise ConfigError(
            f"{place} was given with a password or options, which every user of this machine can see on a command "
            f"line; put the whole address into the variable {URI_VARIABLE}."
        )
    plan = load_study(study, overrides or ())
    new = before = refused = 0
    for one in import_models(read_gridfs(address or told), place, plan, home()):
        if one.refused:
            refused += 1
            err.print(f"[yellow]{escape(one.file)}: {escape(one.refused)}[/]", soft_wrap=True)
            continue
        new, before = new + (not one.before), before + one.before
        out.print(f"{one.file}: {one.model}{', there before' if one.before else ''}", markup=False, soft_wrap=True)
    out.print(f"{new} imported, {before} there before, {refused} refused.")
    if refused:
        raise typer.Exit(1)


def _table(found: "Sequence[StoredModel]") -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("model", overflow="fold")
    table.add_column("alias")
    table.add_column("label", no_wrap=True)
    for column in ("learnt to", "rank IC", "MAE", "MB"):
        table.add_column(column, justify="right", no_wrap=True)
    for one in found:
        table.add_row(
            escape(one.name),
            escape(", ".join(one.aliases)),
            f"{one.label} {one.horizon_quarters}q",
            one.train_last,
            _figure(one, "rank_ic"),
            _figure(one, "mae"),
            f"{one.size / 1e6:,.2f}",
        )
    return table


def _figure(model: "StoredModel", name: str) -> str:
    if name not in model.figures:
        return "-"
    lower, upper = model.figures.get(f"{name}.lower"), model.figures.get(f"{name}.upper")
    span = "" if lower is None or upper is None else escape(f" [{lower:.3f}, {upper:.3f}]")
    return f"{model.figures[name]:.3f}{span}"
