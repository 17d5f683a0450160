"""A recommendation from a finished run: its forecasts, prices and analysts as they were on one decision date.

Everything after the date is cut off before anything is made of the run: bars, forecasts, series, and the decisions that
a policy that learns is trained on. Such a policy is trained anew on all that had come in by then, with every seed of
the settings, and the mean of what they want is recommended.
"""

import csv
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import polars as pl

from alfred.core.calendar import close_instants, day, decision_dates
from alfred.core.contracts import Bars, Floats
from alfred.core.errors import ConfigError, DataError
from alfred.core.home import Home
from alfred.core.plugins import plugin
from alfred.core.progress import Progress, Silent
from alfred.experiments.managed import load_managed
from alfred.experiments.managing import digest_of_scene
from alfred.experiments.recommendations import Entry
from alfred.experiments.record import load_record
from alfred.experiments.scenes import Source, frictions_of, read_source, scene_of, scene_on, sectors_of
from alfred.experiments.stages import Stages
from alfred.experiments.study import Study
from alfred.manager.contracts import FittedPolicy, Observation, Policy
from alfred.manager.recommendation import Holdings, Recommendation, Voices, recommend
from alfred.manager.settings import POLICIES
from alfred.panel.splits import Splits

DEFAULT = "equal-weight"
CASH = "cash"
NEXT_DECISION = np.timedelta64(200, "D")
ADJUSTED = (
    "prices of this provider were adjusted backwards for splits and dividends that it does not tell: prices and shares "
    "are in its units, and differ from those that were quoted on the day"
)


@dataclass(frozen=True)
class Wish:
    """What is asked for.

    Attributes:
        as_of: decision date, ISO.
        policy: who decides; empty for the one that the judged manager of the run recommends, or 1/N.
        capital_usd: worth of the whole account; None where cash and holdings say it.
        holdings: CSV file of what is held; None for nothing.
        cash_usd: beside the holdings; None where the file, or the capital, says it.
        fractional: buy parts of shares.
    """

    as_of: str
    policy: str = ""
    capital_usd: float | None = None
    holdings: Path | None = None
    cash_usd: float | None = None
    fractional: bool = False


@dataclass(frozen=True)
class _Together:
    """The mean of what several fits want."""

    policies: tuple[FittedPolicy, ...]

    @property
    def notes(self) -> list[str]:
        """What they say of their decisions."""
        return [note for policy in self.policies for note in getattr(policy, "notes", ())]

    def weights(self, observation: Observation) -> Floats:
        """(S,) mean weights."""
        found: Floats = np.mean([policy.weights(observation) for policy in self.policies], axis=0)
        return found

    def save(self, folder: Path) -> None:
        """Each in a folder of its own."""
        for at, policy in enumerate(self.policies):
            policy.save(folder / str(at))


def recommendation_of(
    folder: Path, home: Home, wish: Wish, progress: Progress | None = None, now: dt.datetime | None = None
) -> Entry:
    """What is recommended, as an entry that is not recorded yet (`alfred.experiments.recommendations.record`).

    Args:
        folder: the run's.
        home: whose lake holds the prices.
        wish: what is asked for.
        progress: hears of training.
        now: when the recommendation is made; default now.

    Raises:
        ConfigError: the date is no decision date of the run, or the account is not told in one way.
        DataError: holdings cannot be read or priced, or a policy has too little to learn from.
    """
    progress = progress or Silent()
    study = Study.parse(load_record(folder).settings, f"{folder.name}/run.json")
    source = read_source(folder, home, study.manager.analysts)
    date = _decision(source, wish.as_of, folder)
    source = known_until(source, date)
    settings = source.study.manager
    name, why = _chosen(folder, wish.policy, date)
    scene = scene_on(source, settings, date)
    seen = scene.observe(0, np.zeros(len(source.bars.symbols)))
    sectors = sectors_of(source, settings, scene.dates, scene.mask)
    prices, basis = _quoted(source, date)
    told = recommend(
        seen,
        _fitted(name, source, date, Stages(home.stages), progress),
        _account(wish, dict(zip(source.bars.symbols, prices.tolist(), strict=True))),
        prices,
        name=name,
        frictions=frictions_of(source, settings),
        limits=settings.limits,
        voices=_voices(source),
        sectors=() if sectors is None else sectors.names,
        fractional=wish.fractional,
    )
    told = replace(told, notes=(*why, *told.notes, *basis))
    return _entry(source, folder.name, told, date, now or dt.datetime.now(dt.UTC))


