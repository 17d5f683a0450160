import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alfred.core.contracts import Bars
from alfred.core.errors import ConfigError, DataError
from alfred.universe.baskets import Baskets, load_baskets, scan


def bars_of(returns: np.ndarray, names: str) -> Bars:
    prices = 100 * np.cumprod(1 + returns, axis=0)
    dates = np.datetime64("2000-01-03", "D") + np.arange(len(prices))
    return Bars(dates, tuple(names), prices, prices)


def random_bars(seed: int, names: str = "ABCDEF", sessions: int = 300) -> Bars:
    noise = np.random.default_rng(seed).normal(0, 0.01, (sessions, len(names)))
    return bars_of(noise, names)


@given(st.integers(0, 50), st.sampled_from("ABCDEF"), st.integers(1, 6))
def test_the_choice_begins_at_the_start_and_repeats_no_name(seed: int, start: str, count: int) -> None:
    chosen = scan(random_bars(seed), start, count)
    assert chosen.symbols[0] == start
    assert len(set(chosen.symbols)) == count


def test_each_name_is_the_least_correlated_with_those_before() -> None:
    bars = random_bars(3)
    chosen = scan(bars, "C", 4)
    likeness = np.abs(np.corrcoef(bars.total[1:] / bars.total[:-1] - 1, rowvar=False))
    place = ["ABCDEF".index(name) for name in chosen.symbols]
    for at in range(1, 4):
        means = {other: likeness[other, place[:at]].mean() for other in range(6) if other not in place[:at]}
        assert place[at] == min(means, key=lambda other: means[other])
        assert chosen.correlation[at] == pytest.approx(means[place[at]])


def test_returns_and_levels_disagree_on_trending_prices() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.01, (500, 3))
    noise[:, 1] = -noise[:, 0]
    trending = noise + 0.003
    trending[:, 2] = noise[:, 2] - 0.0005
    bars = bars_of(trending, "ABC")
    # A and B move against each other day by day, yet both trend upwards.
    assert scan(bars, "A", 2, on="returns").symbols == ("A", "C")
    levels = scan(bars, "A", 2, on="levels")
    assert "trending prices alike" in levels.caution
    assert not scan(bars, "A", 2).caution


def test_excluded_names_make_a_disjoint_second_basket() -> None:
    bars = random_bars(1)
    first = scan(bars, "A", 3)
    free = next(name for name in "BCDEF" if name not in first.symbols)
    second = scan(bars, free, 3, exclude=first.symbols)
    assert not set(first.symbols) & set(second.symbols)


def test_names_without_enough_history_are_left_out_and_named() -> None:
    bars = random_bars(2)
    bars.total[:100, 1] = np.nan
    bars.total[-20:, 2] = np.nan
    chosen = scan(bars, "A", 4)
    assert chosen.too_short == ("B", "C")
    assert not {"B", "C"} & set(chosen.symbols)
    with pytest.raises(
        ConfigError, match=r"the start 'B' has prices from 2000-04-12 to .*; a name needs one by 2000-01-03"
    ):
        scan(bars, "B", 2)
    later = scan(bars, "A", 5, since=bars.dates[120])
    assert "B" in later.symbols


def test_gaps_do_not_change_the_correlation_of_shared_sessions() -> None:
    bars = random_bars(5)
    bars.total[50:52, 3] = np.nan
    likeness = scan(bars, "A", 6)
    assert all(0 <= value <= 1 for value in likeness.correlation[1:])


@pytest.mark.parametrize(
    ("start", "count", "exclude", "message"),
    [
        ("Z", 2, (), "no prices for the start 'Z'"),
        ("A", 9, (), "only 6 names qualify"),
        ("A", 0, (), "at least 1 name"),
        ("A", 2, ("A",), "among the excluded"),
    ],
)
def test_impossible_wishes_are_refused(start: str, count: int, exclude: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        scan(random_bars(0), start, count, exclude=exclude)


def test_too_few_sessions_are_refused() -> None:
    with pytest.raises(DataError, match="at least 64 sessions, got 30"):
        scan(random_bars(0, sessions=30), "A", 2)


def test_baskets_are_kept_in_the_form_of_the_notes(tmp_path: Path) -> None:
    path = tmp_path / "baskets.json"
    Baskets(("AAPL", "LNC"), ("F",)).save(path)
    assert json.loads(path.read_text()) == {"training": ["AAPL", "LNC"], "evaluation": ["F"]}
    assert load_baskets(path) == Baskets(("AAPL", "LNC"), ("F",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read as JSON"),
        ("[" * 100_000, "cannot be read as JSON"),
        ('{"train": []}', "must hold"),
        ('{"training": [1], "evaluation": []}', "must hold"),
    ],
)
def test_another_form_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "baskets.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_baskets(path)


def test_an_absent_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="alfred scan --save"):
        load_baskets(tmp_path / "none.json")
