"""What one does here: `nox` runs the checks that CI runs, `nox -l` lists the rest."""

import nox

nox.options.default_venv_backend = "venv"
nox.options.sessions = ["lint", "tests"]

PROJECT = nox.project.load_toml("pyproject.toml")
TORCH = ".nox/torch"  # one environment for all that needs torch: 5 GB, and a minute to make


def install(session: nox.Session) -> None:
    groups = nox.project.dependency_groups(PROJECT, "test")
    session.install("-q", "-c", "constraints.txt", "-e", ".", *groups)


@nox.session
def lint(session: nox.Session) -> None:
    """Format, lint, and the direction of imports: a small environment, without torch."""
    session.install("-q", *nox.project.dependency_groups(PROJECT, "lint"))
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("lint-imports", env={"PYTHONPATH": "."})


@nox.session(venv_location=TORCH, reuse_venv=True)
def tests(session: nox.Session) -> None:
    """Types and all tests. Arguments go to pytest: nox -s tests -- tests/test_space.py"""
    install(session)
    session.run("mypy")
    session.run("pytest", *session.posargs)


@nox.session(venv_location=TORCH, reuse_venv=True)
def faults(session: nox.Session) -> None:
    """A hundred kills, and four processes writing 2,000 trials under a dashboard's eyes."""
    install(session)
    session.run("python", "-m", "tests.faults", "--kills", "100")
    session.run("python", "-m", "tests.stress", "--trials", "2000")


@nox.session(venv_location=TORCH, reuse_venv=True)
def bench(session: nox.Session) -> None:
    """Figures beside their targets; fails where one is missed by more than a tenth."""
    install(session)
    session.run("python", "-m", "tests.benchmarks.overhead")
