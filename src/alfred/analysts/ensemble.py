"""Many analysts as one: the mean of their forecasts, or a stacking of them fitted on the validation rows.

Each member that depends on chance is the mean of `member_seeds` fits (Hansen and Salamon 1990; Lakshminarayanan et al.
2017). `ensemble.mean` weighs members equally. `ensemble.stack` learns weights of at least 0 and at most 1 in all, and
an intercept (Breiman 1996, Stacked regressions), from validation rows of which every quarter weighs the same; because
validation periods are short and equal weights are hard to beat (Timmermann 2006), weights and intercept are then drawn
toward those of the mean by the rule of Stock and Watson (2004, Combination forecasts of output growth in a
seven-country data set): of what was fitted on T quarters for n members max(0, 1 - n / (T - n)) is kept.

What members disagree on widens a row's interval: see `_scale.py`.
"""

import hashlib
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

from alfred.analysts._conformal import Calibration, calibrate_rows
from alfred.analysts._jobs import Job, fit_many
from alfred.analysts._presets import AnalystSpec, Choice, Preset, choose
from alfred.analysts._registry import describe, make_analyst, restore_analyst
from alfred.analysts._store import read_analyst, read_saved, save_analyst
from alfred.analysts._table import labels_to_learn
from alfred.core.contracts import DIRECTION, FitRecord, FittedAnalyst, Floats, Forecast, Windows
from alfred.core.errors import ConfigError, DataError
from alfred.core.progress import Progress
from alfred.core.quantile import date_weights
from alfred.training.rows import Inputs
from alfred.training.settings import TrainSettings

MEMBERS = ("ridge", "elastic-net", "lightgbm")
"""The default for sizes: linear and not, together fitted in seconds."""
DIRECTION_MEMBERS = ("ridge", "logistic", "lightgbm")
SEEDS = 5

PRESETS = {
    "ensemble.mean": Preset(
        f"mean of {', '.join(MEMBERS)}, or of other members, over seeds", random=True, members=MEMBERS
    ),
    "ensemble.stack": Preset(
        f"{', '.join(MEMBERS)}, or other members, weighed by their validation forecasts, drawn toward their mean",
        random=True,
        members=MEMBERS,
    ),
}


@dataclass(frozen=True)
class Member:
    """One member: what it is, the seeds of its fits, and the quarters of history that it looks at."""

    spec: AnalystSpec
    seeds: tuple[int, ...]
    quarters: int


@dataclass(frozen=True)
class Ensemble:
    """Members before they have learnt."""

    spec: AnalystSpec
    target: str
    members: tuple[Member, ...]
    settings: TrainSettings
    progress: Progress

    def fit(self, train: Windows, valid: Windows) -> "FittedEnsemble":
        """Fit every member with every seed of its own, weigh them, and calibrate what they say together.

        Raises:
            DataError, LeakError, ConfigError: as `labels_to_learn` and the members.
        """
        _, label = labels_to_learn(train, valid, self.target)
        begun = time.perf_counter()
        fits = tuple(tuple(self._fits(member, train, valid)) for member in self.members)
        own = _forecasts(fits, self.members, valid)
        weights, intercept = np.full(len(fits), 1 / len(fits)), 0.0
        if self.spec.name == "ensemble.stack":
            weights, intercept = stacking(own, label, date_weights(valid.dates), len(np.unique(valid.dates)))
        every = [fit.record for member in fits for fit in member]
        seconds = time.perf_counter() - begun
        epochs = sum(record.samples_per_second * record.seconds for record in every)
        record = FitRecord(
            parameters=sum(one.parameters for one in every) + len(weights) + 1,
            seconds=seconds,
            samples_per_second=epochs / max(seconds, 1e-9),
            stopped="members",
        )
        mean, spread = combined(own, weights, intercept)
        calibration = calibrate_rows(train, valid, mean, spread)
        return FittedEnsemble(self.spec, self.members, Inputs.of(train), fits, weights, intercept, calibration, record)

    def _fits(self, member: Member, train: Windows, valid: Windows) -> list[FittedAnalyst]:
        latest = train.latest(member.quarters), valid.latest(member.quarters)
        jobs = [Job(*latest, seed) for seed in member.seeds]
        return fit_many(member.spec, self.settings, jobs, progress=self.progress)