def known_until(source: Source, date: np.datetime64) -> Source:
    """What the run had by the close of a decision date; nothing later is in it."""
    stop = int(np.searchsorted(source.bars.dates, date, side="right"))
    quarters = int(np.searchsorted(source.quarters, date, side="right"))
    bars, outlook = source.bars, source.outlook
    instant = close_instants(np.array([date]))[0].astype("datetime64[us]").item().replace(tzinfo=dt.UTC)
    return replace(
        source,
        bars=Bars(bars.dates[:stop], bars.symbols, bars.close[:stop], bars.total[:stop]),
        index=source.index[:stop],
        index_known=source.index_known[:stop],
        conditions=source.conditions.until(stop),
        series=source.series.filter(pl.col("known_at") <= instant),
        quarters=source.quarters[:quarters],
        says=tuple(
            replace(said, values=said.values[:quarters], learnt_until=said.learnt_until[:quarters])
            for said in source.says
        ),
        outlook=replace(
            outlook,
            mean=outlook.mean[:quarters],
            lower=outlook.lower[:quarters],
            upper=outlook.upper[:quarters],
            prob_up=outlook.prob_up[:quarters],
            learnt_until=outlook.learnt_until[:quarters],
        ),
    )


def read_holdings(path: Path) -> tuple[dict[str, float], float | None]:
    """Shares by symbol, and dollars of cash where the file tells, from a CSV with the columns symbol and shares.

    A row whose symbol is "cash" holds dollars. Shares sold short are negative.

    Raises:
        DataError: the file cannot be read; the message names the line.
    """
    try:
        rows = list(csv.reader(path.read_text(encoding="utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"the holdings {path} cannot be read ({error}); give a CSV of symbol,shares.") from error
    if not rows or [name.strip().lower() for name in rows[0]] != ["symbol", "shares"]:
        got = ",".join(rows[0]) if rows else "nothing"
        raise DataError(f"{path} must begin with the line symbol,shares, got {got[:80]!r}.")
    shares: dict[str, float] = {}
    for line, row in enumerate(rows[1:], start=2):
        if not "".join(row).strip():
            continue
        cells = [cell.strip() for cell in row]
        symbol = CASH if cells[0].lower() == CASH else cells[0]
        try:
            (count,) = (float(cell) for cell in cells[1:])
        except ValueError:
            count = float("nan")
        if not symbol or not np.isfinite(count):
            raise DataError(f"line {line} of {path} must be a symbol and a number of shares, got {','.join(row)!r}.")
        if symbol in shares:
            raise DataError(f"line {line} of {path} names {symbol} a second time; add its shares up.")
        shares[symbol] = count
    cash = shares.pop(CASH, None)
    return shares, cash


def _decision(source: Source, text: str, folder: Path) -> np.datetime64:
    """The decision date that was asked for."""
    date, dates = day(text), source.quarters
    if date in dates:
        return date
    before = dates[dates < date]
    if len(before):
        raise ConfigError(
            f"{date} is no decision date of {folder.name}; the nearest earlier one is {before[-1]} (its forecasts run "
            f"from {dates[0]} to {dates[-1]})."
        )
    raise ConfigError(f"{date} lies before the first forecasts of {folder.name}, which are of {dates[0]}.")


def _chosen(folder: Path, asked: str, date: np.datetime64) -> tuple[str, tuple[str, ...]]:
    """Who decides, and what is to be said of that choice."""
    if asked:
        name = asked.replace("_", "-")
        plugin(POLICIES, name)
        return name, ()
    judged = load_managed(folder)
    if judged is None:
        return DEFAULT, (f"{DEFAULT} decides, as no policy of this run was judged; `alfred manage` does that",)
    told = f"{judged.recommended} decides: {judged.verdict}"
    if str(date) < judged.end:
        told += f" That was found on decisions until {judged.end}, so this choice knows what came after {date}."
    return judged.recommended, (told,)


def _account(wish: Wish, prices: dict[str, float]) -> Holdings:
    """What the account holds, with cash told in exactly one way."""
    shares, told = ({}, None) if wish.holdings is None else read_holdings(wish.holdings)
    ways = {"--capital": wish.capital_usd, "--cash": wish.cash_usd, f"a {CASH} row in the holdings": told}
    given = [way for way, value in ways.items() if value is not None]
    if len(given) > 1:
        raise ConfigError(f"cash was told by {' and by '.join(given)}; give one of them.")
    if not given and not shares:
        raise ConfigError("say what there is to invest: --capital 100000, or --holdings with a file of symbol,shares.")
    if wish.capital_usd is not None and not wish.capital_usd > 0.0:
        raise ConfigError(f"--capital must be above zero, got {wish.capital_usd:g}.")
    if wish.capital_usd is None:
        return Holdings(next((value for value in ways.values() if value is not None), 0.0), shares)
    held = sum(count * prices.get(symbol, 0.0) for symbol, count in shares.items() if prices.get(symbol, 0.0) > 0.0)
    return Holdings(wish.capital_usd - held, shares)


def _quoted(source: Source, date: np.datetime64) -> tuple[Floats, tuple[str, ...]]:
    """(S,) closes of the date as quoted on it, and what is to be said of them."""
    close = source.bars.close[-1]
    about = source.market.description
    if "actions" in about.tables:
        actions = source.market.tables(source.bars.symbols).actions
        return close * Splits.of(actions, np.array([date]), source.bars.symbols).later[0], ()
    return close, (ADJUSTED,) if about.levels_know_the_future else ()


def _fitted(name: str, source: Source, date: np.datetime64, stages: Stages, progress: Progress) -> FittedPolicy:
    settings, policy = source.study.manager, cast("Policy", plugin(POLICIES, name))
    if not policy.DESCRIPTION.learns:
        return policy.fit(scene_on(source, settings, date), settings, settings.seeds[0], progress)
    scene = scene_of(source, settings)
    if len(scene) < settings.first_periods:
        raise DataError(
            f"{name} learns from at least {settings.first_periods} periods (manager.first_periods), but the run has "
            f"{len(scene)} before {date}; take a later date or a rule."
        )
    fits = []
    progress.start(name, len(settings.seeds))
    for seed in settings.seeds:
        told = {"scene": digest_of_scene(scene), "policy": name, "seed": seed}
        told["settings"] = settings.model_dump(mode="json", exclude={"policies", "seeds", "analysts"})
        fitted, _ = stages.run(
            f"manager-advice-{name}",
            told,
            lambda place, seed=seed: policy.fit(scene, settings, seed, Silent()).save(place),  # type: ignore[misc]
            policy.restore,
        )
        fits.append(fitted)
        progress.advance(name, note=f"seed {seed}")
    progress.finish(name)
    return _Together(tuple(fits))


def _voices(source: Source) -> Sequence[Voices]:
    return [
        Voices(said.analyst, said.target, *(said.values[-1, :, at] for at in range(said.values.shape[2])))
        for said in source.says
    ]


def _entry(source: Source, run: str, told: Recommendation, date: np.datetime64, now: dt.datetime) -> Entry:
    ends_on = decision_dates(date + np.timedelta64(1, "D"), date + NEXT_DECISION)[0]
    closed = close_instants(np.array([ends_on]))[0].astype("datetime64[us]").item().replace(tzinfo=dt.UTC)
    study = source.study
    return Entry(
        number=0,
        ledger="",
        previous="",
        made_at=now.isoformat(timespec="seconds"),
        hindsight=now >= closed,
        as_of=str(date),
        ends_on=str(ends_on),
        fill_lag_sessions=study.backtest.execution.lag_sessions,
        run=run,
        study=study.name,
        family=study.counted_as,
        provider=study.data.provider,
        market_series=study.data.market_series,
        recommendation=told,
    )
