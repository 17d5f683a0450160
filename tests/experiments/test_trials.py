"""The trial ledger: what is tried is counted once, whatever became of it."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from alfred.core.errors import AlfredError, DataError
from alfred.core.home import Home
from alfred.experiments.counting import independent, quarterly_returns, spent
from alfred.experiments.record import TrialCount, Unsealing
from alfred.experiments.trials import Returns, Series, Trial, TrialLedger, on_trial

FIRST = 4 * 34  # 2004 Q1


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> TrialLedger:
    return TrialLedger.open(Home(tmp_path_factory.mktemp("home")))


def told(key: str, family: str, **changes: Any) -> Trial:
    usual: dict[str, Any] = {"study": "s", "digest": "d", "analyst": "ridge", "protocol": "other-tickers-other-years"}
    return Trial(key, family, **{**usual, **changes})


def test_every_trial_counts_whatever_became_of_it(ledger: TrialLedger) -> None:
    good, bad, stopped, killed = (ledger.begin(told(key, "all", config={"size": 8})) for key in "abcd")
    ledger.finish(good, {"rank_ic": 0.1, "r2": None, "f1": float("nan")}, {"simple": Series(FIRST, (0.1, None))})
    with pytest.raises(DataError), on_trial(ledger, [bad]):
        raise DataError("no rows.")
    with pytest.raises(KeyboardInterrupt), on_trial(ledger, [stopped]):
        raise KeyboardInterrupt
    found = {trial.key: trial for trial in ledger.trials("all")}
    states = {key: trial.status for key, trial in found.items()}
    assert states == {"a": "finished", "b": "failed", "c": "aborted", "d": "running"}
    assert ledger.count("all") == 4
    assert found["a"].figures == {"rank_ic": 0.1}
    assert found["a"].series == {"simple": Series(FIRST, (0.1, None))}
    assert found["a"].config == {"size": 8}
    assert found["b"].failure == "DataError: no rows."
    assert (found["d"].ended, found["d"].run) == ("", killed.run)


def test_a_trial_taken_up_stays_one(ledger: TrialLedger) -> None:
    first = ledger.begin(told("k", "same"))
    second = ledger.begin(told("k", "same", digest="later"))
    assert second.run == first.run
    assert not ledger.has_finished(second)
    ledger.finish(second, {"rank_ic": 0.0})
    assert ledger.has_finished(second)
    (trial,) = ledger.trials("same")
    assert (trial.digest, trial.status) == ("later", "finished")


def test_what_two_machines_begin_at_once_is_one(ledger: TrialLedger) -> None:
    ledger.begin(told("k", "twice"))
    with ledger.store.asked() as client:  # as another machine that had looked before the first had written
        number = client.get_experiment_by_name("alfred/trials/twice").experiment_id
        client.create_run(number, tags={"alfred.key": "k"})
        client.create_run(number, tags={"somebody": "else"})
    assert ledger.count("twice") == 1


def test_deleting_a_trial_does_not_uncount_it(ledger: TrialLedger) -> None:
    trial = ledger.begin(told("k", "deleted"))
    with ledger.store.asked() as client:
        client.delete_run(trial.run)
    assert ledger.count("deleted") == 1
    with ledger.store.asked() as client:
        client.delete_experiment(client.get_run(trial.run).info.experiment_id)
    assert ledger.begin(told("k", "deleted")).run == trial.run
    ledger.begin(told("l", "deleted"))
    assert ledger.count("deleted") == 2


def test_the_text_of_a_foreign_error_is_not_kept(ledger: TrialLedger) -> None:
    trial = ledger.begin(told("k", "secret"))
    with pytest.raises(RuntimeError), on_trial(ledger, [trial]):
        raise RuntimeError("token=hunter2")
    assert ledger.trials("secret")[0].failure == "RuntimeError"


def test_returns_by_hand(ledger: TrialLedger) -> None:
    one = ledger.begin(told("one", "returns"))
    two = ledger.begin(told("two", "returns", protocol="in-sample"))
    ledger.begin(told("three", "returns"))
    ledger.finish(one, {}, {"simple": Series(FIRST, (0.1, 0.2)), "rank_ic": Series(FIRST, (0.5, 0.5))})
    ledger.finish(two, {}, {"simple": Series(FIRST + 1, (0.3, None, 0.4)), "nuanced": Series(FIRST, (0.123456789,))})
    found = ledger.returns("returns")
    assert found.quarters.tolist() == [FIRST, FIRST + 1, FIRST + 2, FIRST + 3]
    assert found.names == ("ridge · simple (one)", "ridge · nuanced", "ridge · simple (two)")
    assert found.trials == ("one", "two", "two")
    nan = np.nan
    expected = [[0.1, 0.1234568, nan], [0.2, nan, 0.3], [nan, nan, nan], [nan, nan, 0.4]]
    np.testing.assert_array_equal(found.values, expected)
    assert ledger.returns("returns", protocol="in-sample", strategy="simple").names == ("ridge · simple",)
    empty = ledger.returns("nobody")
    assert (empty.values.shape, empty.names) == ((0, 0), ())


def test_a_series_that_does_not_fit_is_refused(ledger: TrialLedger) -> None:
    trial = ledger.begin(told("k", "long"))
    with pytest.raises(DataError, match="2000 quarters of simple are too many"):
        ledger.finish(trial, {}, {"simple": Series(0, (0.1234567,) * 2000)})


def test_families_are_listed(ledger: TrialLedger) -> None:
    ledger.begin(told("k", "family_a"))
    assert {"all", "family_a"} <= set(ledger.families())
    assert ledger.trials("family-a") == ()


def test_quarterly_returns_by_hand() -> None:
    dates = ["2004-04-01", "2004-06-30", "2004-09-29", "2004-09-30", "2004-12-31", "2005-02-01"]
    values = [0.999, 1.1, 5.0, 0.55, 0.0, 0.0]
    accounts = pl.DataFrame({"portfolio": "a", "date": dates, "value": values}).with_columns(
        pl.col("date").str.to_date()
    )
    found = quarterly_returns(accounts, "a")
    assert found.first == FIRST + 1
    np.testing.assert_allclose(found.values, [0.1, -0.5, -1.0], rtol=1e-12)
    # An account that begins on a decision date itself (filled at its close) has no quarter before.
    same_day = accounts.with_columns(pl.col("date").replace(accounts["date"][0], pl.date(2004, 3, 31)))
    assert quarterly_returns(same_day, "a") == found
    assert quarterly_returns(accounts, "b").values == ()


def test_nothing_is_told_after_ruin() -> None:
    accounts = pl.DataFrame({"portfolio": "a", "date": ["2004-04-01", "2004-06-30", "2004-09-30"],
                             "value": [1.0, 0.0, 0.0]}).with_columns(pl.col("date").str.to_date())  # fmt: skip
    first, second = quarterly_returns(accounts, "a").values
    assert first == -1.0
    assert np.isnan(second)
    assert Series.parse(Series(0, (first, second)).text()).values == (-1.0, None)


def test_what_is_said_of_a_vault_that_was_opened() -> None:
    looks = tuple(Unsealing(number, "s", f"digest{number}", f"2026-01-0{number}T00:00:00+00:00") for number in (1, 2))
    state = TrialCount("f", 5, 5, 0, 0, "2020-09-30T20:00:00+00:00", looks)
    assert spent(TrialCount("f", 5, 5, 0, 0), "other") == ()
    (said,) = spent(state, "other")
    assert said.startswith(
        "Vault spent: the sealed quarters of the family f were looked at on 2026-01-01 by the study s"
    )
    assert "and 1 more time since" in said
    (said,) = spent(state, "digest2")
    assert said.startswith("Vault opened again: this is look number 2")
    (said,) = spent(state, "digest1")
    assert said.startswith("Vault spent")
    assert spent(TrialCount("f", 5, 5, 0, 0, "", looks[:1]), "digest1") == ()


def test_a_home_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "tracking").write_text("in the way")
    with pytest.raises((OSError, AlfredError)):
        TrialLedger.open(Home(tmp_path))


def test_correlated_tries_count_for_fewer() -> None:
    random = np.random.default_rng(0)
    one, other = random.normal(0.02, 0.1, (2, 200))
    quarters = np.arange(200)

    def found(*columns):
        names = tuple(str(at) for at in range(len(columns)))
        return independent(Returns(quarters, names, names, np.column_stack(columns)))

    assert found(one, one, one)[0] == pytest.approx(1.0)
    assert found(one, other)[0] == pytest.approx(min(2, 2 - np.corrcoef(one, other)[0, 1]))
    ratios = [column.mean() / column.std(ddof=1) for column in (one, other)]
    assert found(one, other)[1] == pytest.approx(np.var(ratios, ddof=1) / 63)
    assert found(one)[1] is None
    assert independent(Returns(quarters[:2], ("a",), ("a",), one[:2, None])) == (1.0, None)
    assert independent(Returns(quarters[:0], (), (), np.zeros((0, 0)))) == (None, None)


@pytest.mark.parametrize("traded", [slice(196, 200), slice(0, 1)], ids=["sealed quarters", "ruined at once"])
def test_a_short_track_does_not_make_the_ledger_forget_the_others(traded: slice) -> None:
    """As after `alfred unseal`, or an early ruin: no quarter is common to all strategies."""
    random = np.random.default_rng(1)
    values = np.full((200, 9), np.nan)
    values[:196, :8] = random.normal(0.02, 0.1, (196, 8))
    names = tuple("abcdefghi")
    before = independent(Returns(np.arange(196), names[:8], names[:8], values[:196, :8]))
    values[traded, 8] = random.normal(0.02, 0.1, traded.stop - traded.start)
    effective, variance = independent(Returns(np.arange(200), names, names, values))
    assert effective == pytest.approx(before[0] + 1, abs=0.4)
    assert variance == pytest.approx(before[1], rel=0.6)


def test_what_two_tries_share_is_compared_pair_by_pair() -> None:
    random = np.random.default_rng(2)
    one, other = random.normal(0.0, 0.1, (2, 60))
    values = np.stack([one, np.where(np.arange(60) < 40, one, np.nan), np.where(np.arange(60) >= 40, other, np.nan)])
    names = ("a", "b", "c")
    effective, _ = independent(Returns(np.arange(60), names, names, values.T))
    alike = np.corrcoef(one[40:], other[40:])[0, 1]
    mean = (1.0 + alike + 0.0) / 3  # a and b are one where both traded, b and c share no quarter
    assert effective == pytest.approx(min(mean + (1 - mean) * 3, 3))
