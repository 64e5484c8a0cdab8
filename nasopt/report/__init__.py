"""A search as one page that opens anywhere: `write_report`."""

from nasopt.report.page import write_report

__all__ = ["write_report"]
