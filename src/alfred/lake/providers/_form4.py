"""Form 4: what insiders say they bought and sold, from the XML that the form is filed as."""

import datetime as dt
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from alfred.core.errors import DataError
from alfred.lake.contracts import Rejected


@dataclass(frozen=True)
class Trade:
    """One non-derivative transaction.

    Attributes:
        line: its number in the form's table of non-derivative securities, from 1; holdings are not counted.
        date: of the trade.
        security, code: title of the security and transaction code (S sale, P purchase, M exercise, ...) as filed.
        acquired: bought or received; otherwise sold or given away.
        shares: None where the form has none.
        price: USD a share; None where the form has none, which is not zero. A gift is filed with price 0.
    """

    line: int
    date: dt.date
    security: str
    code: str
    acquired: bool
    shares: float | None
    price: float | None

    @property
    def value(self) -> float | None:
        """Shares times price in USD; None where either is absent."""
        return None if self.shares is None or self.price is None else self.shares * self.price


@dataclass(frozen=True)
class Form4:
    """One form: the company's number, those who report, their roles, and the trades that could be read."""

    issuer_cik: int
    owners: tuple[str, ...]
    role: str
    trades: tuple[Trade, ...]
    rejected: tuple[Rejected, ...]


def parse_form4(text: str, where: str) -> Form4:
    """Read the XML.

    Args:
        text: the document.
        where: its address, for the rejected lines.

    Raises:
        DataError: it is no ownership document, such as an HTML page or cut-off XML.
    """
    if "<!DOCTYPE" in text[:2000] or "<!ENTITY" in text:
        raise DataError(f"{where} is no ownership document: it has a document type, as web pages do.")
    try:
        root = ET.fromstring(text.strip())  # noqa: S314 - entities cannot be declared without a document type
    except ET.ParseError as error:
        raise DataError(f"{where} is not readable as XML: {error}.") from error
    if root.tag != "ownershipDocument":
        raise DataError(f"{where} is no ownership document: its root is {root.tag!r}.")
    owners = root.findall("reportingOwner")
    trades, rejected = [], []
    for line, node in enumerate(root.findall("nonDerivativeTable/nonDerivativeTransaction"), start=1):
        try:
            trades.append(_trade(node, line))
        except ValueError as error:
            original = ET.tostring(node, encoding="unicode")[:500]
            rejected.append(Rejected(f"{where} line {line}", f"a transaction with {error}", original))
    roles = dict.fromkeys(role for owner in owners for role in _roles(owner))
    ciks = tuple(sorted(_text(owner, "reportingOwnerId/rptOwnerCik") for owner in owners))
    cik = _text(root, "issuer/issuerCik")
    if not cik.isdecimal():
        raise DataError(f"{where} does not say which company it is about (issuerCik is {cik!r}).")
    return Form4(int(cik), ciks, "; ".join(roles), tuple(trades), tuple(rejected))


def _trade(node: ET.Element, line: int) -> Trade:
    side = _text(node, "transactionAmounts/transactionAcquiredDisposedCode/value")
    if side not in {"A", "D"}:
        raise ValueError(f"{side!r} where A (acquired) or D (disposed) belongs")
    date = _text(node, "transactionDate/value")
    try:
        # Some forms carry a time zone after the date, such as 2009-03-02-05:00.
        traded = dt.date.fromisoformat(date[:10])
    except ValueError as error:
        raise ValueError(f"no date ({date!r})") from error
    return Trade(
        line,
        traded,
        _text(node, "securityTitle/value"),
        _text(node, "transactionCoding/transactionCode"),
        side == "A",
        _number(node, "transactionAmounts/transactionShares/value"),
        _number(node, "transactionAmounts/transactionPricePerShare/value"),
    )


def _roles(owner: ET.Element) -> list[str]:
    relationship = "reportingOwnerRelationship/"
    marked = {name: _text(owner, relationship + name).lower() in {"1", "true"} for name in _ROLES}
    roles = [title for name, title in _ROLES.items() if marked[name]]
    title = _text(owner, relationship + "officerTitle")
    return [f"officer: {title}" if role == "officer" and title else role for role in roles]


_ROLES = {
    "isDirector": "director",
    "isOfficer": "officer",
    "isTenPercentOwner": "ten percent owner",
    "isOther": "other",
}


def _text(node: ET.Element, path: str) -> str:
    return " ".join((node.findtext(path) or "").split())


def _number(node: ET.Element, path: str) -> float | None:
    text = _text(node, path).replace(",", "").removeprefix("$")
    try:
        return float(text) if text else None
    except ValueError as error:
        raise ValueError(f"{text!r} where a number belongs") from error
