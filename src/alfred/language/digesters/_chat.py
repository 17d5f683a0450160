"""One request to a server that speaks the OpenAI protocol, within time, budget and the server's patience.

httpx and the lake's `Patience` do the work: time-outs at every step and in all, 429 and 5xx tried again after what
Retry-After says (all threads pause), and keys kept out of every message.
"""

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from alfred.core.errors import ConfigError
from alfred.core.version import __version__
from alfred.lake.contracts import ProviderDescription
from alfred.lake.keys import scrub, scrub_body, scrub_parsed
from alfred.lake.web import Again, Patience, Refused, address, check_status, excerpt_of, parsed
from alfred.language.budget import Budget, Tokens
from alfred.language.digesters._prompt import Message
from alfred.language.digesters._schema import Token

FRAME_TOKENS = 256
"""What a server's template may add to messages."""
HOPELESS = {401: "refuses the key", 402: "wants to be paid first", 404: "knows no such address or model"}
NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol, httpx.ProxyError)


@dataclass
class Spent:
    """What the requests for one article took so far."""

    prompt_tokens: int = 0
    completion_tokens: int = 0

    def add(self, tokens: Tokens) -> None:
        """Count a request."""
        self.prompt_tokens += tokens.prompt
        self.completion_tokens += tokens.completion


@dataclass(frozen=True)
class Reply:
    """What the model said.

    Attributes:
        content: empty where it refused.
        refusal: why it refused; empty where it did not.
        cut: the answer ended at the limit of tokens.
        tokens: of the content with probabilities; empty where the server gave none.
    """

    content: str
    refusal: str = ""
    cut: bool = False
    tokens: tuple[Token, ...] = ()


@dataclass(frozen=True)
class Chat:
    """A server and how it is asked; safe to share between threads.

    Attributes:
        url: of the chat completions.
        key: sent as bearer; empty for none.
        request: what every request says beside messages and schema.
        patience: rate and retries.
        budget: what may be spent.
        most_completion: tokens that an answer may have.
        trust_environment: whether proxies of the environment are used.
    """

    url: str
    key: str = field(repr=False)
    request: Mapping[str, Any]
    patience: Patience
    budget: Budget
    most_completion: int
    trust_environment: bool = True
    _client: httpx.Client = field(init=False, repr=False)

    def __post_init__(self) -> None:
        settings = self.patience.settings
        headers = {"User-Agent": f"Alfred/{__version__}", "Accept": "application/json"}
        client = httpx.Client(
            headers=headers | ({"Authorization": f"Bearer {self.key}"} if self.key else {}),
            timeout=httpx.Timeout(settings.silence_s, connect=min(settings.silence_s, 10.0)),
            limits=httpx.Limits(max_connections=max(1, self.patience.description.concurrency)),
            trust_env=self.trust_environment,
            verify=self.url.startswith("https:"),  # certificates take time to load, and http has none
        )
        object.__setattr__(self, "_client", client)

    def close(self) -> None:
        """Give up what is under way and close the connections."""
        self.patience.stop()
        self._client.close()

    def ask(self, messages: Sequence[Message], response_format: Mapping[str, Any], spent: Spent) -> Reply:
        """The model's answer to `messages`.

        Args:
            messages: of system, user, assistant.
            response_format: of the protocol, with the schema if the server takes one.
            spent: counts what the tries take, whatever becomes of them.

        Raises:
            FetchError: no answer came; the message says why.
            ConfigError: none would come for any article.
            BudgetError: the next try could exceed the budget.
        """
        body = {**self.request, "messages": list(messages), "response_format": dict(response_format)}
        content = json.dumps(body).encode()
        # No tokenizer makes more tokens than there are bytes; the schema may be part of the prompt.
        size = sum(len(text.encode()) for message in messages for text in message.values())
        prompt = size + len(json.dumps(response_format).encode()) + FRAME_TOKENS

        def send(end: float) -> Reply:
            with self.budget.reserved(Tokens(prompt, self.most_completion)) as tokens:
                try:
                    return self._sent(content, end, tokens)
                finally:
                    spent.add(tokens)

        return self.patience.ask(address(self.url), send)

    def _sent(self, content: bytes, end: float, tokens: Tokens) -> Reply:
        """One try. `tokens` is left at the most where it is not known what the server counted."""
        headers = {"Content-Type": "application/json"}
        try:
            request = self._client.build_request("POST", self.url, content=content, headers=headers)
            response = self._client.send(request, stream=True)
        except NEVER_SENT as error:
            tokens.prompt = tokens.completion = 0
            raise Again(f"no connection ({type(error).__name__}: {error})") from None
        except httpx.InvalidURL as error:
            raise ConfigError(scrub(f"{self.url!r} is no address: {error}.")) from None
        except httpx.TimeoutException as error:
            raise Again(f"no answer in time ({type(error).__name__})") from None
        except httpx.TransportError as error:
            raise Again(f"the connection failed ({type(error).__name__}: {error})") from None
        try:
            text = self._body(response, end)
        except httpx.TimeoutException as error:
            raise Again(f"no answer in time ({type(error).__name__})") from None
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise Again(f"the connection failed ({type(error).__name__}: {error})") from None
        finally:
            response.close()
        self._check(response, text, tokens)
        return _reply(parsed(text), tokens)

    def _body(self, response: httpx.Response, end: float) -> str:
        parts, size = [], 0
        for part in response.iter_bytes():
            parts.append(part)
            size += len(part)
            if size > self.patience.settings.largest_bytes:
                raise Refused(f"the answer is larger than {self.patience.settings.largest_bytes:,} bytes")
            if time.monotonic() > end:
                raise Again(f"the answer was not complete in time, {size:,} bytes had come")
        return b"".join(parts).decode("utf-8", errors="replace")

    def _check(self, response: httpx.Response, text: str, tokens: Tokens) -> None:
        """Raise what a status that is no success means. Servers charge nothing for those."""
        status = response.status_code
        if status < httpx.codes.MULTIPLE_CHOICES:
            return
        tokens.prompt = tokens.completion = 0
        said = excerpt_of(scrub_body(text))
        if status in HOPELESS:
            raise ConfigError(
                scrub(f"the server at {address(self.url)} {HOPELESS[status]}: status {status} ({said or 'no reason'}).")
            )
        check_status(status, response.headers.get("Retry-After"), said)
        raise Refused(f"status {status}, a redirect, which is not followed")


