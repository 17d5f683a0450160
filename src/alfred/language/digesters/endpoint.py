"""A language model behind any server that speaks the OpenAI protocol: a hosted one, Ollama, vLLM, llama.cpp.

The model chooses words of short scales under a JSON schema, and numbers are made of them here; its answer is validated,
its quotations are looked up in the article, and an invalid answer is told why and asked for again, twice at most.
"""

import datetime as dt
import os
import time
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, JsonValue, NonNegativeFloat, PositiveFloat, PositiveInt

from alfred.core.digest import digest_of
from alfred.core.errors import BudgetError, ConfigError, DigestError, FetchError
from alfred.core.settings import Settings
from alfred.lake.contracts import ProviderDescription
from alfred.lake.keys import LEAST_PLAIN, key_of
from alfred.lake.web import Patience, WebSettings
from alfred.language.budget import Budget, Prices
from alfred.language.contracts import UNKNOWN_CUTOFF, Article, Digest, Digested, FailedDigestError, Usage
from alfred.language.digesters import _prompt
from alfred.language.digesters._chat import Chat, Reply, Spent, described
from alfred.language.digesters._schema import Invalid, choices_of, digest_of_answer, json_schema
from alfred.language.text import read

URL, MODEL, KEY = "ALFRED_LLM_URL", "ALFRED_LLM_MODEL", "ALFRED_LLM_KEY"
OPENAI_URL, OPENAI_KEY = "OPENAI_BASE_URL", "OPENAI_API_KEY"
OPENAI_HOST = "api.openai.com"
LOOPBACK = ("localhost", "127.0.0.1", "::1")
TRIES = 3
Constrain = Literal["sentences", "words", "told"]


class EndpointSettings(Settings):
    """Which model reads, how it is asked, and what it may cost. The key comes from the environment alone."""

    base_url: str = Field(
        default="", description=f"such as http://127.0.0.1:11434/v1; default from {URL} or {OPENAI_URL}"
    )
    model: str = Field(default="", description=f"name of the model at the server; default from {MODEL}")
    knowledge_cutoff: dt.date | None = Field(
        default=None,
        description="last day of which the model may have learnt; without it every article counts as known to it",
    )
    constrain: Constrain | None = Field(
        default=None,
        description="sentences: the schema offers the article's sentences for quotation (llama.cpp, Ollama, vLLM; the "
        "default on this machine); words: it enumerates scales only (hosted services; the default elsewhere); told: "
        "the server takes no schema, and the prompt tells it",
    )
    log_probabilities: bool = Field(
        default=True, description="ask for probabilities of tokens, which put scores between the steps of a scale"
    )
    temperature: NonNegativeFloat = Field(default=0.0, description="of the model")
    max_tokens: PositiveInt = Field(default=500, description="tokens that an answer may have")
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = Field(
        default="max_tokens", description="what the server calls the limit of an answer"
    )
    extra: dict[str, JsonValue] = Field(
        default={}, description="further fields of each request, such as reasoning_effort"
    )
    leave_out: tuple[str, ...] = Field(
        default=(), description="fields of the request that the server does not take, such as temperature"
    )
    most_characters: PositiveInt = Field(default=12_000, description="of an article's text that are read")
    usd_per_million_prompt_tokens: NonNegativeFloat | None = Field(
        default=None, description="price; unknown unless given, 0 for a server on this machine"
    )
    usd_per_million_completion_tokens: NonNegativeFloat | None = Field(default=None, description="price, likewise")
    budget_usd: NonNegativeFloat | None = Field(default=None, description="most that all requests may cost together")
    budget_tokens: int | None = Field(default=None, ge=0, description="most tokens that all requests may take together")
    concurrency: PositiveInt = Field(default=4, description="requests that may be under way at once")
    requests_per_second: PositiveFloat = Field(default=20.0, description="what the service allows")
    patience: WebSettings = WebSettings(tries=4, silence_s=120, try_s=180, total_s=600, largest_bytes=8_000_000)


SETTINGS = EndpointSettings


@dataclass(frozen=True)
class Endpoint:
    """A digester; see `alfred.language.contracts.Digester`.

    Attributes:
        chat: the server.
        constrain: how the answer's form is enforced.
        most_characters: of a text that are read.
    """

    model: str
    prompt_version: str
    knowledge_cutoff: dt.date
    concurrency: int
    chat: Chat
    constrain: Constrain
    most_characters: int
    name: str = field(default="endpoint", init=False)

    def digest(self, article: Article, symbol: str) -> Digested:
        """What the model makes of the article about the company `symbol`.

        Raises:
            FailedDigestError: the server gave no answer, the model refused, or no try was valid.
            BudgetError: the next request could exceed the budget; nothing was spent on this article.
            DigestError: the article holds nothing to read.
            ConfigError: the server will answer for no article; the message says why.
        """
        begun, spent, tries, reason = time.monotonic(), Spent(), 0, ""
        company = " ".join(symbol.split())
        text = _prompt.without_control(read(article, self.most_characters).whole).strip()
        if not text:
            raise DigestError(f"article {article.article_id!r} holds no text that can be read.")
        choices = choices_of(text) if self.constrain == "sentences" else ()
        schema = json_schema(choices or None)
        messages = _prompt.messages_of(company, text, schema if self.constrain == "told" else None)

        def usage() -> Usage:
            tokens = spent.prompt_tokens, spent.completion_tokens
            cost = self.chat.budget.prices.usd(*tokens)
            return Usage(*tokens, cost_usd=cost, seconds=time.monotonic() - begun, tries=max(tries, 1))

        while tries < TRIES:
            tries += 1
            try:
                reply = self.chat.ask(messages, self._format(schema), spent)
                return Digested(_digest(reply, text), usage())
            except Invalid as invalid:
                reason = str(invalid)
                messages = _prompt.messages_again(messages[:2], reply.content, reason)
            except FetchError as error:
                raise FailedDigestError(str(error), usage()) from None
            except BudgetError as error:
                if tries == 1 and not spent.prompt_tokens:
                    raise
                raise FailedDigestError(f"no valid digest came before the budget ended: {error}", usage()) from None
            except Refusal as refusal:
                raise FailedDigestError(f"{self.model} refused to answer: {refusal}.", usage()) from None
        raise FailedDigestError(f"{self.model} gave no valid digest in {tries} tries; last: {reason}.", usage())

    def close(self) -> None:
        """Give up what is under way and close the connections."""
        self.chat.close()

    def _format(self, schema: dict[str, JsonValue]) -> dict[str, JsonValue]:
        if self.constrain == "told":
            return {"type": "json_object"}
        return {"type": "json_schema", "json_schema": {"name": "digest", "strict": True, "schema": schema}}


