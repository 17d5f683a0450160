"""Keys of services: read from the environment, and kept out of everything that is written or shown.

A service may repeat a key in an answer or in a redirect ("we have detected your API key as ..."), and an HTTP library
may put an address with its query into a log or an error. So whatever leaves the network code goes through `scrub`.
"""

import logging
import os
import re
from urllib.parse import quote, quote_plus

from alfred.core.errors import ConfigError
from alfred.lake.contracts import ProviderDescription

HIDDEN = "[key]"
LOGGERS = (
    "httpx", "httpcore.connection", "httpcore.http11", "httpcore.http2", "httpcore.proxy", "httpcore.socks",
)  # fmt: skip

_known: set[str] = set()


def key_of(description: ProviderDescription) -> str:
    """The service's key from the environment; empty where there is none. From now on `scrub` hides it."""
    key = os.environ.get(description.key_variable, "").strip() if description.key_variable else ""
    if key:
        _known.update({key, quote(key, safe=""), quote_plus(key)})
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
    """`text` with every key that was read replaced; parts of longer words are left alone."""
    for key in sorted(_known, key=len, reverse=True):
        if key in text:
            text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(key)}(?![A-Za-z0-9])", HIDDEN, text)
    return text


class _Scrubbing(logging.Filter):
    """Lets no key through, at whatever level somebody has switched logging on."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = scrub(record.getMessage()), ()
        return True


for _name in LOGGERS:
    logging.getLogger(_name).addFilter(_Scrubbing())