@dataclass(frozen=True)
class FittedEnsemble:
    """Members that have learnt, and what each counts.

    Attributes:
        spec: what it was made from.
        members: as in `Ensemble`.
        inputs: windows it accepts.
        fits: of each member, one for each of its seeds.
        weights: (M,) of the members, at least 0.
        intercept: of the sum.
        calibration: its confidence.
        record: cost of all fits together.
    """

    spec: AnalystSpec
    members: tuple[Member, ...]
    inputs: Inputs
    fits: tuple[tuple[FittedAnalyst, ...], ...]
    weights: Floats
    intercept: float
    calibration: Calibration
    record: FitRecord

    def predict(self, windows: Windows) -> Forecast:
        """Forecast every row.

        Raises:
            DataError: the windows differ in columns, length, target or horizon from those learnt on.
        """
        self.inputs.require(windows, "the windows to forecast")
        own = _forecasts(self.fits, self.members, windows)
        return self.calibration.of_rows(windows, *combined(own, self.weights, self.intercept))

    def save(self, folder: Path) -> None:
        """Write it into `folder`, each fit of a member into a folder of its own below."""
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(folder / "members", ignore_errors=True)
        details: dict[str, float | str] = {}
        for member, fits in zip(self.members, self.fits, strict=True):
            for seed, fit in zip(member.seeds, fits, strict=True):
                place = _place(folder, len(details))
                fit.save(place)
                details[place.name] = f"{_digest(place)} {member.quarters} {seed}"
        weights = {"weights": self.weights, "intercept": np.array([self.intercept])}
        save_analyst(folder, self.spec, self.inputs, self.calibration, self.record, weights=weights, details=details)


def stacking(forecasts: Floats, label: Floats, row_weights: Floats, quarters: int) -> tuple[Floats, float]:
    """Weights (M,) and intercept that add forecasts (M, N) up to labels (N,) with least squares, drawn to the mean's.

    Weights are at least 0 and at most 1 in all. With errors e_i of each centred forecast, and of a forecast that says
    nothing, which takes what the others leave of the 1, they are u / sum(u) for the u >= 0 that makes
    |sum u_i e_i|^2 + (sum u_i - 1)^2 least: at any shares of the sum, the best sum leaves q / (1 + q) of a square error
    of q, so that the least of one is the least of the other.

    Args:
        forecasts: (M, N) of the members.
        label: (N,) what came.
        row_weights: (N,) what each row counts, 1 in all.
        quarters: T in which the rows lie.
    """
    members = len(forecasts)
    equal, kept = np.full(members, 1 / members), shrinkage(members, quarters)
    centre, middle = forecasts @ row_weights, float(label @ row_weights)
    about = label - middle
    largest = float(np.sqrt(row_weights @ about**2))
    if kept == 0 or largest == 0:
        return equal, 0.0
    errors = np.vstack([about - (forecasts - centre[:, None]), about]) * np.sqrt(row_weights) / largest
    system = np.vstack([errors.T, np.ones(members + 1)])
    shares, _ = nnls(system, np.append(np.zeros(len(label)), 1.0))
    fitted = shares[:members] / shares.sum()
    return kept * fitted + (1 - kept) * equal, kept * (middle - float(fitted @ centre))


def shrinkage(members: int, quarters: int) -> float:
    """Share of the fitted weights that is kept: Stock and Watson (2004), with their strongest shrinkage, kappa = 1."""
    return max(0.0, 1 - members / (quarters - members)) if quarters > members else 0.0


def combined(forecasts: Floats, weights: Floats, intercept: float) -> tuple[Floats, Floats]:
    """Forecasts (N,) of members' (M, N), and the members' deviation (N,) about them, weighed as they count."""
    # Row by row and in the members' order, so that a row's sum does not depend on the rows beside it.
    mean, square = np.full(forecasts.shape[1], intercept), np.zeros(forecasts.shape[1])
    for weight, own in zip(weights, forecasts, strict=True):
        mean += weight * own
    whole = float(weights.sum())
    if whole > 0:
        centre = (mean - intercept) / whole
        for weight, own in zip(weights, forecasts, strict=True):
            square += weight / whole * (own - centre) ** 2
    return mean, np.sqrt(square)


