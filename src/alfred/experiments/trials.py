"""The trial ledger: every configuration that was ever evaluated, on whichever machine, counted by study family.

The best of many tries looks better than it is, and by how much can only be told from how many there were. So a trial
is written down before it begins: one that failed, was stopped or was killed counts like one that ended well.

A trial is one analyst of one run: its settings, its seeds, the names, the data and the code. The same again is the same
trial; a change of any of them is another. Trials are kept with the tracking data (`alfred.experiments.tracking`), a run
of MLflow each, in the experiment `alfred/trials/<family>`.
"""

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from alfred.core.contracts import Floats
from alfred.core.errors import AlfredError, DataError
from alfred.core.home import Home
from alfred.experiments.tracking import Tracking, tracking

if TYPE_CHECKING:
    from mlflow.entities import Run

PREFIX = "alfred/trials/"
FINISHED, FAILED, ABORTED, RUNNING = "finished", "failed", "aborted", "running"
_STATUS = {"FINISHED": FINISHED, "FAILED": FAILED, "KILLED": ABORTED}
_MLFLOW = {status: name for name, status in _STATUS.items()}
LONGEST_TAG = 8000
SERIES = "alfred.series."
VALID = "valid."
"""Begins the names of figures of validation rows, by which a sweep chooses."""


@dataclass(frozen=True)
class Series:
    """Figures of consecutive quarters; None where a quarter has none.

    Attributes:
        first: quarters since 1970 Q1 of the first figure (`quarter_index`).
        values: one a quarter.
    """

    first: int
    values: tuple[float | None, ...]

    def text(self) -> str:
        """As the ledger keeps it, in seven digits."""
        values = [
            float(f"{value:.7g}") if value is not None and math.isfinite(value) else None for value in self.values
        ]
        return json.dumps({"first": self.first, "values": values}, separators=(",", ":"))

    @classmethod
    def parse(cls, text: str) -> "Series":
        """Read what `text` wrote."""
        form = json.loads(text)
        return cls(int(form["first"]), tuple(form["values"]))


@dataclass(frozen=True)
class Trial:
    """One configuration that was evaluated, or was about to be.

    Attributes:
        key: digest of all that makes it the trial it is.
        family: what it counts towards.
        study, digest: name of the study and digest of the run that it was part of.
        analyst: entry of the study.
        protocol: name of the question asked.
        status: "finished", "failed", "aborted" (stopped by the user), or "running": also of a process that was killed.
        began, ended: instants in ISO form; `ended` is empty while it runs.
        seen_until: last instant of the data that it was shown, in ISO form.
        config: its settings.
        figures: what came of it, such as rank_ic.
        series: by name, "rank_ic" or a strategy's, whose figures are quarterly returns net of costs.
        failure: why it failed.
        run: number of MLflow's run.
    """

    key: str
    family: str
    study: str
    digest: str
    analyst: str
    protocol: str
    status: str = RUNNING
    began: str = ""
    ended: str = ""
    seen_until: str = ""
    config: Mapping[str, Any] | None = None
    figures: Mapping[str, float] | None = None
    series: Mapping[str, Series] | None = None
    failure: str = ""
    run: str = ""


@dataclass(frozen=True, eq=False)
class Returns:
    """Quarterly returns of strategies side by side.

    Attributes:
        quarters: (Q,) consecutive quarters since 1970 Q1.
        names: N names, "analyst · strategy", with the key's beginning where two share one.
        trials: N keys of the trials.
        values: (Q, N) returns net of costs, 0.05 is +5%; NaN where a strategy did not trade in a quarter.
    """

    quarters: np.ndarray[Any, np.dtype[np.int64]]
    names: tuple[str, ...]
    trials: tuple[str, ...]
    values: Floats


