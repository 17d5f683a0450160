"""`alfred explain`: an analyst's test forecasts taken apart, with tables in the run's folder.

| file of `explain/ANALYST` | one row is | columns |
| --- | --- | --- |
| `explanation.json` | the `Explanation` | |
| `columns.parquet` | a column | column, group, mean_abs, lower, upper, share, mean, direction, error; with a control \
control_importance, line, above, by_date |
| `groups.parquet` | a group of correlated columns | group, columns, likeness, mean_abs, lower, upper, share, mean |
| `dates.parquet`, `names.parquet` | a group on a date, of a name | as_of or symbol, group, mean_abs, mean, rows |
| `values.parquet` | a forecast | symbol, as_of, forecast, base, history, and value:COLUMN of every column |
| `quarters.parquet` | a forecast, column and quarter of history | symbol, as_of, column, quarters_back, value |
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from pydantic import Field, TypeAdapter

from alfred.analysts import Job as FitJob
from alfred.analysts import fit_many
from alfred.core.calendar import IsoDate, day
from alfred.core.contracts import Bools, FittedAnalyst, Windows
from alfred.core.errors import ConfigError, DataError
from alfred.core.home import Home
from alfred.core.progress import Progress, Silent
from alfred.core.settings import Settings, suggestion
from alfred.core.storage import whole_folder
from alfred.experiments.record import load_frame
from alfred.experiments.subject import Subject, subject_of_run
from alfred.explain.attribution import Attribution, joined
from alfred.explain.control import ControlFold, ControlLine, Kind, control_line
from alfred.explain.groups import LIKENESS, Group, correlated_groups
from alfred.explain.shapley import ExplainSettings, attribute, background_rows
from alfred.explain.summary import column_table, group_table, part_table, quarter_table, value_table

FOLDER, DESCRIPTION = "explain", "explanation.json"
SAME = 1e-6
"""Largest distance between a recorded forecast and the one explained, in units of the forecasts' deviation."""
CONTROL_PARAMETERS = 200_000
"""An analyst that learns more numbers than this gets no control unless asked: every shuffle trains it anew."""
CONTROL_SHUFFLES = 9


class ExplainRequest(Settings):
    """What is to be explained.

    Attributes:
        analyst: entry of the run; empty for its last.
        seed: whose fit; None for the run's first.
        rows: at most so many forecasts, drawn from those that are meant; 0 for all.
        symbols: these names only.
        since, until: these decision dates only.
        likeness: mean absolute correlation at which columns are told together.
        control: fits beside shuffled columns; None for 9 where the analyst learns at most 200,000 numbers, else 0.
        control_kind: what the control shuffles.
        sampling: of the values.
    """

    analyst: str = ""
    seed: int | None = None
    rows: int = Field(default=200, ge=0)
    symbols: tuple[str, ...] = ()
    since: IsoDate | None = None
    until: IsoDate | None = None
    likeness: float = Field(default=LIKENESS, gt=0, le=1)
    control: int | None = Field(default=None, ge=0, le=1_000)
    control_kind: Kind = "columns"
    sampling: ExplainSettings = ExplainSettings()


@dataclass(frozen=True)
class Explanation:
    """What an explanation is of, and how far it can be trusted.

    Attributes:
        run, analyst, target, seed: of the forecasts.
        method: of the values.
        rows, of_rows: explained, and meant.
        first, last: decision dates explained.
        base: mean forecast of the background rows, mean over the folds' rows.
        largest_gap: between a forecast and base plus values, in units of the forecast.
        noise: standard error of a value by sampling over the mean absolute value of all columns; 0 where exact.
        groups: of correlated columns, from the training rows of the last fold.
        shuffles, chance, control_kind: of the control; 0 shuffles where there was none.
        request: what was asked.
    """

    run: str
    analyst: str
    target: str
    seed: int
    method: str
    rows: int
    of_rows: int
    first: str
    last: str
    base: float
    largest_gap: float
    noise: float
    groups: tuple[Group, ...]
    shuffles: int
    chance: float
    control_kind: str
    request: ExplainRequest


_ADAPTER = TypeAdapter(Explanation)


