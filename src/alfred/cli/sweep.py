"""The command that tries many configurations of a study, on this machine or on many."""

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from alfred.cli.screen import Bars, out
from alfred.core.errors import ConfigError
from alfred.core.home import SWEEP_VARIABLE, home

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from alfred.experiments.sweeps.drive import Judgement
    from alfred.experiments.sweeps.queue import Row
    from alfred.experiments.sweeps.settings import Sweep

PROGRAM = "from alfred.cli.main import main; main()"
SHOWN = 40
GRACE_S = 20.0


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(sweep)
    app.command("sweep-worker", hidden=True)(worker)


def sweep(
    file: Annotated[Path, typer.Argument(metavar="SWEEP", help="A sweep's TOML file (`alfred init --study sweep`).")],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Set one key over the sweep's, such as trials=50."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes on this machine; default one a core or accelerator.")
    ] = None,
    ray: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Work on this Ray cluster; auto finds the one of this machine.")
    ] = "",
    join: Annotated[
        bool, typer.Option("--join", help="Only help with a sweep that another machine began, and judge nothing.")
    ] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Try failed configurations again.")] = False,
    status: Annotated[bool, typer.Option("--status", help="Print the table of trials and do nothing.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the configurations and do nothing.")] = False,
) -> None:
    """Try many configurations of a study, choose by validation rows, and test the best one once.

    Ctrl-C stops it cleanly; the same command goes on from there. With ALFRED_SWEEP_STORAGE naming one PostgreSQL
    database on several machines, a configuration that one of them has run or is running is not run by another.
    """
    from alfred.experiments.sweeps.drive import begin, points, run_sweep, trials_of
    from alfred.experiments.sweeps.drive import retry as put_back
    from alfred.experiments.sweeps.pools import LocalPool, Pool, Shares, accelerators, cores
    from alfred.experiments.sweeps.ray_pool import RayPool
    from alfred.experiments.sweeps.settings import load_sweep
    from alfred.experiments.sweeps.worker import queue_of

    asked = [*(overrides or ()), *([f"workers.number={workers}"] if workers else [])]
    found = load_sweep(file, asked)
    if dry_run:
        _tell_points(found, points(found))
        return
    here = home()
    queue = queue_of(here, found.workers.patience_minutes * 60)
    if status:
        _tell_trials(found, trials_of(queue, found))
        return
    if retry:
        out.print(f"{put_back(queue, found)} failed configurations are to be tried again.")

    def pool_of(open_trials: int) -> Pool:
        if ray:
            return RayPool(ray, found.identity, found.workers, open_trials)
        shares = Shares.of(found.workers, open_trials, cores(), accelerators())
        return LocalPool([sys.executable, "-c", PROGRAM, "sweep-worker"], found.identity, shares, queue)

    with Bars() as progress:
        if here.shared_tracking and not here.shared_sweeps and queue.place.startswith("sqlite"):
            progress.say(
                f"The queue is this machine's own ({queue.place}); {SWEEP_VARIABLE} shares one among machines."
            )
        if join:
            if queue.form(found.identity) is None:
                raise ConfigError(
                    f"{queue.place} knows no sweep {found.name} as {file} has it; begin it on one machine without "
                    "--join, from the same file and version of Alfred."
                )
            begin(found, here, queue, progress)
            with pool_of(len(trials_of(queue, found)) or 1) as pool:
                while pool.tend():
                    time.sleep(0.5)
            return
        judgement, folder = run_sweep(found, here, queue, pool_of, progress)
    _tell_trials(found, trials_of(queue, found))
    _conclude(judgement, folder)


def worker(identity: str, name: str, parent: int) -> None:
    """Work on a sweep until it is done; `alfred sweep` starts this."""
    from alfred.experiments.sweeps.worker import Worker, when_alone

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    when_alone(parent, lambda: os.kill(os.getpid(), signal.SIGINT))
    Worker.of(identity, home(), name).work()


