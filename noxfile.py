"""What one does here: `nox` runs the checks that CI runs, `nox -l` lists them all."""

import nox

nox.options.default_venv_backend = "venv"


@nox.session
def lint(session: nox.Session) -> None:
    """Format, lint, and the direction of imports: no torch, a small environment."""
    session.install(*nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), "lint"))
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("lint-imports", env={"PYTHONPATH": "."})


@nox.session
def tests(session: nox.Session) -> None:
    """Types and all tests, in one environment: torch in it takes 5 GB and a minute.

    Arguments go to pytest: nox -s tests -- tests/test_space.py -k distinct
    """
    groups = nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), "test")
    session.install("-c", "constraints.txt", "-e", ".", *groups)
    session.run("mypy")
    session.run("pytest", *session.posargs)
