"""How raw quarters of a panel become one analyst's rows: what a `WindowMaker` learnt, kept without its panel.

In a folder it is `preparation.json` and `preparation.safetensors`. Neither can carry code.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from safetensors import SafetensorError
from safetensors.numpy import load as parse_tensors
from safetensors.numpy import save as tensor_bytes

from alfred.core.contracts import Bools, Floats, Windows
from alfred.core.errors import ConfigError, DataError
from alfred.core.settings import Settings
from alfred.core.storage import write_whole
from alfred.panel.catalogue import Scaling
from alfred.panel.panel import Panel
from alfred.panel.scaling import Scaler
from alfred.panel.windows import INDICATOR, WindowMaker

FORMAT: Literal["alfred.preparation.1"] = "alfred.preparation.1"
DESCRIPTION, NUMBERS = "preparation.json", "preparation.safetensors"
_RANKS = "ranks."


class SavedPreparation(Settings):
    """Content of `preparation.json`; the attributes are those of `Preparation` and `Scaler`."""

    format: Literal["alfred.preparation.1"] = FORMAT
    columns: tuple[str, ...] = Field(min_length=1)
    rules: tuple[Scaling, ...]
    used: tuple[bool, ...]
    indicators: tuple[tuple[int, ...], ...]
    quarters: int = Field(ge=1)
    clip: float = Field(gt=0, allow_inf_nan=False)
    numbers_sha256: str


@dataclass(frozen=True)
class Preparation:
    """What the training rows decided about rows to come.

    Attributes:
        scaler: of F columns of a panel.
        used, indicators, quarters: as in `WindowMaker`.
    """

    scaler: Scaler
    used: Bools
    indicators: tuple[NDArray[np.int64], ...]
    quarters: int

    @classmethod
    def of(cls, maker: WindowMaker) -> Self:
        """What a maker of windows learnt."""
        return cls(maker.scaler, maker.used, maker.indicators, maker.quarters)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the panel's columns that an analyst's rows are made of."""
        return tuple(np.array(self.scaler.columns, dtype=object)[self.used].tolist())

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the windows' columns: the features, then the indicators."""
        return (*self.features, *(f"{INDICATOR}{self.scaler.columns[group[0]]}" for group in self.indicators))

    def lacking(self, panel: Panel) -> tuple[str, ...]:
        """Those of the features that a panel does not have; in its rows they are missing everywhere."""
        return tuple(name for name in self.features if name not in panel.features)

    def windows(self, panel: Panel, dates: NDArray[np.int64], symbols: tuple[str, ...], target: str) -> Windows:
        """The listed rows of some dates and symbols, scaled as the training rows were, without labels.

        Columns that the panel has beyond those of the training are left aside; see `lacking` for the others.

        Args:
            panel: raw quarters, as `build_panel` makes them; L of them are looked at.
            dates: positions in the panel.
            symbols: names of the panel.
            target: label to forecast.

        Raises:
            DataError: a symbol is not in the panel, or none is listed on these dates.
        """
        place = {name: at for at, name in enumerate(panel.features)}
        values = np.full((*panel.listed.shape, len(self.scaler.columns)), np.nan)
        for at, name in enumerate(self.scaler.columns):
            if name in place:
                values[:, :, at] = panel.values[:, :, place[name]]
        raw = replace(panel, features=self.scaler.columns, values=values)
        maker = WindowMaker(raw, self.scaler, self.used, self.indicators, self.quarters)
        return maker.windows(dates, symbols, target, labelled=False)

    def save(self, folder: Path) -> None:
        """Write it into `folder`."""
        scaler = self.scaler
        numbers = {"center": scaler.center, "spread": scaler.spread, "power": scaler.power}
        numbers |= {f"{_RANKS}{at}": one for at, one in enumerate(scaler.ranks) if one is not None}
        content = tensor_bytes(
            {name: np.ascontiguousarray(one, np.float64) for name, one in numbers.items()}, {"format": FORMAT}
        )
        saved = SavedPreparation(
            columns=scaler.columns,
            rules=scaler.rules,
            used=tuple(self.used.tolist()),
            indicators=tuple(tuple(group.tolist()) for group in self.indicators),
            quarters=self.quarters,
            clip=scaler.clip,
            numbers_sha256=hashlib.sha256(content).hexdigest(),
        )
        write_whole(folder / NUMBERS, content)
        write_whole(folder / DESCRIPTION, saved.model_dump_json(indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path) -> "Preparation":
        """Read what `save` wrote.

        Raises:
            DataError: a file is absent, was changed, or holds something else.
        """
        path = folder / DESCRIPTION
        try:
            form, content = json.loads(path.read_bytes()), (folder / NUMBERS).read_bytes()
        except (OSError, ValueError) as error:
            raise DataError(f"{folder} holds no readable preparation ({type(error).__name__}).") from error
        if not isinstance(form, dict) or form.get("format") != FORMAT:
            raise DataError(f"{path} is not of the format {FORMAT}; it belongs to another program or version.")
        try:
            saved = SavedPreparation.parse(form, str(path))
        except ConfigError as error:
            raise DataError(str(error)) from error
        if hashlib.sha256(content).hexdigest() != saved.numbers_sha256:
            raise DataError(f"{folder / NUMBERS} is not the file that {DESCRIPTION} was written with.")
        try:
            numbers = parse_tensors(content)
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"{folder / NUMBERS} is no safetensors file ({error}).") from error
        return _restored(saved, numbers, str(folder / NUMBERS))


def _restored(saved: SavedPreparation, numbers: dict[str, NDArray[Any]], path: str) -> Preparation:
    """The parts put together, once they fit."""
    width = len(saved.columns)
    used = np.array(saved.used, np.bool_)
    ranked = {at for at, rule in enumerate(saved.rules) if rule == "rank" and used[at : at + 1].any()}
    given = {int(name.removeprefix(_RANKS)) for name in numbers if name.removeprefix(_RANKS).isdecimal()}
    expected = {"center", "spread", "power", *(f"{_RANKS}{at}" for at in given)}
    inside = all(group and all(0 <= at < width for at in group) for group in saved.indicators)
    if not (len(saved.rules) == len(used) == width and inside and set(numbers) == expected and ranked <= given):
        raise DataError(f"{path} does not belong to the {width} columns beside it; the files were put together anew.")
    for name in ("center", "spread", "power"):
        if numbers[name].shape != (width,) or numbers[name].dtype != np.float64:
            raise DataError(f"{path} holds {name} of {numbers[name].shape}, not of the {width} columns beside it.")
    for at in given:
        one = numbers[f"{_RANKS}{at}"]
        if at >= width or one.ndim != 2 or len(one) != 2 or not one.shape[1] or not np.isfinite(one).all():
            raise DataError(f"{path} holds ranks that are none.")
    known = np.isfinite(numbers["center"][used]) & (numbers["spread"][used] > 0)
    if not known.all():
        raise DataError(f"{path} has no scale for a column that rows are made of.")
    ranks: tuple[Floats | None, ...] = tuple(numbers.get(f"{_RANKS}{at}") for at in range(width))
    scaler = Scaler(
        saved.columns, saved.rules, numbers["center"], numbers["spread"], numbers["power"], ranks, saved.clip
    )
    return Preparation(scaler, used, tuple(np.array(group, np.int64) for group in saved.indicators), saved.quarters)
