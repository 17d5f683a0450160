"""`alfred select`: a smaller panel, chosen on early validation rows and judged on later quarters without a part in it.

| rule | keeps a column |
| --- | --- |
| control | whose Shapley values rise above the line that noise reaches (`alfred.explain.control`) |
| loss | without which the loss goes up, its numbers exchanged among the names of a date |
| ic | without which the rank IC goes down, likewise |
| notes | unless loss and F1 are both better without it: the notes' rule |

Choosing sees the validation rows of the folds whose test quarters lie before the first quarter that judges, and the
training rows behind them. The judging runs are runs like any other: of the study's family, and counted as trials.
"""

import fnmatch
import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, TypeAdapter

from alfred.analysts import Job, fit_many
from alfred.core.calendar import IsoDate, day
from alfred.core.contracts import FittedAnalyst, Windows
from alfred.core.errors import ConfigError
from alfred.core.home import Home
from alfred.core.progress import Progress, Silent
from alfred.core.settings import Settings
from alfred.core.storage import write_whole
from alfred.evaluation.metrics import Sums, quarter_sums, rank_ics
from alfred.evaluation.rows import forecast_rows
from alfred.evaluation.splits import Fold
from alfred.experiments.ablating import AblateRequest, ablate
from alfred.experiments.record import load_frame
from alfred.experiments.run import run_study
from alfred.experiments.study import Study, judged_loss
from alfred.experiments.subject import Subject, subject_of_study
from alfred.explain.ablation import Ablated, Effect, effects
from alfred.explain.control import ControlFold, control_line
from alfred.explain.shapley import ExplainSettings
from alfred.panel.windows import INDICATOR
from alfred.training.losses import original_row_losses

Rule = Literal["control", "loss", "ic", "notes"]
FILE = "selection.json"


class SelectRequest(Settings):
    """How a smaller panel is chosen and judged.

    Attributes:
        analyst: entry of the study; empty for its last.
        rule: see the module.
        verify_from: first quarter that judges; None for the first fold of the later half.
        shuffles: of the control.
        repeats: permutations, under the other rules.
        rows: validation rows explained in each fold at most, under the rule control.
        sampling: of the explanations.
    """

    analyst: str = ""
    rule: Rule = "control"
    verify_from: IsoDate | None = None
    shuffles: int = Field(default=9, ge=1, le=1_000)
    repeats: int = Field(default=5, ge=1, le=1_000)
    rows: int = Field(default=200, ge=1)
    sampling: ExplainSettings = ExplainSettings()


@dataclass(frozen=True)
class Selection:
    """A smaller panel and how it did.

    Attributes:
        study, analyst, rule: of the choice.
        chosen_until: last validation quarter that the choice saw.
        verified_from: first quarter that judges.
        folds: that the choice rests on.
        kept, dropped: columns of the panel.
        effects: loss, f1 and rank_ic of the smaller panel less those of the whole one, on the later quarters.
        whole, smaller: names of the two runs' folders; empty where nothing, or everything, was kept.
    """

    study: str
    analyst: str
    rule: str
    chosen_until: str
    verified_from: str
    folds: int
    kept: tuple[str, ...]
    dropped: tuple[str, ...]
    effects: dict[str, Effect]
    whole: str = ""
    smaller: str = ""

    @property
    def verdict(self) -> str:
        """What came of it, in one sentence."""
        count, of = len(self.kept), len(self.kept) + len(self.dropped)
        if not self.kept:
            return (
                f"No column of {of} is kept by the rule {self.rule}: {self.analyst} learnt nothing that noise does not."
            )
        if not self.dropped:
            return f"All {of} columns are kept by the rule {self.rule}; there is nothing to judge."
        loss = self.effects["loss"].over_quarters
        outcome = "cannot be told apart"
        if loss is not None and loss.upper < 0:
            outcome = "has the lower loss"
        elif loss is not None and loss.lower > 0:
            outcome = "has the higher loss"
        told = " from the whole panel" if outcome.startswith("cannot") else " than the whole panel"
        return (
            f"{count} of {of} columns are kept by the rule {self.rule}; from {self.verified_from} on the smaller panel "
            f"{outcome}{told}."
        )


_ADAPTER = TypeAdapter(Selection)