def load_explanation(folder: Path) -> Explanation:
    """Read `explanation.json`.

    Raises:
        DataError: it is absent.
    """
    path = folder / DESCRIPTION
    if not path.is_file():
        raise DataError(f"{folder} holds no explanation; `alfred explain` makes one.")
    return _ADAPTER.validate_json(path.read_bytes())


def explain_run(home: Home, run: Path, request: ExplainRequest, progress: Progress | None = None) -> Path:
    """Explain test forecasts of an analyst of a run.

    Returns:
        The folder with the tables, below the run's.

    Raises:
        ConfigError: the run has no such analyst, seed, name or date.
        DataError: the run's panel or forecasts cannot be made again, or the analyst cannot be explained.
    """
    progress = progress or Silent()
    progress.say("data and panel")
    subject = subject_of_run(home, run, request.analyst)
    seed = subject.seeds[0] if request.seed is None else request.seed
    if seed not in subject.seeds:
        raise ConfigError(f"{subject.entry} was not fitted with the seed {seed}; there is {subject.seeds}.")
    chosen, meant = _chosen_rows(subject, request)
    found = _explained(subject, seed, chosen, request, progress)
    _require_recorded(subject, run, seed, found)

    last = max(chosen)
    train, _, _ = subject.parts(subject.walk.folds[last])
    groups = correlated_groups(train, request.likeness)
    groups += tuple(Group((name,), 1.0) for name in found.columns if name not in train.columns)
    control = _control(subject, seed, chosen, request, progress)
    explanation = Explanation(
        run=run.name,
        analyst=subject.entry,
        target=subject.target,
        seed=seed,
        method=found.method,
        rows=len(found),
        of_rows=meant,
        first=str(found.dates.min()),
        last=str(found.dates.max()),
        base=float(found.base.mean()),
        largest_gap=float(found.gaps.max()),
        noise=_noise(found),
        groups=groups,
        shuffles=0 if control is None else control.shuffles,
        chance=0.0 if control is None else control.chance,
        control_kind="" if control is None else control.kind,
        request=request,
    )
    folder = run / FOLDER / subject.entry.replace(":", "-")
    shutil.rmtree(folder, ignore_errors=True)
    with whole_folder(folder) as scratch:
        _write(scratch, subject, explanation, found, control)
    return folder


def _chosen_rows(subject: Subject, request: ExplainRequest) -> tuple[dict[int, Windows], int]:
    """The rows to explain by fold, and how many were meant.

    Raises:
        ConfigError: a name is none of the evaluation basket, or nothing is left.
    """
    names = subject.walk.evaluation
    strange = next((name for name in request.symbols if name not in names), None)
    if strange is not None:
        raise ConfigError(f"the run forecasts no {strange}; {suggestion(strange, names)}")
    tested = [subject.parts(fold)[2] for fold in subject.walk.folds]
    meant = [(fold, at) for fold, windows in enumerate(tested) for at in np.flatnonzero(_meant(windows, request))]
    if not meant:
        dates = [str(windows.dates[at]) for windows in tested for at in (0, -1)]
        raise ConfigError(f"no test forecast is left of those meant; test dates run from {min(dates)} to {max(dates)}.")
    kept = meant
    if 0 < request.rows < len(meant):
        random = np.random.default_rng(request.sampling.seed)
        kept = [meant[at] for at in np.sort(random.permutation(len(meant))[: request.rows])]
    by_fold: dict[int, list[int]] = {}
    for fold, at in kept:
        by_fold.setdefault(fold, []).append(int(at))
    return {fold: tested[fold].rows(np.array(rows)) for fold, rows in by_fold.items()}, len(meant)


def _meant(windows: Windows, request: ExplainRequest) -> Bools:
    wanted = np.ones(len(windows), np.bool_)
    if request.symbols:
        wanted &= np.isin(windows.symbols, list(request.symbols))
    if request.since is not None:
        wanted &= windows.dates >= day(request.since)
    if request.until is not None:
        wanted &= windows.dates <= day(request.until)
    return wanted


