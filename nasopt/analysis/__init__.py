"""Finished studies -> tables: it reads databases, and never trains."""
