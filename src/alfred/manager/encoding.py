"""Observations as the arrays that networks read: scaled on training decisions, gaps as 0 with a flag, always finite.

The K numbers of a name, in this order (`Encoder.channels` names them):

| channels | what |
| --- | --- |
| held | weight before the trade, cut off at `LARGEST_WEIGHT` either way |
| mask | 1 where the name may be held |
| cash | 1 less the sum of the weights held, cut off likewise; the same for all names |
| 4 + F | the outlook's mean, lower, upper, prob_up and the F columns, scaled; 0 where not known |
| 4 + F | 1 where the former are known |
| M and M | the market's state, scaled, and where it is known; the same for all names |

A scaled value is the distance from the median of the training decisions in interquartile ranges / 1.349, cut off at 5
(`alfred.panel.scaling`, rule "robust").
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from alfred.core.contracts import Floats
from alfred.core.errors import DataError
from alfred.manager.contracts import Observation, Scene
from alfred.panel.scaling import Scaler, fit_scaler

Singles = NDArray[np.float32]

HELD, MASK, CASH, FIRST = 0, 1, 2, 3
"""Places of the first channels; from `FIRST` on, they do not depend on the account."""
OUTLOOK = ("outlook:mean", "outlook:lower", "outlook:upper", "outlook:prob_up")
LARGEST_WEIGHT = 10.0
CLIP = 5.0
RULE: Literal["robust"] = "robust"


@dataclass(frozen=True)
class Encoder:
    """What the training decisions taught of every column.

    Attributes:
        of_names: scaler of the outlook's four figures and the scene's F columns.
        of_market: scaler of its M market columns.
    """

    of_names: Scaler
    of_market: Scaler

    @classmethod
    def fit(cls, scene: Scene) -> Self:
        """Learn medians and ranges from a training scene, of the names that may be held.

        Raises:
            DataError: no name may be held on any decision.
        """
        if not scene.mask.any():
            raise DataError("the training scene has no name that may be held on any decision; look at its mask.")
        names = (*OUTLOOK, *scene.columns)
        return cls(_scaler(names, _names(scene)[scene.mask]), _scaler(scene.market_columns, _finite(scene.market)))

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the K channels; a flag is named like its column, with "known:" before it."""
        names, market = self.of_names.columns, self.of_market.columns
        flags = (f"known:{name}" for name in names)
        return ("held", "mask", "cash", *names, *flags, *market, *(f"known:{name}" for name in market))

    @property
    def market_channels(self) -> int:
        """How many of the last channels are the market's, the same for all names."""
        return 2 * len(self.of_market.columns)

    def tables(self, scene: Scene) -> Singles:
        """(D, S, K) of all decisions of a scene, for an account all in cash: held is 0, cash is 1."""
        self._check(scene.columns, scene.market_columns)
        return self._arrange(scene.mask, _names(scene), _finite(scene.market))

    def encode(self, observation: Observation) -> Singles:
        """(S, K) of one observation, with the weights that it holds."""
        self._check(observation.columns, observation.market_columns)
        seen = observation
        outlook = np.stack([seen.mean, seen.lower, seen.upper, seen.prob_up], axis=-1)
        names = _finite(np.concatenate([outlook, seen.observed], axis=-1))
        found: Singles = self._arrange(seen.mask[None], names[None], _finite(seen.market)[None])[0]
        put_weights(found, seen.held)
        return found

    def save(self, path: Path) -> None:
        """Write what was learnt as JSON; null is a column that no training decision knew."""
        parts = {"names": self.of_names, "market": self.of_market}
        learnt = {
            name: {"columns": part.columns, "center": _listed(part.center), "spread": _listed(part.spread)}
            for name, part in parts.items()
        }
        path.write_text(json.dumps(learnt, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Self:
        """What `save` wrote."""
        learnt = json.loads(path.read_text(encoding="utf-8"))
        parts = [
            _robust(tuple(learnt[name]["columns"]), _array(learnt[name]["center"]), _array(learnt[name]["spread"]))
            for name in ("names", "market")
        ]
        return cls(*parts)

    def _check(self, columns: tuple[str, ...], market: tuple[str, ...]) -> None:
        if (*OUTLOOK, *columns) != self.of_names.columns or market != self.of_market.columns:
            raise DataError(
                f"this encoder learnt the columns {self.of_names.columns[4:]} and {self.of_market.columns}, but got "
                f"{columns} and {market}; fit one on a scene with the same columns."
            )

    def _arrange(self, mask: NDArray[np.bool_], names: Floats, market: Floats) -> Singles:
        decisions, count, _ = names.shape
        wide = len(self.of_names.columns)
        found = np.zeros((decisions, count, len(self.channels)), dtype=np.float32)
        found[..., MASK], found[..., CASH] = mask, 1.0
        scaled = self.of_names.transform(names)
        found[..., FIRST : FIRST + wide] = np.nan_to_num(scaled)
        found[..., FIRST + wide : FIRST + 2 * wide] = ~np.isnan(scaled)
        states, at = self.of_market.transform(market)[:, None], FIRST + 2 * wide
        found[..., at : at + market.shape[1]] = np.nan_to_num(states)
        found[..., at + market.shape[1] :] = ~np.isnan(states)
        return found


def put_weights(encoded: Singles, held: Floats) -> None:
    """Write (..., S) weights held, and the cash beside them, into (..., S, K) encoded observations."""
    encoded[..., HELD] = np.clip(held, -LARGEST_WEIGHT, LARGEST_WEIGHT)
    cash = np.clip(1.0 - held.sum(axis=-1), -LARGEST_WEIGHT, LARGEST_WEIGHT)
    encoded[..., CASH] = cash[..., None]


def _names(scene: Scene) -> Floats:
    """(D, S, 4 + F) the outlook's figures, then the columns; NaN where not known."""
    outlook = scene.outlook
    figures = np.stack([outlook.mean, outlook.lower, outlook.upper, outlook.prob_up], axis=-1)
    return _finite(np.concatenate([figures, scene.observed], axis=-1))


def _finite(values: Floats) -> Floats:
    """An infinite value is none that is known."""
    return np.where(np.isfinite(values), values, np.nan)


def _scaler(columns: tuple[str, ...], training: Floats) -> Scaler:
    return fit_scaler(columns, (RULE,) * len(columns), training, bound=np.inf, clip=CLIP)


def _robust(columns: tuple[str, ...], center: Floats, spread: Floats) -> Scaler:
    none = (None,) * len(columns)
    return Scaler(columns, (RULE,) * len(columns), center, spread, np.full(len(columns), np.nan), none, CLIP)


def _listed(values: Floats) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]


def _array(values: list[float | None]) -> Floats:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
