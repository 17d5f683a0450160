import subprocess
import sys

import numpy as np
import pytest
from planted_windows import COLUMNS, after, planted

from alfred.analysts import AnalystSpec, analyst_names, describe, make_analyst, restore_analyst
from alfred.core.errors import ConfigError, DataError
from alfred.core.progress import Silent
from alfred.training.settings import TrainSettings

QUICK = TrainSettings(epochs=2, threads=1, device="cpu")


def make(name, **options):
    return make_analyst(AnalystSpec(name=name, **options), QUICK, 0)


def test_the_notes_names_are_there():
    assert set(analyst_names()) >= {
        "elastic-net",
        "lightgbm",
        "logistic",
        "momentum",
        "naive",
        "ridge",
        *(f"vanilla.{size}{head}" for size in ("small", "medium", "large") for head in ("", ".identity", ".tanh")),
        "vanilla.compression.tanh",
    }


@pytest.mark.parametrize(
    ("name", "target", "loss", "notes", "all_40"),
    [
        # 40 inputs: + 40 x 256 input weights + 256 + 1 for the head.
        ("vanilla.small", "PQ", "bce", 592_384, 592_384 + 40 * 256 + 257),
        ("vanilla.small.identity", "PM", "mse", 592_384, 592_384 + 40 * 256 + 257),
        ("vanilla.medium.tanh", "PM", "huber-sign", 1024**2 * 9 + 10_240, 1024**2 * 9 + 10_240 + 40 * 1024 + 1025),
        ("vanilla.large.tanh", "PM", "huber-sign", 103_911_424, 103_911_424 + 40 * 1024 + 1025),
        # 1024, 512, 256, 512, 1024: weights between them, a bias each, inputs and head.
        (
            "vanilla.compression.tanh",
            "PM",
            "huber-sign",
            None,
            2 * (1024 * 512 + 512 * 256) + 2 * 1024 + 2 * 512 + 256 + 40 * 1024 + 1025,
        ),
        ("ridge", "PM", "mse", None, 41),
        ("elastic-net", "PM", "mse", None, 41),
        ("logistic", "PQ", "bce", None, 41),
        # 1,000 rounds of 8 leaves and 7 splits, and the base.
        ("lightgbm", "PM", "mse", None, 15_001),
        ("momentum", "PM", "mse", None, 2),
        ("naive", "PM", "mse", None, 1),
    ],
)
def test_descriptions(name, target, loss, notes, all_40):
    got = describe(name, columns=40)
    assert (got.name, got.target, got.loss, got.notes_parameters, got.parameters) == (name, target, loss, notes, all_40)
    assert got.description
    assert describe(name).parameters is None


def test_history_counts_as_inputs():
    assert describe("ridge", columns=40, quarters=12).parameters == 481
    more = describe("vanilla.small", columns=40, quarters=12).parameters - describe("vanilla.small", 40).parameters
    assert more == 11 * 40 * 256


def test_described_is_what_is_built():
    train = planted(40, "PQ")
    fitted = make("vanilla.small").fit(train, planted(16, "PQ", first=after(train)))
    assert fitted.record.parameters == describe("vanilla.small", columns=len(COLUMNS), quarters=2).parameters


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        ("vanila.small", {}, r"no analyst 'vanila.small'; did you mean 'vanilla.small'\?"),
        ("vanilla", {}, "no analyst 'vanilla'; did you mean 'vanilla"),
        ("vanilla.small.tahn", {}, r"did you mean 'vanilla.small.tanh'\?"),
        ("oracle", {}, "no analyst 'oracle'; known are .*momentum, naive, ridge"),
        ("_linear", {}, "no analyst '_linear'"),
        ("ridge", {"size": 8}, "ridge takes no size, got 8; remove the option"),
        ("momentum", {"layers": 2}, "momentum takes no layers, got 2"),
        ("elastic_net", {}, r"no analyst 'elastic_net'; did you mean 'elastic-net'\?"),
        ("elastic-net", {"label": "PQ"}, "elastic-net cannot forecast the label PQ; .* PM and excess"),
        ("logistic", {"label": "PM"}, "logistic cannot forecast the label PM; its head is sigmoid, which is for PQ"),
        ("lightgbm", {"loss": "bce"}, "lightgbm learns PM by mse or huber, got the loss 'bce'"),
        ("lightgbm", {"label": "PQ", "loss": "huber"}, "lightgbm learns PQ by bce, got the loss 'huber'"),
        ("lightgbm", {"size": 8}, "lightgbm takes no size, got 8"),
        ("naive", {"loss": "mse"}, "naive takes no loss, got 'mse'"),
        ("vanilla.small", {"label": "PM"}, "vanilla.small cannot forecast the label PM; its head is sigmoid"),
        ("vanilla.small.tanh", {"label": "PQ"}, "cannot forecast the label PQ; its head is tanh, .* PM and excess"),
        ("vanilla.small.tanh", {"loss": "bce"}, "vanilla.small.tanh cannot train on the loss 'bce'; known are huber"),
        ("vanilla.small", {"loss": "huber-sign"}, "vanilla.small cannot train on the loss 'huber-sign'"),
        ("vanilla.small.tanh", {"loss": "huber-sin"}, r"did you mean 'huber-sign'\?"),
        ("vanilla.compression.tanh", {"layers": 4}, "needs an odd number of layers .* got 4 layers of size 1024"),
        ("vanilla.compression.tanh", {"size": 30}, "a size that can be halved 2 times, got 5 layers of size 30"),
    ],
)
def test_wrong_wishes_are_named(name, options, text):
    with pytest.raises(ConfigError, match=text):
        make(name, **options)
    if not options:
        with pytest.raises(ConfigError, match=text):
            describe(name)


