import copy
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from members_under_test import COUNTS, LOSS, SETTINGS, Deep, Native, fold, trainings
from torch import nn
from torch.nn.utils import parameters_to_vector
from training_rows import LATER, Constant, Line, rows

from alfred.core.errors import ConfigError, DataError
from alfred.training.compute import build_seeded
from alfred.training.course import Course
from alfred.training.loop import MAX_GRADIENT_NORM, Training, train, train_many
from alfred.training.losses import Loss, loss_function
from alfred.training.parts import can_stand_together
from alfred.training.settings import TrainSettings

KINDS = (Deep, Native)


def weights_of(network):
    return parameters_to_vector(network.parameters()).detach()


def one_by_one(members, settings=SETTINGS, loss=LOSS):
    return [train(one.network, one.train, one.valid, loss, settings, seed=one.seed, task=one.task) for one in members]


def same(outcomes, members, others, other_members):
    equal = [
        torch.equal(weights_of(a.network), weights_of(b.network)) for a, b in zip(members, other_members, strict=True)
    ]
    curves = [a.record.epochs == b.record.epochs for a, b in zip(outcomes, others, strict=True)]
    ends = [(a.record.stopped, a.record.best_epoch) for a in outcomes] == [
        (b.record.stopped, b.record.best_epoch) for b in others
    ]
    return all(equal) and all(curves) and ends


@pytest.fixture
def two_cores():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("change", [{}, {"threads": 1}, {"threads": 1, "members": 2}, {"members": 1}])
def test_company_changes_nothing_to_the_last_bit(kind, change, two_cores):
    alone, together = trainings(kind), trainings(kind)
    expected = one_by_one(alone)
    got = train_many(together, LOSS, SETTINGS.model_copy(update=change))
    assert same(got, together, expected, alone)
    # Otherwise this test would show less than it says: they stop at different times, for different reasons.
    assert len({len(outcome.record.epochs) for outcome in got}) > 1
    assert len({outcome.record.best_epoch for outcome in got}) > 1


def test_order_of_trainings_changes_nothing(two_cores):
    forth, back = trainings(), trainings()
    expected = train_many(forth, LOSS, SETTINGS)
    got = train_many(back[::-1], LOSS, SETTINGS)[::-1]
    assert same(got, back, expected, forth)


@pytest.mark.parametrize("kind", KINDS)
def test_who_is_judged_together_need_not_learn_together(kind):
    """Of three, the last two are judged in one batch, and stand in one batch of learning only later."""
    judges = [fold(n, "2010-01-01", 20 + n) for n in (20, 40, 40)]

    def members():
        return [
            Training(build_seeded(kind, seed), fold(n, "2000-01-03", seed), judge, seed, "")
            for seed, (n, judge) in enumerate(zip((96, 64, 64), judges, strict=True))
        ]

    alone, together = members(), members()
    settings = SETTINGS.model_copy(update={"threads": 1})
    expected = one_by_one(alone, settings)
    assert same(train_many(together, LOSS, settings), together, expected, alone)


def test_no_training_no_outcome():
    assert train_many([], LOSS, SETTINGS) == []


def test_networks_of_other_shapes_and_rows_pass_apart(two_cores):
    def mixed():
        wide = [Training(build_seeded(Line, 7), rows(70), rows(30, first=LATER, seed=1), 7, "line")]
        return [*trainings()[:2], *wide, *trainings(Native)[3:]]

    loss = loss_function("mse")
    members, alone = mixed(), mixed()
    expected = one_by_one(alone, loss=loss)
    assert same(train_many(members, loss, SETTINGS), members, expected, alone)


