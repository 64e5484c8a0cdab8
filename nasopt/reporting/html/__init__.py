"""A search as one page that opens anywhere: `write_report`."""

from nasopt.reporting.html.page import write_report

__all__ = ["write_report"]
