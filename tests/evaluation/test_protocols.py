import pytest

from alfred.core.errors import ConfigError, DataError, LeakError
from alfred.evaluation.protocols import DEFAULT_PROTOCOL, PROTOCOLS, check_baskets, question


def test_every_protocol_answers_a_question():
    assert list(PROTOCOLS) == [
        "in-sample", "other-tickers-same-years", "same-tickers-other-years", "other-tickers-other-years", "sealed",
    ]  # fmt: skip
    assert all(question(name).endswith("?") for name in PROTOCOLS)


def test_overlap_of_the_notes_is_a_leak():
    with pytest.raises(LeakError, match="disjoint baskets, but both hold JNPR, ROST"):
        check_baskets(["AAPL", "ROST", "JNPR"], ["F", "jnpr", "ROST"], DEFAULT_PROTOCOL)
    check_baskets(["AAPL", "ROST", "JNPR"], ["F", "GE"], DEFAULT_PROTOCOL)


def test_same_tickers():
    check_baskets(["AAPL", "ROST"], ["ROST"], "same-tickers-other-years")
    with pytest.raises(DataError, match="but F stand only in the evaluation basket"):
        check_baskets(["AAPL", "ROST"], ["ROST", "F"], "same-tickers-other-years")


def test_wrong_baskets_and_names():
    with pytest.raises(DataError, match="the evaluation basket is empty"):
        check_baskets(["AAPL"], [], DEFAULT_PROTOCOL)
    with pytest.raises(DataError, match="the training basket names AAPL more than once"):
        check_baskets(["AAPL", "F", "aapl"], ["GE"], DEFAULT_PROTOCOL)
    with pytest.raises(ConfigError, match="no protocol 'other-ticker-other-years'; did you mean 'other-tickers-other"):
        check_baskets(["AAPL"], ["F"], "other-ticker-other-years")


def test_same_years():
    check_baskets(["AAPL", "ROST"], ["AAPL"], "in-sample")
    with pytest.raises(DataError, match=r"but F stand only in the evaluation basket.* or use other-tickers-same-years"):
        check_baskets(["AAPL"], ["F"], "in-sample")
    with pytest.raises(LeakError, match="other-tickers-same-years needs disjoint baskets, but both hold AAPL"):
        check_baskets(["AAPL"], ["AAPL", "F"], "other-tickers-same-years")
