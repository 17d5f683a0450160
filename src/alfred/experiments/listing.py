"""All runs' analysts in one table, with the notes' columns: what each is, how it did, what it cost."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from alfred.analysts import AnalystSpec, describe
from alfred.core.contracts import Interval
from alfred.core.errors import AlfredError, ConfigError, FetchError
from alfred.core.home import Home
from alfred.core.settings import suggestion
from alfred.evaluation.contracts import Figure, Scorecard
from alfred.experiments.counting import count, counted
from alfred.experiments.deflated import deflated_ratios, recorded_tracks
from alfred.experiments.record import Efficiency, RunRecord, TrialCount, load_record
from alfred.experiments.runs import find_run
from alfred.experiments.store import records_elsewhere
from alfred.experiments.study import entry_name

FIGURES = {
    "eval_loss": "loss", "mae": "mae", "pearson": "pearson", "r2": "r2", "sign_accuracy": "sign_accuracy",
    "rank_ic": "rank_ic",
}  # fmt: skip
"""Columns that come with intervals, and what the scorecard calls them."""


@dataclass(frozen=True)
class Experiment:
    """One analyst of one run. Figures are of test rows, means over seeds; None where undefined or not recorded.

    Attributes:
        run, created_at: the run's folder name and instant.
        analyst: entry of the run's study.
        model: its preset; likewise quarters (sequence length), size and layers, which are None where it has none.
        protocol: the question it answers; figures of "in-sample" and of "other-tickers-same-years" show memory.
        label, loss: what it forecasts, and the loss in which `eval_loss` is; losses of two names do not compare.
        seeds, folds: how many of each.
        seed_values: the seeds themselves, "0 1 2"; empty for an analyst whose forecasts do not depend on chance.
        test_quarters, test_rows: size of the test sample.
        eval_loss, mae, pearson, r2, sign_accuracy, accuracy: as in the scorecard.
        rise_share: the accuracy of "always up".
        rank_ic, rank_ic_lower, rank_ic_upper: with its interval over quarters.
        skilled: whether the run's verdict grants skill.
        parameters, seconds, seconds_per_epoch, samples_per_second, seconds_to_best, peak_memory_mb, energy_joules: as
            in `Efficiency`.
        family: of the study; the notes called it token.
        trials: how many tries its family has had by now.
        strategy, sharpe: the best account that trades its forecasts, by its Sharpe ratio of a year, and that ratio.
        deflated_sharpe: probability that the best of as many tries without skill would have had less.
        figures: those of `FIGURES` by column, with intervals over quarters and seeds, and beside the naive forecast in
            the same loss on the same rows; no column itself.
    """

    run: str
    created_at: str
    analyst: str
    model: str
    quarters: int | None
    size: int | None
    layers: int | None
    protocol: str
    label: str
    loss: str
    seeds: int
    folds: int
    test_quarters: int
    test_rows: int
    eval_loss: float | None
    mae: float | None
    pearson: float | None
    r2: float | None
    sign_accuracy: float | None
    accuracy: float | None
    rise_share: float
    rank_ic: float | None
    rank_ic_lower: float | None
    rank_ic_upper: float | None
    skilled: bool
    parameters: int | None = None
    seconds: float | None = None
    seconds_per_epoch: float | None = None
    samples_per_second: float | None = None
    seconds_to_best: float | None = None
    peak_memory_mb: float | None = None
    energy_joules: float | None = None
    seed_values: str = ""
    family: str = ""
    trials: int | None = None
    strategy: str = ""
    sharpe: float | None = None
    deflated_sharpe: float | None = None
    figures: Mapping[str, Figure] = field(default_factory=dict, repr=False)

    def cells(self) -> dict[str, Any]:
        """All `COLUMNS`. After the attributes come the figures' ends: `mae_lower` and `mae_upper` over quarters,
        `mae_seeds_lower` and `mae_seeds_upper` over seeds, and `mae_less_naive`, the difference to the naive forecast,
        with its ends over quarters. None where there is none.
        """
        row = dict.fromkeys(COLUMNS) | {name: getattr(self, name) for name in _ATTRIBUTES}
        for name in FIGURES:
            found = self.figures.get(name)
            if found is None:
                continue
            row |= _ends(name, found.over_quarters) | _ends(f"{name}_seeds", found.over_seeds)
            row |= {f"{name}_less_naive": found.difference}
            row |= _ends(f"{name}_less_naive", found.difference_over_quarters)
        return row


def _ends(name: str, interval: Interval | None) -> dict[str, float | None]:
    ends = (None, None) if interval is None else (interval.lower, interval.upper)
    return dict(zip((f"{name}_lower", f"{name}_upper"), ends, strict=True))


_ATTRIBUTES = tuple(one.name for one in fields(Experiment) if one.name != "figures")
_ENDS = ("_lower", "_upper", "_seeds_lower", "_seeds_upper", "_less_naive", "_less_naive_lower", "_less_naive_upper")
COLUMNS = tuple(dict.fromkeys((*_ATTRIBUTES, *(f"{name}{end}" for name in FIGURES for end in _ENDS))))
_COSTS = _ATTRIBUTES[_ATTRIBUTES.index("parameters") : _ATTRIBUTES.index("seed_values")]
SMALLEST_FIRST = (*_COSTS, *(f"{name}{end}" for name in ("eval_loss", "mae") for end in ("", *_ENDS)))
"""Columns in which less is better; texts begin with the first letter, all other columns with the largest value."""
AS_IN_THE_NOTES = {
    "config_model_name": "model", "config_seed": "seed_values", "config_sequence_length": "quarters",
    "config_size": "size", "config_token": "family", "token": "family", "eval_mae": "mae",
    "eval_pearson_corr": "pearson", "eval_pearson": "pearson", "eval_r2": "r2",
    "eval_sign_accuracy": "sign_accuracy", "eval_accuracy": "accuracy", "eval_rank_ic": "rank_ic",
}  # fmt: skip
"""What the notes' table called some of the columns."""


