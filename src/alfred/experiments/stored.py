"""A fitted analyst as it is handed on: what it learnt, how raw quarters become its rows, and where it comes from.

| file of the folder | holds |
| --- | --- |
| `manifest.json` | the `Manifest`: format, what it is, and size and SHA-256 of every other file |
| `analyst/...` | what `FittedAnalyst.save` wrote: JSON and safetensors |
| `preparation.json`, `preparation.safetensors` | columns, scaler and length of windows (`alfred.panel.preparation`) |

Nothing in it can carry code. A folder is read only if it holds exactly the files of its manifest, each as it was
written, and if the manifest itself is the one whose SHA-256 the tracking data know.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
import polars as pl
from pydantic import ConfigDict, Field, ValidationError

from alfred.analysts import read_saved, restore_analyst
from alfred.core.contracts import FittedAnalyst
from alfred.core.errors import ConfigError, DataError
from alfred.core.settings import Settings
from alfred.core.storage import write_whole
from alfred.panel.panel import Panel
from alfred.panel.preparation import Preparation

FORMAT: Literal["alfred.model.1"] = "alfred.model.1"
MANIFEST, ANALYST = "manifest.json", "analyst"
SUFFIXES = (".json", ".safetensors")


class About(Settings):
    """What a stored analyst is.

    Attributes:
        analyst: entry of the study, such as "ridge:excess".
        seed: of the training.
        label, horizon_quarters: what it forecasts, and how far ahead.
        quarters: of history in its windows.
        train_first, train_last, valid_last: decision dates (ISO): learnt from, and last chosen and calibrated on.
        training, evaluation: names that it learnt from and that it was judged on.
        protocol: the question its run answered.
        data, panel: the study's settings of these sections.
        levels_usable: whether quoted price levels were at hand.
        data_digest, panel_digest, code_digest: of what it was made from and by.
        alfred_version, created_at: likewise.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=True, ser_json_inf_nan="constants")

    analyst: str
    seed: int
    label: str
    horizon_quarters: int = Field(ge=1)
    quarters: int = Field(ge=1)
    train_first: str
    train_last: str
    valid_last: str
    training: tuple[str, ...]
    evaluation: tuple[str, ...]
    protocol: str
    data: dict[str, Any]
    panel: dict[str, Any]
    levels_usable: bool
    data_digest: str
    panel_digest: str
    code_digest: str
    alfred_version: str
    created_at: str


class File(Settings):
    """One file of a stored analyst, its path with forward slashes."""

    path: str
    size: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Manifest(Settings):
    """Content of `manifest.json`."""

    format: Literal["alfred.model.1"] = FORMAT
    about: About
    files: tuple[File, ...]


@dataclass(frozen=True)
class StoredAnalyst:
    """An analyst that is ready to forecast.

    Attributes:
        about: what it is.
        fitted: what it learnt, to the last bit.
        preparation: how raw quarters become its rows.
    """

    about: About
    fitted: FittedAnalyst
    preparation: Preparation

    def forecast(self, panel: Panel, as_of: str | None = None, symbols: Sequence[str] | None = None) -> pl.DataFrame:
        """Forecast from raw quarters.

        Its confidence is that of its validation rows; a run's tables hold one that rolls on over the test quarters.

        Args:
            panel: as `build_panel` makes it with the settings `about.panel`.
            as_of: decision date (ISO) of the panel; default its last.
            symbols: names of the panel; default all that are listed on the date.

        Returns:
            One row a listed name: symbol, as_of, target, horizon_quarters, mean, lower, upper, prob_up, level.

        Raises:
            ConfigError: the panel has no such date.
            DataError: the panel has no such symbol, none is listed on the date, or its labels lie another number of
                quarters ahead.
        """
        dates = [str(date) for date in panel.dates]
        if as_of is not None and as_of not in dates:
            raise ConfigError(f"{as_of} is no decision date of the panel; the last ones are {', '.join(dates[-4:])}.")
        at = np.array([len(dates) - 1 if as_of is None else dates.index(as_of)])
        names = panel.symbols if symbols is None else tuple(symbols)
        windows = self.preparation.windows(panel, at, names, self.about.label)
        forecast = self.fitted.predict(windows)
        return pl.DataFrame(
            {
                "symbol": windows.symbols.tolist(),
                "as_of": windows.dates,
                "target": windows.target,
                "horizon_quarters": windows.horizon_quarters,
                "mean": forecast.mean,
                "lower": forecast.lower,
                "upper": forecast.upper,
                "prob_up": forecast.prob_up,
                "level": forecast.level,
            },
            schema_overrides={"symbol": pl.String, "as_of": pl.Date},
        )


