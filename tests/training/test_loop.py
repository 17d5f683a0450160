import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from training_rows import LATER, Constant, Line, rows

from alfred.core.errors import ConfigError, DataError, LeakError
from alfred.training.compute import SMALL_WORK, build_seeded, device_of, threads
from alfred.training.loop import train
from alfred.training.losses import loss_function
from alfred.training.settings import TrainSettings

TRAIN, VALID = rows(200), rows(60, first=LATER, seed=1)
MSE = loss_function("mse")
QUICK = TrainSettings(epochs=30, batch_size=32, learning_rate=0.05, device="cpu", threads=1)


def fitted(settings=QUICK, seed=3, learn=TRAIN, judge=VALID):
    network = build_seeded(Line, seed)
    return network, train(network, learn, judge, MSE, settings, seed=seed).record


def mse_of(network, windows):
    with torch.no_grad():
        p = network(torch.from_numpy(windows.x), torch.from_numpy(windows.seen)).numpy()
    return float(((p - windows.y) ** 2).mean())


def test_learns_the_line():
    network, record = fitted()
    np.testing.assert_allclose(network.map.weight.detach().numpy(), [[0.3, -0.2, 0.0]], atol=0.02)
    assert record.parameters == 4
    assert record.epochs[-1].train_loss < record.epochs[0].train_loss / 10
    assert record.seconds > 0
    assert record.samples_per_second == pytest.approx(len(record.epochs) * 200 / record.seconds)


def test_keeps_the_best_epochs_weights():
    network, record = fitted(QUICK.model_copy(update={"learning_rate": 0.5, "epochs": 12, "plateau_patience": 100}))
    losses = [epoch.valid_loss for epoch in record.epochs]
    assert record.best_epoch == int(np.argmin(losses)) + 1
    assert record.best_epoch < len(losses)  # otherwise this test would show nothing
    assert mse_of(network, VALID) == pytest.approx(min(losses), rel=1e-4)


def test_first_epoch_wins_a_tie_and_patience_ends_it():
    flat = replace(VALID, y=np.zeros(60))
    learn = replace(TRAIN, y=np.zeros(200))
    record = train(Constant(), learn, flat, MSE, QUICK.model_copy(update={"patience": 4}), seed=0).record
    assert (record.best_epoch, len(record.epochs), record.stopped) == (1, 5, "patience")


def test_all_epochs():
    _, record = fitted(QUICK.model_copy(update={"epochs": 3}))
    assert (len(record.epochs), record.stopped) == (3, "epochs")
    assert [epoch.number for epoch in record.epochs] == [1, 2, 3]


def test_learning_rate_falls_on_a_plateau():
    learn, flat = replace(TRAIN, y=np.zeros(200)), replace(VALID, y=np.zeros(60))
    settings = QUICK.model_copy(update={"plateau_patience": 2, "plateau_factor": 0.1, "epochs": 6})
    record = train(Constant(), learn, flat, MSE, settings, seed=0).record
    rates = [epoch.learning_rate for epoch in record.epochs]
    assert rates == pytest.approx([0.05] * 4 + [0.005] * 2)


@pytest.mark.parametrize("number", [1, 2])
def test_equal_seeds_agree_to_the_last_bit(number):
    settings = QUICK.model_copy(update={"threads": number, "epochs": 5})
    torch.manual_seed(1)
    first, one = fitted(settings)
    torch.manual_seed(2)  # the caller's random state must not matter
    second, two = fitted(settings)
    assert torch.equal(first.map.weight, second.map.weight)
    assert one.epochs == two.epochs
    other, _ = fitted(settings, seed=4)
    assert not torch.equal(first.map.weight, other.map.weight)


class Dropped(Line):
    def forward(self, x, _seen):
        return super().forward(nn.functional.dropout(x, 0.5, self.training), _seen)


def test_random_layers_follow_the_seed_too_and_leave_no_trace():
    def run():
        network = build_seeded(Dropped, 1)
        train(network, TRAIN, VALID, MSE, QUICK.model_copy(update={"epochs": 2}), seed=1)
        return network.map.weight

    torch.manual_seed(7)
    before = torch.get_rng_state()
    first = run()
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(8)
    assert torch.equal(first, run())


def test_seed_decides_the_order_of_rows():
    orders = []
    for seed in (1, 2):
        network = build_seeded(Line, 0)
        orders.append(train(network, TRAIN, VALID, MSE, QUICK, seed=seed).record.epochs[0].train_loss)
    assert orders[0] != orders[1]


def test_last_short_batch_is_learnt_from():
    # 33 rows in batches of 32: all labels but the last row's are 0, in whichever batch it comes.
    y = np.zeros(33)
    y[-1] = 5.0
    learn = replace(rows(33), y=y)
    record = train(
        Constant(), learn, VALID, MSE, QUICK.model_copy(update={"epochs": 1, "learning_rate": 1e-6}), seed=0
    ).record
    assert record.epochs[0].train_loss == pytest.approx(25 / 33, rel=1e-3)


