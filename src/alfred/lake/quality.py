"""Quality of daily bars: the settings, and the one place that runs all checks in their order.

A check is one entry in `CHECKS` of a file in `lake/checks`; the folder is the registry. Checks see bars sorted by
symbol and date and say which rows they find, and why. They run in stages, and each stage sees only the rows that the
stages before it left, so that one wrong row isn't found again by its neighbours:

1. `copy`: which of several rows for one symbol and date is kept;
2. `row`: what a single row shows by itself;
3. `sequence`: rows that are wrong beside their neighbours (stale quotes, spikes);
4. `story`: what remains but needs a look (collapses, changes of basis or company).
"""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import polars as pl
from pydantic import Field, model_validator

from alfred.core.errors import ConfigError, DataError
from alfred.core.plugins import plugin, plugin_names
from alfred.core.settings import Settings, suggestion
from alfred.lake.tables import TABLES

CHECKS = "alfred.lake.checks"
PRICES = ("open", "high", "low", "close", "adj_close")
VALUES = (*PRICES, "volume")
WINDOW = 10
"""Rows either side that a gap overnight is compared with."""

Action = Literal["quarantine", "warn", "off"]
Stage = Literal["copy", "row", "sequence", "story"]


class QualitySettings(Settings):
    """What each check does and where it draws its line.

    Attributes:
        actions: what to do by check, where it isn't the check's default: take the row out of the table, only report
            it, or nothing.
        range_tolerance: relative distance by which a close may lie outside low and high (rounding).
        flat_dead_sessions: sessions with one close, all but the first without trading (volume zero, or the very
            volume of the session beside it), from which the quotes are stale.
        flat_sessions: the same whatever the volume.
        flat_sessions_no_volume: the same where volume is absent, which cannot tell stale from coarsely rounded.
        jump_factor: a close this many times the one before, or one part in as many, needs an explanation.
        spike_factor, spike_return_factor, spike_sessions: a spike moves by at least this factor, for at most this
            many sessions, and comes back to within the return factor of where it began.
        basis_factor: step between close and adj_close that is no ordinary dividend.
        gap_factor, gap_moves, gap_volume_ratio: a move overnight of at least this factor and this many median daily
            moves, on at most this many median volumes, is an action that the prices don't carry rather than news.
        reuse_days, reuse_factor: calendar days without a trade, then a close changed by this factor. After a
            delisting, trading that resumes so many days later is another company's, whatever the close.
    """

    actions: dict[str, Action] = Field(default_factory=dict)
    range_tolerance: float = Field(default=0.001, ge=0)
    flat_dead_sessions: int = Field(default=8, ge=2)
    flat_sessions: int = Field(default=20, ge=2)
    flat_sessions_no_volume: int = Field(default=100, ge=2)
    jump_factor: float = Field(default=4.0, gt=1)
    spike_factor: float = Field(default=3.0, gt=1)
    spike_return_factor: float = Field(default=1.25, gt=1)
    spike_sessions: int = Field(default=3, ge=1, le=20)
    basis_factor: float = Field(default=1.25, gt=1)
    gap_factor: float = Field(default=1.2, gt=1)
    gap_moves: float = Field(default=10.0, gt=1)
    gap_volume_ratio: float = Field(default=4.0, gt=0)
    reuse_days: int = Field(default=45, ge=5)
    reuse_factor: float = Field(default=1.5, gt=1)

    @property
    def context_days(self) -> int:
        """Calendar days either side of new bars that hold every run and window of the checks."""
        flat = (self.flat_dead_sessions, self.flat_sessions, self.flat_sessions_no_volume)
        sessions = max(*flat, self.spike_sessions, 2 * WINDOW)
        return max(sessions * 3 // 2 + 20, self.reuse_days)

    @model_validator(mode="after")
    def _known_checks(self) -> Self:
        known = {check.name for check in all_checks()} if self.actions else set()
        for name in self.actions:
            if name not in known:
                raise ValueError(f"there is no check {name!r}; {suggestion(name, known)}")
        return self

    def action(self, check: "Check") -> Action:
        """What to do with rows that `check` finds."""
        return self.actions.get(check.name, check.action)


def load_quality(path: Path | None) -> QualitySettings:
    """Settings from a TOML file; the defaults where no path is given or there is no such file.

    Raises:
        ConfigError: the file can't be read, is not TOML, or has a setting, check or value that does not exist.
    """
    if path is None or not path.exists():
        return QualitySettings()
    try:
        form = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is no readable TOML file: {error}.") from error
    return QualitySettings.parse(form, str(path))


@dataclass(frozen=True)
class Check:
    """One rule.

    Attributes:
        name: what users call it.
        rule: one sentence: what is found.
        action: what is done unless the settings say otherwise.
        stage: which rows it sees.
        find: given bars (columns row, copy, first, symbol, date and `VALUES`; sorted by symbol and date; `first`
            marks a symbol's first row; values that are no finite number are null, and `not_numbers` and `infinite`
            name their columns), the table `actions` and the settings, returns a frame `row`, `reason`.
    """

    name: str
    rule: str
    action: Action
    stage: Stage
    find: Callable[[pl.DataFrame, pl.DataFrame, QualitySettings], pl.DataFrame]


def all_checks() -> tuple[Check, ...]:
    """Every check of every file in `lake/checks`, by file and then in the file's order."""
    return tuple(check for name in plugin_names(CHECKS) for check in plugin(CHECKS, name).CHECKS)


def run_checks(bars: pl.DataFrame, actions: pl.DataFrame | None, settings: QualitySettings) -> pl.DataFrame:
    """Find what is wrong with daily bars.

    Args:
        bars: symbol, date and any of open, high, low, close, adj_close, volume, in any order; repeated dates are
            allowed. A column `preferred` (boolean) says which of several rows for one date to keep.
        actions: rows of the table `actions`; None for none.
        settings: bounds and actions.

    Returns:
        One row a finding, sorted by symbol, date and check: `row` (position in `bars`), symbol, date, check, action
        ("quarantine" or "warn"), reason. What does not depend on positions doesn't depend on the order of `bars`.

    Raises:
        DataError: symbol, date or close is absent as a column, or a symbol or date is null.
    """
    frame = arranged(bars)
    known = TABLES["actions"].conform(pl.DataFrame(schema=TABLES["actions"].schema) if actions is None else actions)
    checks, found = all_checks(), []
    for stage in ("copy", "row", "sequence", "story"):
        refused: list[pl.Series] = []
        for check in checks:
            action = settings.action(check)
            if check.stage != stage or action == "off":
                continue
            hits = check.find(frame, known, settings).select(
                pl.col("row").cast(pl.UInt32),
                pl.lit(check.name).alias("check"),
                pl.lit(action).alias("action"),
                pl.col("reason").cast(pl.String),
            )
            found.append(hits)
            if action == "quarantine":
                refused.append(hits["row"])
        frame = _left(frame, stage, pl.concat(refused) if refused else None)
    names = _positions(bars)
    rows = pl.concat(found).join(names, on="row", how="left") if found else pl.DataFrame(schema=_FOUND)
    return rows.select(list(_FOUND)).sort("symbol", "date", "check", "reason", "row")


_FOUND = {
    "row": pl.UInt32(),
    "symbol": pl.String(),
    "date": pl.Date(),
    "check": pl.String(),
    "action": pl.String(),
    "reason": pl.String(),
}


def previous(column: str) -> pl.Expr:
    """The value one row earlier of the same symbol; null on its first row."""
    return pl.when(~pl.col("first")).then(pl.col(column).shift(1))


def delistings(actions: pl.DataFrame) -> pl.DataFrame:
    """Each symbol's last delisting in `actions`: symbol, ended."""
    ends = actions.filter(pl.col("kind") == "delisting")
    return ends.group_by("symbol").agg(pl.col("date").max().alias("ended"))


def sentence(template: str, *parts: pl.Expr | str | float) -> pl.Expr:
    """`template` with its `{}` filled by columns (named or as expressions) or numbers, as a column `reason`."""
    texts = template.split("{}")
    filled = [pl.lit(texts[0])]
    for part, text in zip(parts, texts[1:], strict=True):
        value = pl.col(part) if isinstance(part, str) else part if isinstance(part, pl.Expr) else pl.lit(part)
        filled += [value.cast(pl.String).fill_null("none"), pl.lit(text)]
    return pl.concat_str(filled).alias("reason")


def _positions(bars: pl.DataFrame) -> pl.DataFrame:
    return bars.select("symbol", "date").with_row_index("row")


def arranged(bars: pl.DataFrame) -> pl.DataFrame:
    """Sorted bars with all value columns; among rows of one date the one to keep comes first, as `copy` 0.

    Kept is the row with a usable close, then the one with the larger volume (the other is a snapshot from before
    the close), then the wider range; the rest of the order only makes it independent of the input's order.
    """
    absent = [name for name in ("symbol", "date", "close") if name not in bars.columns]
    if absent:
        raise DataError(f"bars to be checked lack the column(s) {', '.join(absent)}.")
    values = [
        pl.col(name).cast(pl.Float64) if name in bars.columns else pl.lit(None, pl.Float64).alias(name)
        for name in VALUES
    ]
    wish = pl.col("preferred") if "preferred" in bars.columns else pl.lit(False).alias("preferred")
    frame = bars.select("symbol", "date", *values, wish).with_row_index("row")
    frame = frame.with_columns(
        _named(pl.Expr.is_nan).alias("not_numbers"), _named(pl.Expr.is_infinite).alias("infinite"), *finite()
    )
    if frame["symbol"].null_count() or frame["date"].null_count():
        raise DataError("bars to be checked have rows without a symbol or a date.")
    frame = frame.sort("symbol", "date")
    again = (pl.col("symbol") == pl.col("symbol").shift(1)) & (pl.col("date") == pl.col("date").shift(1))
    if frame.select(again.any()).item():
        best = [
            pl.col("preferred"),
            (pl.col("close") > 0).fill_null(value=False),
            pl.col("volume").fill_null(-1.0),
            (pl.col("high") - pl.col("low")).fill_null(-1.0),
            *[pl.col(name).fill_null(-1.0) for name in PRICES],
        ]
        frame = frame.sort("symbol", "date", *best, descending=[False, False, *[True] * len(best)])
    copy = pl.int_range(pl.len()) - pl.when(~again.fill_null(value=False)).then(pl.int_range(pl.len())).forward_fill()
    return frame.drop("preferred").with_columns(copy.alias("copy"), _first())


def finite() -> list[pl.Expr]:
    """The value columns with null in place of what is no finite number."""
    return [pl.when(pl.col(name).is_finite()).then(pl.col(name)).alias(name) for name in VALUES]


def _named(odd: Callable[[pl.Expr], pl.Expr]) -> pl.Expr:
    """Names of the value columns for which `odd` holds; an empty text for none."""
    names = [pl.when(odd(pl.col(name)).fill_null(value=False)).then(pl.lit(name)) for name in VALUES]
    return pl.concat_str(names, separator=", ", ignore_nulls=True)


def _first() -> pl.Expr:
    return (pl.col("symbol") != pl.col("symbol").shift(1)).fill_null(value=True).alias("first")


def _left(frame: pl.DataFrame, stage: str, refused: pl.Series | None) -> pl.DataFrame:
    """Rows for the next stage. Whatever the actions, later stages get one row a date, with a close above zero."""
    keep = pl.lit(True) if refused is None else ~pl.col("row").is_in(refused.unique().implode())
    if stage == "copy":
        keep &= pl.col("copy") == 0
    if stage == "row":
        keep &= pl.col("close") > 0
    return frame.filter(keep).with_columns(_first())
