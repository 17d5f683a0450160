"""Answers of a server that speaks the OpenAI protocol, for the loopback service of the lake's tests."""

import json
import math
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "lake"))
from service import Answer, Seen

from alfred.lake.web import WebSettings
from alfred.language.digesters.endpoint import Endpoint
from alfred.language.registry import make_digester

PATIENT = WebSettings(tries=2, silence_s=20, try_s=20, total_s=60, first_wait_s=0.01, longest_wait_s=0.02)
IMPATIENT = WebSettings(tries=2, silence_s=0.3, try_s=0.5, total_s=5, first_wait_s=0.01, longest_wait_s=0.02)
KEY = "sk-abcdef0123456789"
PATH = "/v1/chat/completions"
GOOD = {
    "quotations": ["The company raised its outlook for the full year."],
    "relevance": "central",
    "event": "guidance",
    "sentiment": "positive",
    "outlook": "far better",
    "rationale": "The outlook was raised.",
}


def completion(content: Any, **message: Any) -> dict[str, Any]:
    """A body with one choice; content that is no text is written as JSON."""
    text = content if isinstance(content, str) else json.dumps(content)
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text, **message}}
    return {"choices": [choice], "usage": {"prompt_tokens": 300, "completion_tokens": 60, "total_tokens": 360}}


def said(content: Any, **message: Any) -> Answer:
    return Answer(json.dumps(completion(content, **message)), headers={"Content-Type": "application/json"})


def with_probabilities(content: dict[str, Any], field: str, shares: dict[str, float]) -> Answer:
    """The content token by token: the value of `field` begins with a token that has these alternatives."""
    text = json.dumps(content)
    at = text.index(f'"{field}": "') + len(f'"{field}": "')
    word = str(content[field])
    parts = [text[:at], word, text[at + len(word) :]]
    alternatives = [{parts[0]: 1.0}, shares, {parts[2]: 1.0}]
    tokens = [
        {"token": part, "logprob": 0.0, "top_logprobs": [{"token": t, "logprob": math.log(p)} for t, p in top.items()]}
        for part, top in zip(parts, alternatives, strict=True)
    ]
    body = completion(content)
    body["choices"][0]["logprobs"] = {"content": tokens}
    return Answer(json.dumps(body))


def asked(seen: Seen) -> dict[str, Any]:
    """The body of a request."""
    body: dict[str, Any] = json.loads(seen.body)
    return body


def endpoint(url: str, **settings: Any) -> Endpoint:
    """A digester at a loopback service."""
    given = {"base_url": f"{url}/v1", "model": "tiny", "patience": PATIENT, "requests_per_second": 1e4} | settings
    made = make_digester("endpoint", given)
    assert isinstance(made, Endpoint)
    return made
