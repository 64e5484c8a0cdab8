"""The analysis of finished studies: it reads databases into tables, and never trains."""
