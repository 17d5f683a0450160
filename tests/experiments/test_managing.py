"""Managers over a run: they learn from what lies before, keep one account, and are judged and written."""

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "manager"))
from managed_run import managed_run
from toy import LONG_ONLY, scene_of

from alfred.backtest.conditions import Conditions
from alfred.backtest.settings import FrictionSettings
from alfred.core.contracts import Bars
from alfred.core.errors import ConfigError, DataError
from alfred.core.home import Home
from alfred.core.progress import Silent
from alfred.experiments import managing as module
from alfred.experiments.manage import manage
from alfred.experiments.managed import load_managed, load_managed_frame
from alfred.experiments.managing import Managing, liquid
from alfred.experiments.stages import Stages
from alfred.experiments.trials import TrialLedger
from alfred.manager.contracts import PolicyDescription, Scene
from alfred.manager.policies import equal_weight
from alfred.manager.settings import ManagerSettings
from alfred.manager.tracks import Track, growth, load_track, under

SETTINGS = ManagerSettings(first_periods=8, refit_periods=5, seeds=(0, 1), frictions=FrictionSettings())


@dataclass(frozen=True)
class Leaning:
    """Weights that were learnt: names by what they had gained, and a little by chance."""

    share: tuple[float, ...]

    def weights(self, observation):
        return np.where(observation.mask, np.array(self.share), 0.0) * (0.5 + 0.5 * observation.held.sum())

    def save(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "share.json").write_text(json.dumps(self.share))


class Learner:
    """A policy's module, as far as managing asks for it; remembers what it was shown."""

    DESCRIPTION = PolicyDescription("leaning", learns=True, uses_forecasts=True, reference="this test")

    def __init__(self):
        self.shown = []

    def fit(self, scene, settings, seed, progress):
        self.shown.append((len(scene), seed, str(scene.bars.dates[-1])))
        gained = scene.bars.total[-1] / scene.bars.total[0] * np.exp(np.random.default_rng(seed).normal(0, 0.1))
        tilt = gained + scene.outlook.mean.sum(axis=0)
        return Leaning(tuple((np.exp(tilt) / np.exp(tilt).sum()).tolist()))

    def restore(self, folder):
        return Leaning(tuple(json.loads((folder / "share.json").read_text())))


@pytest.fixture
def learner(monkeypatch):
    found = Learner()
    monkeypatch.setattr(module, "_policy", lambda name: equal_weight if name == "equal-weight" else found)
    return found


def toy(decisions: int = 20, names: int = 4, seed: int = 0) -> Scene:
    return scene_of(np.random.default_rng(seed).normal(0.02, 0.08, (decisions, names)), noise=0.01, seed=seed)


def managed(scene: Scene, folder: Path, **changes: object) -> Managing:
    settings = SETTINGS.model_copy(update={"policies": ("leaning",), **changes})
    return Managing(scene, settings, Stages(folder), Silent())


def test_a_policy_learns_from_what_lies_before_and_again_after_some_periods(learner: Learner, tmp_path: Path) -> None:
    scene = toy()
    managing = managed(scene, tmp_path)
    tracks = managing.tracks("leaning")
    last = [str(scene.dates[stop]) for stop in (8, 13, 18)]  # the close of the decision to come, not its fill
    assert learner.shown == [(n, seed, end) for seed in (0, 1) for n, end in zip((8, 13, 18), last, strict=True)]
    assert len(tracks) == 2
    assert not np.array_equal(tracks[0].value, tracks[1].value)
    # Each fit decides from the decision after those it learnt from.
    fitted = managing.fitted("leaning", 0)
    assert (fitted.since == scene.dates[[8, 13, 18]]).all()
    for at, office in ((0, 0), (4, 0), (5, 1), (9, 1), (10, 2), (11, 2)):
        observation = scene.observe(8 + at, tracks[0].shown[at])
        np.testing.assert_array_equal(tracks[0].targets[at], fitted.policies[office].weights(observation))


