import numpy as np
import pytest

from alfred.backtest.contracts import LedgerEntry
from alfred.backtest.ledger import (
    analyse_trades,
    average_hold_pct,
    build_ledger,
    format_basket_hold,
    format_ledger,
    format_trade_analysis,
)
from alfred.core.contracts import Bars

NONE = float("nan")
QUARTERS = np.array(["2004-03-31", "2004-06-30", "2004-09-30", "2004-12-31"], dtype="datetime64[D]")


def bars_of(*columns, total=None):
    close = np.array(columns, dtype=np.float64).T
    symbols = ("ZION", "HIG", "SWK")[: close.shape[1]]
    return Bars(QUARTERS[: len(close)], symbols, close, close if total is None else np.array(total).T)


def test_prints_what_the_notes_print():
    bars = bars_of([57.10, 61.45, 60.0, 60.0], [68.0, 68.74, 61.93, 66.0])
    positions = np.array([[-1, 0], [0, -1], [0, -1], [0, 1]], dtype=np.int8)
    readings = np.array(
        [
            [-0.09931297600269318, 0.01],
            [-0.033495139330625534, -0.11127478629350662],
            [0.0, -0.1346954107284546],
            [0.0, 0.25],
        ]
    )
    ledger = build_ledger(bars, positions, readings, np.arange(4))
    assert format_ledger(ledger) == (
        "2004-03-31, SELL_SHORT CREATE, Price=57.10, Model Reading=-0.09931297600269318\n"
        "Asset: ZION\n"
        "2004-06-30, CLOSE_SHORT, Price=61.45, Profit=-4.35, Model Reading=-0.033495139330625534\n"
        "Asset: ZION\n"
        "2004-06-30, SELL_SHORT CREATE, Price=68.74, Model Reading=-0.11127478629350662\n"
        "Asset: HIG\n"
        "2004-09-30, HOLD_SHORT HIG, Price=61.93, Model Reading=-0.1346954107284546\n"
        "2004-12-31, CLOSE_SHORT, Price=66.00, Profit=2.74, Model Reading=0.25\n"
        "Asset: HIG\n"
        "2004-12-31, BUY CREATE, Price=66.00, Model Reading=0.25\n"
        "Asset: HIG"
    )


def test_long_trades_and_their_profit():
    bars = bars_of([10.24, 9.86, 12.0, 13.0])
    ledger = build_ledger(bars, np.array([[1], [0], [1], [1]], dtype=np.int8), np.full((4, 1), 0.5), np.arange(4))
    assert [entry.action for entry in ledger] == ["BUY CREATE", "CLOSE_LONG", "BUY CREATE", "HOLD_LONG"]
    assert ledger[1].profit == pytest.approx(-0.38)
    assert analyse_trades(ledger).open == 1


def test_prices_are_those_of_the_fill_session():
    ledger = build_ledger(bars_of([10, 11, 12, 13]), np.array([[1]], dtype=np.int8), np.array([[0.9]]), np.array([2]))
    assert ledger == [LedgerEntry("2004-09-30", "BUY CREATE", "ZION", 12.0, 0.9)]


def test_quotes_that_end_close_a_trade_at_the_last_price_and_open_none():
    bars = bars_of([10.0, 8.0, NONE, NONE])
    positions = np.array([[1], [1], [1]], dtype=np.int8)
    ledger = build_ledger(bars, positions, np.array([[0.9], [0.8], [NONE]]), np.array([0, 2, 3]))
    assert format_ledger(ledger) == (
        "2004-03-31, BUY CREATE, Price=10.00, Model Reading=0.9\nAsset: ZION\n"
        "2004-09-30, CLOSE_LONG, Price=8.00, Profit=-2.00, Model Reading=0.8\nAsset: ZION"
    )


def test_ledger_shows_quoted_closes_where_the_account_trades_total_return_prices():
    bars = bars_of([10.0, 11.0, 12.0, 13.0], total=[[5.0, 6.0, 7.0, 8.0]])
    ledger = build_ledger(bars, np.array([[1], [0]], dtype=np.int8), np.full((2, 1), 0.6), np.array([0, 1]))
    assert [(entry.price, entry.profit) for entry in ledger] == [(10.0, None), (11.0, 1.0)]


