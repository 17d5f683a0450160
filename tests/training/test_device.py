import numpy as np
import pytest
import torch
from training_rows import LATER, Line, rows

from alfred.core.contracts import Windows
from alfred.training.compute import build_seeded
from alfred.training.device import DeviceWindows
from alfred.training.loop import train
from alfred.training.losses import loss_function
from alfred.training.settings import TrainSettings

CPU = torch.device("cpu")


def history(count: int, quarters: int, first: np.datetime64, seed: int) -> Windows:
    """Rows of one symbol, each of which looks back over the cells of those before it."""
    source = rows(count, first=first, seed=seed)
    index = np.maximum(np.arange(1, count + 1)[:, None] + np.arange(1 - quarters, 1), 0)
    return Windows(
        source.cells, index.astype(np.int32), source.columns, source.dates, source.symbols, source.target, y=source.y
    )


WINDOWS = history(50, 4, np.datetime64("2000-01-03"), 0)


@pytest.mark.parametrize("which", [slice(10, 20), torch.tensor([49, 0, 3]), slice(45, 60), slice(0, 0)])
def test_a_gathered_part_is_the_windows_part(which) -> None:
    x, seen = DeviceWindows.of(WINDOWS, CPU).inputs(which)
    at = which if isinstance(which, slice) else which.numpy()
    np.testing.assert_array_equal(x.numpy(), WINDOWS.x[at])
    np.testing.assert_array_equal(seen.numpy(), WINDOWS.seen[at])
    assert x.is_contiguous()


def test_rows_without_history_fill_up() -> None:
    x, seen = DeviceWindows.of(WINDOWS, CPU).inputs(slice(48, 52), rows=5)
    assert (x.shape, seen.shape) == ((5, 4, 3), (5, 4))
    np.testing.assert_array_equal(x[:2].numpy(), WINDOWS.x[48:])
    assert not x[2:].any()
    assert not seen[2:].any()


def test_the_processor_copies_nothing_that_may_be_written_to() -> None:
    there = DeviceWindows.of(WINDOWS, CPU)
    assert np.shares_memory(there.cells.numpy(), WINDOWS.cells)
    fixed = history(50, 4, np.datetime64("2000-01-03"), 0)
    fixed.cells.setflags(write=False)
    assert torch.equal(DeviceWindows.of(fixed, CPU).cells, there.cells)


def test_shared_cells_train_as_copies_do() -> None:
    learn, judge = WINDOWS, history(30, 4, LATER, 1)

    def dense(windows: Windows) -> Windows:
        rest = {name: getattr(windows, name) for name in ("columns", "dates", "symbols", "target", "y")}
        return Windows.of(x=windows.x, seen=windows.seen, **rest)

    assert len(dense(learn).cells) > 3 * len(learn.cells)
    weights = []
    for pair in ((learn, judge), (dense(learn), dense(judge))):
        network = build_seeded(Line, 1)
        settings = TrainSettings(epochs=4, batch_size=16, device="cpu", threads=1)
        record = train(network, *pair, loss_function("mse"), settings, seed=1).record
        weights.append((network.map.weight, record.epochs))
    assert torch.equal(weights[0][0], weights[1][0])
    assert weights[0][1] == weights[1][1]
