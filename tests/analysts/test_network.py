import numpy as np
import pytest
import torch
from planted_windows import after, planted

from alfred.analysts import AnalystSpec, make_analyst
from alfred.training.settings import TrainSettings

TRAIN = planted(64)
VALID = planted(700, seed=1, first=after(TRAIN))


@pytest.mark.parametrize("threads", [1, *(pytest.param(number, marks=pytest.mark.slow) for number in (2, 3))])
def test_full_width_rounds_equally_in_any_company(threads):
    """At this width products of other shapes do round differently, which the small networks elsewhere do not show."""
    settings = TrainSettings(epochs=1, threads=threads, device="cpu")
    model = make_analyst(AnalystSpec(name="vanilla.small.tanh"), settings, 1).fit(TRAIN, VALID)
    everything = model.predict(VALID).mean
    random = np.random.default_rng(0)
    for count in (1, 2, 7, 255, 257, 699):
        which = random.permutation(700)[:count]
        assert np.array_equal(model.predict(VALID.rows(which)).mean, everything[which])


def test_forecasts_equal_a_plain_forward_pass():
    model = make_analyst(AnalystSpec(name="vanilla.small.tanh"), TrainSettings(epochs=1, device="cpu"), 1).fit(
        TRAIN, VALID
    )
    with torch.no_grad():
        plain = model.network(torch.from_numpy(VALID.x), torch.from_numpy(VALID.seen)).tanh().numpy()
    np.testing.assert_allclose(model.predict(VALID).mean, plain, rtol=1e-4, atol=1e-6)


def test_initial_forecasts_have_the_size_of_labels():
    model = make_analyst(AnalystSpec(name="vanilla.small.identity"), TrainSettings(epochs=1, learning_rate=1e-9), 1)
    assert np.abs(model.fit(TRAIN, VALID).predict(VALID).mean).max() < 0.3


def test_forecasting_leaves_no_gradients_and_restores_threads():
    before = torch.get_num_threads()
    model = make_analyst(AnalystSpec(name="vanilla.small", size=8, layers=1), TrainSettings(epochs=1, threads=3), 1)
    fitted = model.fit(planted(64, "PQ"), planted(16, "PQ", first=after(TRAIN)))
    for weight in fitted.network.parameters():
        weight.grad = None
    fitted.predict(planted(16, "PQ"))
    assert all(weight.grad is None for weight in fitted.network.parameters())
    assert not fitted.network.training
    assert torch.get_num_threads() == before