class Refusal(Exception):  # noqa: N818 - control flow, never seen outside
    """The model will not answer; asking again would cost the same and end the same."""


def _digest(reply: Reply, text: str) -> Digest:
    if reply.refusal:
        raise Refusal(reply.refusal.rstrip("."))
    try:
        return digest_of_answer(reply.content, text, reply.tokens)
    except Invalid as invalid:
        cut = ", as it was cut off at max_tokens" if reply.cut else ""
        raise Invalid(f"{invalid}{cut}") from None


def make(settings: EndpointSettings) -> Endpoint:
    """The digester.

    Raises:
        ConfigError: no server or model is named, a server elsewhere has no budget, or a budget in USD no prices.
    """
    from_openai = not settings.base_url and not os.environ.get(URL)
    base = (settings.base_url or os.environ.get(URL) or os.environ.get(OPENAI_URL) or "").strip().rstrip("/")
    model = settings.model or os.environ.get(MODEL, "").strip()
    if not base:
        raise ConfigError(
            f"the digester endpoint needs a server; set {URL} (or base_url) to its address, such as "
            "http://127.0.0.1:11434/v1 for Ollama."
        )
    parts = urlsplit(base)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query:
        raise ConfigError(
            "the address of the digester endpoint is http:// or https://, a host and a path, without a user or query, "
            "such as http://127.0.0.1:11434/v1."
        )
    if not model:
        raise ConfigError(f"the digester endpoint needs a model; set {MODEL} (or model) to its name at the server.")
    here = parts.hostname in LOOPBACK
    if not here and settings.budget_usd is None and settings.budget_tokens is None:
        raise ConfigError(
            f"{parts.hostname} is not this machine and may charge; say what it may take with budget_usd or "
            "budget_tokens (alfred digest --budget-usd 5)."
        )
    # The variables go in pairs, so that a key for one service is not sent to another.
    openai = from_openai or parts.hostname == OPENAI_HOST
    variable = KEY if os.environ.get(KEY) or not openai else OPENAI_KEY
    description = described(parts.netloc, variable, settings.requests_per_second, settings.concurrency)
    constrain: Constrain = settings.constrain or ("sentences" if here else "words")
    chat = Chat(
        url=f"{base}/chat/completions",
        key=_key(description),
        request=_request(settings, model),
        patience=Patience(description, settings.patience),
        budget=Budget(_prices(settings, here=here), settings.budget_tokens, settings.budget_usd),
        most_completion=settings.max_tokens,
        trust_environment=not here,
    )
    return Endpoint(
        model=model,
        prompt_version=_version(settings, constrain),
        knowledge_cutoff=settings.knowledge_cutoff or UNKNOWN_CUTOFF,
        concurrency=settings.concurrency,
        chat=chat,
        constrain=constrain,
        most_characters=settings.most_characters,
    )


def _key(description: ProviderDescription) -> str:
    """The key from the environment, from now on hidden wherever it turns up.

    What local servers are given for form's sake ("none", "ollama") is no secret, and hiding it would hide words.
    """
    key = os.environ.get(description.key_variable, "").strip()
    return key_of(description) if len(key) >= LEAST_PLAIN else key


def _request(settings: EndpointSettings, model: str) -> dict[str, JsonValue]:
    likely: dict[str, JsonValue] = {"logprobs": True, "top_logprobs": 20} if settings.log_probabilities else {}
    fields = {
        "model": model,
        "temperature": settings.temperature,
        settings.max_tokens_field: settings.max_tokens,
        **likely,
        **settings.extra,
    }
    return {name: value for name, value in fields.items() if name not in settings.leave_out}


def _prices(settings: EndpointSettings, *, here: bool) -> Prices:
    prompt, completion = settings.usd_per_million_prompt_tokens, settings.usd_per_million_completion_tokens
    if here:
        return Prices(prompt or 0.0, completion or 0.0)
    return Prices(prompt, completion)


def _version(settings: EndpointSettings, constrain: Constrain) -> str:
    """The prompt's version, and a few digits of a digest of all that moves an answer."""
    moving = {"log_probabilities", "temperature", "max_tokens", "extra", "leave_out", "most_characters"}
    asked = settings.model_dump(mode="json", include=moving)
    return f"{_prompt.VERSION}-{constrain}-{digest_of(asked, json_schema(), _prompt.RULES)[:8]}"
