"""The one tree of errors. Each message says what was wrong, what was got, and what to do.

Every error is also the builtin a caller would expect, so that library users need not know this module.
Only the command line catches them; it prints the message and ends with exit code 2.
"""


class AlfredError(Exception):
    """Root of everything Alfred raises on purpose."""


class ConfigError(AlfredError, ValueError):
    """A setting, name or argument is not usable."""


class DataError(AlfredError, ValueError):
    """Data are absent, malformed, or not what a stage may work with."""


class LeakError(AlfredError, ValueError):
    """Going on would let a later date, or a held-out row, influence an earlier result."""


class AuditError(AlfredError, ValueError):
    """The audit found that a result cannot be believed."""


class MissingExtraError(AlfredError, ImportError):
    """An optional library is needed; the message names the extra that installs it."""


class FetchError(AlfredError, ConnectionError):
    """A service did not answer, or not usefully; another try later may succeed."""


class DigestError(AlfredError):
    """An article could not be digested; the failure is recorded, the article stays to be tried again."""


class BudgetError(AlfredError):
    """The next paid request could go beyond what the user allowed."""
