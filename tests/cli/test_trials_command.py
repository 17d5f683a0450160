"""What `alfred trials --family` says of choosing the best."""

import numpy as np

from alfred.cli.trials import choosing
from alfred.experiments.record import TrialCount
from alfred.experiments.trials import Returns


def returns(values: np.ndarray) -> Returns:
    names = tuple(f"analyst · {at}" for at in range(values.shape[1]))
    return Returns(np.arange(len(values)), names, names, values)


def count(effective: float | None) -> TrialCount:
    return TrialCount("f", 3, 3, 0, 0, effective=effective)


def test_a_strategy_that_is_always_best_is_no_overfitting() -> None:
    noise = np.random.default_rng(0).normal(0, 0.01, (40, 3))
    tries, chance = choosing(count(2.9), returns(noise + np.array([0.2, 0.0, -0.2])))
    assert tries.startswith("f: 3 strategies traded")
    assert "amount to 2.9 independent tries" in tries
    assert "probability of backtest overfitting 0%" in chance


def test_quarters_that_not_all_traded_in_do_not_count() -> None:
    values = np.random.default_rng(0).normal(0, 0.01, (40, 3))
    values[5:, 1] = np.nan
    assert choosing(count(None), returns(values)) == []
