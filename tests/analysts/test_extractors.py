import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call, grad, stack_module_state, vmap

from alfred.analysts import AnalystSpec, analyst_names, describe, make_analyst
from alfred.analysts._extractors import SPAN, Attention, Convolution, Encoder, EncoderLayer, Recurrence
from alfred.core.contracts import Windows
from alfred.training.compute import build_seeded, parameters_of
from alfred.training.settings import TrainSettings

ROWS, QUARTERS, WIDTH = 3, 7, 8
BLOCKS = {
    "recurrence": lambda: Recurrence(WIDTH, WIDTH),
    "convolution": lambda: Convolution(WIDTH, WIDTH),
    "attention": lambda: Attention(WIDTH),
    "encoder layer": lambda: EncoderLayer(WIDTH),
    "encoder": lambda: Encoder(WIDTH, WIDTH, QUARTERS, [EncoderLayer(WIDTH), Attention(WIDTH)]),
}
SHAPES = (
    "lstm.small.extractors",
    "lstm.small.extractors.layered",
    "trans.small.extractors.slim",
    "trans.small.extractors.layered",
)
QUICK = TrainSettings(epochs=25, batch_size=64, learning_rate=3e-3, patience=8, threads=1, device="cpu")


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def block(name):
    return build_seeded(BLOCKS[name], 1).requires_grad_(False)


def network(name, columns=WIDTH, quarters=QUARTERS, size=8, seed=1):
    build = make_analyst(AnalystSpec(name=name, size=size, layers=2), QUICK, 1).build
    return build_seeded(lambda: build(columns, quarters), seed)


def drawn(seed=0, rows=ROWS, quarters=QUARTERS):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(rows, quarters, WIDTH)).astype(np.float32))


def everything(values):
    return torch.ones(values.shape[:2], dtype=torch.bool)


def random_history(seed):
    """Histories with beginnings and holes of their own; the decision quarter is seen."""
    seen = torch.from_numpy(np.random.default_rng(seed).random((ROWS, QUARTERS)) < 0.6)
    seen[:, -1] = True
    return seen


def test_recurrence_equals_torch():
    ours = block("recurrence")
    theirs = nn.LSTM(WIDTH, WIDTH, batch_first=True)
    theirs.load_state_dict(
        {
            "weight_ih_l0": ours.read.weight,
            "weight_hh_l0": ours.carry.weight,
            "bias_ih_l0": ours.read.bias,
            "bias_hh_l0": torch.zeros(4 * WIDTH),
        }
    )
    values = drawn()
    torch.testing.assert_close(ours(values, everything(values), QUARTERS), theirs(values)[0].detach())


def test_recurrence_starts_with_an_open_forget_gate():
    ours = block("recurrence")
    forget = ours.read.bias[WIDTH : 2 * WIDTH]
    assert (forget == 1).all()
    assert (ours.read.bias[:WIDTH].abs() < 1).all()


def test_recurrence_carries_its_state_over_a_hole():
    ours, values = block("recurrence"), drawn()
    seen = everything(values)
    seen[:, 3] = False
    states = ours(values, seen, QUARTERS)
    assert torch.equal(states[:, 3], states[:, 2])
    closed = torch.cat([values[:, :3], values[:, 4:]], 1)
    torch.testing.assert_close(states[:, 4:], ours(closed, everything(closed), 3))


def test_convolution_equals_torch():
    ours, values = block("convolution"), drawn()
    kernel = ours.kernel.weight.view(WIDTH, SPAN, WIDTH).transpose(1, 2)
    padded = nn.functional.pad(values.transpose(1, 2), (SPAN - 1, 0))
    expected = nn.functional.conv1d(padded, kernel, ours.kernel.bias).transpose(1, 2)
    torch.testing.assert_close(ours(values, everything(values), QUARTERS), expected)


