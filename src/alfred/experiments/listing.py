"""All runs' analysts in one table, with the notes' columns: what each is, how it did, what it cost."""

from dataclasses import dataclass, fields
from typing import Any

from alfred.analysts import AnalystSpec, describe
from alfred.core.errors import AlfredError, ConfigError
from alfred.core.home import Home
from alfred.core.settings import suggestion
from alfred.evaluation.contracts import Scorecard
from alfred.experiments.record import Efficiency, RunRecord, load_record
from alfred.experiments.study import entry_name


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
        test_quarters, test_rows: size of the test sample.
        eval_loss, mae, pearson, r2, sign_accuracy, accuracy: as in the scorecard.
        rise_share: the accuracy of "always up".
        rank_ic, rank_ic_lower, rank_ic_upper: with its interval over quarters.
        skilled: whether the run's verdict grants skill.
        parameters, seconds, seconds_per_epoch, samples_per_second, seconds_to_best, peak_memory_mb, energy_joules: as
            in `Efficiency`.
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


COLUMNS = tuple(field.name for field in fields(Experiment))
SMALLEST_FIRST = ("eval_loss", "mae", *COLUMNS[COLUMNS.index("parameters") :])
"""Columns in which less is better; texts begin with the first letter, all other columns with the largest value."""


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
        name = column.replace("-", "_")
        if name not in COLUMNS:
            raise ConfigError(f"there is no column {column!r} to sort by; {suggestion(name, COLUMNS)}")
        known = [one for one in self.experiments if getattr(one, name) is not None]
        absent = [one for one in self.experiments if getattr(one, name) is None]
        text = any(isinstance(getattr(one, name), str) for one in known)
        ascending = text or name in SMALLEST_FIRST
        return (*sorted(known, key=lambda one: getattr(one, name), reverse=not ascending), *absent)


def list_experiments(home: Home) -> Listing:
    """Every analyst of every finished run."""
    found: list[Experiment] = []
    unreadable = []
    for path in sorted(home.runs.glob("*/run.json"), key=lambda path: (path.stat().st_mtime, path), reverse=True):
        name = path.parent.name
        try:
            record = load_record(path.parent)
        except AlfredError:
            unreadable.append(name)
            continue
        costs = {cost.analyst: cost for cost in record.efficiency}
        specs = _specs(record)
        found += [_experiment(name, record, card, specs, costs.get(card.analyst)) for card in record.scorecards]
    return Listing(tuple(found), tuple(unreadable))


def _experiment(
    run: str, record: RunRecord, card: Scorecard, specs: dict[str, AnalystSpec], cost: Efficiency | None
) -> Experiment:
    values = {figure.name: figure.value for figure in card.figures}
    ic = next((figure.over_quarters for figure in card.figures if figure.name == "rank_ic"), None)
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
        **spent,
    )


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


def _options(spec: AnalystSpec | None) -> dict[str, int | None]:
    """Sequence length, size and layers, the preset's where the study left them out."""
    options = ("quarters", "size", "layers")
    if spec is None:
        return dict.fromkeys(options)
    about = describe(spec.name).options
    return {name: getattr(spec, name) or int(about[name]) or None for name in options}
