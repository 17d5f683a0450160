"""Weights kept in MongoDB's GridFS, as the notes' author kept his: read, never run.

| where | what |
| --- | --- |
| `fs.files` | one document a model; its `metadata` is `Described` |
| `fs.chunks` | the file: `torch.save` of a state dictionary, tensors by name |

A state dictionary is a pickle. It is read by torch's reader of weights only, which builds tensors and containers and
refuses everything else; names, shapes and values are then checked against the network that it claims to be.
"""

import io
import pickle
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from alfred.analysts import AnalystSpec, describe
from alfred.core.errors import ConfigError, DataError, FetchError
from alfred.core.settings import Settings

if TYPE_CHECKING:
    from gridfs import GridOut

URI_VARIABLE = "ALFRED_MONGODB_URI"
PATIENCE_MS = 10_000
LARGEST_BYTES = 4 * 2**30
"""A file beyond this is not fetched: ten times the weights of the largest preset, with what an optimiser adds."""


class Described(Settings):
    """A file's `metadata`.

    Attributes:
        model: preset, such as "vanilla.medium.tanh".
        size, layers, quarters, label, loss: as in `AnalystSpec`; the preset's where absent.
        seed: of its training.
        token: whatever its author called the sweep.
        columns: of its inputs, in order: columns of the catalogue, and indicators ("missing:Close").
        scaler: centre and spread by column, if its author kept them; without, Alfred's scaler is fitted anew.
    """

    model: str
    size: int | None = None
    layers: int | None = None
    quarters: int | None = None
    label: str | None = None
    loss: str | None = None
    seed: int = Field(default=0, ge=0)
    token: str = ""
    columns: tuple[str, ...] = Field(min_length=1)
    scaler: dict[str, tuple[float, float]] = {}

    def spec(self) -> AnalystSpec:
        """The analyst of that name and size.

        Raises:
            ConfigError: there is none, or it is no network.
        """
        options = ("size", "layers", "quarters", "label", "loss")
        form = {"name": self.model, **{name: getattr(self, name) for name in options}}
        spec = AnalystSpec.parse(form, "metadata")
        if not describe(spec.name).is_network:
            raise ConfigError(f"{spec.name} is no network, and has no weights of its own.")
        return spec


@dataclass(frozen=True)
class Found:
    """One file of the store, not yet looked into.

    Attributes:
        name, number: its name and MongoDB's identifier of it.
        metadata: what is said about it.
        content: its bytes.
        refused: why it was not fetched, in a sentence; empty where it was.
    """

    name: str
    number: str
    metadata: dict[str, Any]
    content: bytes
    refused: str = ""


def read_gridfs(uri: str) -> Iterator[Found]:
    """Every file of the database's GridFS, by name and day of upload.

    Args:
        uri: mongodb://host/database, which may hold a password; it reaches no message.

    Raises:
        ConfigError: it is no such address, or pymongo is not installed.
        FetchError: the server does not answer as it should.
    """
    place, database = place_of(uri)
    try:
        import gridfs
        from pymongo import MongoClient
    except ImportError as error:
        raise ConfigError("weights in MongoDB need the extra: pip install 'alfred[mongodb]'.") from error
    patience = {"serverSelectionTimeoutMS": PATIENCE_MS, "connectTimeoutMS": PATIENCE_MS}
    with _told_without(place), MongoClient(uri, **patience) as client:
        bucket = gridfs.GridFSBucket(client[database])
        for one in bucket.find({}, sort=[("filename", 1), ("uploadDate", 1)]):
            yield _fetched(one)


def _fetched(one: "GridOut") -> Found:
    """A file with its bytes, unless its description or its parts are not what GridFS keeps."""
    from gridfs.errors import CorruptGridFile

    name, number = str(one.filename), str(one._id)
    try:
        if one.length > LARGEST_BYTES:
            return Found(name, number, {}, b"", f"{name} holds {one.length:,} bytes, more than {LARGEST_BYTES:,}.")
        return Found(name, number, dict(one.metadata or {}), one.read(one.length))
    except (CorruptGridFile, TypeError, ValueError, AttributeError, OverflowError) as error:
        return Found(name, number, {}, b"", f"{name} is no whole file of GridFS ({type(error).__name__}).")


def place_of(uri: str) -> tuple[str, str]:
    """An address without name and password, and its database.

    Raises:
        ConfigError: it is no address of a database in MongoDB.
    """
    try:
        parts = urlsplit(uri)
    except ValueError:
        parts = urlsplit("")
    database = unquote(parts.path.strip("/"))
    if parts.scheme not in {"mongodb", "mongodb+srv"} or not database or "/" in database:
        raise ConfigError(
            "give the store as mongodb://host/database; what was given is not shown, as it may be secret."
        )
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/{database}", database


def has_password(uri: str) -> bool:
    """Whether an address holds a password or options."""
    parts = urlsplit(uri)
    return ":" in parts.netloc.rpartition("@")[0] or bool(parts.query)


def weights_of(content: bytes, name: str) -> dict[str, NDArray[Any]]:
    """The tensors of a state dictionary, by name.

    Args:
        content: of the file.
        name: what messages call it.

    Raises:
        DataError: it is none, or holds anything but tensors; no code in it is run.
    """
    import torch

    _require_plain(content, name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it wonders about files that it refuses a moment later
            state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise DataError(f"{name} is refused: it holds something else than weights, which was not run.") from error
    except Exception as error:  # foreign bytes fail in its reader in more ways than it names
        raise DataError(f"{name} holds no state dictionary that torch can read ({type(error).__name__}).") from error
    if not isinstance(state, dict) or not state:
        raise DataError(f"{name} holds no state dictionary, but {type(state).__name__}.")
    found, size = {}, 0
    for key, tensor in state.items():
        if not isinstance(key, str) or not isinstance(tensor, torch.Tensor) or not tensor.is_floating_point():
            raise DataError(f"{name} holds {str(key)[:40]!r}, which is no tensor of numbers with a name.")
        # A tensor may claim more numbers than the file holds: one repeated, or none at all.
        size += tensor.numel() * tensor.element_size()
        if tensor.layout is not torch.strided or tensor.device.type != "cpu" or size > len(content):
            raise DataError(f"{name} holds {key[:40]!r}, whose numbers are not all in the file.")
        found[key] = tensor.detach().to(torch.float32).numpy().astype(np.float32)
    return found


def _require_plain(content: bytes, name: str) -> None:
    """Refuse what unpacks to more than it is; torch itself compresses nothing."""
    archive = io.BytesIO(content)
    if not zipfile.is_zipfile(archive):
        return
    try:
        parts = zipfile.ZipFile(archive).infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise DataError(f"{name} holds no state dictionary that torch can read ({type(error).__name__}).") from error
    if sum(part.file_size for part in parts) > len(content):
        raise DataError(f"{name} is refused: it is compressed, which weights saved by torch are not.")


@contextmanager
def _told_without(place: str) -> Iterator[None]:
    """Turn the driver's errors into one sentence without the address."""
    from gridfs.errors import GridFSError
    from pymongo.errors import PyMongoError

    try:
        yield
    except (PyMongoError, GridFSError, OSError) as error:
        kind = type(error).__name__
        raise FetchError(f"the store {place} cannot be read ({kind}); start it, or look at its address.") from None
