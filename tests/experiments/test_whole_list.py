"""A study over a whole list of names: two baskets by name, and nobody lost in silence."""

import datetime as dt
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_study import small_study

from alfred.core.errors import ConfigError, DataError
from alfred.core.home import Home
from alfred.experiments.market import choose_baskets, read_market
from alfred.experiments.prepared import prepare
from alfred.experiments.record import load_record
from alfred.experiments.remarks import chosen_later
from alfred.experiments.run import run_study
from alfred.experiments.study import NamesSettings, Study, UniverseSettings, load_study
from alfred.lake.store import Lake
from alfred.lake.synthetic.market import generate
from alfred.lake.synthetic.settings import SyntheticSettings
from alfred.lake.tables import table
from alfred.universe.baskets import split_names

NAMES = st.lists(st.text("ABCDEFGHIJ.-", min_size=1, max_size=6), unique=True, min_size=2, max_size=60)


@given(NAMES, st.data())
def test_a_names_basket_does_not_depend_on_the_others(names: list[str], data: st.DataObject) -> None:
    whole = split_names(names, 0.4, seed=3)
    assert set(whole.training) | set(whole.evaluation) == set(names)
    assert not set(whole.training) & set(whole.evaluation)
    part = data.draw(st.lists(st.sampled_from(names), unique=True))
    assert set(split_names(part, 0.4, seed=3).evaluation) == set(whole.evaluation) & set(part)


def test_the_share_is_met_in_expectation() -> None:
    names = [f"N{at}" for at in range(5000)]
    assert len(split_names(names, 0.3).evaluation) == pytest.approx(1500, abs=4 * np.sqrt(5000 * 0.3 * 0.7))
    assert split_names(names, 0.0).evaluation == ()
    assert split_names(names, 0.3, seed=1).evaluation != split_names(names, 0.3).evaluation


def baskets_of(tmp_path: Path, **names: object):
    study = small_study(universe={"names": names})
    return choose_baskets(read_market(Lake(Home(tmp_path).lake), study.data), study.universe)


def test_all_names_with_prices(tmp_path: Path) -> None:
    found = baskets_of(tmp_path)
    assert len({*found.training, *found.evaluation}) == 20
    assert found.without_prices == ()


def test_a_file_lies_beside_the_study_and_what_has_no_price_is_told(tmp_path: Path) -> None:
    (tmp_path / "nasdaq.txt").write_text("AAPL\nZZZZ # not in the data\nGE\nKO\nJNJ\nWMT\nBAC\n")
    (tmp_path / "study.toml").write_text(
        '[universe.names]\nlist = "@nasdaq.txt"\n[splits]\ntest_first = "2008-03-31"\n[[analysts]]\nname = "ridge"\n'
    )
    study = load_study(tmp_path / "study.toml")
    found = choose_baskets(read_market(Lake(Home(tmp_path / "home").lake), study.data), study.universe)
    assert {*found.training, *found.evaluation} == {"AAPL", "GE", "KO", "JNJ", "WMT", "BAC"}
    assert found.without_prices == ("ZZZZ",)


def test_a_list_without_prices_makes_no_baskets(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="0 of 2 listed names have prices"):
        baskets_of(tmp_path, list="YYYY,ZZZZ")


def test_one_way_at_a_time() -> None:
    with pytest.raises(ConfigError, match="exactly one of training, baskets, scan or names, got training and names"):
        UniverseSettings.parse({"training": ["A"], "names": {"list": "*"}}, "universe")


def small_list(**changes: object) -> Study:
    names = {"list": "AAPL,AMD,BAC,BBY,CVX,GE,HD,JNJ,NOPE"}
    return small_study(universe={"names": names}, analysts=[{"name": "ridge"}], **changes)


def test_members_of_an_index_are_looked_up_before_the_test_or_it_is_said() -> None:
    last, first = np.datetime64("2014-12-31"), np.datetime64("2008-03-31")

    def said(**names: object) -> list[str]:
        return chosen_later(NamesSettings.parse(names, "names"), last, first)

    (text,) = said(list="@sp500,AAPL")
    assert text.startswith(
        "Survivorship: the names are the members of @sp500 on 2014-12-31, after the first test quart"
    )
    assert text.endswith("Set universe.names.as_of before 2008-03-31.")
    assert "on 2008-03-31, after" in said(list="@dow", as_of="2008-03-31")[0]
    assert said(list="@dow", as_of="2008-03-28") == said(list="*") == said(list="AAPL,MSFT") == []
    assert chosen_later(None, last, first) == []


@pytest.mark.slow
def test_the_run_says_first_that_its_names_were_looked_up_later(tmp_path: Path) -> None:
    home = Home(tmp_path)
    names = ["AAPL", "AMD", "BAC", "BBY", "CVX", "GE", "HD", "JNJ"]
    spells = {"index": "dow", "symbol": names, "from": dt.date(2000, 1, 3), "to": None, "source": "constituents"}
    known = dt.datetime(2000, 1, 3, tzinfo=dt.UTC)
    Lake(home.lake).write("members", pl.DataFrame({**spells, "known_at": known}, schema=table("members").schema))
    study = small_study(universe={"names": {"list": "@dow"}}, analysts=[{"name": "ridge"}])
    warnings = load_record(run_study(study, home)).warnings
    assert [line for line in warnings if "members of @dow on 2014-12-31, after the first test quarter" in line]


@pytest.mark.slow
def test_the_run_says_who_takes_no_part(tmp_path: Path) -> None:
    record = load_record(run_study(small_list(), Home(tmp_path)))
    assert "No prices: 1 of 9 listed names have none and take no part: NOPE." in record.warnings


def test_a_required_column_takes_rows_out_by_date_and_counts_them(tmp_path: Path) -> None:
    home = Home(tmp_path)
    plain = prepare(small_list(), home).panel
    # The first year has no momentum of twelve months.
    strict = prepare(small_list(panel={"required": ["momentum_12_1"]}), home).panel
    known = np.isfinite(plain.values[:, :, plain.features.index("momentum_12_1")])
    np.testing.assert_array_equal(strict.listed, plain.listed & known)
    assert strict.unmet == int((plain.listed & ~known).sum()) > 0
    assert prepare(small_list(panel={"required": ["momentum_12_1"]}), home).panel.unmet == strict.unmet
    with pytest.raises(ConfigError, match=r"panel\.required: no column matches"):
        prepare(small_list(panel={"required": ["momentun_12_1"]}), home)


@pytest.mark.slow
def test_names_without_filings_are_counted(tmp_path: Path) -> None:
    home = Home(tmp_path)
    tables = generate(SyntheticSettings(symbols=12, first_year=2000, years=8)).tables
    named = sorted(tables["bars"]["symbol"].unique())
    for name, rows in tables.items():
        Lake(home.lake).write(name, rows.filter(~pl.col("symbol").is_in(named[:2])) if name == "facts" else rows)
    study = small_study(
        data={"provider": "synthetic"},
        universe={"names": {}},
        splits={"test_first": "2006-03-31", "test_quarters": 4, "valid_quarters": 4, "min_train_quarters": 8},
        panel={"features": ["momentum_12_1", "Margin_*"]},
        analysts=[{"name": "ridge"}],
    )
    warnings = load_record(run_study(study, home)).warnings
    assert [line for line in warnings if line.startswith(f"No filings: 2 of {len(named)} names")], warnings
