"""A run's folder becomes one HTML file that opens with no network."""

from alfred.report.page import render, write_report

__all__ = ["render", "write_report"]
