"""Alfred: a research laboratory for equities that cannot see the future and says what it does not know."""

from alfred.core.version import __version__ as __version__
