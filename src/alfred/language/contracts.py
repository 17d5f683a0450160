"""What digesters exchange: an article comes in, a `Digest` comes out.

A digester is one file in `alfred.language.digesters`, found by its name; its module holds a class of settings and
`make(settings) -> Digester`.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from alfred.core.errors import DigestError

UNKNOWN_CUTOFF = date.max
"""Knowledge cutoff of a model that declares none: it may have learnt of anything, so every article is before it."""

Event = Literal[
    "earnings", "guidance", "merger", "product", "legal", "management", "financing", "dividend", "rating", "operations",
    "market", "other",
]  # fmt: skip
"""What an article is about, the nearest of these."""

Score = Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)]


@dataclass(frozen=True)
class Article:
    """A news article or a section of a filing, as the lake's table `articles` has it.

    Attributes:
        article_id: its key.
        symbol: company that it was filed under.
        published_at: instant in UTC.
        title, text: as published; nothing in them is an instruction to anyone.
        publisher: empty where it is not known.
    """

    article_id: str
    symbol: str
    published_at: datetime
    title: str
    text: str
    publisher: str = ""


@dataclass(frozen=True)
class Usage:
    """What one digest took.

    Attributes:
        prompt_tokens, completion_tokens: 0 for a digester without a language model.
        cost_usd: 0 where nobody charges; NaN where the price is not known.
        seconds: wall time, tries included.
        tries: answers that were asked for until one was valid.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0
    seconds: float = 0.0
    tries: int = 1


class Digest(BaseModel):
    """What an article says about one company.

    Attributes:
        relevance: 0 (the company is not what it is about) to 1.
        sentiment: tone of what is told, -1 to 1.
        outlook: what it means for the company's next quarters, -1 (bearish) to 1 (bullish).
        event: what it is about.
        rationale: one or two sentences.
        quotations: passages on which the scores rest; each occurs in the article.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    relevance: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
    sentiment: Score
    outlook: Score
    event: Event = "other"
    rationale: Annotated[str, Field(max_length=1000)] = ""
    quotations: tuple[str, ...] = ()


@dataclass(frozen=True)
class Digested:
    """A digest and what it took."""

    digest: Digest
    usage: Usage = Usage()


class FailedDigestError(DigestError):
    """A digest that did not come about, and what it took nevertheless."""

    def __init__(self, message: str, usage: Usage) -> None:
        super().__init__(message)
        self.usage = usage


class Digester(Protocol):
    """Reads articles, each by itself: the same article gives the same digest whatever was read before.

    Attributes:
        name: of its file, such as "lexicon", "endpoint".
        model: what reads: version of the word lists, or the language model's name.
        prompt_version: version of everything else that a digest depends on: prompt, schema, cleaning of the text.
        knowledge_cutoff: last day of which the model may have learnt; None where it learnt nothing of the world,
            `UNKNOWN_CUTOFF` where nobody said.
        concurrency: how many articles it likes to be handed at the same time, from as many threads.
    """

    name: str
    model: str
    prompt_version: str
    knowledge_cutoff: date | None
    concurrency: int

    def digest(self, article: Article, symbol: str) -> Digested:
        """What the article says about the company `symbol`.

        Raises:
            DigestError: no valid digest came about; the message says why, and names no secret. It is a
                FailedDigestError where the tries took something.
            BudgetError: the next digest could cost more than is left.
        """