def test_the_account_goes_on_when_the_policy_is_fitted_anew(learner: Learner, tmp_path: Path) -> None:
    scene = toy()
    track = managed(scene, tmp_path).tracks("leaning")[0]
    judged = scene.span(8, 20)
    assert len(track.value) == judged.rows[-1] - judged.rows[0] + 1
    assert track.shown[0].sum() == 0.0
    assert (track.shown[1:].sum(axis=1) > 0.4).all()
    assert growth(track, judged).sum() == pytest.approx(np.log(track.value[-1]), abs=1e-12)
    held = track.weights[4] @ (judged.bars.total[judged.rows[5]] / judged.bars.total[judged.rows[4]])
    grown = held + 1.0 - track.weights[4].sum()
    assert np.exp(growth(track, judged)[4]) == pytest.approx(grown, rel=1e-9)


@pytest.mark.parametrize("at", [13, 14])
def test_nothing_after_a_date_moves_a_decision_before_it(learner: Learner, tmp_path: Path, at: int) -> None:
    """The same past and three other futures: prices, forecasts, columns and masks. On 13 a new fit takes over."""
    scene = toy()
    first = managed(scene, tmp_path / "a").tracks("leaning")
    for seed in (1, 2, 3):
        other, random = toy(seed=seed), np.random.default_rng(seed)
        later = np.arange(len(scene)) > at
        after = np.arange(len(scene.bars.dates)) > scene.decided[at]
        total = np.where(after[:, None], other.bars.total, scene.bars.total)
        outlook = replace(scene.outlook, mean=np.where(later[:, None], other.outlook.mean, scene.outlook.mean))
        moved = replace(
            scene,
            bars=Bars(scene.bars.dates, scene.bars.symbols, total, total),
            outlook=outlook,
            observed=np.where(later[:, None, None], other.observed, scene.observed),
            market=np.where(later[:, None], 9.0, scene.market),
            mask=np.where(later[:, None], random.random(scene.mask.shape) > 0.4, scene.mask),
        )
        second = managed(moved, tmp_path / str(seed)).tracks("leaning")
        for one, two in zip(first, second, strict=True):
            np.testing.assert_array_equal(one.targets[: at - 7], two.targets[: at - 7])
            np.testing.assert_array_equal(one.shown[: at - 7], two.shown[: at - 7])
            assert not np.array_equal(one.targets[at - 7 :], two.targets[at - 7 :])


def test_finished_fits_and_accounts_are_taken_up(learner: Learner, tmp_path: Path) -> None:
    scene = toy()
    first = managed(scene, tmp_path).tracks("leaning")
    learner.shown.clear()
    again = managed(scene, tmp_path).tracks("leaning")
    assert learner.shown == []
    np.testing.assert_array_equal(first[1].value, again[1].value)
    # One more seed costs its own fits; other limits mean other fits.
    managed(scene, tmp_path, seeds=(0, 1, 2)).tracks("leaning")
    assert [seed for _, seed, _ in learner.shown] == [2, 2, 2]
    learner.shown.clear()
    managed(scene, tmp_path, limits=LONG_ONLY.model_copy(update={"name_max": 0.5})).tracks("leaning")
    assert len(learner.shown) == 6


def test_a_track_is_kept_and_the_same_decisions_meet_other_costs(learner: Learner, tmp_path: Path) -> None:
    scene = toy()
    managing = managed(scene, tmp_path)
    (track, _), judged = managing.tracks("leaning"), managing.judged
    track.save(tmp_path)
    kept = load_track(tmp_path)
    assert isinstance(kept, Track)
    np.testing.assert_array_equal(kept.costs, track.costs)
    np.testing.assert_allclose(under(judged, track, judged.reality.frictions).value, track.value, rtol=1e-12)
    dear = under(judged, track, FrictionSettings(commission_bps=50.0))
    # Half a per cent of what is traded, of an account that has not yet paid for trades to come.
    assert dear.costs.sum() == pytest.approx(0.005 * track.turnover.sum(), rel=0.2)
    assert dear.value[-1] < track.value[-1]
    (tmp_path / "track.npz").write_bytes(b"no archive")
    with pytest.raises(DataError, match="holds no account of a policy"):
        load_track(tmp_path)


def test_liquid_names_are_the_upper_half_of_each_decision() -> None:
    scene = toy(decisions=10, names=5)
    volume = np.tile(np.array([1.0, 2.0, 3.0, 4.0, np.nan]), (len(scene.bars.dates), 1))
    later = scene.decided[6]
    volume[later - 62 : later + 1, 0] = 9.0
    conditions = replace(scene.reality.conditions, dollar_volume=volume)
    found = liquid(replace(scene, reality=replace(scene.reality, conditions=conditions)))
    assert found is not None
    # What was not known not to be nothing counts as nothing: 0, 1, 2, 3, 4.
    assert (found.mask[:3] == [False, True, True, True, False]).all()
    assert found.mask[6].tolist() == [True, False, True, True, False]
    assert liquid(replace(scene, reality=replace(scene.reality, conditions=Conditions()))) is None