def test_unknown_option_is_named():
    with pytest.raises(ConfigError, match=r"study.toml: unknown setting 'sise', did you mean 'size'\?"):
        AnalystSpec.parse({"name": "ridge", "sise": 3}, "study.toml")
    with pytest.raises(
        ConfigError,
        match=r"label: input should be 'PQ', 'PM', 'excess', 'rank', .*'next_EPS_change', got 'PMM'",
    ):
        AnalystSpec.parse({"name": "ridge", "label": "PMM"}, "study.toml")


def test_options_change_what_is_learnt():
    assert make("naive").target == "PM"
    assert make("ridge", label="excess").target == "excess"
    assert make("vanilla.small.tanh", label="next_Margin_Gross").target == "next_Margin_Gross"
    with pytest.raises(ConfigError, match="logistic cannot forecast the label next_Margin_Gross"):
        make("logistic", label="next_Margin_Gross")
    assert make("vanilla.small.tanh", label="excess", loss="mse").target == "excess"
    train = planted(64)
    valid = planted(16, first=after(train))
    counts = [
        make("vanilla.small.identity", size=8, layers=n, loss="huber").fit(train, valid).record.parameters
        for n in (1, 2)
    ]
    assert counts == [12 * 8 + 8 + 9, 12 * 8 + 8 + 9 + 72]
    means = [
        make("vanilla.small.tanh", size=8, layers=1, loss=loss).fit(train, valid).predict(valid).mean
        for loss in ("mse", "huber", "mse-sign", "huber-sign", "sign-ratio")
    ]
    assert all(not np.array_equal(means[0], other) for other in means[2:])


@pytest.mark.parametrize("name", ["naive", "momentum", "ridge"])
def test_closed_forms_forecast_directions_as_probabilities(name):
    train, signal = planted(320, "PQ"), planted(64, "PQ", seed=1, first=np.datetime64("2030-03-31"))
    forecast = make(name, label="PQ").fit(train, signal).predict(signal)
    assert np.array_equal(forecast.prob_up, forecast.mean)
    assert ((forecast.lower >= 0) & (forecast.upper <= 1)).all()
    if name == "naive":
        assert forecast.mean[0] == train.y.mean()


def test_momentum_needs_its_column():
    train = planted(32)
    lacking = {"columns": ("mom", *COLUMNS[1:])}
    windows = [type(w)(**{**w.__dict__, **lacking}) for w in (train, planted(16, first=after(train)))]
    with pytest.raises(DataError, match="momentum needs the column 'momentum_12_1', which the panel lacks"):
        make("momentum").fit(*windows)


def test_momentum_that_does_not_vary_is_said():
    class Listener(Silent):
        heard = ""

        def say(self, message):
            self.heard += message

    train, valid = planted(32), planted(16, first=np.datetime64("2030-03-31"))
    for windows in (train, valid):
        windows.cells[:, 0] = 0
    listener = Listener()
    forecast = make_analyst(AnalystSpec(name="momentum"), QUICK, 0, listener).fit(train, valid).predict(valid)
    assert listener.heard == "momentum_12_1 is the same in all 32 training rows; momentum forecasts their mean."
    np.testing.assert_allclose(forecast.mean, train.y.mean())


def test_listing_ridge_does_not_wait_for_torch():
    code = (
        "import sys; from alfred.analysts import AnalystSpec, make_analyst; "
        "from alfred.training.settings import TrainSettings; from alfred.training.losses import original_row_losses; "
        "make_analyst(AnalystSpec(name='ridge'), TrainSettings(), 0); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_untrained_network_has_the_initial_weights_of_its_seed(tmp_path):
    train = planted(64)
    valid = planted(32, seed=1, first=after(train))
    test = planted(48, seed=2, first=after(valid))
    control = make("vanilla.small.tanh", size=8, layers=2, untrained=True).fit(train, valid)
    assert (control.record.stopped, control.record.epochs, control.record.seconds) == ("untrained", (), 0.0)
    other = planted(80, seed=3)
    later = planted(32, seed=4, first=after(other))
    assert (make("vanilla.small.tanh", size=8, layers=2, untrained=True).fit(other, later).predict(test).mean
            == control.predict(test).mean).all()  # fmt: skip
    assert (make("vanilla.small.tanh", size=8, layers=2).fit(train, valid).predict(test).mean
            != control.predict(test).mean).any()  # fmt: skip
    control.save(tmp_path)
    assert restore_analyst(tmp_path).spec.untrained
    with pytest.raises(ConfigError, match="momentum has no initial weights to forecast with"):
        make("momentum", untrained=True)
