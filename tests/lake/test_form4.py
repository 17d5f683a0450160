"""Form 4: a hand-made form for every rule, and a real one."""

import datetime as dt
from pathlib import Path

import pytest

from alfred.core.errors import DataError
from alfred.lake.providers._form4 import parse_form4

REAL = Path(__file__).parents[3] / "shared" / "data" / "edgar" / "form4_SNOW.xml"


def transaction(
    shares: str = "<value>100</value>", price: str = "<value>2.5</value>", side: str = "A", date: str = "2023-05-04"
) -> str:
    coded = f"<transactionCode>{'P' if side == 'A' else 'S'}</transactionCode>"
    return f"""<nonDerivativeTransaction>
      <securityTitle><value>Common Stock</value></securityTitle>
      <transactionDate><value>{date}</value></transactionDate>
      <transactionCoding><transactionFormType>4</transactionFormType>{coded}</transactionCoding>
      <transactionAmounts>
        <transactionShares>{shares}</transactionShares>
        <transactionPricePerShare>{price}</transactionPricePerShare>
        <transactionAcquiredDisposedCode><value>{side}</value></transactionAcquiredDisposedCode>
      </transactionAmounts>
    </nonDerivativeTransaction>"""


HOLDING = "<nonDerivativeHolding><securityTitle><value>Common Stock</value></securityTitle></nonDerivativeHolding>"


def owner(cik: str = "0000000007", **marks: str) -> str:
    said = "".join(f"<{name}>{value}</{name}>" for name, value in marks.items())
    return (
        f"<reportingOwner><reportingOwnerId><rptOwnerCik>{cik}</rptOwnerCik></reportingOwnerId>"
        f"<reportingOwnerRelationship>{said}</reportingOwnerRelationship></reportingOwner>"
    )


def form(*table: str, owners: str = "", issuer: str = "0000000042") -> str:
    return (
        '<?xml version="1.0"?>\n<ownershipDocument><schemaVersion>X0306</schemaVersion><documentType>4</documentType>'
        f"<issuer><issuerCik>{issuer}</issuerCik></issuer>{owners or owner(isDirector='1')}"
        f"<nonDerivativeTable>{''.join(table)}</nonDerivativeTable></ownershipDocument>"
    )


def test_lines_are_numbered_in_order_and_holdings_not_counted() -> None:
    read = parse_form4(form(transaction(), HOLDING, transaction(side="D")), "here")
    assert [(trade.line, trade.acquired, trade.shares, trade.value) for trade in read.trades] == [
        (1, True, 100.0, 250.0),
        (2, False, 100.0, 250.0),
    ]
    assert (read.issuer_cik, read.owners, read.role) == (42, ("0000000007",), "director")


def test_a_missing_price_is_not_zero() -> None:
    absent, gift = parse_form4(
        form(transaction(price='<footnoteId id="F1"/>'), transaction(price="<value>0</value>")), "here"
    ).trades
    assert (absent.price, absent.value) == (None, None)
    assert (gift.price, gift.value) == (0.0, 0.0)


def test_a_date_may_carry_a_time_zone_and_a_number_a_comma() -> None:
    (trade,) = parse_form4(form(transaction("<value>1,000.5</value>", date="2009-03-02-05:00")), "here").trades
    assert (trade.date, trade.shares) == (dt.date(2009, 3, 2), 1000.5)


@pytest.mark.parametrize(
    ("marks", "role"),
    [
        ({"isDirector": "1", "isOfficer": "0"}, "director"),
        ({"isDirector": "true", "isTenPercentOwner": "true"}, "director; ten percent owner"),
        ({"isOfficer": "1", "officerTitle": "Chief Financial Officer"}, "officer: Chief Financial Officer"),
        ({"isOfficer": "1"}, "officer"),
        ({"isOther": "1"}, "other"),
        ({"isDirector": "0"}, ""),
    ],
)
def test_roles(marks: dict[str, str], role: str) -> None:
    assert parse_form4(form(owners=owner(**marks)), "here").role == role


def test_several_owners_of_one_form_join_their_roles_once() -> None:
    owners = owner("2", isTenPercentOwner="1") + owner("1", isTenPercentOwner="1", isDirector="1")
    read = parse_form4(form(owners=owners), "here")
    assert (read.owners, read.role) == (("1", "2"), "ten percent owner; director")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (transaction(side="X"), "a transaction with 'X' where A (acquired) or D (disposed) belongs"),
        (transaction(date=""), "a transaction with no date ('')"),
        (transaction("<value>many</value>"), "a transaction with 'many' where a number belongs"),
    ],
)
def test_an_unreadable_line_is_refused_and_the_rest_read(line: str, reason: str) -> None:
    read = parse_form4(form(transaction(), line, transaction()), "here")
    assert [trade.line for trade in read.trades] == [1, 3]
    (refused,) = read.rejected
    assert (refused.where, refused.reason) == ("here line 2", reason)
    assert refused.text.startswith("<nonDerivativeTransaction>")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<!DOCTYPE html><html><body>Sorry</body></html>", "it has a document type, as web pages do"),
        ("<html><body>Sorry</body></html>", "its root is 'html'"),
        (form(transaction())[:-30], "is not readable as XML"),
        (form(issuer=""), r"does not say which company it is about \(issuerCik is ''\)"),
        ('<!DOCTYPE a [<!ENTITY b "bb">]><ownershipDocument/>', "it has a document type"),
    ],
)
def test_other_documents_are_errors(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        parse_form4(text, "here")


@pytest.mark.skipif(not REAL.is_file(), reason="the real form (../shared/data/edgar) is not beside the repository")
def test_a_real_form() -> None:
    read = parse_form4(REAL.read_text(), "form4_SNOW.xml")
    assert (read.issuer_cik, read.owners) == (1640147, ("0001402349",))
    assert (read.role, read.rejected) == ("officer: Chief Financial Officer", ())
    assert {trade.date for trade in read.trades} == {dt.date(2022, 12, 13)}
    # Read by hand: 200,000 shares from options at 8.88, sold in five lots; the option itself is a derivative.
    assert [(trade.line, trade.code, trade.acquired, trade.shares, trade.price) for trade in read.trades] == [
        (1, "M", True, 200_000, 8.88),
        (2, "S", False, 73_170, 150.841),
        (3, "S", False, 74_907, 151.814),
        (4, "S", False, 41_986, 152.655),
        (5, "S", False, 5_496, 153.872),
        (6, "S", False, 4_441, 154.76),
    ]
    assert read.trades[0].value == pytest.approx(1_776_000, abs=1e-6)
    assert read.trades[1].value == pytest.approx(11_037_035.97, abs=1e-6)
