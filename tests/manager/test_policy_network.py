import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from alfred.manager.encoding import FIRST, MASK, put_weights
from alfred.manager.network import NetworkShape, PortfolioNetwork, Scores, portfolio
from alfred.training.compute import build_seeded

COLUMNS, MARKET = 5, 2


def made(seed, *, long_only=True, gross=1.0, spread=0.7):
    """A network whose every parameter has moved from its start."""
    shape = NetworkShape(
        channels=FIRST + COLUMNS + MARKET, market_channels=MARKET, width=8, layers=2, long_only=long_only, gross=gross
    )
    network = build_seeded(lambda: PortfolioNetwork(shape), seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for part in network.parameters():
            part.add_(spread * torch.randn(part.shape, generator=generator))
    return network


def drawn(seed, names, batch=3, masked=0.3):
    generator = np.random.default_rng(seed)
    mask = generator.random((batch, names)) >= masked
    held = generator.random((batch, names))
    held /= held.sum(axis=1, keepdims=True)
    encoded = np.empty((batch, names, FIRST + COLUMNS + MARKET), dtype=np.float32)
    encoded[..., FIRST : FIRST + COLUMNS] = generator.normal(0.0, 2.0, (batch, names, COLUMNS))
    encoded[..., FIRST + COLUMNS :] = generator.normal(0.0, 1.0, (batch, 1, MARKET))
    encoded[..., MASK] = mask
    put_weights(encoded, held)
    return torch.from_numpy(encoded), torch.from_numpy(mask), torch.from_numpy(held)


def weights_of(network, encoded, mask, held):
    with torch.no_grad():
        shape = network.shape
        return portfolio(network(encoded), mask, held, long_only=shape.long_only, gross=shape.gross)


@given(seed=st.integers(0, 10_000), names=st.integers(1, 30), long_only=st.booleans())
@settings(max_examples=60, deadline=None)
def test_permuting_names_permutes_weights(seed, names, long_only):
    network = made(seed, long_only=long_only)
    encoded, mask, held = drawn(seed, names)
    order = torch.from_numpy(np.random.default_rng(seed).permutation(names))
    weights = weights_of(network, encoded, mask, held)
    moved = weights_of(network, encoded[:, order], mask[:, order], held[:, order])
    torch.testing.assert_close(moved, weights[:, order], rtol=1e-4, atol=1e-6)


@given(seed=st.integers(0, 10_000), names=st.integers(1, 30), gross=st.floats(0.2, 3.0), long_only=st.booleans())
@settings(max_examples=60, deadline=None)
def test_masked_names_get_exactly_nothing_and_gross_is_kept(seed, names, gross, long_only):
    network = made(seed, long_only=long_only, gross=gross)
    encoded, mask, held = drawn(seed, names, masked=0.5)
    held = held * gross
    put_weights(encoded.numpy(), held.numpy())
    weights = weights_of(network, encoded, mask, held)
    assert (weights[~mask] == 0.0).all()
    assert torch.isfinite(weights).all()
    assert (weights.abs().sum(dim=1) <= gross * (1 + 1e-9)).all()
    if long_only:
        assert (weights >= 0.0).all()


@given(seed=st.integers(0, 10_000), names=st.integers(1, 12))
@settings(max_examples=30, deadline=None)
def test_names_that_may_not_be_held_are_not_looked_at(seed, names):
    network = made(seed)
    encoded, mask, held = drawn(seed, names)
    other = encoded.clone()
    other[..., FIRST : FIRST + COLUMNS] = torch.where(mask.unsqueeze(2), encoded[..., FIRST : FIRST + COLUMNS], 100.0)
    # Exact, as a masked name's numbers are dropped before anything is summed.
    assert torch.equal(weights_of(network, encoded, mask, held), weights_of(network, other, mask, held))


@pytest.mark.parametrize("names", [1, 20, 5000])
def test_a_long_only_network_begins_near_equal_weights_among_any_number_of_names(names):
    network = made(1, spread=0.0)
    encoded, mask, _ = drawn(3, names, masked=0.0)
    equal = mask / mask.sum(dim=1, keepdim=True).double()
    weights = weights_of(network, encoded, mask, equal)
    torch.testing.assert_close(weights, equal * (0.1 + 0.9 * 0.98))


def test_a_long_only_network_that_may_borrow_begins_with_the_whole_account_and_no_debt():
    network = made(1, spread=0.0, gross=1.5)
    encoded, mask, held = drawn(3, 10, masked=0.0)
    weights = weights_of(network, encoded, mask, held)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(3, dtype=torch.float64))


def test_a_signed_network_begins_near_cash():
    network = made(1, long_only=False, spread=0.0)
    encoded, mask, held = drawn(3, 20)
    gross = weights_of(network, encoded, mask, torch.zeros_like(held)).abs().sum(dim=1)
    assert (gross > 0.0).all()
    assert (gross < 0.05).all()


def test_scores_become_the_weights_that_the_formulae_say():
    mask = torch.tensor([[True, True, False]])
    held = torch.tensor([[0.5, 0.0, 0.5]], dtype=torch.float64)
    names = torch.tensor([[np.log(3.0), 0.0, 9.0]])
    scores = Scores(names, torch.tensor([np.log(49.0)]), torch.tensor([np.log(1 / 9)]))
    # Cash counts as 2 names of weight exp(log 49) 0.02 / 0.98 = 1, so the sum is 3 + 1 + 2; the pace is one half.
    long = portfolio(scores, mask, held, long_only=True, gross=1.0)
    np.testing.assert_allclose(long.numpy(), [[0.25 + 0.25, 1 / 12, 0.0]], rtol=1e-6)
    signed = scores._replace(names=torch.tensor([[3.0, -1.0, 9.0]]), cash=torch.tensor([0.0]))
    both = portfolio(signed, mask, held, long_only=False, gross=1.2)
    np.testing.assert_allclose(both.numpy(), [[0.25 + 0.5 * 1.2 * 3 / 6, -0.5 * 1.2 / 6, 0.0]], rtol=1e-6)


def test_without_any_name_to_hold_all_is_cash():
    network = made(4)
    encoded, nobody, held = drawn(4, 5, masked=2.0)
    assert (weights_of(network, encoded, nobody, held) == 0.0).all()
    network(encoded).names.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)