def select(
    study: Study, home: Home, request: SelectRequest, progress: Progress | None = None
) -> tuple[Selection, Study | None]:
    """Choose columns on early folds and judge them on later quarters.

    Returns:
        What came of it, and the study with the smaller panel; None where no column is kept.

    Raises:
        ConfigError: the study has too few folds before the quarters that judge.
        AlfredError: as `run_study`.
    """
    progress = progress or Silent()
    subject = subject_of_study(home, study, request.analyst)
    early, first = _early_folds(subject, request)
    kept_names = _kept(subject, early, request, progress)
    names = subject.walk.panel.features
    kept = tuple(name for name in names if name in kept_names)
    dropped = tuple(name for name in names if name not in kept_names)
    panel = subject.walk.panel
    found = Selection(
        study.name,
        subject.entry,
        request.rule,
        str(panel.dates[max(int(fold.valid[-1]) for fold in early)]),
        str(first),
        len(early),
        kept,
        dropped,
        {},
    )
    if not kept:
        return found, None
    whole = _later(study, subject, f"{study.name}-whole", str(first), None)
    smaller = _later(study, subject, f"{study.name}-selected", str(first), kept)
    if not dropped:
        return found, smaller
    runs = [run_study(one, home, progress) for one in (whole, smaller)]
    sums = [_sums(run, subject) for run in runs]
    settings = study.evaluation.over_horizon(study.panel.horizon_quarters)
    changed = effects(sums[0], sums[1], subject.target, settings)
    found = replace(found, effects=changed, whole=runs[0].name, smaller=runs[1].name)
    write_whole(runs[1] / FILE, _ADAPTER.dump_json(found, indent=2) + b"\n")
    return found, smaller


def load_selection(run: Path) -> Selection:
    """Read the selection that led to a run."""
    return _ADAPTER.validate_json((run / FILE).read_bytes())


def _early_folds(subject: Subject, request: SelectRequest) -> tuple[tuple[Fold, ...], np.datetime64]:
    """Folds that choose, and the first decision date that judges.

    Raises:
        ConfigError: no fold is tested before it.
    """
    folds, dates = subject.walk.folds, subject.walk.panel.dates
    first = dates[folds[len(folds) // 2].test[0]] if request.verify_from is None else day(request.verify_from)
    early = tuple(fold for fold in folds if dates[fold.test[-1]] < first)
    if not early or not (dates >= first).any() or dates[folds[-1].test[-1]] < first:
        tested = f"{dates[folds[0].test[0]]} to {dates[folds[-1].test[-1]]} in {len(folds)} fold(s)"
        raise ConfigError(
            f"a choice needs a whole fold before the quarters that judge it, and some after; {first} does not divide "
            f"the test quarters so, which run from {tested}. Set splits.test_quarters lower, or --verify-from later."
        )
    return early, first


def _kept(subject: Subject, early: Sequence[Fold], request: SelectRequest, progress: Progress) -> set[str]:
    """Columns of the panel that the rule keeps; one whose indicator is kept is kept, too."""
    if request.rule == "control":
        found = _above_control(subject, early, request, progress)
    else:
        asked = AblateRequest(
            ways=("permute", "mean"), part="validation", repeats=request.repeats, folds=len(early),
            seed=request.sampling.seed,
        )  # fmt: skip
        ablated = ablate(subject, asked, progress).ablated
        # What is the same for all names of a date cannot be exchanged among them; its mean stands in.
        alike = {one.what for one in ablated if one.way == "permute" and one.note}
        told = [one for one in ablated if (one.way == "mean") == (one.what in alike)]
        found = {one.what for one in told if _keeps(request.rule, one)}
    return {name.removeprefix(INDICATOR) for name in found}


def _keeps(rule: Rule, one: Ablated) -> bool:
    if rule == "loss":
        return (one.loss.change or 0.0) > 0
    if rule == "ic":
        return (one.rank_ic.change or 0.0) < 0
    return one.mark != "harmful"


def _above_control(subject: Subject, early: Sequence[Fold], request: SelectRequest, progress: Progress) -> set[str]:
    seed, random = subject.seeds[0], np.random.default_rng(request.sampling.seed)

    def fit(learn: Windows, judge: Windows) -> FittedAnalyst:
        return fit_many(subject.spec, subject.study.train, [Job(learn, judge, seed)])[0]

    folds = []
    for fold in early:
        train, valid, _ = subject.parts(fold)
        chosen = np.sort(random.permutation(len(valid))[: request.rows])
        folds.append(ControlFold(fit, train, valid, valid.rows(chosen)))
    progress.start("control", request.shuffles * len(folds))
    line = control_line(folds, request.shuffles, request.sampling, progress=progress)
    progress.finish("control")
    return {name for name, above in zip(line.columns, line.above.tolist(), strict=True) if above}


def _later(study: Study, subject: Subject, name: str, first: str, kept: tuple[str, ...] | None) -> Study:
    """The study of this analyst alone on the quarters that judge, with a smaller panel where one is given."""
    form: dict[str, Any] = study.model_dump(mode="json")
    form |= {"name": name, "family": study.counted_as}
    form["analysts"] = [subject.spec.model_dump(mode="json", exclude_none=True)]
    form["splits"]["test_first"] = first
    if kept is not None:
        form["panel"] |= {"features": list(kept), "exclude": []}
        for part in ("cross_section", "scaling"):
            # A pattern that no column is left for would be refused.
            rules = form["panel"][part]
            form["panel"][part] = {key: rule for key, rule in rules.items() if fnmatch.filter(kept, key)}
    return Study.parse(form, name)


def _sums(run: Path, subject: Subject) -> Sums:
    rows = forecast_rows(load_frame(run, "forecasts"), subject.entry)
    loss = functools.partial(original_row_losses, judged_loss(subject.spec), settings=subject.study.train.loss)
    return quarter_sums(rows, loss, rank_ics(rows))