@dataclass(frozen=True)
class Listing:
    """All experiments, the latest run's first, and the names of runs that this version cannot read."""

    experiments: tuple[Experiment, ...]
    unreadable: tuple[str, ...]

    def sorted_by(self, column: str) -> tuple[Experiment, ...]:
        """The best first, as the column has it; what has no value comes last. Equal ones stay in their order.

        Raises:
            ConfigError: there is no such column.
        """
        name = column_named(column)
        cells = [(one.cells()[name], one) for one in self.experiments]
        known = [(cell, one) for cell, one in cells if cell is not None]
        ascending = name in SMALLEST_FIRST or any(isinstance(cell, str) for cell, _ in known)
        best = sorted(known, key=lambda pair: pair[0], reverse=not ascending)
        return (*(one for _, one in best), *(one for cell, one in cells if cell is None))


def column_named(text: str) -> str:
    """The column of that name, in which hyphens stand for underscores; the notes' names are known too.

    Raises:
        ConfigError: there is none; the message suggests the nearest.
    """
    name = text.replace("-", "_")
    name = AS_IN_THE_NOTES.get(name, name)
    if name not in COLUMNS:
        raise ConfigError(f"there is no column {text!r}; {suggestion(name, COLUMNS)}")
    return name


def list_experiments(home: Home, run: str = "", family: str = "") -> Listing:
    """Every analyst of every finished run, or of one; with a tracking server, those of other machines too.

    Args:
        home: where runs are kept.
        run: a folder, a run's folder name or the beginning of one, or "latest"; empty for all.
        family: only runs of this family of studies; empty for all.

    Raises:
        ConfigError: there is no such run, or several begin so.
    """
    found: list[Experiment] = []
    unreadable = []
    paths = [find_run(home, run) / "run.json"] if run else [*home.runs.glob("*/run.json"), *records_elsewhere(home)]
    counts = _Counts(home)
    for path in sorted(paths, key=lambda path: (path.stat().st_mtime, path), reverse=True):
        name = path.parent.name
        try:
            record = load_record(path.parent)
        except AlfredError:
            unreadable.append(name)
            continue
        if family in {"", family_of(record)}:
            found += _experiments(path.parent, record, counts.of(path.parent, record))
    return Listing(tuple(found), tuple(unreadable))


def family_of(record: RunRecord) -> str:
    """The family that a run's trials count towards."""
    return record.trials.family if record.trials else record.study