def test_fewer_names_are_decided_about_by_what_was_learnt_from_all(learner: Learner, tmp_path: Path) -> None:
    scene = toy()
    whole = managed(scene, tmp_path)
    first = whole.tracks("leaning")
    learner.shown.clear()
    narrow = replace(scene, mask=scene.mask & (np.arange(4) < 2))
    second = replace(whole, scene=narrow, past=scene).tracks("leaning")
    assert learner.shown == []
    np.testing.assert_array_equal(second[0].targets[0, :2], first[0].targets[0, :2])
    assert not second[0].targets[:, 2:].any()


def test_too_few_decisions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the run has 9 decisions, of which first_periods keeps 8 to learn from"):
        managed(toy(decisions=9), tmp_path)


def test_a_run_is_managed_judged_and_written(tmp_path_factory: pytest.TempPathFactory) -> None:
    home = Home(tmp_path_factory.getbasetemp() / "managed")
    run = managed_run(home)
    settings = ManagerSettings(first_periods=8, policies=("cash", "inverse-volatility", "top-decile"))
    record = manage(run, home, settings)
    assert record.order == ("cash", "equal-weight", "inverse-volatility", "top-decile")
    assert record.periods == 27 - 8
    assert record.first == "2010-03-31"
    assert record.verdict[0].startswith("Top decile: Not shown to beat 1/N (log growth ")
    assert "Volume is not known" in record.warnings[0]
    assert load_managed(run) == record
    assert record.of("cash").growth == 0.0
    accounts = load_managed_frame(run, "accounts").filter(pl.col("policy") == "equal-weight")
    last = accounts["value"][-1]
    assert np.log(last) / (record.periods / 4) == pytest.approx(record.of("equal-weight").growth, abs=1e-12)
    decisions = load_managed_frame(run, "decisions").filter(pl.col("policy") == "equal-weight")
    assert decisions["names"].to_list() == [6] * 19
    paid = decisions.select("filled_on", cost=pl.col("commission") + pl.col("spread") + pl.col("impact"))
    after = paid.join(accounts.select(filled_on="date", value="value"), on="filled_on")
    share = after.select((pl.col("cost") / (pl.col("value") + pl.col("cost"))).sum()).item()
    assert share / (19 / 4) == pytest.approx(record.of("equal-weight").costs, rel=1e-9)
    # Nothing was traded at 5 bps more than is lost by it.
    costs = [one.growth for one in record.costs if one.policy == "top-decile"]
    assert costs == sorted(costs, reverse=True)
    assert costs[0] == pytest.approx(record.of("top-decile").growth, abs=1e-12)
    assert manage(run, home, settings) == record
    trials = {one.analyst: one for one in TrialLedger.open(home).trials("small")}
    assert {"inverse-volatility (manager)", "top-decile (manager)"} <= set(trials)
    assert not {"cash (manager)", "equal-weight (manager)"} & set(trials)
    tried = trials["top-decile (manager)"]
    assert tried.status == "finished"
    assert tried.figures is not None
    assert tried.figures["growth"] == pytest.approx(record.of("top-decile").growth)
    assert tried.series is not None
    assert len(tried.series["top-decile"].values) == 19
    # A ledger that does not have them is told: another server, or a command that was killed at its very end.
    elsewhere = replace(home, shared_tracking=f"sqlite:///{home.root / 'elsewhere.db'}")
    again = manage(run, elsewhere, settings)
    assert again.figures == record.figures
    told = {one.analyst: one for one in TrialLedger.open(elsewhere).trials("small")}
    assert {name: one.series for name, one in told.items()} == {
        name: trials[name].series for name in ("inverse-volatility (manager)", "top-decile (manager)")
    }
    with pytest.raises(DataError, match="has no policy 'gradient'"):
        record.of("gradient")
    with pytest.raises(ConfigError, match="the run has no analyst 'lightgbm'"):
        manage(run, home, settings.model_copy(update={"analysts": ("lightgbm",)}))