def torch_layer(ours):
    """nn.TransformerEncoderLayer with our weights; its own normalisations start as ours stay, without weights."""
    attention = ours.attention
    theirs = nn.TransformerEncoderLayer(
        WIDTH, attention.heads, 2 * WIDTH, dropout=0.0, norm_first=True, batch_first=True
    )
    theirs.load_state_dict(
        theirs.state_dict()
        | {
            "self_attn.in_proj_weight": torch.cat([attention.query.weight, attention.key_value.weight]),
            "self_attn.in_proj_bias": torch.cat([attention.query.bias, attention.key_value.bias]),
            "self_attn.out_proj.weight": attention.mix.weight,
            "self_attn.out_proj.bias": attention.mix.bias,
            "linear1.weight": ours.widen.weight,
            "linear1.bias": ours.widen.bias,
            "linear2.weight": ours.narrow.weight,
            "linear2.bias": ours.narrow.bias,
        }
    )
    return theirs


@pytest.mark.parametrize("seed", range(3))
def test_attention_and_encoder_layer_equal_torch(seed):
    ours, values, seen = block("encoder layer"), drawn(seed), random_history(seed)
    theirs = torch_layer(ours)
    at = torch.arange(QUARTERS)
    shut = (at > at[:, None]) | ~seen[:, None, :] & (at != at[:, None])  # (B, L, L)
    by_head = shut.repeat_interleave(ours.attention.heads, 0)
    expected = theirs(values, src_mask=by_head).detach()
    torch.testing.assert_close(ours(values, seen, QUARTERS), expected)

    normal = nn.functional.layer_norm(values, (WIDTH,))
    found = theirs.self_attn(normal, normal, normal, attn_mask=by_head, need_weights=False)[0].detach()
    torch.testing.assert_close(ours.attention(values, seen, QUARTERS), values + found)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
@pytest.mark.parametrize("name", BLOCKS)
def test_what_was_not_seen_changes_nothing(name, seed):
    reader, values, seen = block(name), drawn(seed), random_history(seed)
    scrambled = torch.where(seen.unsqueeze(2), values, 100 * drawn(seed + 1))
    before, after = reader(values, seen, QUARTERS), reader(scrambled, seen, QUARTERS)
    assert not torch.equal(values, scrambled) or seen.all()
    assert torch.equal(before[seen], after[seen])


@pytest.mark.parametrize("name", BLOCKS)
def test_later_quarters_change_nothing(name):
    reader, values, seen = block(name), drawn(), random_history(3)
    before = reader(values, seen, QUARTERS)
    for quarter in range(QUARTERS - 1):
        later = torch.arange(QUARTERS) > quarter
        scrambled, others = torch.where(later[:, None], drawn(9), values), torch.where(later, ~seen, seen)
        after = reader(scrambled, others, QUARTERS)
        assert torch.equal(before[:, : quarter + 1], after[:, : quarter + 1])
        assert not torch.equal(before[:, quarter + 1 :], after[:, quarter + 1 :])


