"""A policy that was learnt: network, encoder and what the training found, decided on and kept as a folder.

The folder holds `policy.json`, `encoder.json` and `weights.safetensors`; none of them can carry code.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as parse_tensors
from safetensors.torch import save as tensor_bytes
from torch import Tensor

from alfred.core.contracts import Floats
from alfred.core.errors import DataError
from alfred.core.settings import Settings
from alfred.core.storage import write_whole
from alfred.manager.contracts import Observation
from alfred.manager.encoding import Encoder
from alfred.manager.network import NetworkShape, PortfolioNetwork, portfolio

FORMAT: Literal["alfred.policy.1"] = "alfred.policy.1"
DESCRIPTION, ENCODER, WEIGHTS = "policy.json", "encoder.json", "weights.safetensors"
Decider = Literal["learnt", "equal-weight", "cash"]


class LearningRecord(Settings):
    """What a training found.

    Attributes:
        seed: of it.
        periods, valid_periods: that it learnt from, and that it was judged on.
        steps: that were done.
        best_step: of the look that was chosen, or was best where the start decides.
        gain: mean over the periods it was judged on of its reward less that of the start; null where there are none.
        p_value: chance of such a look where nothing was learnt, given how many there were (`judging.p_values`).
        decider: who decides: what was learnt, or the start where that was not clearly worse.
        seconds: it took.
    """

    seed: int
    periods: int = Field(ge=1)
    valid_periods: int = Field(ge=0)
    steps: int = Field(ge=0)
    best_step: int = Field(ge=0)
    gain: float | None
    p_value: float | None
    decider: Decider
    seconds: float = Field(ge=0.0)


class SavedPolicy(Settings):
    """Content of `policy.json`."""

    format: Literal["alfred.policy.1"] = FORMAT
    name: str
    shape: NetworkShape
    record: LearningRecord
    encoder_sha256: str
    weights_sha256: str


@dataclass(frozen=True)
class LearntPolicy:
    """Decides by its network, or by the start where the training did not clearly beat it.

    Attributes:
        name: of the policy that learnt it.
        encoder: of observations.
        network: on the CPU.
        record: of the training.
    """

    name: str
    encoder: Encoder
    network: PortfolioNetwork
    record: LearningRecord

    def weights(self, observation: Observation) -> Floats:
        """(S,) target weights before limits; exactly 1/N or all cash where the start decides."""
        mask = observation.mask
        if self.record.decider != "learnt":
            start: Floats = start_weights(mask[None], self.record.decider)[0]
            return start
        encoded = torch.from_numpy(self.encoder.encode(observation)[None])
        with torch.no_grad():
            held = torch.from_numpy(observation.held[None])
            found: Floats = decide(self.network, encoded, torch.from_numpy(mask[None]), held)[0].numpy()
        return found

    def save(self, folder: Path) -> None:
        """Write it into `folder`, over an older one if there is one."""
        folder.mkdir(parents=True, exist_ok=True)
        content = tensor_bytes({name: part.contiguous() for name, part in self.network.state_dict().items()})
        self.encoder.save(folder / ENCODER)
        write_whole(folder / WEIGHTS, content)
        saved = SavedPolicy(
            name=self.name,
            shape=self.network.shape,
            record=self.record,
            encoder_sha256=_digest((folder / ENCODER).read_bytes()),
            weights_sha256=_digest(content),
        )
        write_whole(folder / DESCRIPTION, json.dumps(saved.model_dump(mode="json"), indent=1))

    @classmethod
    def restore(cls, folder: Path, name: str) -> Self:
        """What `save` wrote.

        Raises:
            DataError: files are absent, were changed since they were written, or are not this policy's.
        """
        for file in (DESCRIPTION, ENCODER, WEIGHTS):
            if not (folder / file).is_file():
                raise DataError(f"{folder} lacks {file}; save the policy again.")
        try:
            saved = SavedPolicy.model_validate_json((folder / DESCRIPTION).read_bytes())
        except ValidationError as error:
            raise DataError(
                f"{folder / DESCRIPTION} is no policy of this version ({error.errors()[0]['msg']})."
            ) from error
        if saved.name != name:
            raise DataError(f"{folder} holds the policy {saved.name!r}, but {name!r} was to be restored.")
        content = (folder / WEIGHTS).read_bytes()
        for file, told in ((WEIGHTS, saved.weights_sha256), (ENCODER, saved.encoder_sha256)):
            if _digest((folder / file).read_bytes()) != told:
                raise DataError(f"{folder / file} is not the file that {DESCRIPTION} was written with; it was changed.")
        network = PortfolioNetwork(saved.shape)
        try:
            network.load_state_dict(parse_tensors(content))
        except (SafetensorError, RuntimeError) as error:
            raise DataError(f"{folder / WEIGHTS} does not hold the weights of {name}.") from error
        return cls(name, Encoder.load(folder / ENCODER), network.eval(), saved.record)


def decide(network: PortfolioNetwork, encoded: Tensor, mask: Tensor, held: Tensor) -> Tensor:
    """(B, S) target weights for (B, S, K) encoded observations, differentiable in all but the mask."""
    shape = network.shape
    return portfolio(network(encoded), mask, held, long_only=shape.long_only, gross=shape.gross)


def start_weights(mask: NDArray[np.bool_], decider: Decider) -> Floats:
    """(B, S) weights of the start: 1/N for (B, S) names that may be held, or all cash."""
    shares: Floats = mask / np.maximum(mask.sum(axis=1, keepdims=True), 1)
    return shares if decider == "equal-weight" else np.zeros_like(shares)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