def described(host: str, key_variable: str, rate: float, concurrency: int) -> ProviderDescription:
    """The server as the lake's network code knows services: by name, variable of its key, and rate."""
    return ProviderDescription(
        name=host,
        tables=("digests",),
        note="a server that speaks the OpenAI protocol",
        kind="network",
        key_variable=key_variable,
        requests_per_second=rate,
        concurrency=concurrency,
    )


def _reply(form: Any, tokens: Tokens) -> Reply:
    """Read a body that came with status 200, and what the server counted; an error in it may pass."""
    if not isinstance(form, dict):
        raise Again("the body is no JSON object")
    _count(form.get("usage"), tokens)
    choices = form.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        said = form.get("error") or "no choices"
        excerpt = excerpt_of(json.dumps(scrub_parsed(said)))
        raise Again(f"status 200 with an error in place of an answer ({excerpt})")
    choice = choices[0]
    message = choice.get("message")
    if not isinstance(message, dict):
        raise Again("the answer holds no message")
    content, refusal, finish = message.get("content"), message.get("refusal"), choice.get("finish_reason")
    if isinstance(refusal, str) and refusal:
        return Reply("", refusal=excerpt_of(scrub(refusal)) or "no reason given")
    if finish == "content_filter":
        return Reply("", refusal="the server's content filter")
    written = scrub(content) if isinstance(content, str) else ""
    return Reply(written, cut=finish == "length", tokens=_tokens(choice.get("logprobs")))


def _count(usage: Any, tokens: Tokens) -> None:
    """Take over what the server counted, where it is believable; what it does not tell stays at the most."""
    if not isinstance(usage, dict):
        return
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if isinstance(prompt, int) and prompt >= 0:
        tokens.prompt = prompt
    if isinstance(completion, int) and completion >= 0:
        tokens.completion = completion


def _tokens(logprobs: Any) -> tuple[Token, ...]:
    """Tokens with the probabilities of their alternatives; nothing unless all have the protocol's form."""
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    found = []
    for entry in content if isinstance(content, list) else []:
        try:
            alternatives: dict[str, float] = {}
            for one in entry.get("top_logprobs") or ():
                text = str(one["token"])
                alternatives[text] = alternatives.get(text, 0.0) + math.exp(min(float(one["logprob"]), 0.0))
            found.append(Token(str(entry["token"]), alternatives))
        except (AttributeError, KeyError, TypeError, ValueError):
            return ()
    return tuple(found)