@pytest.mark.parametrize("name", BLOCKS)
def test_earlier_quarters_do_change_something(name):
    reader, values = block(name), drawn()
    before = reader(values, everything(values), 1)
    for quarter in range(QUARTERS - (SPAN if name == "convolution" else QUARTERS), QUARTERS):
        changed = values.clone()
        changed[:, quarter] += 1
        if name in ("attention", "encoder layer", "encoder"):
            changed[:, quarter, 0] += 1  # what is added to all columns alike, normalisation takes away
        assert not torch.allclose(before, reader(changed, everything(values), 1), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", BLOCKS)
def test_quarters_before_the_history_make_no_difference(name):
    reader, values = block(name), drawn()
    short = values[:, 3:]
    seen = torch.arange(QUARTERS).expand(ROWS, -1) >= 3
    torch.testing.assert_close(reader(values, seen, 4), reader(short, everything(short), 4))


@pytest.mark.parametrize("name", BLOCKS)
def test_what_is_not_asked_for_is_only_left_out(name):
    reader, values, seen = block(name), drawn(), random_history(5)
    for asked in (1, 2, 5):
        torch.testing.assert_close(reader(values, seen, asked), reader(values, seen, QUARTERS)[:, -asked:])


@pytest.mark.parametrize("name", SHAPES)
def test_one_quarter_is_enough(name):
    model, values = network(name), drawn()
    only_last = torch.arange(QUARTERS).expand(ROWS, -1) == QUARTERS - 1
    output = model(values * only_last.unsqueeze(2), only_last)
    assert output.shape == (ROWS,)
    assert output.isfinite().all()
    torch.testing.assert_close(output, model(values[:, -1:], only_last[:, -1:]))
    output.sum().backward()
    assert all(weight.grad.isfinite().all() for weight in model.parameters())
    # The rows that fill up a block in forecasting have no history at all.
    assert model(torch.zeros_like(values), torch.zeros_like(only_last)).isfinite().all()


@pytest.mark.parametrize("name", SHAPES)
def test_networks_read_what_was_seen_only(name):
    model, values, seen = network(name), drawn(), random_history(2)
    before = model(values, seen)
    assert torch.equal(before, model(torch.where(seen.unsqueeze(2), values, 100 * drawn(1)), seen))
    assert not torch.equal(before, model(values, everything(values)))


@pytest.mark.parametrize("name", SHAPES)
def test_every_weight_learns(name):
    model, values = network(name), drawn(rows=16)
    model(values, everything(values)).square().sum().backward()
    still = [key for key, weight in model.named_parameters() if not weight.grad.abs().sum() > 0]
    assert still == []


@pytest.mark.parametrize("name", SHAPES)
def test_stacked_members_equal_single_ones(name):
    """Forecasts and gradients of two members in one pass, on rows of their own and on common ones."""
    members = [network(name, seed=seed) for seed in (1, 2)]
    weights, _ = stack_module_state(members)
    values = torch.stack([drawn(seed) for seed in (1, 2)])
    seen = torch.stack([random_history(seed) for seed in (1, 2)])

    def output(one, x, there):
        return functional_call(members[0], one, (x, there))

    def loss(one, x, there):
        return output(one, x, there).square().mean()

    for at, common in (((0, 0, 0), False), ((0, None, None), True)):
        inputs = (values[0], seen[0]) if common else (values, seen)
        together = vmap(output, at)(weights, *inputs)
        slopes = vmap(grad(loss), at)(weights, *inputs)
        for which, member in enumerate(members):
            own = inputs if common else (values[which], seen[which])
            member.zero_grad()
            single = member(*own)
            single.square().mean().backward()
            torch.testing.assert_close(together[which], single, rtol=1e-5, atol=1e-6)
            for key, weight in member.named_parameters():
                torch.testing.assert_close(slopes[key][which], weight.grad, rtol=1e-4, atol=1e-6)


FIRST = np.datetime64("1995-03")
YEAR_AGO = -5


def planted_sequence(rows, seed, first_year=0, *, signal=0.1):
    """The label is the product of a column now and a year ago, with 20% noise: a line through it explains nothing."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, 6, 3)).astype(np.float32)
    y = signal * x[:, -1, 0] * x[:, YEAR_AGO, 0] + 0.05 * random.normal(size=rows)
    month = FIRST + 12 * first_year + np.arange(rows) // 40 * 3
    return Windows.of(
        x=x,
        seen=np.ones(x.shape[:2], bool),
        columns=("a", "b", "c"),
        dates=month.astype("datetime64[D]"),
        symbols=np.array([f"S{at % 40}" for at in range(rows)]),
        target="PM",
        y=y,
    )


def found(spec, seed, training=QUICK, **planting):
    """Correlation of forecast and label on 2,000 later rows."""
    train = planted_sequence(1600, 10 * seed, **planting)
    valid = planted_sequence(400, 10 * seed + 1, 20, **planting)
    test = planted_sequence(2000, 10 * seed + 2, 40, **planting)
    model = make_analyst(spec, training, seed).fit(train, valid)
    return float(np.corrcoef(model.predict(test).mean, test.y)[0, 1])


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", SHAPES)
def test_finds_what_only_a_sequence_shows(name, seed):
    """The noise leaves a correlation of 0.89 to be found."""
    assert found(AnalystSpec(name=f"{name}.identity", size=16, layers=2), seed) > 0.75


@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPES)
def test_ten_layers_find_it_too(name):
    """At the default pace. At three times that, and less patience, ten layers without shortcuts often learn nothing."""
    training = TrainSettings(epochs=80, batch_size=64, threads=1, device="cpu")
    assert found(AnalystSpec(name=f"{name}.identity", size=48), 4, training) > 0.75


def test_a_line_does_not_find_it():
    assert abs(found(AnalystSpec(name="ridge"), 1)) < 0.1


@pytest.mark.parametrize("name", SHAPES)
def test_gets_nowhere_where_there_is_nothing(name):
    # The standard error of a correlation of nothing is 0.022.
    short = QUICK.model_copy(update={"epochs": 6})
    assert abs(found(AnalystSpec(name=f"{name}.identity", size=16, layers=2), 1, short, signal=0.0)) < 0.08


def linear(inputs, outputs):
    return inputs * outputs + outputs


@pytest.mark.parametrize("size", [256, 1024])
def test_parameters_by_hand(size):
    word, columns, quarters = {256: "small", 1024: "medium"}[size], 110, 12
    plain = 9 * linear(size, size) + linear(size, 1)  # behind the first layer
    attention = 4 * linear(size, size)
    places = quarters * size
    feed_forward = linear(size, 2 * size) + linear(2 * size, size)
    lstm = linear(columns, 4 * size) + 4 * size**2
    convolution = linear(SPAN * columns, size)
    expected = {
        "lstm.{}.extractors": lstm + convolution + linear(columns, size) + places + attention + linear(3 * size, size),
        "lstm.{}.extractors.layered": convolution
        + (linear(size, size) + places + attention)
        + (linear(size, 4 * size) + 4 * size**2)
        + linear(size, size),
        "trans.{}.extractors.slim": convolution
        + (linear(columns, size) + places + attention + feed_forward)
        + linear(2 * size, size),
        "trans.{}.extractors.layered": convolution
        + (linear(size, size) + places + 2 * (attention + feed_forward))
        + linear(size, size),
    }
    for pattern, extractors in expected.items():
        for head in ("", ".identity", ".tanh"):
            got = describe(pattern.format(word) + head, columns=columns)
            assert (got.parameters, got.notes_parameters) == (plain + extractors, None)
            assert (got.quarters, got.options["size"], got.options["layers"]) == (12, size, 10)


def test_any_history_and_size_will_do():
    for name in SHAPES:
        for size, quarters in ((6, 24), (5, 1)):
            model = network(name, quarters=quarters, size=size)
            values = drawn(quarters=quarters)
            assert model(values, everything(values)).shape == (ROWS,)
            assert parameters_of(model) == parameters_of(network(name, quarters=quarters, size=size, seed=2))


def test_every_shape_is_tested_here():
    families = {name.split(".")[0] for name in SHAPES}
    plain = {
        n
        for n in analyst_names()
        if n.split(".")[0] in families and not n.endswith((".tanh", ".identity", ".gaussian"))
    }
    assert plain == {name.replace("small", size) for name in SHAPES for size in ("small", "medium")}


@pytest.mark.parametrize("threads", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", SHAPES)
def test_a_wide_forecast_is_the_same_in_any_company(name, threads):
    """At such a width products of other shapes do round differently, as do curves at the end of a thread's part."""
    train, valid = planted_sequence(64, 0), planted_sequence(600, 1, 20)
    spec = AnalystSpec(name=f"{name}.tanh", size=100, layers=2)
    model = make_analyst(spec, QUICK.model_copy(update={"epochs": 1, "threads": threads}), 1).fit(train, valid)
    together = model.predict(valid).mean
    random = np.random.default_rng(0)
    for count in (1, 7, 257, 599):
        which = random.permutation(600)[:count]
        assert np.array_equal(model.predict(valid.rows(which)).mean, together[which])
