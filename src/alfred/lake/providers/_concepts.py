"""Our vocabulary of company figures, and the XBRL tags that each is read from.

A concept lists tags in groups. Tags of one group mean the same (names that the taxonomy or a company changed over the
years), so the latest filing counts whichever of them it used. A later group is only near in meaning: it stands in
where no better tag has been filed for that period yet, and never replaces one. Within a filing the order in the list
decides.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Concept:
    """One figure.

    Attributes:
        name: as it stands in the table `facts`.
        shape: "instant" for what stands on a date, "duration" for what flows in a period.
        unit: the expected one, for ties between units.
        groups: tags by closeness of meaning, best group first; "dei:" marks tags of the cover page.
    """

    name: str
    shape: Literal["instant", "duration"]
    unit: str
    groups: tuple[tuple[str, ...], ...]


def _flow(name: str, *groups: tuple[str, ...], unit: str = "USD") -> Concept:
    return Concept(name, "duration", unit, groups)


def _stock(name: str, *groups: tuple[str, ...], unit: str = "USD") -> Concept:
    return Concept(name, "instant", unit, groups)


_PRETAX = "IncomeLossFromContinuingOperationsBeforeIncomeTaxes"
_CASH_FLOW = "NetCashProvidedByUsedIn{}Activities"
_CONTINUING = _CASH_FLOW + "ContinuingOperations"
_BOTH_SHARES = "WeightedAverageNumberOfShareOutstandingBasicAndDiluted"

CONCEPTS: tuple[Concept, ...] = (
    # `Revenues` is the total where a company also gives its revenue from contracts alone (leases, insurance, interest).
    _flow(
        "Revenue",
        (
            "Revenues",
            "RevenueFromContractWithCustomerExcludingAssessedTax",
            "RevenueFromContractWithCustomerIncludingAssessedTax",
            "SalesRevenueNet",
        ),
        ("RevenuesNetOfInterestExpense", "SalesRevenueGoodsNet"),
    ),
    _flow("CostOfRevenue", ("CostOfRevenue", "CostOfGoodsAndServicesSold"), ("CostOfGoodsSold",)),
    _flow("GrossProfit", ("GrossProfit",)),
    _flow("ResearchAndDevelopment", ("ResearchAndDevelopmentExpense",)),
    _flow("SellingGeneralAdministrative", ("SellingGeneralAndAdministrativeExpense",)),
    _flow("OperatingIncome", ("OperatingIncomeLoss",)),
    _flow("InterestExpense", ("InterestExpense", "InterestExpenseNonoperating"), ("InterestExpenseDebt",)),
    _flow(
        "PretaxIncome",
        (
            f"{_PRETAX}ExtraordinaryItemsNoncontrollingInterest",
            f"{_PRETAX}MinorityInterestAndIncomeLossFromEquityMethodInvestments",
        ),
    ),
    _flow("IncomeTax", ("IncomeTaxExpenseBenefit",)),
    _flow("NetIncome", ("NetIncomeLoss",), ("ProfitLoss",), ("NetIncomeLossAvailableToCommonStockholdersBasic",)),
    _flow("EPSBasic", ("EarningsPerShareBasic", "EarningsPerShareBasicAndDiluted"), unit="USD/shares"),
    _flow("EPSDiluted", ("EarningsPerShareDiluted", "EarningsPerShareBasicAndDiluted"), unit="USD/shares"),
    _flow("SharesBasic", ("WeightedAverageNumberOfSharesOutstandingBasic", _BOTH_SHARES), unit="shares"),
    _flow("SharesDiluted", ("WeightedAverageNumberOfDilutedSharesOutstanding", _BOTH_SHARES), unit="shares"),
    _stock("Assets", ("Assets",)),
    _stock("CurrentAssets", ("AssetsCurrent",)),
    _stock("Cash", ("CashAndCashEquivalentsAtCarryingValue",), ("Cash",)),
    _stock("Receivables", ("AccountsReceivableNetCurrent",), ("ReceivablesNetCurrent",)),
    _stock("Inventory", ("InventoryNet",)),
    _stock("Liabilities", ("Liabilities",)),
    _stock("CurrentLiabilities", ("LiabilitiesCurrent",)),
    # The line of the balance sheet; `LongTermDebt` of the notes includes what falls due within a year.
    _stock("LongTermDebt", ("LongTermDebtNoncurrent",), ("LongTermDebt",)),
    _stock(
        "Equity",
        ("StockholdersEquity",),
        ("StockholdersEquityIncludingPortionAttributableToNoncontrollingInterest",),
    ),
    # The balance sheet's count at the period's end; the cover page's is dated some weeks later.
    _stock("Shares", ("CommonStockSharesOutstanding",), ("dei:EntityCommonStockSharesOutstanding",), unit="shares"),
    _flow("OperatingCashFlow", (_CASH_FLOW.format("Operating"),), (_CONTINUING.format("Operating"),)),
    _flow("InvestingCashFlow", (_CASH_FLOW.format("Investing"),), (_CONTINUING.format("Investing"),)),
    _flow("FinancingCashFlow", (_CASH_FLOW.format("Financing"),), (_CONTINUING.format("Financing"),)),
    _flow(
        "CapitalExpenditure", ("PaymentsToAcquirePropertyPlantAndEquipment",), ("PaymentsToAcquireProductiveAssets",)
    ),
    _flow(
        "DepreciationAmortization",
        (
            "DepreciationDepletionAndAmortization",
            "DepreciationAmortizationAndAccretionNet",
            "DepreciationAndAmortization",
        ),
    ),
    _flow("StockCompensation", ("ShareBasedCompensation",)),
    _flow("ShareRepurchases", ("PaymentsForRepurchaseOfCommonStock",)),
    _flow("DividendsPaid", ("PaymentsOfDividends",), ("PaymentsOfDividendsCommonStock",)),
)
