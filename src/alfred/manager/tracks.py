"""Accounts of a policy as they are kept and judged, one a seed, and the same decisions under other frictions."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from alfred.backtest.realistic import RealisticAccount, run_realistic
from alfred.backtest.settings import FrictionSettings
from alfred.core.contracts import Floats
from alfred.core.errors import DataError
from alfred.manager.contracts import Scene
from alfred.manager.run import ManagedAccount

FILE = "track.npz"
RUIN = 1e-4
"""Growth is counted down to this share of the initial capital, so that a ruined account has one."""


@dataclass(frozen=True, eq=False)
class Track:
    """One account; R of D decisions were done, fewer where it was ruined, and the rest is zero.

    Attributes:
        value: (T,) of the account in units of the initial capital, by session from the first fill on.
        targets: (D, S) weights asked for, 0 for names that may not be held, before limits.
        shown: (D, S) weights held before each trade.
        weights: (D, S) held after it.
        turnover: (D,) traded value over account value; buying 100% counts 1.
        costs: (D, 3) commission, spread and impact of each trade, in units of the initial capital.
        borrow: fees paid for shorts, in the same.
        done: R.
    """

    value: Floats
    targets: Floats
    shown: Floats
    weights: Floats
    turnover: Floats
    costs: Floats
    borrow: float
    done: int

    def save(self, folder: Path) -> None:
        """Write it as plain arrays."""
        np.savez_compressed(
            folder / FILE,
            allow_pickle=False,
            value=self.value,
            targets=self.targets,
            shown=self.shown,
            weights=self.weights,
            turnover=self.turnover,
            costs=self.costs,
            borrow=np.float64(self.borrow),
            done=np.int64(self.done),
        )

    @property
    def ruined(self) -> bool:
        """Whether nothing was left."""
        return bool(self.value[-1] <= 0.0)


def load_track(folder: Path) -> Track:
    """What `Track.save` wrote.

    Raises:
        DataError: there is none, or a damaged one.
    """
    try:
        with np.load(folder / FILE, allow_pickle=False) as kept:
            arrays = dict(kept)
        return Track(**arrays | {"borrow": float(arrays["borrow"]), "done": int(arrays["done"])})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder} holds no account of a policy; manage the study again.") from error


def track_of(scene: Scene, managed: ManagedAccount) -> Track:
    """An account of a whole scene."""
    return _track(scene, managed.run, managed.targets, managed.held, scene.reality.frictions.capital_usd)


def under(scene: Scene, track: Track, frictions: FrictionSettings) -> Track:
    """The account that the same decisions make under other frictions.

    The policy is not asked again: its targets stand.
    """
    return _track(scene, account_of(scene, track, frictions), track.targets, track.shown, frictions.capital_usd)


def account_of(scene: Scene, track: Track, frictions: FrictionSettings | None = None) -> RealisticAccount:
    """The account that a track's targets make, with all its flows; `frictions` in place of the scene's."""
    whole = scene.span(0, len(scene))
    reality = whole.reality if frictions is None else replace(whole.reality, frictions=frictions)
    return run_realistic(whole.bars, track.targets, whole.rows[:-1], reality)


def growth(track: Track, scene: Scene) -> Floats:
    """(D,) log growth of each period, from the initial capital and a decision's fill to the next one's, net of both."""
    at = scene.rows - scene.rows[0]
    value = np.maximum(track.value[at], RUIN)
    value[0] = 1.0
    found: Floats = np.diff(np.log(value))
    return found


def periods_a_year(scene: Scene) -> float:
    """4 for quarters, 12 for months."""
    days = np.diff(scene.dates).astype(np.int64)
    return float(np.round(365.25 / np.median(days)))


def _track(scene: Scene, run: RealisticAccount, targets: Floats, shown: Floats, capital_usd: float) -> Track:
    paid = np.stack([run.commission, run.spread, run.impact], axis=1)
    return Track(
        value=run.account.value,
        targets=_filled(targets, len(scene)),
        shown=_filled(shown, len(scene)),
        weights=_filled(run.weights, len(scene)),
        turnover=_filled(run.account.turnover, len(scene)),
        costs=_filled(paid / capital_usd, len(scene)),
        borrow=run.account.borrow,
        done=len(paid),
    )


def _filled(rows: Floats, decisions: int) -> Floats:
    """The rows, and zeros for decisions that were not taken."""
    found = np.zeros((decisions, *rows.shape[1:]))
    found[: len(rows)] = rows
    return found
