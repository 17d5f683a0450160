"""Returns that nobody could have earned, and benchmarks that nobody could have held."""

from collections.abc import Iterator

from alfred.evaluation.audit._contracts import AuditCheck, Found, Probe, Severity, TooLittleError, few
from alfred.evaluation.audit._evidence import AccountEvidence, Evidence

TOLERANCE = 1e-6
COARSE = 5e-3
"""Sums of percentages are printed rounded."""


def not_compounded(evidence: Evidence) -> Iterator[Found]:
    """Stated returns that their account's path does not give."""
    for account in _strategies(evidence):
        stated, path = account.stated_total_return, _total(account)
        summed = None if account.trades_pct is None else float(account.trades_pct.sum()) / 100
        trades = 0 if account.trades_pct is None else len(account.trades_pct)
        if path is not None and abs(path - stated) <= TOLERANCE * max(1.0, abs(path)):
            continue
        if summed is not None and trades > 1 and abs(summed - stated) <= COARSE * max(1, abs(summed)):
            what = (
                f"{account.name}: the stated return {stated:+.1%} is the sum of the percentages of {trades} trades"
                f"{'' if path is None else f'; the account made {path:+.1%}'}."
            )
            yield Found(what, figures={"stated": stated, "sum_of_trades": summed})
        elif path is not None:
            what = f"{account.name}: the stated return is {stated:+.2%}, but the account's path gives {path:+.2%}."
            yield Found(what, figures={"stated": stated, "path": path})


def free_trades(evidence: Evidence) -> Iterator[Found]:
    """Accounts that trade without costs."""
    told = [one for one in _strategies(evidence) if one.turnover_per_year is not None and one.costs is not None]
    if not told:
        raise TooLittleError("no account states turnover and costs")
    free = [one.name for one in told if (one.turnover_per_year or 0) > 0 and not (one.costs or 0) > 0]
    if free:
        what = f"{len(free)} of {len(told)} accounts trade at no cost: {few(free)}; their returns are before costs."
        yield Found(what, "warning", rows=len(free))


def no_account_behind(evidence: Evidence) -> Iterator[Found]:
    """Benchmarks that are a number without an account, such as a mean of what each name made."""
    for account in _benchmarks(evidence):
        path = _total(account)
        held = account.holdings_pct
        if path is not None and abs(path - account.stated_total_return) <= TOLERANCE * max(1.0, abs(path)):
            continue
        mean = None if held is None or not len(held) else float(held.mean()) / 100
        if (
            held is not None
            and mean is not None
            and abs(mean - account.stated_total_return) <= COARSE * max(1, abs(mean))
        ):
            share = float(held.max() / held[held > 0].sum()) if (held > 0).any() else 0.0
            what = (
                f"{account.name} is the average of {len(held)} names' buy-and-hold returns ({mean:+.0%}), "
                f"{share:.0%} of it one name's; it is no account that anyone could hold beside the strategies."
            )
            yield Found(what, figures={"largest_share": share, "mean": mean})
        elif path is None:
            yield Found(f"{account.name} is a number without an account behind it; it cannot be compared with one.")
        else:
            stated = account.stated_total_return
            what = f"{account.name}: the stated return is {stated:+.2%}, but its path gives {path:+.2%}."
            yield Found(what, figures={"stated": stated, "path": path})


def other_dates(evidence: Evidence) -> Iterator[Found]:
    """Benchmarks on other sessions than the strategies, or none at all."""
    strategies, benchmarks = _strategies(evidence), [one for one in evidence.accounts or () if one.is_benchmark]
    if not benchmarks:
        yield Found("no benchmark stands beside the strategies; a rising market would look like skill.", "warning")
        return
    spans = [one.dates[[0, -1]] for one in strategies if one.dates is not None and len(one.dates)]
    if not spans:
        raise TooLittleError("no strategy gives its dates")
    first, last = min(span[0] for span in spans), max(span[1] for span in spans)
    off = [
        one.name for one in benchmarks
        if one.dates is not None and len(one.dates) and (one.dates[0] > first or one.dates[-1] < last)
    ]  # fmt: skip
    if off:
        severe: Severity = "error" if len(off) == len(benchmarks) else "warning"
        yield Found(f"{few(off)} do not cover the strategies' sessions from {first} to {last}.", severe, rows=len(off),
                    dates=(str(first), str(last)))  # fmt: skip


def _total(account: AccountEvidence) -> float | None:
    """Compounded return of the account's path, from its initial capital of 1."""
    if account.value is None or not len(account.value):
        return None
    return float(account.value[-1]) - 1


def _strategies(evidence: Evidence) -> list[AccountEvidence]:
    found = [one for one in evidence.accounts or () if not one.is_benchmark]
    if not found:
        raise TooLittleError("there is no strategy's account")
    return found


def _benchmarks(evidence: Evidence) -> list[AccountEvidence]:
    found = [one for one in evidence.accounts or () if one.is_benchmark]
    if not found:
        raise TooLittleError("there is no benchmark's account")
    return found


CHECKS = (
    AuditCheck(
        "summed-percentages", 16, "sum of per-trade percentages",
        "report the compounded return of one account, net of costs and borrow",
        (
            Probe(("accounts",), "stated returns, beside the account's path and the sum of its trades", "error",
                  not_compounded),
            Probe(("accounts",), "turnover and costs", "warning", free_trades),
        ),
    ),
    AuditCheck(
        "unfit-benchmark", 17, "average of buy-and-hold returns as benchmark",
        "compare with accounts on the same sessions and costs: the basket held, 1/N rebalanced, the index",
        (
            Probe(("accounts",), "benchmarks' stated returns, beside their paths and their names' returns", "error",
                  no_account_behind),
            Probe(("accounts",), "sessions of benchmarks and strategies", "error", other_dates),
        ),
    ),
)  # fmt: skip
