"""A training in progress as one file a member: tensors, and how far it has come as JSON in the header. No pickle.

A file is named after everything that its training's result depends on, so that another training, or other code, finds
none. A member's file does not depend on who trained beside it.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as tensor_bytes
from torch import Tensor, nn

from alfred.core.contracts import Windows
from alfred.core.digest import code_digest, digest_of
from alfred.core.storage import write_whole
from alfred.training.course import Course
from alfred.training.losses import Loss
from alfred.training.settings import TrainSettings

FORMAT = "alfred.checkpoint.1"
_COURSE = TypeAdapter(Course)


@dataclass(frozen=True)
class Checkpoints:
    """Where trainings in progress are kept, and how often they are written.

    Attributes:
        folder: made when first written to. Files of trainings that have ended well are removed.
        seconds: least time between two writings. At 0 every epoch is written.
    """

    folder: Path
    seconds: float = 60.0


class Shelf:
    """A member's place in the folder."""

    def __init__(self, checkpoints: Checkpoints, name: str) -> None:
        self._path = checkpoints.folder / f"{name}.safetensors"
        self._every = checkpoints.seconds
        self._written = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether the time has come to write again."""
        return time.monotonic() - self._written >= self._every

    def write(self, course: Course, tensors: Mapping[str, Tensor]) -> None:
        """Write the whole file, or leave the older one."""
        header = {"format": FORMAT, "course": _COURSE.dump_json(course).decode()}
        write_whole(self._path, tensor_bytes({name: t.contiguous() for name, t in tensors.items()}, header))
        self._written = time.monotonic()

    def read(self, shapes: Mapping[str, tuple[int, ...]]) -> tuple[Course, dict[str, Tensor]] | None:
        """What was written, or None where there is nothing of these shapes that can be read."""
        if not self._path.is_file():
            return None
        try:
            with safe_open(self._path, framework="pt") as file:
                course = _COURSE.validate_json(file.metadata()["course"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, ValidationError, KeyError, TypeError, OSError):
            return None
        return (course, tensors) if {n: tuple(t.shape) for n, t in tensors.items()} == dict(shapes) else None

    def clear(self) -> None:
        """The training has ended well."""
        self._path.unlink(missing_ok=True)


def name_of(
    network: nn.Module, rows: Sequence[Windows], loss: Loss, settings: TrainSettings, *, seed: int, device: str
) -> str:
    """Digest of all that a member's result depends on: rows, first weights, seed, settings, device and code."""
    arrays = [array for part in rows for array in (part.cells, part.index, np.asarray(part.y))]
    weights = [weight.detach().cpu().numpy() for weight in network.state_dict().values()]
    chosen = settings.model_dump(mode="json", exclude={"members"})
    parts = (code_digest(), torch.__version__, device, chosen, loss.name, loss.head, seed)
    return digest_of(FORMAT, *parts, *arrays, *weights)