def write_stored(folder: Path, about: About, fitted: FittedAnalyst, preparation: Preparation) -> None:
    """Write an analyst into an empty folder; the manifest comes last."""
    fitted.save(folder / ANALYST)
    preparation.save(folder)
    files = tuple(_file(folder, path) for path in _files(folder))
    write_whole(folder / MANIFEST, Manifest(about=about, files=files).model_dump_json(indent=1) + "\n")


def manifest_of(folder: Path, sha256: str | None = None, name: str = "") -> Manifest:
    """The manifest of a folder whose every file is as it was written.

    Args:
        folder: to look at.
        sha256: what is known of the manifest from elsewhere.
        name: what messages call the folder; default its path.

    Raises:
        DataError: something is absent, was changed, or does not belong.
    """
    name = name or str(folder)
    manifest = parse_manifest(_content(folder / MANIFEST), name, sha256)
    listed = {one.path for one in manifest.files}
    foreign = sorted(set(_files(folder)) - listed)
    if foreign:
        raise DataError(f"{name} holds {foreign[0]}, which its manifest does not name; nothing of it was read.")
    for one in manifest.files:
        path = folder / one.path
        if path.is_symlink() or not path.is_file():
            raise DataError(f"{name} lacks {one.path}, which its manifest names.")
        if _file(folder, one.path) != one:
            raise DataError(f"{one.path} of {name} is not as it was stored: its SHA-256 differs. Nothing was read.")
    return manifest


def parse_manifest(content: bytes, where: str, sha256: str | None = None) -> Manifest:
    """A manifest from its bytes.

    Args:
        content: of `manifest.json`.
        where: it was found, for messages.
        sha256: what it must have.

    Raises:
        DataError: it is another, or names files outside its folder.
    """
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise DataError(f"the manifest of {where} is not the one that was stored: its SHA-256 differs.")
    try:
        manifest = Manifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise DataError(f"{where} holds no manifest of the format {FORMAT} ({place}: {first['msg']}).") from error
    for one in manifest.files:
        path = PurePosixPath(one.path)
        if path.is_absolute() or ".." in path.parts or "\\" in one.path or str(path) != one.path:
            raise DataError(f"the manifest of {where} names {one.path!r}, which lies outside the model's folder.")
        if path.suffix not in SUFFIXES:
            raise DataError(f"the manifest of {where} names {one.path!r}; a model holds JSON and safetensors only.")
    return manifest


def read_stored(folder: Path, sha256: str | None = None, name: str = "") -> StoredAnalyst:
    """An analyst from its folder.

    Args:
        folder: as `write_stored` left it.
        sha256: what is known of its manifest from elsewhere.
        name: what messages call the folder; default its path.

    Raises:
        DataError: something is absent, was changed, does not belong together, or is of another format; no code of the
            folder is run.
    """
    manifest = manifest_of(folder, sha256, name)
    preparation = Preparation.load(folder)
    inputs = read_saved(folder / ANALYST).inputs
    about = manifest.about
    told = (about.label, about.horizon_quarters, about.quarters, preparation.quarters, preparation.columns)
    if told != (inputs.target, inputs.horizon_quarters, inputs.quarters, inputs.quarters, inputs.columns):
        raise DataError(f"the parts of {name or folder} are not of one model; they were put together by hand.")
    return StoredAnalyst(about, restore_analyst(folder / ANALYST), preparation)


def size_of(manifest: Manifest) -> int:
    """Bytes of all files."""
    return sum(one.size for one in manifest.files)


def _files(folder: Path) -> list[str]:
    paths = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink() or path.is_file())
    return sorted(path for path in paths if path not in {MANIFEST, "stage.json"})


def _file(folder: Path, path: str) -> File:
    content = _content(folder / path)
    return File(path=path, size=len(content), sha256=hashlib.sha256(content).hexdigest())


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); it is no whole model.") from error