def plain_loop(training, loss, settings):
    """The same training as anyone would write it: torch's optimiser, scheduler and clipping."""
    network, learn, judge = copy.deepcopy(training.network), training.train, training.valid
    x, y = torch.from_numpy(learn.x), torch.from_numpy(learn.y.astype(np.float32))
    seen = torch.from_numpy(learn.seen)
    decayed = [w for w in network.parameters() if w.ndim > 1]
    others = [w for w in network.parameters() if w.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=settings.learning_rate)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimiser, factor=settings.plateau_factor, patience=settings.plateau_patience, threshold=0.0
    )
    order = torch.Generator().manual_seed(training.seed)
    best, kept, curve = np.inf, None, []
    for _ in range(settings.epochs):
        rate = optimiser.param_groups[0]["lr"]
        for chosen in torch.randperm(len(y), generator=order).split(settings.batch_size):
            optimiser.zero_grad()
            loss(network(x[chosen], seen[chosen]), y[chosen]).backward()
            nn.utils.clip_grad_norm_(network.parameters(), MAX_GRADIENT_NORM)
            optimiser.step()
        with torch.no_grad():
            outputs = network(torch.from_numpy(judge.x), torch.from_numpy(judge.seen))
            value = float(loss(outputs, torch.from_numpy(judge.y.astype(np.float32))))
        curve.append((value, rate))
        if value < best:
            best, kept = value, copy.deepcopy(network)
        plateau.step(value)
    return weights_of(kept), curve


@pytest.mark.parametrize("kind", KINDS)
def test_members_are_what_a_plain_loop_makes_of_them(kind, two_cores):
    # Gradients are lengthened by the loss so that some are shortened again.
    loss, settings = Sharp("bce", "sigmoid", LOSS.settings), SETTINGS.model_copy(update={"epochs": 5, "patience": 9})
    members = trainings(kind)
    expected = [plain_loop(one, loss, settings) for one in members]
    outcomes = train_many(members, loss, settings)
    for member, outcome, (weights, curve) in zip(members, outcomes, expected, strict=True):
        torch.testing.assert_close(weights_of(member.network), weights, rtol=1e-3, atol=1e-4)
        got = [(epoch.valid_loss, epoch.learning_rate) for epoch in outcome.record.epochs]
        np.testing.assert_allclose(got, curve, rtol=1e-4)
    assert len({rate for _, curve in expected for _, rate in curve}) > 1


class Sharp(Loss):
    def rows(self, output, label):
        return 5 * super().rows(output, label)


def test_a_members_gradient_is_shortened_by_its_own_length():
    """A huge label of one member leaves the other's step as it is."""
    quick = TrainSettings(epochs=2, batch_size=64, device="cpu", threads=1)
    loss = loss_function("mse")
    calm, wild = rows(64), replace(rows(64, seed=3), y=1e6 * rows(64, seed=3).y)
    judge = rows(30, first=LATER, seed=1)
    alone = build_seeded(Line, 1)
    train(alone, calm, judge, loss, quick, seed=1)
    pair = [Training(build_seeded(Line, 1), part, judge, 1, str(at)) for at, part in enumerate((calm, wild))]
    train_many(pair, loss, quick)
    torch.testing.assert_close(weights_of(pair[0].network), weights_of(alone), rtol=1e-6, atol=0)


class Dropped(Line):
    def forward(self, x, _seen):
        return super().forward(nn.functional.dropout(x, 0.5, self.training), _seen)


def test_networks_that_draw_train_one_after_another():
    def members():
        return [
            Training(build_seeded(Dropped, seed), rows(64), rows(30, first=LATER, seed=1), seed, "drop")
            for seed in range(3)
        ]

    assert not can_stand_together(Dropped(), 1, 3)
    assert can_stand_together(Line(), 1, 3)
    quick = TrainSettings(epochs=3, batch_size=16, device="cpu")
    loss = loss_function("mse")
    alone, together = members(), members()
    expected = one_by_one(alone, quick, loss)
    assert same(train_many(together, loss, quick), together, expected, alone)


def test_running_statistics_are_refused():
    class Normed(Line):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(3)

        def forward(self, x, _seen):
            return super().forward(self.norm(x[:, -1]).unsqueeze(1), _seen)

    assert not can_stand_together(Normed(), 1, 3)
    with pytest.raises(ConfigError, match=r"training changes the network's buffer 'norm.running_mean'; normalise over"):
        train(Normed(), rows(64), rows(30, first=LATER), loss_function("mse"), SETTINGS, seed=0)


