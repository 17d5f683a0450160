"""Evaluation protocols: each one answers a question, and a study's baskets and folds must fit the question it asks.

Two of them test quarters that were trained on. They are offered because the notes asked them, and because the distance
to the honest answers is worth seeing; their results never count as skill. Market and macro columns tell which quarter
it is, so even other tickers of the same quarters answer a weaker question than they seem to.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from alfred.core.errors import ConfigError, DataError, LeakError
from alfred.core.settings import suggestion

DEFAULT_PROTOCOL = "other-tickers-other-years"

IN_SAMPLE = "in-sample"
SEALED = "sealed"
SAME_TICKERS = "same-tickers-other-years"

PROTOCOLS: Mapping[str, str] = MappingProxyType(
    {
        IN_SAMPLE: "How well does it remember the very rows that it learnt from?",
        "other-tickers-same-years": (
            "How well do other companies fit what was learnt, in the very quarters that it was learnt from?"
        ),
        SAME_TICKERS: "Does what was learnt from some companies hold for the same companies later on?",
        "other-tickers-other-years": (
            "Does what was learnt from some companies hold for other companies in later years?"
        ),
        SEALED: "Does it hold in the quarters that were sealed before anyone had looked, asked once?",
    }
)
"""Name of each protocol and the question that it answers."""

SAME_YEARS = (IN_SAMPLE, "other-tickers-same-years")
"""Protocols that test the quarters which were trained on."""
OTHER_TICKERS = ("other-tickers-same-years", "other-tickers-other-years")
"""Protocols that test other names than were trained on; the others of a study test the same."""


def question(protocol: str) -> str:
    """The question that a protocol answers.

    Raises:
        ConfigError: there is no such protocol; the message suggests the nearest.
    """
    if protocol not in PROTOCOLS:
        raise ConfigError(f"there is no protocol {protocol!r}; {suggestion(protocol, PROTOCOLS)}")
    return PROTOCOLS[protocol]


def check_baskets(training: Sequence[str], evaluation: Sequence[str], protocol: str) -> None:
    """Make sure that the baskets fit the protocol's question; tickers are compared without regard to case.

    Raises:
        ConfigError: there is no such protocol.
        DataError: a basket is empty or names a ticker twice, or the protocol tests the training basket and the
            evaluation basket holds tickers outside it.
        LeakError: the protocol asks for other tickers and the baskets share some; the message names them.
    """
    question(protocol)
    for name, basket in (("training", training), ("evaluation", evaluation)):
        if not basket:
            raise DataError(f"the {name} basket is empty; name at least one ticker.")
        tickers = [ticker.upper() for ticker in basket]
        twice = sorted({ticker for ticker in tickers if tickers.count(ticker) > 1})
        if twice:
            raise DataError(f"the {name} basket names {', '.join(twice)} more than once; name each ticker once.")
    known = {ticker.upper() for ticker in training}
    asked = {ticker.upper() for ticker in evaluation}
    if protocol in OTHER_TICKERS and known & asked:
        raise LeakError(
            f"the protocol {protocol} needs disjoint baskets, but both hold {', '.join(sorted(known & asked))}; "
            "take them out of one basket."
        )
    if protocol not in {*OTHER_TICKERS, SEALED} and asked - known:
        others = "other-tickers-same-years" if protocol in SAME_YEARS else DEFAULT_PROTOCOL
        raise DataError(
            f"the protocol {protocol} tests tickers that were trained on, but {', '.join(sorted(asked - known))} "
            f"stand only in the evaluation basket; add them to the training basket or use {others}."
        )