def test_trade_analysis_by_hand():
    bars = bars_of([10, 15, 10, 10], [100, 90, 90, 99], [50, 50, 50, 100])
    positions = np.array([[1, -1, 1], [0, 1, 0], [-1, 1, 1], [0, 1, 0]], dtype=np.int8)
    trades = analyse_trades(build_ledger(bars, positions, np.zeros((4, 3)), np.arange(4)))
    # ZION +50% and 0%, HIG short +10% and an open long, SWK 0% and +100%
    assert (trades.completed, trades.profitable, trades.losing, trades.open) == (5, 3, 0, 1)
    assert trades.win_rate == 0.6
    assert trades.average_profit_pct == pytest.approx(32.0)
    assert trades.sum_of_trade_pct == pytest.approx(160.0)
    assert trades.best_trade == "SWK 2004-09-30 to 2004-12-31"
    assert trades.best_trade_pct == pytest.approx(100.0)
    assert trades.best_trade_share == pytest.approx(100 / 160)
    assert format_trade_analysis(trades) == (
        "--- Trade Analysis ---\n"
        "Total Completed Trades: 5\n"
        "Profitable Trades: 3\n"
        "Losing Trades: 0\n"
        "Win Rate: 60.00%\n"
        "Average Profit Percentage per Trade: 32.00%\n"
        "Total Profit Percentage (sum of trade %): 160.00%\n"
        "This sum is not a return: percentages of trades do not add up in one account, and their costs are not in it.\n"
        "One trade makes 62% of all gains: SWK 2004-09-30 to 2004-12-31, +100.00%. "
        "Check its prices before believing the rest.\n"
        "Still open and not counted: 1"
    )


def test_the_notes_stale_price_is_called_out():
    close = np.array([2.95, 146.76, 146.76, 146.76])
    ledger = build_ledger(bars_of(close), np.array([[1], [0]], dtype=np.int8), np.zeros((2, 1)), np.array([0, 1]))
    trades = analyse_trades(ledger)
    assert trades.best_trade_pct == pytest.approx(4874.92, abs=0.01)
    assert trades.best_trade_share == 1.0
    assert "One trade makes 100% of all gains: ZION" in format_trade_analysis(trades)


def test_gains_that_are_spread_are_not_called_out():
    bars = bars_of([10, 11, 9.9, 11])
    ledger = build_ledger(bars, np.array([[1], [-1], [1], [0]], dtype=np.int8), np.zeros((4, 1)), np.arange(4))
    trades = analyse_trades(ledger)
    # +10%, +10%, +11.1%
    assert trades.best_trade_share == pytest.approx((1 / 9) / (0.2 + 1 / 9))
    assert "One trade" not in format_trade_analysis(trades)
    assert "Still open" not in format_trade_analysis(trades)


def test_no_trades_at_all():
    trades = analyse_trades([])
    assert (trades.completed, trades.win_rate, trades.best_trade, trades.best_trade_share) == (0, 0.0, "", 0.0)
    assert "Win Rate: 0.00%" in format_trade_analysis(trades)
    assert format_ledger([]) == ""


def test_only_losing_trades_have_no_best_share():
    ledger = build_ledger(bars_of([10, 5]), np.array([[1], [0]], dtype=np.int8), np.zeros((2, 1)), np.arange(2))
    trades = analyse_trades(ledger)
    assert (trades.best_trade_pct, trades.best_trade_share) == (-50.0, 0.0)


def test_basket_hold_names_its_defect():
    bars = bars_of([10, 11, 12, 20], [10, 10, 5, NONE], [NONE, 1, 2, 3])
    average = average_hold_pct(bars, 0)
    assert average == pytest.approx((100 - 50) / 2)
    text = format_basket_hold(average)
    assert text.startswith("--- Basket Hold Metrics ---\n\nEqual-Weighted Buy and Hold Return (Entire Basket):\n  Ave")
    assert "  Average Return: 25.00%\n" in text
    assert text.endswith("one name can make all of it.")
    assert average_hold_pct(bars_of([NONE, 1]), 0) == 0.0