def test_constant_buffers_are_fine(two_cores):
    class Scaled(Line):
        def __init__(self):
            super().__init__()
            self.register_buffer("scale", torch.tensor([1.0, 2.0, 3.0]))

        def forward(self, x, _seen):
            return super().forward(x * self.scale, _seen)

    members = [
        Training(build_seeded(Scaled, seed), rows(64), rows(30, first=LATER, seed=1), seed, "") for seed in range(2)
    ]
    outcomes = train_many(members, loss_function("mse"), TrainSettings(epochs=20, learning_rate=0.05, device="cpu"))
    assert all(o.record.epochs[-1].train_loss < o.record.epochs[0].train_loss / 5 for o in outcomes)


class Listener:
    def __init__(self):
        self.heard, self.said, self.threads = [], [], set()

    def start(self, task, total=None):
        self.heard.append(("start", task))

    def advance(self, task, steps=1, note=""):
        self.heard.append(("advance", task))
        self.threads.add(threading.get_ident())

    def finish(self, task, note=""):
        self.heard.append(("finish", task))

    def say(self, message):
        self.said.append(message)


def test_progress_hears_of_every_member(two_cores):
    listener = Listener()
    outcomes = train_many(trainings(), LOSS, SETTINGS, progress=listener)
    for at, outcome in enumerate(outcomes):
        heard = [what for what, task in listener.heard if task == f"member {at}"]
        assert heard == ["start", *["advance"] * len(outcome.record.epochs), "finish"]
    assert len(listener.threads) == 2
    assert listener.said == []


def test_one_members_failure_is_named_and_ends_the_others(two_cores):
    members = trainings(Native)
    cells = members[3].train.cells.copy()
    cells[4, 2] = 3e38
    members[3] = replace(members[3], train=replace(members[3].train, cells=cells))
    with pytest.raises(
        DataError, match=r"member 3: the loss was no longer finite in epoch 1; .* 3e\+38, in column c\)"
    ):
        train_many(members, LOSS, SETTINGS)


class Hungry(Native):
    """Memory is out, so many times, where it learns from more than so many rows at once."""

    limit, times = 0, 0

    def forward(self, x, _seen):
        if self.training and x.shape[-3] > Hungry.limit and Hungry.times:
            Hungry.times -= 1
            raise torch.OutOfMemoryError("planted")
        return super().forward(x, _seen)


@pytest.mark.parametrize(
    ("limit", "times", "at_a_time"), [(0, 1, [16]), (32, 99, []), (31, 99, [16]), (9, 99, [16, 8])]
)
def test_out_of_memory_halves_the_batch_and_says_so(limit, times, at_a_time):
    Hungry.limit, Hungry.times = limit, times
    alone, together, listener = trainings(Native), trainings(Hungry), Listener()
    settings = SETTINGS.model_copy(update={"threads": 1})
    expected = train_many(alone, LOSS, settings)
    got = train_many(together, LOSS, settings, progress=listener)
    assert listener.said == [
        f"out of memory on cpu: batches of 32 rows are computed {count} at a time from here on; "
        f"results are the same but for rounding."
        for count in at_a_time
    ]
    for a, b in zip(alone, together, strict=True):
        torch.testing.assert_close(weights_of(b.network), weights_of(a.network), rtol=1e-3, atol=1e-4)
    assert [o.record.best_epoch for o in got] == [o.record.best_epoch for o in expected]


def test_too_many_members_for_the_memory_go_in_halves():
    class Crowded(Loss):
        def rows(self, output, label):
            if len(output) > 2:
                raise torch.OutOfMemoryError("planted")
            return super().rows(output, label)

    alone, together, listener = trainings(Native), trainings(Native), Listener()
    settings = SETTINGS.model_copy(update={"threads": 1})
    expected = train_many(alone, LOSS, settings)
    got = train_many(together, Crowded("bce", "sigmoid", LOSS.settings), settings, progress=listener)
    assert same(got, together, expected, alone)
    assert "out of memory on cpu: 5 trainings go on in two passes." in listener.said


