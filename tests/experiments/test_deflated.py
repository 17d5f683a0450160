"""The ledger's tries in the deflated Sharpe ratio: none of them counts for nothing."""

import pytest

from alfred.evaluation.deflation import Track, Trials, deflated_sharpe, expected_maximum_sharpe, probabilistic_sharpe
from alfred.experiments.deflated import all_tries, of_ledger
from alfred.experiments.record import TrialCount


def counted(**changes: object) -> TrialCount:
    return TrialCount("f", 0, 0, 0, 0, **changes)  # type: ignore[arg-type]


def test_failed_and_killed_tries_count_before_any_has_returns() -> None:
    assert of_ledger(None) is None
    assert of_ledger(counted()) is None
    assert of_ledger(TrialCount("f", 30, 0, 12, 18)) == Trials(31, 0.0)
    assert of_ledger(TrialCount("f", 9, 9, 0, 0, untraded=8)) == Trials(9, 0.0)


def test_and_where_one_strategy_alone_traded() -> None:
    found = of_ledger(TrialCount("f", 30, 1, 12, 17, effective=1.0))
    assert found == Trials(30, 0.0)
    assert of_ledger(TrialCount("f", 7, 5, 1, 1, effective=3.5, sharpe_variance=0.01)) == Trials(5.5, 0.01)


def test_tries_whose_ratios_nobody_knows_vary_as_chance_makes_them() -> None:
    """A sweep over a study of one strategy: a hundred configurations, one of which traded."""
    track = Track(0.05, 2501)
    tries = all_tries({"ridge · simple": track}, Trials(101, 0.0))
    assert (tries.count, tries.variance) == (101, pytest.approx(1 / 2500))
    # 0.4228 Phi^-1(1 - 1 / 101) + 0.5772 Phi^-1(1 - 1 / 274.5) = 0.4228 2.330 + 0.5772 2.683, in errors of 1 / 50.
    assert expected_maximum_sharpe(tries) * 50 == pytest.approx(2.534, abs=0.002)
    assert deflated_sharpe(track, tries) < 0.55
    assert probabilistic_sharpe(track) > 0.99
    alone = all_tries({"ridge · simple": track}, None)
    assert deflated_sharpe(track, alone) == probabilistic_sharpe(track)


def test_a_variance_that_is_known_stands() -> None:
    tracks = {"a": Track(0.05, 2501), "b": Track(0.01, 2501)}
    assert all_tries(tracks, Trials(9, 0.002)) == Trials(9, 0.002)
    assert all_tries(tracks, Trials(9, 0.0)).variance == pytest.approx(0.0008)
    assert all_tries({}, Trials(9, 0.0)) == Trials(9, 0.0)
