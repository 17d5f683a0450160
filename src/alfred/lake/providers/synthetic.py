"""A market made by Alfred itself, with a planted signal: what the laboratory must find, and nothing else.

The provider brings the default market of `alfred.lake.synthetic`. Markets of other settings are written into a lake of
their own, table by table, from `alfred.lake.synthetic.market.generate`.
"""

from collections.abc import Iterator

from alfred.lake.contracts import Batch, ProviderDescription, Request, Web
from alfred.lake.synthetic.market import SOURCE, TABLES, make_world
from alfred.lake.synthetic.others import MARKET
from alfred.lake.synthetic.settings import SyntheticSettings

DESCRIPTION = ProviderDescription(
    name=SOURCE,
    tables=TABLES,
    note=(
        "300 invented companies over 1990 to 2019 with a planted signal: momentum_12_1 has an expected correlation of "
        "0.1 with the next quarter's return, and no other column predicts but by its likeness to it. Not a market "
        "that anyone could trade in."
    ),
    invented=True,
    survivors_only=False,
    levels_know_the_future=True,
    market_series=MARKET,
)


def tasks(request: Request) -> tuple[str, ...]:  # noqa: ARG001 - the market is one piece
    """The whole market at once: names move together, so that none can be made alone."""
    return (SOURCE,)


def fetch(task: str, request: Request, web: Web | None) -> Iterator[Batch]:  # noqa: ARG001 - nothing is asked for
    """All rows of the default market."""
    yield from make_world(SyntheticSettings()).batches()