class _Counts:
    """How often families have tried, as the ledger says now; each is asked once."""

    def __init__(self, home: Home) -> None:
        self._home, self._known = home, dict[str, TrialCount | None]()

    def of(self, folder: Path, record: RunRecord) -> TrialCount | None:
        """The ledger's count, or the run's own where that is larger or all that is known."""
        name, own = family_of(record), counted(folder, record)
        if name not in self._known:
            self._known[name] = self._now(name)
        now = self._known[name]
        return now if now is not None and (own is None or now.count >= own.count) else own

    def _now(self, name: str) -> TrialCount | None:
        if not self._home.shared_tracking and not self._home.tracking.exists():
            return None
        try:
            return count(self._home, name)
        except FetchError:
            return None


def _experiments(folder: Path, record: RunRecord, tried: TrialCount | None) -> list[Experiment]:
    costs = {cost.analyst: cost for cost in record.efficiency}
    specs = _specs(record)
    ratios = deflated_ratios(record.portfolios, recorded_tracks(folder, record), tried)
    rows = []
    for card in record.scorecards:
        one = _experiment(folder.name, record, card, specs, costs.get(card.analyst))
        rows.append(replace(one, trials=None if tried is None else tried.count, **_traded(record, card, ratios)))
    return rows


def _traded(record: RunRecord, card: Scorecard, ratios: Mapping[str, float]) -> dict[str, Any]:
    """The analyst's best account."""
    own = [
        one
        for one in record.portfolios
        if one.analyst == card.analyst and one.strategy and one.statistics.sharpe is not None
    ]
    if not own:
        return {}
    best = max(own, key=lambda one: one.statistics.sharpe or 0.0)
    return {
        "strategy": best.strategy,
        "sharpe": best.statistics.sharpe,
        "deflated_sharpe": ratios.get(best.name),
    }


def _experiment(
    run: str, record: RunRecord, card: Scorecard, specs: dict[str, AnalystSpec], cost: Efficiency | None
) -> Experiment:
    by_name = {figure.name: figure for figure in card.figures}
    values = {name: figure.value for name, figure in by_name.items()}
    ic = by_name["rank_ic"].over_quarters if "rank_ic" in by_name else None
    spent: dict[str, Any] = {}
    if cost is not None:
        spent = {name: getattr(cost, name) for name in ("parameters", "seconds", "seconds_per_epoch")}
        spent |= {name: getattr(cost, name) for name in ("samples_per_second", "peak_memory_mb", "energy_joules")}
        spent["seconds_to_best"] = cost.median_seconds_to_best
    return Experiment(
        run=run,
        created_at=record.created_at,
        analyst=card.analyst,
        model=card.analyst.partition(":")[0],
        **_options(specs.get(card.analyst)),
        protocol=record.protocol,
        label=card.target,
        loss=card.loss,
        seeds=card.seeds,
        folds=len(record.folds),
        test_quarters=card.quarters,
        test_rows=card.rows,
        eval_loss=values.get("loss"),
        mae=values.get("mae"),
        pearson=values.get("pearson"),
        r2=values.get("r2"),
        sign_accuracy=values.get("sign_accuracy"),
        accuracy=values.get("accuracy"),
        rise_share=card.rise_share,
        rank_ic=values.get("rank_ic"),
        rank_ic_lower=None if ic is None else ic.lower,
        rank_ic_upper=None if ic is None else ic.upper,
        skilled=card.skilled,
        family=family_of(record),
        seed_values=_seeds_of(specs.get(card.analyst), record),
        figures={column: by_name[name] for column, name in FIGURES.items() if name in by_name},
        **spent,
    )


def _seeds_of(spec: AnalystSpec | None, record: RunRecord) -> str:
    return " ".join(map(str, record.seeds)) if spec is not None and describe(spec.name).uses_seed else ""


def _specs(record: RunRecord) -> dict[str, AnalystSpec]:
    """The study's analysts by entry; those that this version does not know any more are left out."""
    specs = {}
    for form in record.settings.get("analysts", ()):
        try:
            spec = AnalystSpec.parse(form, "run.json")
            specs[entry_name(spec)] = spec
        except (AlfredError, TypeError, ValueError):
            continue
    return specs


def _options(spec: AnalystSpec | None) -> dict[str, Any]:
    """Sequence length, size and layers, the preset's where the study left them out."""
    options = ("quarters", "size", "layers")
    if spec is None:
        return dict.fromkeys(options)
    about = describe(spec.name).options
    return {name: getattr(spec, name) or int(about[name]) or None for name in options}