class TrialLedger:
    """The ledger of one store of tracking data."""

    def __init__(self, store: Tracking) -> None:
        self._store = store

    @classmethod
    def open(cls, home: Home) -> "TrialLedger":
        """The ledger of a home, made where there is none.

        Raises:
            ConfigError, FetchError: as `tracking`.
        """
        return cls(tracking(home))

    @property
    def store(self) -> Tracking:
        """The tracking data that hold it."""
        return self._store

    def begin(self, trial: Trial) -> Trial:
        """Write a trial down before it begins; one with the same family and key is taken up, and stays one.

        Returns:
            The trial as the ledger has it now: running, with its number.
        """
        number = self._store.experiment(PREFIX + trial.family, {"alfred.family": trial.family})
        known = self._store.runs([number], f"tags.`alfred.key` = '{trial.key}'")
        tags = _tags(trial)
        with self._store.asked() as client:
            if not known:
                run = client.create_run(number, int(time.time() * 1000), tags, run_name=trial.analyst)
                return replace(trial, run=run.info.run_id, status=RUNNING, began=_instant(run.info.start_time))
            run = known[0]
            if run.info.lifecycle_stage == "deleted":
                client.restore_run(run.info.run_id)
            for name in ("alfred.digest", "alfred.study"):
                client.set_tag(run.info.run_id, name, tags[name])
            client.update_run(run.info.run_id, "RUNNING")
        return replace(trial, run=run.info.run_id, status=RUNNING, began=_instant(run.info.start_time))

    def finish(
        self, trial: Trial, figures: Mapping[str, float | None], series: Mapping[str, Series] | None = None
    ) -> None:
        """Write down what came of a trial.

        Args:
            trial: as `begin` gave it.
            figures: by name; undefined ones are left out.
            series: by name, as in `Trial`.

        Raises:
            DataError: a series is too long to keep.
        """
        from mlflow.entities import Metric, RunTag

        now = int(time.time() * 1000)
        metrics = [
            Metric(name, value, now, 0) for name, value in figures.items() if value is not None and math.isfinite(value)
        ]
        tags = []
        for name, one in (series or {}).items():
            text = one.text()
            if len(text) > LONGEST_TAG:
                raise DataError(f"{len(one.values)} quarters of {name} are too many to keep in the trial ledger.")
            tags.append(RunTag(SERIES + name, text))
        with self._store.asked() as client:
            client.log_batch(trial.run, metrics, (), tags)
        self._end(trial, FINISHED)

    def fail(self, trial: Trial, error: BaseException) -> None:
        """Write down that a trial failed; the text of an error that is not Alfred's own is not kept."""
        told = f": {error}" if isinstance(error, AlfredError) else ""
        with self._store.asked() as client:
            client.set_tag(trial.run, "alfred.failure", f"{type(error).__name__}{told}"[:LONGEST_TAG])
        self._end(trial, FAILED)

    def abort(self, trial: Trial) -> None:
        """Write down that the user stopped a trial."""
        self._end(trial, ABORTED)

    def trials(self, family: str) -> tuple[Trial, ...]:
        """Every trial of a family, oldest first; what two machines began at once is one."""
        found = self._store.find(PREFIX + family)
        if found is None:
            return ()
        best: dict[str, Trial] = {}
        for run in self._store.runs([found.experiment_id]):
            trial = _trial(run, family)
            if trial is not None and (trial.key not in best or trial.status == FINISHED):
                best[trial.key] = trial
        return tuple(best.values())

    def has_finished(self, trial: Trial) -> bool:
        """Whether the ledger has a trial with the same family and key, and what came of it."""
        found = self._store.find(PREFIX + trial.family)
        condition = f"tags.`alfred.key` = '{trial.key}' and attributes.status = 'FINISHED'"
        return found is not None and bool(self._store.runs([found.experiment_id], condition))

    def count(self, family: str) -> int:
        """How many trials a family has had, in whichever state."""
        return len(self.trials(family))

    def families(self) -> tuple[str, ...]:
        """All families with a ledger, by name."""
        return tuple(one.name.removeprefix(PREFIX) for one in self._store.names(PREFIX))

    def returns(self, family: str, protocol: str | None = None, strategy: str | None = None) -> Returns:
        """Quarterly returns of a family's finished trials, as columns over all quarters that any of them traded in.

        Trials whose forecasts no strategy trades have no column, and still count.

        Args:
            family: which.
            protocol: only trials that asked this question; default all.
            strategy: only returns of this strategy; default all.
        """
        chosen = [one for one in self.trials(family) if protocol is None or one.protocol == protocol]
        return returns_of(chosen, strategy)

    def _end(self, trial: Trial, status: str) -> None:
        with self._store.asked() as client:
            client.set_terminated(trial.run, _MLFLOW[status])


