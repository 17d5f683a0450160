"""Alfred: a research laboratory for equities that cannot see the future and says what it does not know."""

__version__ = "0.1.0"
