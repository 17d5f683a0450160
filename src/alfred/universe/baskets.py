"""Baskets of names, and the notes' scanner that picks the least correlated ones."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from alfred.core.contracts import Bars, Bools, Floats
from alfred.core.digest import digest_of
from alfred.core.errors import ConfigError, DataError
from alfred.core.settings import suggestion
from alfred.core.storage import write_whole

MIN_SHARED_SESSIONS = 63
"""A correlation needs this many sessions on which both names have a return."""


@dataclass(frozen=True)
class Baskets:
    """The names to train on and those to evaluate on; whether they may overlap is the protocol's to say.

    `without_prices` are those of a list that have none, and so are in neither.
    """

    training: tuple[str, ...]
    evaluation: tuple[str, ...] = ()
    without_prices: tuple[str, ...] = ()

    def save(self, path: Path) -> None:
        """Write the notes' form: {"training": [...], "evaluation": [...]}."""
        write_whole(path, json.dumps({"training": self.training, "evaluation": self.evaluation}, indent=2) + "\n")


def split_names(names: Sequence[str], evaluation_share: float, seed: int = 0) -> Baskets:
    """Two disjoint baskets by a digest of each name, so that a name's basket does not depend on the other names.

    Args:
        names: in the order that the baskets keep.
        evaluation_share: of the names that are to be evaluated on, in expectation; between 0 and 1.
        seed: another one gives another split.
    """
    tested = {name for name in names if int(digest_of(seed, name)[:8], 16) < evaluation_share * 2**32}
    return Baskets(tuple(name for name in names if name not in tested), tuple(name for name in names if name in tested))


def load_baskets(path: Path) -> Baskets:
    """Read the notes' form.

    Raises:
        ConfigError: the file is absent, no JSON, or of another form.
    """
    try:
        form = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise ConfigError(f"there is no baskets file {path}; `alfred scan --save {path}` writes one.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} cannot be read as JSON: {error}.") from error
    if not isinstance(form, dict) or set(form) != {"training", "evaluation"} or not all(map(_names, form.values())):
        raise ConfigError(f'{path} must hold {{"training": [...], "evaluation": [...]}} with lists of symbols.')
    return Baskets(tuple(form["training"]), tuple(form["evaluation"]))


def _names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


@dataclass(frozen=True)
class Scan:
    """The scanner's choice.

    Attributes:
        symbols: chosen names in order of choice, the start first.
        correlation: for each, its mean absolute correlation with those chosen before it (NaN for the start).
        too_short: names left out for want of history.
        caution: what the user must be told about the choice, empty where there is nothing.
    """

    symbols: tuple[str, ...]
    correlation: tuple[float, ...]
    too_short: tuple[str, ...]
    caution: str = ""


def scan(
    bars: Bars,
    start: str,
    count: int,
    *,
    since: np.datetime64 | None = None,
    exclude: tuple[str, ...] = (),
    on: Literal["returns", "levels"] = "returns",
) -> Scan:
    """Choose names greedily: each next one has the smallest mean absolute correlation with those chosen so far.

    Args:
        bars: what was known on the day of the choice; pass only bars up to the day before the test period, or the
            choice itself knows the future.
        start: the first name.
        count: size of the basket, the start included.
        since: a name needs a bar on or before this date; default the first session at hand.
        exclude: names that may not be chosen.
        on: correlate daily total returns, or price levels as in the notes, which makes all trending prices look
            alike (finding 10).

    Raises:
        ConfigError: the start is unknown, excluded or without enough history, or there are fewer names than `count`.
        DataError: there are no sessions.
    """
    if count < 1:
        raise ConfigError(f"a basket needs at least 1 name, got n = {count}.")
    if len(bars.dates) < MIN_SHARED_SESSIONS + 1:
        raise DataError(f"a correlation needs at least {MIN_SHARED_SESSIONS + 1} sessions, got {len(bars.dates)}.")
    if since is not None and since > bars.dates[-1]:
        raise ConfigError(f"names are to have prices since {since}, but the prices end on {bars.dates[-1]}.")
    if start not in bars.symbols:
        raise ConfigError(f"there are no prices for the start {start!r}; {suggestion(start, bars.symbols)}")
    if start in exclude:
        raise ConfigError(f"the start {start!r} is among the excluded names.")
    enough = _has_history(bars, since)
    if not enough[bars.symbols.index(start)]:
        known = bars.dates[~np.isnan(bars.total[:, bars.symbols.index(start)])]
        span = f"has prices from {known[0]} to {known[-1]}" if len(known) else "has no prices"
        raise ConfigError(
            f"the start {start!r} {span}; a name needs one by {bars.dates[0] if since is None else since} and one "
            f"within the last five sessions to {bars.dates[-1]}. Choose other dates or another start."
        )
    pool = [at for at, symbol in enumerate(bars.symbols) if enough[at] and symbol not in exclude]
    too_short = tuple(symbol for at, symbol in enumerate(bars.symbols) if not enough[at] and symbol not in exclude)
    if len(pool) < count:
        raise ConfigError(f"a basket of {count} was asked for, but only {len(pool)} names qualify; lower n.")
    prices = bars.total[:, pool]
    likeness = np.abs(_correlation(prices[1:] / prices[:-1] - 1 if on == "returns" else prices))
    chosen = [pool.index(bars.symbols.index(start))]
    means = [float("nan")]
    while len(chosen) < count:
        mean = likeness[:, chosen].mean(axis=1)
        mean[chosen] = np.inf
        best = int(np.argmin(mean))
        chosen.append(best)
        means.append(float(mean[best]))
    caution = "Correlations of price levels call all trending prices alike; prefer returns." if on == "levels" else ""
    return Scan(tuple(bars.symbols[pool[at]] for at in chosen), tuple(means), too_short, caution)


def _has_history(bars: Bars, since: np.datetime64 | None) -> Bools:
    """Which names were quoted by `since` and still are within the last five sessions."""
    known = ~np.isnan(bars.total)
    first = bars.dates[np.argmax(known, axis=0)]
    early: NDArray[np.bool_] = first <= (bars.dates[0] if since is None else max(since, bars.dates[0]))
    return early & known[-5:].any(axis=0)


def _correlation(columns: Floats) -> Floats:
    """Pearson correlations over the rows both columns have; names that share too few count as fully alike."""
    known = np.isfinite(columns)
    if known.all():
        return np.corrcoef(columns, rowvar=False).reshape(columns.shape[1], columns.shape[1])
    filled = np.where(known, columns, 0.0)
    ones = known.astype(np.float64)
    shared = ones.T @ ones
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_a, mean_b = filled.T @ ones / shared, ones.T @ filled / shared
        product = filled.T @ filled / shared - mean_a * mean_b
        square = filled**2
        spread = (square.T @ ones / shared - mean_a**2) * (ones.T @ square / shared - mean_b**2)
        correlation = product / np.sqrt(spread)
    return np.where((shared >= MIN_SHARED_SESSIONS) & np.isfinite(correlation), correlation, 1.0)
