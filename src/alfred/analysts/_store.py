"""A fitted analyst as a folder: `analyst.json` and `weights.safetensors`. Neither can carry code."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from safetensors import SafetensorError
from safetensors.numpy import load as parse_tensors
from safetensors.numpy import save as tensor_bytes

from alfred.analysts._conformal import Calibration
from alfred.analysts._presets import AnalystSpec
from alfred.analysts._scale import LocalScale
from alfred.core.contracts import FitRecord
from alfred.core.errors import ConfigError, DataError
from alfred.core.settings import Settings
from alfred.core.storage import write_whole
from alfred.training.rows import Inputs
from alfred.training.settings import TrainSettings

FORMAT: Literal["alfred.analyst.1"] = "alfred.analyst.1"
DESCRIPTION, WEIGHTS = "analyst.json", "weights.safetensors"
_RESIDUALS, _WEIGHTS = "calibration.residuals", "calibration.weights"
_CONFIDENCE = (_RESIDUALS, _WEIGHTS)

Tensors = Mapping[str, NDArray[Any]]


class SavedCalibration(Settings):
    """A `Calibration` without its residuals and what they count, which lie beside the weights."""

    level: float = Field(gt=0, lt=1)
    half_width: float = Field(ge=0, allow_inf_nan=False)
    rise_share: float | None = Field(default=None, ge=0, le=1)
    scale_base: float = Field(allow_inf_nan=False)
    scale_slope: float = Field(allow_inf_nan=False)
    scale_floor: float = Field(ge=0, allow_inf_nan=False)


class SavedAnalyst(Settings):
    """Content of `analyst.json`: `training` and `seed` of those that have them, `details` what else is its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

    format: Literal["alfred.analyst.1"] = FORMAT
    name: str
    spec: AnalystSpec
    inputs: Inputs
    calibration: SavedCalibration
    record: FitRecord
    details: dict[str, float | str] = {}
    training: TrainSettings | None = None
    seed: int | None = None
    weights_sha256: str


def save_analyst(
    folder: Path,
    spec: AnalystSpec,
    inputs: Inputs,
    calibration: Calibration,
    record: FitRecord,
    *,
    weights: Tensors,
    details: Mapping[str, float | str] | None = None,
    training: TrainSettings | None = None,
    seed: int | None = None,
) -> None:
    """Write a fitted analyst into `folder`, over an older one if there is one."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: np.ascontiguousarray(values) for name, values in weights.items()}
    confidence = {_RESIDUALS: calibration.residuals, _WEIGHTS: calibration.weights}
    content = tensor_bytes({**tensors, **confidence}, metadata={"format": FORMAT})
    write_whole(folder / WEIGHTS, content)
    saved = SavedAnalyst(
        name=spec.name,
        spec=spec,
        inputs=inputs,
        calibration=SavedCalibration(
            level=calibration.level,
            half_width=calibration.half_width,
            rise_share=calibration.rise_share,
            scale_base=calibration.local.base,
            scale_slope=calibration.local.slope,
            scale_floor=calibration.local.floor,
        ),
        record=record,
        details=dict(details or {}),
        training=training,
        seed=seed,
        weights_sha256=hashlib.sha256(content).hexdigest(),
    )
    # Last, because it names the weights' digest: a folder interrupted before this line is refused, not misread.
    write_whole(folder / DESCRIPTION, saved.model_dump_json(indent=2) + "\n")


def read_saved(folder: Path) -> SavedAnalyst:
    """Read `analyst.json`.

    Raises:
        DataError: it is absent, or not what this version writes.
    """
    path = folder / DESCRIPTION
    if not path.is_file():
        raise DataError(f"{folder} holds no analyst: {DESCRIPTION} is absent. Fit and save one first.")
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise DataError(f"{path} is not JSON; it was damaged or belongs to another program.") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise DataError(f"{path} is not of the format {FORMAT}; it belongs to another program or version.")
    try:
        saved = SavedAnalyst.parse(content, str(path))
    except ConfigError as error:
        raise DataError(str(error)) from error
    if saved.name != saved.spec.name:
        raise DataError(f"{path} calls itself {saved.name!r} and {saved.spec.name!r}; it was changed by hand.")
    return saved


def read_analyst(folder: Path, shapes: Mapping[str, tuple[int, ...]]) -> tuple[SavedAnalyst, Tensors, Calibration]:
    """Read a saved analyst whose weights must have these names and shapes.

    Raises:
        DataError: files are absent, were changed since they were written, or are not this analyst's.
    """
    saved = read_saved(folder)
    path = folder / WEIGHTS
    if not path.is_file():
        raise DataError(f"{folder} lacks {WEIGHTS}; save the analyst again.")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != saved.weights_sha256:
        raise DataError(f"{path} is not the file that {DESCRIPTION} was written with; it was changed or replaced.")
    try:
        tensors = parse_tensors(content)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is no safetensors file ({error}).") from error
    found = {name: values.shape for name, values in tensors.items() if name not in _CONFIDENCE}
    confidence = [tensors[name].shape for name in _CONFIDENCE if name in tensors]
    whole = len(confidence) == 2 and confidence[0] == confidence[1] and len(confidence[0]) == 1
    if found != dict(shapes) or not whole:
        apart = sorted(name for name in {*found, *shapes} if found.get(name) != shapes.get(name)) or [_RESIDUALS]
        raise DataError(f"{path} does not hold the weights of {saved.name}; {apart[0]} differs.")
    for name, values in tensors.items():
        if values.dtype not in (np.float32, np.float64) or not np.isfinite(values).all():
            raise DataError(f"{path} holds {name} with values that are not finite numbers.")
    calibration = Calibration(
        target=saved.inputs.target,
        level=saved.calibration.level,
        half_width=saved.calibration.half_width,
        residuals=tensors[_RESIDUALS].astype(np.float64),
        weights=tensors[_WEIGHTS].astype(np.float64),
        local=LocalScale(saved.calibration.scale_base, saved.calibration.scale_slope, saved.calibration.scale_floor),
        rise_share=saved.calibration.rise_share,
    )
    return saved, {name: values for name, values in tensors.items() if name not in _CONFIDENCE}, calibration