def _stop(number: int, _frame: object) -> None:
    """Stop in order, or after a while without."""
    timer = threading.Timer(GRACE_S, lambda: os._exit(128 + number))
    timer.daemon = True
    timer.start()
    raise KeyboardInterrupt


def _tell_points(found: "Sweep", planned: "Sequence[Mapping[str, Any]]") -> None:
    if not planned:
        out.print(f"{found.trials} configurations, each proposed by what the ones before it found, out of:")
        for part in found.space:
            for name, dimension in part.items():
                out.print(f"  {name}: {dimension}", markup=False, soft_wrap=True)
        return
    out.print(f"{len(planned):,} configurations of {found.configured(planned[0]).counted_as}:")
    for number, point in enumerate(planned):
        out.print(f"{number:>5}  {_settings(point)}", markup=False, soft_wrap=True)


def _tell_trials(found: "Sweep", rows: "Sequence[Row]") -> None:
    from alfred.experiments.sweeps.drive import ranked

    if not rows:
        out.print(f"{found.name} has not begun; its configurations: alfred sweep ... --dry-run", markup=False)
        return
    best = [row.number for row in ranked(found, rows)]
    order = sorted(rows, key=lambda row: best.index(row.number) if row.number in best else len(best) + row.number)
    table = Table(box=None)
    for column in ("trial", "state", found.objective, "fits", "seconds", "settings"):
        table.add_column(column, justify="right" if column in {"trial", found.objective, "seconds"} else "left")
    for row in order[:SHOWN]:
        value = row.result.get("value", row.reports[-1] if row.reports else None)
        fits = "/".join(str(one) for one in row.result["fits"]) if row.result else str(len(row.reports) or "")
        seconds = f"{row.ended - row.began:.1f}" if row.ended else ""
        settings = _settings(row.point) + (f"; {row.error}" if row.error and row.state == "failed" else "")
        shown = "-" if value is None else f"{value:.4g}"
        table.add_row(str(row.number), row.state, shown, fits, seconds, escape(settings))
    out.print(f"On validation rows, before any test quarter; {_counts(rows)}:")
    out.print(table)
    if len(order) > SHOWN:
        out.print(f"... and {len(order) - SHOWN:,} more.")


def _counts(rows: "Sequence[Row]") -> str:
    states = [row.state for row in rows]
    return ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))


def _settings(point: "Mapping[str, Any]") -> str:
    return ", ".join(
        f"{name} = {value:.4g}" if isinstance(value, float) else f"{name} = {value}" for name, value in point.items()
    )


def _conclude(found: "Judgement", folder: Path) -> None:
    from alfred.report.page import write_report

    out.print(
        f"Chosen of {found.tried} by {found.objective} on validation rows: trial {found.number}, {found.analyst} "
        f"({found.value:.4g}; median of all {found.median:.4g}). The best of many is flattered by chance.",
        markup=False,
        soft_wrap=True,
    )
    if found.overfitting is None:
        out.print(f"The probability of overfitting cannot be told: {found.why}", markup=False, soft_wrap=True)
    else:
        out.print(
            f"Probability of overfitting: {found.overfitting:.0%} (0% where the best on one half of the validation "
            "quarters stays good on the other, 50% where choosing chooses nothing)."
        )
    value, *ends = found.rank_ic
    interval = f" [{ends[0]:.3f}, {ends[1]:.3f}]" if len(ends) == 2 else ""
    test = "undefined" if value is None else f"{value:.3f}{interval}"
    out.print(f"On test rows, looked at once: rank IC {test}.", markup=False)
    for account, ratio in found.deflated.items():
        out.print(f"Deflated Sharpe ratio of {account}: {ratio:.2f}, after {found.counted} trials.", markup=False)
    out.print(f"[bold]{escape(found.verdict)}[/]", soft_wrap=True)
    out.print(f"Trials and the chosen study: {folder}", markup=False, soft_wrap=True)
    run = home().runs / found.run
    if run.is_dir():  # otherwise another machine tested it
        out.print(f"Report: {write_report(run)}", markup=False, soft_wrap=True)