def returns_of(trials: Sequence[Trial], strategy: str | None = None) -> Returns:
    """The matrix of `TrialLedger.returns` of some trials."""
    columns = [
        (trial, name, series)
        for trial in trials
        if trial.status == FINISHED
        for name, series in sorted((trial.series or {}).items())
        if name != "rank_ic" and strategy in {None, name} and series.values
    ]
    if not columns:
        return Returns(np.zeros(0, np.int64), (), (), np.zeros((0, 0)))
    first = min(series.first for _, _, series in columns)
    last = max(series.first + len(series.values) for _, _, series in columns)
    values = np.full((last - first, len(columns)), np.nan)
    for at, (_, _, series) in enumerate(columns):
        start = series.first - first
        values[start : start + len(series.values), at] = [np.nan if one is None else one for one in series.values]
    names = [f"{trial.analyst} · {name}" for trial, name, _ in columns]
    told = [
        f"{name} ({trial.key[:6]})" if names.count(name) > 1 else name
        for name, (trial, _, _) in zip(names, columns, strict=True)
    ]
    return Returns(np.arange(first, last), tuple(told), tuple(trial.key for trial, _, _ in columns), values)


@contextmanager
def on_trial(ledger: TrialLedger, trials: Sequence[Trial]) -> Iterator[None]:
    """Evaluate begun trials in this block; where it ends in an error, they are written down as failed or aborted.

    The caller finishes them. A process that is killed leaves them running, which counts too.
    """
    try:
        yield
    except (KeyboardInterrupt, Exception) as error:
        with suppress(AlfredError):  # the error itself is worth more than that it could not be written down
            for trial in trials:
                if isinstance(error, KeyboardInterrupt):
                    ledger.abort(trial)
                else:
                    ledger.fail(trial, error)
        raise


def _tags(trial: Trial) -> dict[str, str]:
    return {
        "alfred.key": trial.key,
        "alfred.study": trial.study,
        "alfred.digest": trial.digest,
        "alfred.analyst": trial.analyst,
        "alfred.protocol": trial.protocol,
        "alfred.seen_until": trial.seen_until,
        "alfred.config": json.dumps(dict(trial.config or {}), separators=(",", ":"))[:LONGEST_TAG],
    }


def _trial(run: "Run", family: str) -> Trial | None:
    """A trial from MLflow's run; None for a run that is none of ours."""
    tags, info = run.data.tags, run.info
    if "alfred.key" not in tags:
        return None
    try:
        config = json.loads(tags.get("alfred.config", "{}"))
    except ValueError:  # it was too long to keep whole
        config = {}
    series = {name.removeprefix(SERIES): Series.parse(text) for name, text in tags.items() if name.startswith(SERIES)}
    return Trial(
        key=tags["alfred.key"],
        family=family,
        study=tags.get("alfred.study", ""),
        digest=tags.get("alfred.digest", ""),
        analyst=tags.get("alfred.analyst", ""),
        protocol=tags.get("alfred.protocol", ""),
        status=_STATUS.get(info.status, RUNNING),
        began=_instant(info.start_time),
        ended=_instant(info.end_time) if info.status in _STATUS else "",
        seen_until=tags.get("alfred.seen_until", ""),
        config=config,
        figures=dict(run.data.metrics),
        series=series,
        failure=tags.get("alfred.failure", "") if info.status == "FAILED" else "",
        run=info.run_id,
    )


def _instant(milliseconds: int | None) -> str:
    if milliseconds is None:
        return ""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")