def _explained(
    subject: Subject, seed: int, chosen: dict[int, Windows], request: ExplainRequest, progress: Progress
) -> Attribution:
    progress.start("explained", sum(map(len, chosen.values())))
    parts = []
    for at, windows in chosen.items():
        fold = subject.walk.folds[at]
        background = background_rows(subject.parts(fold)[0], request.sampling.background, request.sampling.seed)
        fitted = subject.fitted(seed, fold, progress)
        parts.append(attribute(fitted, windows, background, subject.entry, request.sampling))
        progress.advance("explained", len(windows), note=f"fold {at + 1}")
    progress.finish("explained")
    return joined(parts)


def _require_recorded(subject: Subject, run: Path, seed: int, found: Attribution) -> None:
    """Make sure that what is explained is what the run forecast.

    Raises:
        DataError: a fit made again does not give the recorded forecasts.
    """
    recorded = load_frame(run, "forecasts").filter(pl.col("analyst") == subject.entry, pl.col("seed") == seed)
    own = pl.DataFrame(
        {"symbol": found.symbols.tolist(), "as_of": found.dates, "own": found.forecast},
        schema_overrides={"symbol": pl.String, "as_of": pl.Date},
    )
    both = own.join(recorded.select("symbol", "as_of", "mean"), on=["symbol", "as_of"], how="left")
    apart = (both["own"] - both["mean"]).abs().fill_null(np.inf).to_numpy()
    unit = max(float(recorded["mean"].std() or 0.0), 1e-9)  # type: ignore[arg-type]
    if (apart > SAME * unit).any():
        at = int(np.argmax(apart))
        raise DataError(
            f"{subject.entry} forecasts {both['own'][at]:.6g} for {both['symbol'][at]} on {both['as_of'][at]}, where "
            f"{run.name} recorded {both['mean'][at]}; it was fitted by other code or libraries. Run the study again."
        )


def _control(
    subject: Subject, seed: int, chosen: dict[int, Windows], request: ExplainRequest, progress: Progress
) -> ControlLine | None:
    """The line of noise, over all folds explained."""
    shuffles = request.control
    if shuffles is None:
        learnt = subject.fitted(seed, subject.walk.folds[max(chosen)], progress).record.parameters
        shuffles = CONTROL_SHUFFLES if learnt <= CONTROL_PARAMETERS else 0
    if not shuffles:
        return None

    def fit(learn: Windows, judge: Windows) -> FittedAnalyst:
        return fit_many(subject.spec, subject.study.train, [FitJob(learn, judge, seed)])[0]

    folds = [ControlFold(fit, *subject.parts(subject.walk.folds[at])[:2], rows) for at, rows in chosen.items()]
    progress.start("control", shuffles * len(folds))
    found = control_line(folds, shuffles, request.sampling, kind=request.control_kind, progress=progress)
    progress.finish("control")
    return found


def _noise(found: Attribution) -> float:
    size = float(np.abs(found.by_column).mean())
    return float(np.sqrt((found.errors**2).mean())) / size if size > 0 else 0.0


def _write(
    folder: Path, subject: Subject, explanation: Explanation, found: Attribution, control: ControlLine | None
) -> None:
    settings = subject.study.evaluation.over_horizon(subject.walk.panel.labels.horizon_quarters)
    columns = column_table(found, explanation.groups, settings)
    if control is not None:
        columns = columns.join(_control_frame(control), on="column", how="left")
    tables: dict[str, pl.DataFrame | None] = {
        "columns": columns,
        "groups": group_table(found, explanation.groups, settings),
        "dates": part_table(found, explanation.groups, "as_of"),
        "names": part_table(found, explanation.groups, "symbol"),
        "values": value_table(found),
        "quarters": quarter_table(found),
    }
    for name, table in tables.items():
        if table is not None:
            table.write_parquet(folder / f"{name}.parquet")
    (folder / DESCRIPTION).write_text(_ADAPTER.dump_json(explanation, indent=2).decode() + "\n", encoding="utf-8")


def _control_frame(control: ControlLine) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "column": list(control.columns),
            "control_importance": control.importance,
            "line": control.line,
            "above": control.above,
            "by_date": control.by_date,
        }
    )


def explained_analysts(run: Path) -> Sequence[Path]:
    """Folders of a run's explanations, by name."""
    return sorted(path.parent for path in run.glob(f"{FOLDER}/*/{DESCRIPTION}"))
