"""What a manager sees and trades: scenes, observations, and the policies that turn the second into weights."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from alfred.backtest.realistic import Reality
from alfred.core.calendar import Dates
from alfred.core.contracts import Bars, Bools, Floats
from alfred.core.errors import DataError, LeakError
from alfred.core.progress import Progress
from alfred.manager.settings import ManagerSettings

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Outlook:
    """What the analysts' ensemble says on D decision dates about S names, NaN where it says nothing.

    Attributes:
        mean, lower, upper: (D, S) relative change of the price until the next quarter's decision date.
        prob_up: (D, S) probability that it is above zero.
        learnt_until: (D,) last date of anything that the analysts behind a forecast had learnt from.
        level: nominal coverage of the interval.
        analysts: whose mean this is.
    """

    mean: Floats
    lower: Floats
    upper: Floats
    prob_up: Floats
    learnt_until: Dates
    level: float = 0.8
    analysts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Observation:
    """Everything that was known at the close of one decision date, and nothing else.

    Attributes:
        date: of the decision.
        mask: (S,) names that may be held from here on; others get weight 0.
        held: (S,) weights before the trade, as they have drifted.
        columns, observed: F names and (S, F) values of each name, NaN where not known.
        market_columns, market: M names and (M,) values of the market's state, NaN where not known.
        mean, lower, upper, prob_up: (S,) of the `Outlook`.
        level: of its interval.
        bars: prices up to and including the decision's close.
        dollar_volume: (T', S) traded value of the same sessions, None where not known.
        sectors: (S,) sector numbers, below 0 for none; None where not known.
    """

    date: np.datetime64
    mask: Bools
    held: Floats
    columns: tuple[str, ...]
    observed: Floats
    market_columns: tuple[str, ...]
    market: Floats
    mean: Floats
    lower: Floats
    upper: Floats
    prob_up: Floats
    level: float
    bars: Bars
    dollar_volume: Floats | None = None
    sectors: NDArray[np.int64] | None = None

    def returns(self, sessions: int) -> Floats:
        """(n, S) last daily total returns, at most `sessions`; NaN where one of the two prices is missing."""
        prices = self.bars.total[-(sessions + 1) :]
        with np.errstate(divide="ignore", invalid="ignore"):
            found: Floats = prices[1:] / prices[:-1] - 1.0
        return found


@dataclass(frozen=True)
class Scene:
    """A market over D decisions as a manager may see and trade it.

    Decision d is taken at the close of bar `decided[d]`, filled at bar `rows[d]`, and held until `rows[d + 1]`.

    Attributes:
        dates: (D,) decision dates, ascending.
        decided: (D,) rows of `bars`; nothing after them is known to the decision.
        rows: (D + 1,) rows of `bars` of the fills, and last of the end; each after its decision's row or on it.
        bars: (T, S) prices.
        reality: frictions, limits and conditions of these bars.
        mask: (D, S) names that may be held from a decision on.
        columns: F names, such as "ridge:mean" or "volatility".
        observed: (D, S, F), NaN where not known.
        market_columns: M names.
        market: (D, M), NaN where not known.
        outlook: the ensemble's forecasts.

    Raises:
        DataError: shapes disagree, or rows do not ascend.
        LeakError: a forecast comes from an analyst that had learnt from something after the decision date.
    """

    dates: Dates
    decided: Rows
    rows: Rows
    bars: Bars
    reality: Reality
    mask: Bools
    columns: tuple[str, ...]
    observed: Floats
    market_columns: tuple[str, ...]
    market: Floats
    outlook: Outlook = field(repr=False)

    def __post_init__(self) -> None:
        decisions, names = len(self.dates), len(self.bars.symbols)
        shapes = {
            "decided": (decisions,), "rows": (decisions + 1,), "mask": (decisions, names),
            "observed": (decisions, names, len(self.columns)), "market": (decisions, len(self.market_columns)),
        }  # fmt: skip
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise DataError(f"a scene's {name} must have the shape {shape}, got {getattr(self, name).shape}.")
        for name in ("mean", "lower", "upper", "prob_up"):
            if getattr(self.outlook, name).shape != (decisions, names):
                raise DataError(f"the outlook's {name} must have the shape {(decisions, names)}.")
        if (np.diff(self.rows) <= 0).any() or (self.decided > self.rows[:-1]).any():
            raise DataError("a scene's fills must ascend, and none may come before its decision.")
        late = np.flatnonzero(self.outlook.learnt_until > self.dates)
        if len(late):
            raise LeakError(
                f"the forecasts of {self.dates[late[0]]} come from analysts that had learnt from "
                f"{self.outlook.learnt_until[late[0]]}; a manager may only be shown forecasts made out of fold."
            )

    def __len__(self) -> int:
        return len(self.dates)

    def observe(self, at: int, held: Floats) -> Observation:
        """What decision `at` may know; `held` are the (S,) weights before its trade."""
        known = slice(0, int(self.decided[at]) + 1)
        volume = self.reality.conditions.dollar_volume
        return Observation(
            date=self.dates[at],
            mask=self.mask[at],
            held=held,
            columns=self.columns,
            observed=self.observed[at],
            market_columns=self.market_columns,
            market=self.market[at],
            mean=self.outlook.mean[at],
            lower=self.outlook.lower[at],
            upper=self.outlook.upper[at],
            prob_up=self.outlook.prob_up[at],
            level=self.outlook.level,
            bars=_until(self.bars, known.stop),
            dollar_volume=None if volume is None else volume[known],
            sectors=self.reality.conditions.sectors,
        )

    def span(self, first: int, stop: int) -> Self:
        """Decisions `first` to `stop - 1`, without any bar after the end of the last one's period."""
        which, end = slice(first, stop), int(self.rows[stop]) + 1
        outlook = self.outlook
        return replace(
            self,
            dates=self.dates[which],
            decided=self.decided[which],
            rows=self.rows[first : stop + 1],
            bars=_until(self.bars, end),
            reality=replace(self.reality, conditions=self.reality.conditions.until(end)),
            mask=self.mask[which],
            observed=self.observed[which],
            market=self.market[which],
            outlook=replace(
                outlook,
                mean=outlook.mean[which],
                lower=outlook.lower[which],
                upper=outlook.upper[which],
                prob_up=outlook.prob_up[which],
                learnt_until=outlook.learnt_until[which],
            ),
        )

    def before(self, stop: int) -> Self:
        """What decision `stop` may learn from: the decisions before it, the last period ended at its own close.

        `span(0, stop)` ends with the fill of decision `stop`, which may come after its close and is not known to it.
        """
        end = int(self.decided[stop])
        part = self.span(0, int(np.searchsorted(self.rows[:stop], end)))
        return replace(
            part,
            rows=np.append(part.rows[:-1], end),
            bars=_until(self.bars, end + 1),
            reality=replace(self.reality, conditions=self.reality.conditions.until(end + 1)),
        )


@dataclass(frozen=True)
class PolicyDescription:
    """What a policy's file says of itself, as `DESCRIPTION`.

    Attributes:
        title: in a few words.
        learns: whether `fit` learns anything from the scene; the others are rules.
        uses_forecasts: whether it looks at what the analysts say.
        reference: where it comes from.
    """

    title: str
    learns: bool
    uses_forecasts: bool
    reference: str


class FittedPolicy(Protocol):
    """A policy that is ready to decide."""

    def weights(self, observation: Observation) -> Floats:
        """(S,) target weights, negative for short; what is left of 1 is cash. The account brings them within limits."""

    def save(self, folder: Path) -> None:
        """Write what was learnt into `folder` as JSON and safetensors, never pickle; rules write their settings."""


class Policy(Protocol):
    """What a file in `alfred.manager.policies` defines; third parties add theirs through entry points."""

    DESCRIPTION: PolicyDescription

    def fit(self, scene: Scene, settings: ManagerSettings, seed: int, progress: Progress) -> FittedPolicy:
        """Learn from a scene all of which lies before the first decision to come; rules only take the settings."""

    def restore(self, folder: Path) -> FittedPolicy:
        """What `save` wrote."""


def _until(bars: Bars, stop: int) -> Bars:
    return Bars(bars.dates[:stop], bars.symbols, bars.close[:stop], bars.total[:stop])