def test_weights_that_explode_are_explained():
    cells = TRAIN.cells.copy()
    cells[TRAIN.index[5, 0], 2] = 3e30
    with pytest.raises(DataError, match=r"no longer finite in epoch 1; .* largest is 3e\+30, in column c\), then"):
        fitted(learn=replace(TRAIN, cells=cells))


def test_interrupt_passes_and_threads_are_put_back():
    class Interrupted(Line):
        def forward(self, x, _seen):
            raise KeyboardInterrupt

    before = torch.get_num_threads()
    with pytest.raises(KeyboardInterrupt):
        train(Interrupted(), TRAIN, VALID, MSE, QUICK.model_copy(update={"threads": before + 1}), seed=0)
    assert torch.get_num_threads() == before


class Listener:
    def __init__(self):
        self.heard = []

    def start(self, task, total=None):
        self.heard.append(("start", task, total))

    def advance(self, task, steps=1, note=""):
        self.heard.append(("advance", task, note))

    def finish(self, task, note=""):
        self.heard.append(("finish", task))

    def say(self, message):
        self.heard.append(("say", message))


def test_progress_hears_every_epoch():
    listener = Listener()
    settings = QUICK.model_copy(update={"epochs": 2})
    record = train(Line(), TRAIN, VALID, MSE, settings, seed=0, progress=listener, task="line").record
    assert listener.heard[0] == ("start", "line", 2)
    assert listener.heard[1] == ("advance", "line", f"validation loss {record.epochs[0].valid_loss:.4g}")
    assert [what[0] for what in listener.heard] == ["start", "advance", "advance", "finish"]


def test_shared_rows_are_named():
    with pytest.raises(LeakError, match=r"2 validation rows are training rows too \(AAA 2000-07-19, AAA 2000-07-20\)"):
        fitted(judge=rows(60, first=TRAIN.dates[-2]))


def test_early_validation_is_named():
    other = rows(5, first=TRAIN.dates[-1])
    other = replace(other, symbols=np.full(5, "BBB"))
    with pytest.raises(
        LeakError, match=r"1 validation rows do not lie after the last training date 2000-07-20 \(BBB 2000-07-20\)"
    ):
        fitted(judge=other)
    with pytest.raises(LeakError, match=r"\(AAA 1990-01-01, AAA 1990-01-02, AAA 1990-01-03, ...\)"):
        fitted(judge=rows(60, first=np.datetime64("1990-01-01")))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"columns": ("a", "b", "d")}, "validation rows hold other columns .* lacking are c; unknown are d"),
        ({"columns": ("a", "c", "b")}, "the order differs, column 2 is c and was b"),
        ({"horizon_quarters": 4}, "validation rows have 4 quarters ahead, the analyst learnt on 1"),
        ({"target": "excess"}, "are about excess, the analyst learnt to forecast PM"),
        ({"y": None}, "validation rows have no labels"),
    ],
)
def test_rows_that_do_not_match_are_named(change, text):
    with pytest.raises(DataError, match=text):
        fitted(judge=replace(VALID, **change))


def test_unusable_rows_are_named():
    with pytest.raises(DataError, match="no training rows"):
        fitted(learn=TRAIN.rows(np.zeros(200, bool)))
    with pytest.raises(DataError, match="training rows' PQ labels must be 0 or 1"):
        fitted(learn=replace(TRAIN, target="PQ"), judge=replace(VALID, target="PQ"))


def test_device_that_is_not_there():
    assert device_of("cpu").type == "cpu"
    missing = next((d for d, there in {"cuda": torch.cuda.is_available(), "mps": False}.items() if not there), "mps")
    if missing == "mps" and torch.backends.mps.is_available():
        pytest.skip("every device is there")
    with pytest.raises(ConfigError, match=f"device '{missing}' is not available here; there is .*cpu"):
        device_of(missing)


def test_threads_follow_the_work():
    before = torch.get_num_threads()
    for wanted, parameters, expected in ((None, 10, 1), (None, int(SMALL_WORK), before), (3, 10, 3)):
        with threads(wanted, parameters, 10) as number:
            assert number == expected == torch.get_num_threads()
        assert torch.get_num_threads() == before


def test_weights_depend_on_the_seed_only():
    state = torch.get_rng_state()
    first = build_seeded(Line, 5).map.weight
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(3)
    assert torch.equal(first, build_seeded(Line, 5).map.weight)
    assert all(
        not torch.equal(build_seeded(Line, a).map.weight, build_seeded(Line, b).map.weight)
        for a, b in itertools.pairwise(range(4))
    )