def _forecasts(fits: Sequence[Sequence[FittedAnalyst]], members: Sequence[Member], windows: Windows) -> Floats:
    """(M, N) forecasts of each member, the mean over its seeds."""
    found = np.zeros((len(fits), len(windows)))
    for at, (own, member) in enumerate(zip(fits, members, strict=True)):
        latest = windows.latest(member.quarters)
        for fit in own:
            found[at] += fit.predict(latest).mean / len(own)
    return found


def create(spec: AnalystSpec, train_settings: TrainSettings, seed: int, progress: Progress) -> Ensemble:
    """An analyst that has not learnt yet.

    Raises:
        ConfigError: the spec asks for what it or a member cannot do.
    """
    choice = choose(spec, PRESETS[spec.name])
    return Ensemble(spec, choice.label, _members(spec, choice, seed, train_settings), train_settings, progress)


def _members(spec: AnalystSpec, choice: Choice, seed: int, settings: TrainSettings) -> tuple[Member, ...]:
    """The members, each of the ensemble's label; ensembles of different seeds have no member's seed in common."""
    count = spec.member_seeds or SEEDS
    members = []
    for own in spec.members or tuple(AnalystSpec(name=name) for name in _default(choice)):
        if own.name in PRESETS:
            raise ConfigError(f"{spec.name} cannot have {own.name} for a member; name that one's members.")
        if own.label not in {None, choice.label}:
            raise ConfigError(
                f"{spec.name} forecasts {choice.label}, but its member {own.name} {own.label}; remove the label."
            )
        told = own.model_copy(update={"label": choice.label})
        about = describe(own.name)
        seeds = tuple(range(seed * count, (seed + 1) * count)) if about.uses_seed else (seed,)
        make_analyst(told, settings, seeds[0])
        members.append(Member(told, seeds, own.quarters or spec.quarters or about.quarters))
    repeated = next((m.spec.name for at, m in enumerate(members) if m in members[:at]), None)
    if repeated is not None:
        raise ConfigError(f"{spec.name} has the member {repeated} twice; member_seeds asks for more seeds of it.")
    return tuple(members)


def _default(choice: Choice) -> tuple[str, ...]:
    return DIRECTION_MEMBERS if choice.label == DIRECTION else MEMBERS


def restore(folder: Path) -> FittedAnalyst:
    """What `save` wrote.

    Raises:
        DataError: the folder holds something else, or a member was changed since.
    """
    saved = read_saved(folder)
    choice = choose(saved.spec, PRESETS[saved.name])
    members = _members(saved.spec, choice, 0, TrainSettings())
    shapes = {"weights": (len(members),), "intercept": (1,)}
    _, tensors, calibration = read_analyst(folder, shapes)
    entries = [str(saved.details.get(_place(folder, at).name, "")).split() for at in range(len(saved.details))]
    if [len(entry) for entry in entries] != [3] * sum(len(member.seeds) for member in members):
        raise DataError(f"{folder} does not say which fits its members are; save the ensemble again.")
    found, fits, at = [], [], 0
    for member in members:
        own, seeds = [], []
        for _ in member.seeds:
            place, (digest, _, seed) = _place(folder, at), entries[at]
            if not place.is_dir() or _digest(place) != digest:
                raise DataError(f"{place} is not what {saved.name} was saved with; it was changed or replaced.")
            own.append(restore_analyst(place))
            seeds.append(int(seed))
            at += 1
        fits.append(tuple(own))
        found.append(Member(member.spec, tuple(seeds), int(entries[at - 1][1])))
    return FittedEnsemble(
        saved.spec,
        tuple(found),
        saved.inputs,
        tuple(fits),
        tensors["weights"].astype(np.float64),
        float(tensors["intercept"][0]),
        calibration,
        saved.record,
    )


def _place(folder: Path, number: int) -> Path:
    return folder / "members" / f"{number:03d}"


def _digest(folder: Path) -> str:
    """Of the names and contents of all files below."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()} {path.stat().st_size}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def parameters(choice: Choice, columns: int, quarters: int) -> int:
    """Of all fits of the default members, their weights and the intercept."""
    abouts = [describe(name, columns, quarters) for name in _default(choice)]
    return sum((about.parameters or 0) * (SEEDS if about.uses_seed else 1) for about in abouts) + len(abouts) + 1


def notes_parameters(choice: Choice) -> None:
    """The formula is for networks."""
