"""Worked examples, to the cent. All quarters run from 2020-03-31, filled on 2020-04-01, to 2020-06-30."""

from dataclasses import replace
from datetime import date

import polars as pl
import pytest
from recommended import entry_of

from alfred.core.errors import DataError
from alfred.experiments.scoring import Tape, score

START, FILL, MIDDLE, END = date(2020, 3, 31), date(2020, 4, 1), date(2020, 5, 15), date(2020, 6, 30)


def tape(prices, actions=(), index=(100.0, 101.0, 105.0, 111.1)):
    """Closes of the four days by symbol, None for no quote, split-adjusted as providers give them; and actions."""
    days = (START, FILL, MIDDLE, END)
    rows = [
        {"symbol": symbol, "date": day, "close": close}
        for symbol, closes in prices.items()
        for day, close in zip(days, closes, strict=True)
    ]
    schema = {
        "symbol": pl.String, "date": pl.Date, "kind": pl.String, "source": pl.String, "ratio": pl.Float64,
        "amount": pl.Float64, "delisting_return": pl.Float64, "new_symbol": pl.String,
    }  # fmt: skip
    levels = pl.DataFrame({"date": days, "value": index})
    told = [{"source": "here", **action} for action in actions]
    return Tape.of(
        pl.DataFrame(rows, schema={"symbol": pl.String, "date": pl.Date, "close": pl.Float64}),
        pl.DataFrame(told, schema=schema),
        levels,
    )


def test_plain_prices():
    """100 of A bought at 50 with 5,000 of 10,000, costs 7.50; at 53 they are worth 5,300: 10,292.50."""
    found = score(entry_of({"A": (0.0, 100.0)}, cash=10_000.0, cost=7.5), tape({"A": (49.0, 50.0, 51.0, 53.0)}))
    assert found.before_usd == 10_000.0
    assert round(found.after_usd, 2) == 10_292.50
    assert found.gain == pytest.approx(0.02925)
    assert found.index == pytest.approx(0.1)
    assert found.filled_on == "2020-04-01"


def test_a_split():
    """A 4-for-1 split in May: 30 bought at 400 are 120 at 110. The lake's closes are divided by 4 from the start."""
    adjusted = tape(
        {"A": (98.0, 100.0, 105.0, 110.0)}, [{"symbol": "A", "date": MIDDLE, "kind": "split", "ratio": 4.0}]
    )
    found = score(entry_of({"A": (0.0, 30.0)}, cash=12_345.67, cost=0.0, price=392.0), adjusted)
    assert round(found.after_usd, 2) == 12_345.67 - 12_000.0 + 13_200.0
    assert found.change == pytest.approx(found_weight({"A": 30 * 392.0}, 12_345.67) * (110.0 / 98.0 - 1.0))


def test_a_split_between_the_decision_and_the_fill():
    """10 ordered at 400 on the old basis are 40 at 101 on the new one, and so are 5 that were held."""
    adjusted = tape({"A": (100.0, 101.0, 105.0, 110.0)}, [{"symbol": "A", "date": FILL, "kind": "split", "ratio": 4.0}])
    found = score(entry_of({"A": (5.0, 10.0)}, cash=5_000.0, cost=1.0, price=400.0), adjusted)
    assert round(found.before_usd, 2) == 5_000.0 + 20 * 101.0
    assert round(found.after_usd, 2) == 5_000.0 - 40 * 101.0 - 1.0 + 60 * 110.0


def test_a_split_after_the_quarter_moves_nothing():
    """The lake was fetched after a 10-for-1 split in August: closes are a tenth, shares of June are as they were."""
    later = tape(
        {"A": (4.9, 5.0, 5.1, 5.3)}, [{"symbol": "A", "date": date(2020, 8, 31), "kind": "split", "ratio": 10.0}]
    )
    found = score(entry_of({"A": (0.0, 100.0)}, cash=10_000.0, cost=7.5), later)
    assert round(found.after_usd, 2) == 10_292.50


