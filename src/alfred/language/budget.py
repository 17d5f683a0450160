"""What reading may cost: a bound that is checked before each request, so that it cannot be exceeded.

A request reserves the most that it can take. It waits while others that are under way may give back what they do not
need, and is refused when even then it does not fit.
"""

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from alfred.core.errors import BudgetError, ConfigError

MILLION = 1_000_000


@dataclass(frozen=True)
class Prices:
    """USD for a million tokens; None where the price is not known."""

    prompt: float | None = None
    completion: float | None = None

    @property
    def known(self) -> bool:
        """Whether a cost can be told."""
        return self.prompt is not None and self.completion is not None

    def usd(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Cost; NaN where a price is not known."""
        if self.prompt is None or self.completion is None:
            return math.nan
        return (prompt_tokens * self.prompt + completion_tokens * self.completion) / MILLION


@dataclass
class Tokens:
    """Tokens of one request: first the most that it can take, in the end what it took."""

    prompt: int
    completion: int

    @property
    def total(self) -> int:
        """Both together."""
        return self.prompt + self.completion


@dataclass
class Budget:
    """Tokens and USD that may be spent in all; safe to share between threads.

    Attributes:
        prices: what tokens cost.
        most_tokens, most_usd: bounds; None for none.
        tokens, usd: spent so far; requests under way count in full.
    """

    prices: Prices = field(default_factory=Prices)
    most_tokens: int | None = None
    most_usd: float | None = None
    tokens: int = 0
    usd: float = 0.0
    _under_way: int = 0
    _changed: threading.Condition = field(default_factory=threading.Condition, repr=False)

    def __post_init__(self) -> None:
        if self.most_usd is not None and not self.prices.known:
            raise ConfigError(
                "a budget in USD needs prices; set usd_per_million_prompt_tokens and "
                "usd_per_million_completion_tokens, or give a budget in tokens."
            )

    @contextmanager
    def reserved(self, most: Tokens) -> Iterator[Tokens]:
        """Hold `most` while a request is under way; what stands in the yielded tokens at its end counts as spent.

        Raises:
            BudgetError: it could go beyond a bound.
        """
        spent = Tokens(most.prompt, most.completion)
        with self._changed:
            while not self._fits(most):
                if not self._under_way:
                    raise BudgetError(self._refusal(most))
                self._changed.wait()
            self._add(most, 1)
            self._under_way += 1
        try:
            yield spent
        finally:
            with self._changed:
                self._add(most, -1)
                self._add(spent, 1)
                self._under_way -= 1
                self._changed.notify_all()

    def _add(self, tokens: Tokens, sign: int) -> None:
        self.tokens += sign * tokens.total
        if self.prices.known:
            self.usd += sign * self.prices.usd(tokens.prompt, tokens.completion)

    def _fits(self, most: Tokens) -> bool:
        if self.most_tokens is not None and self.tokens + most.total > self.most_tokens:
            return False
        return self.most_usd is None or self.usd + self.prices.usd(most.prompt, most.completion) <= self.most_usd

    def _refusal(self, most: Tokens) -> str:
        parts = []
        if self.most_tokens is not None:
            parts.append(f"{self.tokens:,} of {self.most_tokens:,} tokens are spent and it could take {most.total:,}")
        if self.most_usd is not None:
            cost = self.prices.usd(most.prompt, most.completion)
            parts.append(f"{self.usd:.4f} of {self.most_usd:.4f} USD are spent and it could cost {cost:.4f}")
        return f"the next request could exceed the budget: {'; '.join(parts)}. Raise the budget to go on."
