"""Keys of services: read from the environment, and kept out of everything that is written or shown.

A service may repeat a key in an answer or in a redirect ("we have detected your API key as ..."), and an HTTP library
may put an address with its query into a log or an error. So whatever leaves the network code goes through `scrub`:
texts as they come, JSON after parsing (escapes may hide a key), and rows before they reach the lake.
"""

import dataclasses
import json
import logging
import os
import re
from typing import Any
from urllib.parse import quote, quote_plus

import polars as pl

from alfred.core.errors import ConfigError
from alfred.lake.contracts import Batch, ProviderDescription, Rejected

HIDDEN = "[key]"
# A shorter key ("demo") may well be part of a word, and is replaced only where it stands alone.
LEAST_PLAIN = 8
LOGGERS = (
    "httpx", "httpcore.connection", "httpcore.http11", "httpcore.http2", "httpcore.proxy", "httpcore.socks",
)  # fmt: skip

_known: set[str] = set()


def key_of(description: ProviderDescription) -> str:
    """The service's key from the environment; empty where there is none. From now on `scrub` hides it."""
    key = os.environ.get(description.key_variable, "").strip() if description.key_variable else ""
    if key:
        quoted = {quote(key, safe=""), quote_plus(key)}
        lower = {re.sub("%[0-9A-F]{2}", lambda hit: hit.group().lower(), form) for form in quoted}
        _known.update({key, json.dumps(key)[1:-1], *quoted, *lower})
    return key


def needed_key(description: ProviderDescription) -> str:
    """The service's key.

    Raises:
        ConfigError: the variable is not set; the message names it.
    """
    key = key_of(description)
    if not key:
        raise ConfigError(f"{description.name} needs a key; set the environment variable {description.key_variable}.")
    return key


def scrub(text: str) -> str:
    """`text` with every key that was read replaced, also URL-quoted, and whatever stands beside it.

    A key of fewer than eight characters is left alone inside longer words.
    """
    for key in sorted(_known, key=len, reverse=True):
        if len(key) >= LEAST_PLAIN:
            text = text.replace(key, HIDDEN)
        elif key in text:
            text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(key)}(?![A-Za-z0-9])", HIDDEN, text)
    return text


def scrub_parsed(value: Any) -> Any:
    """A parsed JSON document with `scrub` applied to all its strings, the names of fields included."""
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, list):
        return [scrub_parsed(item) for item in value]
    if isinstance(value, dict):
        return {scrub(name): scrub_parsed(item) for name, item in value.items()}
    return value


def scrub_body(text: str) -> str:
    """A body that is to be shown: if it is JSON, keys spelt with escapes are found too."""
    try:
        parsed = json.loads(text)
    except ValueError:
        return scrub(text)
    return scrub(json.dumps(scrub_parsed(parsed), ensure_ascii=False))


def scrub_batch(batch: Batch) -> Batch:
    """A batch without keys in its columns of strings or in what could not be read."""
    if not _known:
        return batch
    columns = [_scrubbed(column) for column in batch.rows.iter_columns() if column.dtype == pl.String]
    rejected = tuple(Rejected(**scrub_parsed(dataclasses.asdict(bad))) for bad in batch.rejected)
    return dataclasses.replace(batch, rows=batch.rows.with_columns(columns), rejected=rejected)


def _scrubbed(column: pl.Series) -> pl.Series:
    held = column.filter(column.str.contains_any(sorted(_known))).unique().to_list()
    return column.replace(held, [scrub(text) for text in held]) if held else column


class _Scrubbing(logging.Filter):
    """Lets no key through, at whatever level somebody has switched logging on."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = scrub(record.getMessage()), ()
        return True


for _name in LOGGERS:
    logging.getLogger(_name).addFilter(_Scrubbing())