def test_a_dividend():
    """0.82 a share on 100 shares, ex in May: 82 dollars more; the price's change is what was forecast."""
    paid = tape({"A": (49.0, 50.0, 51.0, 53.0)}, [{"symbol": "A", "date": MIDDLE, "kind": "dividend", "amount": 0.82}])
    found = score(entry_of({"A": (0.0, 100.0)}, cash=10_000.0, cost=7.5), paid)
    assert round(found.after_usd, 2) == 10_374.50
    assert round(found.dividends_usd, 2) == 82.00
    assert found.change == pytest.approx(found_weight({"A": 4900.0}, 10_000.0 - 7.5) * (53.0 / 49.0 - 1.0))
    total = score(entry_of({"A": (0.0, 100.0)}, cash=10_000.0, cost=7.5, target="total_return"), paid)
    assert total.change == pytest.approx(found_weight({"A": 4900.0}, 10_000.0 - 7.5) * (53.82 / 49.0 - 1.0))


def test_a_dividend_before_the_fill_belongs_to_who_held():
    paid = tape({"A": (50.0, 50.0, 50.0, 50.0)}, [{"symbol": "A", "date": FILL, "kind": "dividend", "amount": 1.0}])
    found = score(entry_of({"A": (10.0, 90.0)}, cash=5_000.0, cost=0.0), paid)
    assert found.before_usd == 5_000.0 + 10 * 50.0 + 10 * 1.0
    assert found.after_usd == found.before_usd
    assert found.dividends_usd == 0.0


def test_a_dividend_before_a_split_is_paid_on_the_old_shares():
    """2.00 a share on 30 shares in May, then 4 for 1 in June; the lake has the dividend as 0.50."""
    later = date(2020, 6, 10)
    both = tape(
        {"A": (100.0, 100.0, 100.0, 100.0)},
        [
            {"symbol": "A", "date": MIDDLE, "kind": "dividend", "amount": 0.5},
            {"symbol": "A", "date": later, "kind": "split", "ratio": 4.0},
        ],
    )
    found = score(entry_of({"A": (0.0, 30.0)}, cash=12_000.0, cost=0.0, price=400.0), both)
    assert round(found.dividends_usd, 2) == 60.00
    assert round(found.after_usd, 2) == 12_060.00


def test_a_delisting_pays_its_return_on_the_last_price():
    """100 at 50, last at 40 in May, holders got 35% less: 2,600; the rest of the quarter it is cash."""
    gone = tape(
        {"A": (50.0, 50.0, 40.0, None), "B": (10.0, 10.0, 10.0, 10.0)},
        [{"symbol": "A", "date": date(2020, 5, 18), "kind": "delisting", "delisting_return": -0.35}],
    )
    found = score(entry_of({"A": (0.0, 100.0)}, cash=5_000.0, cost=0.0, price=50.0), gone)
    assert round(found.after_usd, 2) == 2_600.00
    assert found.change == pytest.approx(40.0 * 0.65 / 50.0 - 1.0)
    assert found.remarks == ("A was delisted on 2020-05-18 at -35% of its last price",)


def test_a_delisting_of_unknown_return_says_what_is_assumed():
    gone = tape(
        {"A": (50.0, 50.0, 40.0, None), "B": (10.0, 10.0, 10.0, 10.0)},
        [{"symbol": "A", "date": date(2020, 5, 18), "kind": "delisting"}],
    )
    found = score(entry_of({"A": (0.0, 100.0)}, cash=5_000.0, cost=0.0), gone)
    assert round(found.after_usd, 2) == 2_800.00
    assert found.remarks == ("A was delisted on 2020-05-18 at -30% of its last price, which is assumed",)


def test_a_short_owes_dividends_and_gains_from_a_delisting():
    gone = tape(
        {"A": (50.0, 50.0, 40.0, None)},
        [
            {"symbol": "A", "date": date(2020, 5, 1), "kind": "dividend", "amount": 1.0},
            {"symbol": "A", "date": date(2020, 5, 18), "kind": "delisting", "delisting_return": -1.0},
        ],
    )
    found = score(entry_of({"A": (0.0, -10.0)}, cash=1_000.0, cost=0.0), gone)
    assert found.dividends_usd == -10.0
    assert found.after_usd == 1_000.0 + 500.0 - 10.0


def test_a_rename_follows_the_shares():
    """A becomes B in May, some source calls A delisted; B then splits 2 for 1."""
    actions = [
        {"symbol": "A", "date": MIDDLE, "kind": "rename", "new_symbol": "B"},
        {"symbol": "A", "date": date(2020, 5, 18), "kind": "delisting"},
        {"symbol": "B", "date": date(2020, 6, 1), "kind": "split", "ratio": 2.0},
    ]
    found = score(
        entry_of({"A": (0.0, 10.0)}, cash=1_000.0, cost=0.0),
        tape({"A": (50.0, 50.0, None, None), "B": (None, None, 26.0, 30.0)}, actions),
    )
    assert found.after_usd == 1_000.0 - 500.0 + 20 * 30.0
    assert found.remarks == ("A was renamed to B on 2020-05-15",)


