"""The synthetic market: its rows fit the lake, follow the rules of time, and hold what was planted."""

import datetime as dt
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from alfred.core.calendar import close_instants, sessions_between
from alfred.core.errors import ConfigError
from alfred.lake.ingest import provider
from alfred.lake.known import known_next_sessions
from alfred.lake.store import Lake
from alfred.lake.synthetic.market import TABLES, SyntheticMarket, generate, make_world
from alfred.lake.synthetic.news import BAD, GOOD
from alfred.lake.synthetic.settings import SyntheticSettings
from alfred.panel.catalogue import catalogue
from alfred.panel.catalogue import column as column_of
from alfred.panel.history import BarHistory
from alfred.panel.labels import LabelSettings, labels
from alfred.panel.sources import Sources
from alfred.panel.tables import Tables

SETTINGS = SyntheticSettings(
    seed=5, symbols=40, first_year=2008, years=8, delistings_per_year=0.08, renames_per_year=0.05, restatements=0.1
)
LATE = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def market() -> SyntheticMarket:
    return generate(SETTINGS)


def by_symbol(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.sort("symbol", "date")


def test_every_table_fits_the_lake_and_is_read_back(market: SyntheticMarket, tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    for name, rows in market.tables.items():
        report = lake.write(name, rows)
        assert report.inserted == len(rows) > 0
        assert lake.holds(name, "synthetic")
    assert set(market.tables) == set(TABLES)
    assert len(lake.asof(LATE).bars()) == len(market.tables["bars"])


def test_bars_are_consistent_and_lie_on_sessions(market: SyntheticMarket) -> None:
    bars = market.tables["bars"]
    numbers = bars.select("open", "high", "low", "close", "adj_close", "volume").to_numpy()
    assert np.isfinite(numbers).all()
    assert (numbers > 0).all()
    assert (bars["high"] >= bars.select(pl.max_horizontal("open", "close")).to_series()).all()
    assert (bars["low"] <= bars.select(pl.min_horizontal("open", "close")).to_series()).all()
    assert (bars["adj_close"] <= bars["close"]).all()
    dates = bars["date"].to_numpy().astype("datetime64[D]")
    assert set(dates) <= set(sessions_between(np.datetime64("2008-01-01"), np.datetime64("2015-12-31")))
    known = bars["known_at"].dt.replace_time_zone(None).to_numpy()
    np.testing.assert_array_equal(known, close_instants(dates))


def test_every_ticker_has_its_sector_from_its_first_close_on(market: SyntheticMarket) -> None:
    told, bars = market.tables["sectors"], market.tables["bars"]
    assert dict(told.select("symbol", "sector").iter_rows()) == {
        name: market.truth.sectors[name] for name in bars["symbol"].unique()
    }
    first = bars.group_by("symbol").agg(pl.col("known_at").min().alias("first"))
    both = told.join(first, on="symbol", how="full")
    assert len(both) == len(told) == len(first)
    assert (both["known_at"] == both["first"]).all()


def test_returns_look_like_those_of_companies(market: SyntheticMarket) -> None:
    """Volatility of 15 to 60% a year, tails fatter than the normal's, and calm and stormy months."""
    daily = (
        by_symbol(market.tables["bars"])
        .with_columns(pl.col("close").log().diff().over("symbol").alias("change"))
        .drop_nulls("change")
    )
    of_names = daily.group_by("symbol").agg(pl.col("change").std() * np.sqrt(252), pl.len()).filter(pl.col("len") > 500)
    assert 0.12 < of_names["change"].min() < of_names["change"].max() < 0.9
    assert 0.2 < of_names["change"].median() < 0.5
    assert daily["change"].kurtosis() > 1
    index = market.tables["series"].filter(pl.col("series") == "^MKT").sort("date")
    monthly = index.with_columns(pl.col("value").log().diff().alias("change")).group_by_dynamic("date", every="1mo")
    spread = monthly.agg(pl.col("change").std())["change"]
    assert spread.max() > 2.5 * spread.min()


def test_splits_leave_no_trace_in_the_adjusted_close(market: SyntheticMarket) -> None:
    """On the days of splits the close moves like on other days, though one share became two or three."""
    splits = market.tables["actions"].filter(pl.col("kind") == "split")
    assert len(splits) >= 5
    assert set(splits["ratio"].unique()) <= {0.1, 2.0, 3.0}
    change = by_symbol(market.tables["bars"]).with_columns(pl.col("close").log().diff().over("symbol").alias("change"))
    on_the_day = splits.join(change, on=["symbol", "date"])["change"].abs()
    assert len(on_the_day) == len(splits)
    assert on_the_day.max() < np.log(2) / 2


def test_dividends_make_the_whole_difference_between_both_closes(market: SyntheticMarket) -> None:
    bars = by_symbol(market.tables["bars"]).with_columns(
        (pl.col("adj_close") / pl.col("close")).alias("factor"), pl.col("close").shift(1).over("symbol").alias("before")
    )
    steps = bars.with_columns((pl.col("factor").shift(1).over("symbol") / pl.col("factor")).alias("step")).drop_nulls()
    paid = market.tables["actions"].filter(pl.col("kind") == "dividend").select("symbol", "date", "amount")
    joined = steps.join(paid, on=["symbol", "date"], how="left").with_columns(
        (1 - pl.col("amount").fill_null(0.0) / pl.col("before")).alias("wanted")
    )
    assert joined["amount"].count() > 100
    np.testing.assert_allclose(joined["step"], joined["wanted"], rtol=1e-12)


def test_a_delisted_name_has_no_bar_from_that_day_on(market: SyntheticMarket) -> None:
    gone = market.tables["actions"].filter(pl.col("kind") == "delisting")
    assert len(gone) >= 5
    assert gone["delisting_return"].is_between(-1.0, 0.3).all()
    assert set(gone["reason"].unique()) == {"merger", "bankruptcy"}
    last = market.tables["bars"].group_by("symbol").agg(pl.col("date").max().alias("last"))
    both = gone.join(last, on="symbol")
    assert len(both) == len(gone)
    assert (both["last"] < both["date"]).all()
    assert ((both["date"] - both["last"]).dt.total_days() <= 5).all()


def test_a_renamed_company_goes_on_under_its_new_ticker(market: SyntheticMarket) -> None:
    renames = market.tables["actions"].filter(pl.col("kind") == "rename")
    assert len(renames) >= 3
    bars = market.tables["bars"]
    for row in renames.iter_rows(named=True):
        old, new = (bars.filter(pl.col("symbol") == row[name]) for name in ("symbol", "new_symbol"))
        assert old["date"].max() < row["date"] == new["date"].min()
        since = (pl.col("symbol") == row["new_symbol"]) & (pl.col("kind") == "split") & (pl.col("date") >= row["date"])
        shares = market.tables["actions"].filter(since)["ratio"].product()
        assert abs(np.log(shares * new.sort("date")["close"][0] / old.sort("date")["close"][-1])) < 0.3
        filings = market.tables["facts"].filter(pl.col("symbol") == row["symbol"])
        assert (filings["known_at"].dt.date() < row["date"]).all()


def test_no_row_is_known_before_it_happened(market: SyntheticMarket) -> None:
    tables = market.tables
    lag = (tables["facts"]["known_at"].dt.date() - tables["facts"]["period_end"]).dt.total_days()
    first = ~tables["facts"]["form"].str.ends_with("/A")
    assert lag.min() > 25
    assert lag.filter(first).max() <= 70 + 5
    assert (tables["earnings"]["announced"] > tables["earnings"]["period_end"]).all()
    assert (tables["earnings"]["known_at"].dt.date() > tables["earnings"]["announced"]).all()
    assert (tables["insider"]["known_at"].dt.date() > tables["insider"]["trade_date"]).all()
    assert (tables["articles"]["known_at"] == tables["articles"]["published_at"]).all()
    assert (tables["series"]["known_at"].dt.date() >= tables["series"]["date"]).all()
    assert (tables["actions"]["known_at"].dt.date() >= tables["actions"]["date"]).all()


def test_a_restatement_is_a_later_vintage_of_another_value(market: SyntheticMarket) -> None:
    key = ["symbol", "concept", "period_end", "period_kind"]
    vintages = (
        market.tables["facts"].sort("known_at").group_by(key, maintain_order=True).agg("value", "known_at", "form")
    )
    twice = vintages.filter(pl.col("value").list.len() == 2)
    assert len(twice) >= 20
    assert vintages["value"].list.len().max() == 2
    assert (twice["value"].list.first() != twice["value"].list.last()).all()
    assert twice["form"].list.last().str.ends_with("/A").all()
    wait = (twice["known_at"].list.last() - twice["known_at"].list.first()).dt.total_days()
    assert wait.min() > 60


def test_accounts_add_up(market: SyntheticMarket) -> None:
    facts = market.tables["facts"].filter(~pl.col("form").str.ends_with("/A"))
    key = ["symbol", "period_end", "period_kind"]
    wide = facts.pivot("concept", index=key, values="value")
    flows = wide.filter(pl.col("period_kind") == "quarter")
    assert (flows["GrossProfit"] < flows["Revenue"]).all()
    assert (flows["OperatingIncome"] < flows["GrossProfit"]).all()
    banks = {name for name, sector in market.truth.sectors.items() if sector == "Financials"}
    missing = flows.filter(pl.col("GrossProfit").is_null())["symbol"].unique()
    assert set(missing) <= banks
    margin = flows.sort("symbol", "period_end").select("symbol", (pl.col("NetIncome") / pl.col("Revenue")).alias("m"))
    again = margin.with_columns(pl.col("m").shift(1).over("symbol").alias("before")).drop_nulls()
    assert np.corrcoef(again["m"], again["before"])[0, 1] > 0.7
    levels = wide.filter(pl.col("period_kind") == "instant")
    assert (levels["Equity"] < levels["Assets"]).all()
    earnings = market.tables["earnings"].rename({"known_at": "announced_at"}).drop("source")
    reported = earnings.join(flows, on=["symbol", "period_end"])
    same = np.isclose(reported["reported_eps"], reported["EPSDiluted"], rtol=1e-12)
    # A split between announcement and filing, days apart, is the only cause of another figure.
    assert same.mean() > 0.99
    judged = reported.drop_nulls("surprise")
    expected = 100 * judged["surprise"] / judged["estimated_eps"].abs()
    np.testing.assert_allclose(judged["surprise_pct"], expected, rtol=1e-8, atol=1e-9)


def test_facts_are_told_as_filings_tell_them(market: SyntheticMarket) -> None:
    """Three quarters and a year of income, cash flows from the fiscal year's begin, years that end in any quarter."""
    facts = market.tables["facts"].filter(~pl.col("form").str.ends_with("/A"))
    kinds = facts.group_by("concept").agg(pl.col("period_kind").unique().sort())
    told = dict(kinds.iter_rows())
    assert told["NetIncome"] == ["quarter", "year"]
    assert told["OperatingCashFlow"] == ["quarter", "year", "ytd"]
    assert all(told[name] == ["instant"] for name in ("Shares", "CurrentAssets", "CurrentLiabilities", "Liabilities"))
    income = facts.filter(pl.col("concept") == "NetIncome")
    both = income.group_by("symbol", "period_end").agg(pl.len())
    assert both["len"].max() == 1
    years = income.filter(pl.col("period_kind") == "year")
    assert (years["form"] == "10-K").all()
    assert years.group_by("symbol").agg(pl.col("period_end").dt.month().n_unique())["period_end"].max() == 1
    assert set(years["period_end"].dt.month()) == {3, 6, 9, 12}
    assert years.filter(pl.col("period_end").dt.month() == 12)["symbol"].n_unique() > 20
    cash = facts.filter(pl.col("concept") == "OperatingCashFlow")
    first = set(cash.filter(pl.col("period_kind") == "quarter").select("symbol", "period_end").iter_rows())
    after = pl.col("period_end").dt.offset_by("1d").dt.offset_by("3mo").dt.offset_by("-1d")
    began = set(years.select("symbol", after).iter_rows())
    assert len(first & began) > 100
    levels = facts.pivot("concept", index=["symbol", "period_end"], values="value", aggregate_function="first")
    np.testing.assert_allclose(levels["Assets"], levels["Liabilities"] + levels["Equity"])
    current = levels.drop_nulls("CurrentAssets")
    assert (current["CurrentAssets"] < current["Assets"]).all()
    assert (current["CurrentLiabilities"] < current["Liabilities"]).all()


def test_shares_are_counted_as_of_the_day_they_are_filed() -> None:
    """Between two filings their number changes by the splits that came after the one and not after the other."""
    market = generate(SETTINGS.model_copy(update={"splits_per_year": 1.0}))
    shares = market.tables["facts"].filter(pl.col("concept") == "Shares").sort("symbol", "known_at")
    changes = shares.with_columns(
        (pl.col("value") / pl.col("value").shift(1).over("symbol")).alias("ratio"),
        pl.col("known_at").shift(1).over("symbol").alias("before"),
    ).drop_nulls("before")
    splits = market.tables["actions"].filter(pl.col("kind") == "split")
    splits = splits.with_columns(opened=known_next_sessions(splits["date"].dt.offset_by("-1d")))
    came = splits.join(changes.select("symbol", "before", "known_at", "ratio"), on="symbol").filter(
        (pl.col("opened") >= pl.col("before")) & (pl.col("opened") < pl.col("known_at_right"))
    )
    assert len(came) >= 10
    np.testing.assert_allclose(came["ratio_right"], came["ratio"], rtol=1e-12)
    moved = changes.filter((pl.col("ratio") - 1).abs() > 1e-9)
    assert len(moved) == len(came)


def panel_column(market: SyntheticMarket, column: str) -> tuple[BarHistory, np.ndarray, np.ndarray]:
    bars = by_symbol(market.tables["bars"])
    index = market.tables["series"].filter(pl.col("series") == "^MKT").sort("date")
    dates = np.unique(market.truth.signals["as_of"].to_numpy().astype("datetime64[D]"))
    history = BarHistory.of(bars, index, dates, stale_sessions=5)
    sources = Sources(dates, history.symbols, history, Tables(bars, index))
    change = labels(
        history, bars, np.full(len(dates), np.nan), 1,
        volatility=column_of(sources, catalogue()["realised_volatility"]),
        actions=sources.tables.actions, settings=LabelSettings(),
    )  # fmt: skip
    return history, column_of(sources, catalogue()[column]), change.of("PM")


@pytest.mark.parametrize("column", ["momentum_12_1", "Close_diff_MA_90"])
def test_the_truth_is_what_the_panel_will_see(column: str) -> None:
    """Predictor and change, computed anew by the panel from the bars alone, equal the generator's own."""
    market = generate(SETTINGS.model_copy(update={"price_feature": column}))
    assert market.truth.features == (column,)
    history, values, change = panel_column(market, column)
    rows = market.truth.signals.filter(pl.col("as_of") < pl.date(2015, 9, 30))
    date = np.searchsorted(history.dates, rows["as_of"].to_numpy().astype("datetime64[D]"))
    symbol = np.searchsorted(np.array(history.symbols), rows["symbol"].to_numpy())
    assert np.isfinite(values[:-1]).sum() == len(
        market.truth.signals.filter(pl.col("as_of") < market.truth.signals["as_of"].max())
    )
    np.testing.assert_allclose(values[date, symbol], rows["predictor"], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(change[date, symbol], rows["change"].to_numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("planted", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("predictor", ["price", "fundamental", "tone"])
def test_the_realised_coefficient_is_the_planted_one(predictor: str, planted: float) -> None:
    """The mean over quarters lies within 4 of its own standard errors (about 0.012 with 60 quarters of 130 names)."""
    settings = SyntheticSettings(
        symbols=150, first_year=2000, years=16, information_coefficient=planted, predictor=predictor,
        insider_trades_per_quarter=0.0,
    )  # fmt: skip
    truth = make_world(settings).truth()
    realised = truth.realised["information_coefficient"].drop_nulls()
    error = realised.std() / np.sqrt(len(realised))
    assert len(realised) >= 55
    assert error < 0.02
    assert abs(realised.mean() - planted) < 4 * error


@pytest.mark.parametrize("signal", ["nonlinear", "sequential"])
def test_signals_that_a_line_cannot_see(signal: str) -> None:
    """Their own coefficient is the planted one, while that of the predictor itself is near zero."""
    settings = SyntheticSettings(
        symbols=300, first_year=2000, years=16, information_coefficient=0.3, predictor="fundamental", signal=signal
    )
    realised = make_world(settings).truth().realised
    assert realised["information_coefficient"].mean() == pytest.approx(0.3, abs=0.04)
    assert abs(realised["predictor_rank_ic"].mean()) < 0.06


def test_whoever_reads_the_articles_finds_the_tone() -> None:
    """The predictor is the mean over a quarter's articles of (good - bad sentences) / 3, read back from the texts."""
    market = generate(SyntheticSettings(symbols=12, first_year=2010, years=3, predictor="tone", renames_per_year=0.0))
    good, bad = ([text.replace("{}", "").strip(" .") for text in pool] for pool in (GOOD, BAD))

    def tone(text: str, symbol: str) -> float:
        sentences = [part.replace(symbol, "").strip(" .") for part in text.split(". ")]
        return sum((part in good) - (part in bad) for part in sentences) / 3

    articles = market.tables["articles"].filter(~pl.col("article_id").str.ends_with("-copy"))
    closes = pl.Series("as_of", market.truth.signals["as_of"].unique().sort())
    rows = market.truth.signals.filter(pl.col("as_of") == closes[3])
    since, until = (
        close_instants(np.array([closes[at]], "datetime64[D]"))[0].astype(dt.datetime).replace(tzinfo=dt.UTC)
        for at in (2, 3)
    )
    within = articles.filter(pl.col("published_at").is_between(since, until, closed="right"))
    assert len(rows) >= 5
    for row in rows.iter_rows(named=True):
        texts = within.filter(pl.col("symbol") == row["symbol"])["text"]
        assert row["predictor"] == pytest.approx(np.mean([tone(text, row["symbol"]) for text in texts]))


def test_copies_repeat_an_article_later_at_another_wire(market: SyntheticMarket) -> None:
    articles = market.tables["articles"]
    copies = articles.filter(pl.col("article_id").str.ends_with("-copy"))
    assert len(copies) > 20
    both = copies.with_columns(pl.col("article_id").str.strip_suffix("-copy")).join(articles, on="article_id")
    assert len(both) == len(copies)
    assert (both["text"] == both["text_right"]).all()
    assert (both["published_at"] > both["published_at_right"]).all()
    assert (both["publisher"] != both["publisher_right"]).all()


def test_the_same_seed_is_the_same_market_and_another_is_not(market: SyntheticMarket) -> None:
    again = generate(SETTINGS)
    other = generate(SETTINGS.model_copy(update={"seed": 6}))
    for name, rows in market.tables.items():
        assert rows.equals(again.tables[name]), name
        assert not rows.equals(other.tables[name]), name
    assert market.truth.realised.equals(again.truth.realised)


@pytest.mark.parametrize("group", [7, 39])
def test_batches_change_no_row(market: SyntheticMarket, group: int) -> None:
    parts: dict[str, list[pl.DataFrame]] = {name: [] for name in TABLES}
    for batch in make_world(SETTINGS).batches(group):
        parts[batch.table].append(batch.rows)
    for name, rows in market.tables.items():
        keys = [column for column in rows.columns if column not in {"value", "source"}]
        assert pl.concat(parts[name]).sort(keys).equals(rows.sort(keys)), name


def test_dollar_turnover_knows_no_later_split() -> None:
    """Volume is on the basis of the close, so their product depends on no ratio of later splits."""
    world = make_world(SETTINGS.model_copy(update={"splits_per_year": 1.0}))
    total = world.quotes.basis.total
    rows = slice(0, len(total))
    close = world.quotes.close(rows)[:, 0] * total
    quoted = world.quotes.companies.price * np.exp(world.quotes.paths.log_price[:, 0])
    assert (total > 1).sum() >= 5
    np.testing.assert_allclose(close, quoted)
    bars = generate(world.settings).tables["bars"].filter(pl.col("date") == pl.date(2008, 1, 2))
    traded = dict(zip(bars["symbol"], bars["close"] * bars["volume"], strict=True))
    for at, names in enumerate(world.quotes.companies.tickers):
        if names[0] in traded:
            assert 0.1 < traded[names[0]] / (quoted[at] * world.quotes.companies.volume[at]) < 10


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"years": 500}, "beyond the trading calendar; begin earlier"),
        ({"leaks": ["stale_prices", "stale_prices"]}, "a leak is named twice"),
        ({"leaks": ["reused_ticker"], "delistings_per_year": 0}, "needs delistings_per_year above 0"),
        ({"leaks": ["survivors_only", "reused_ticker"]}, "leaves no delisted name"),
        ({"symbls": 3}, "did you mean 'symbols'"),
    ],
)
def test_settings_that_cannot_be_are_explained(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SyntheticSettings.parse(changes, "settings")


def test_a_leak_without_a_victim_is_an_error() -> None:
    with pytest.raises(ConfigError, match="the leak stale_prices finds no company it could strike"):
        generate(SyntheticSettings(symbols=3, years=3, listed_later=1.0, leaks=("stale_prices",)))
    with pytest.raises(ConfigError, match="reused_ticker needs a company listed after another one's delisting"):
        generate(SyntheticSettings(symbols=3, years=3, listed_later=0.0, leaks=("reused_ticker",)))


def test_the_provider_is_the_default_market() -> None:
    description = provider("synthetic").DESCRIPTION
    defaults = SyntheticSettings()
    assert description.kind == "bundled"
    assert not description.survivors_only
    last = defaults.first_year + defaults.years - 1
    assert f"{defaults.symbols} invented companies over {defaults.first_year} to {last}" in description.note
    assert f"expected correlation of {defaults.information_coefficient:g} with" in description.note
