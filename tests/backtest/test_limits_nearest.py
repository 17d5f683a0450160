"""Projections that are found by steps between kinks: nearest, not only within the limits."""

import numpy as np
import pytest

from alfred.backtest.limits import project, violation
from alfred.backtest.settings import LimitSettings

CASES = (
    LimitSettings(long_only=True, net_max=1.0, name_max=0.2),
    LimitSettings(long_only=True, gross_max=1.0, name_max=0.6),
    LimitSettings(gross_max=1.0, name_max=0.2),
    LimitSettings(gross_max=1.5, net_min=-0.2, net_max=0.5, name_max=0.3),
)


@pytest.mark.parametrize("limits", CASES, ids=str)
def test_no_way_from_the_projection_leads_nearer(limits):
    """A point of a convex set is the nearest to a target where no other point of the set lies in its direction."""
    rng = np.random.default_rng(0)
    for _ in range(3000):
        target = rng.normal(0, 1, int(rng.integers(2, 13)))
        found = project(target, limits)
        assert violation(found, limits) <= 1e-12
        for other in (0.9 * found, project(found + 0.05 * (target - found), limits)):
            assert (target - found) @ (other - found) <= 1e-10


def test_steps_that_would_go_to_and_fro_between_caps_and_zeros():
    target = np.array([
        1.5866822794204654, 0.5860769567913948, 0.44916607192900415, 2.8494549607259407, 2.2321759587975563,
        -0.7666172841087739, 0.9236090362782893,
    ])  # fmt: skip
    shift = (target[1] + target[2] - 0.2) / 2
    expected = [0.2, target[1] - shift, target[2] - shift, 0.2, 0.2, 0.0, 0.2]
    np.testing.assert_allclose(project(target, CASES[0]), expected, atol=1e-12)