def test_names_that_rename_in_a_circle_end():
    actions = [
        {"symbol": "A", "date": MIDDLE, "kind": "rename", "new_symbol": "B"},
        {"symbol": "B", "date": MIDDLE, "kind": "rename", "new_symbol": "A"},
    ]
    rows = {"A": (50.0, 50.0, 50.0, 50.0), "B": (50.0, 50.0, 50.0, 51.0)}
    assert score(entry_of({"A": (0.0, 10.0)}, cash=500.0, cost=0.0), tape(rows, actions)).after_usd == 510.0


def test_a_price_that_stopped_is_said():
    stopped = tape({"A": (50.0, 50.0, 40.0, None), "B": (1.0, 1.0, 1.0, 1.0)})
    found = score(entry_of({"A": (0.0, 100.0)}, cash=5_000.0, cost=0.0), stopped)
    assert found.after_usd == 4_000.0
    assert found.remarks == ("A was last quoted on 2020-05-15, whose price is taken",)


def test_an_order_without_a_price_at_the_fill_is_not_filled():
    found = score(entry_of({"A": (0.0, 100.0)}, cash=5_000.0, cost=0.0), tape({"A": (50.0, None, 40.0, 60.0)}))
    assert found.after_usd == 5_000.0
    assert found.remarks == ("A had no price on 2020-04-01, so its order was not filled",)


def test_one_over_n_and_its_costs():
    """1/N of A (+6%) and B (-10%), 10 dollars of costs: (9,990 / 2) (1.06 + 0.9) = 9,790.20."""
    rows = {"A": (49.0, 50.0, 51.0, 53.0), "B": (10.0, 10.0, 9.5, 9.0)}
    found = score(
        entry_of({"A": (0.0, 100.0)}, cash=10_000.0, cost=7.5, candidates=("A", "B"), equal_cost=10.0), tape(rows)
    )
    assert found.equal_weight == pytest.approx(9_790.20 / 10_000.0 - 1.0)


def test_intervals_hit_or_missed():
    """A rose 8.2% over the quarter from the decision's close, within its 80% interval of 2% to 10%; B missed."""
    rows = {"A": (49.0, 50.0, 51.0, 53.0), "B": (10.0, 10.0, 9.5, 9.0)}
    entry = entry_of(
        {"A": (0.0, 100.0), "B": (0.0, 100.0)},
        cash=10_000.0,
        cost=0.0,
        interval=(0.02, 0.06, 0.10),
        prices={"A": 49.0, "B": 10.0},
    )
    found = score(entry, tape(rows))
    assert (found.names_hit, found.names) == (1, 2)
    weights = found_weight({"A": 4900.0}, 10_000.0), found_weight({"B": 1000.0}, 10_000.0)
    assert found.change == pytest.approx(weights[0] * 4.0 / 49.0 - weights[1] * 0.1)
    told = entry.recommendation.expected
    assert found.hit == (told.lower <= found.change <= told.upper)
    wide = replace(
        entry.recommendation, expected=replace(told, lower=-1.0, upper=1.0, lower_apart=0.9, upper_apart=1.0)
    )
    again = score(replace(entry, recommendation=wide), tape(rows))
    assert again.hit
    assert not again.hit_apart


def test_a_name_without_prices_is_told():
    with pytest.raises(DataError, match="there are no prices of A; fetch them"):
        score(entry_of({"A": (0.0, 1.0)}, cash=500.0, cost=0.0), tape({"B": (1.0, 1.0, 1.0, 1.0)}))


def test_splits_of_two_sources_count_once():
    twice = [{"symbol": "A", "date": MIDDLE, "kind": "split", "ratio": 4.0, "source": source} for source in ("x", "y")]
    found = score(
        entry_of({"A": (0.0, 30.0)}, cash=12_000.0, cost=0.0, price=400.0),
        tape({"A": (100.0, 100.0, 100.0, 100.0)}, twice),
    )
    assert found.after_usd == pytest.approx(12_000.0)


def found_weight(values, worth):
    return sum(values.values()) / worth