def test_no_memory_at_all_is_explained():
    Hungry.limit, Hungry.times = 0, 10**9
    with pytest.raises(
        ConfigError, match=r"too little memory on cpu for member 0 \(1,409 parameters\); take a smaller"
    ):
        train_many(trainings(Hungry)[:1], LOSS, SETTINGS)


def test_other_errors_of_torch_pass():
    class Broken(Line):
        def forward(self, x, _seen):
            return super().forward(x[..., :2], _seen)

    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        train(Broken(), rows(64), rows(30, first=LATER), loss_function("mse"), SETTINGS, seed=0)


def test_bfloat16_products_learn_too():
    settings = SETTINGS.model_copy(update={"precision": "bfloat16", "threads": 1})
    full, half = trainings(Native), trainings(Native)
    expected = train_many(full, LOSS, SETTINGS)
    got = train_many(half, LOSS, settings)
    assert not torch.equal(weights_of(full[0].network), weights_of(half[0].network))
    assert all(weight.dtype == torch.float32 for weight in half[0].network.parameters())
    for a, b in zip(expected, got, strict=True):
        assert b.record.epochs[0].train_loss == pytest.approx(a.record.epochs[0].train_loss, rel=0.02)


def test_wall_time_is_divided_among_members():
    outcomes = train_many(trainings(), LOSS, SETTINGS.model_copy(update={"threads": 1}))
    for outcome, count in zip(outcomes, COUNTS, strict=True):
        record = outcome.record
        assert record.samples_per_second == pytest.approx(len(record.epochs) * count / record.seconds)


def test_course_follows_torchs_plateau_scheduler():
    settings = TrainSettings(plateau_patience=1, plateau_factor=0.1, patience=50, epochs=60, learning_rate=0.1)
    losses = np.random.default_rng(3).normal(size=40).round(1)
    weight = nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([weight], lr=settings.learning_rate)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimiser, factor=settings.plateau_factor, patience=settings.plateau_patience, threshold=0.0
    )
    course = Course(settings.learning_rate)
    for value in losses:
        assert course.rate == optimiser.param_groups[0]["lr"]
        course = course.after(0.0, float(value), 0.0, settings)
        plateau.step(value)
    assert course.rate < 1e-7


def test_constant_member_waits_beside_one_that_learns():
    """Patience ends one while the other goes on."""
    flat = replace(rows(200), y=np.zeros(200)), replace(rows(60, first=LATER), y=np.zeros(60))
    settings = TrainSettings(epochs=9, batch_size=32, device="cpu", patience=3, threads=1)
    members = [Training(Constant(), *flat, 0), Training(Constant(), rows(100), rows(60, first=LATER, seed=1), 1)]
    stops = [(o.record.stopped, len(o.record.epochs)) for o in train_many(members, loss_function("mse"), settings)]
    assert stops[0] == ("patience", 4)


def test_settings_are_checked():
    for key, value in (("precision", "float16"), ("members", 0), ("compile", "perhaps")):
        with pytest.raises(ConfigError, match=key):
            TrainSettings.parse({key: value}, "study.toml")


def test_rows_that_two_folds_share_are_joined_once():
    from alfred.training.device import DeviceWindows

    one, two = fold(40, "2000-01-03", 1), fold(30, "2000-01-03", 2)
    joined, firsts = DeviceWindows.joined([one, two, one], torch.device("cpu"))
    assert firsts == (0, 40, 0)
    assert len(joined) == 70
    for part, first in ((one, 0), (two, 40)):
        x, seen = joined.inputs(slice(first, first + len(part)))
        np.testing.assert_array_equal(x.numpy(), part.x)
        np.testing.assert_array_equal(seen.numpy(), part.seen)
