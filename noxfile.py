"""What one does here: `nox` runs the checks that CI runs, `nox -l` lists the rest."""

import sys
from pathlib import Path

import nox

nox.options.default_venv_backend = "venv"
nox.options.sessions = ["lint", "docs", "tests"]

PROJECT = nox.project.load_toml("pyproject.toml")


@nox.session
def lint(session: nox.Session) -> None:
    """Format, lint, and the direction of imports: a small environment, without torch."""
    session.install("-q", *nox.project.dependency_groups(PROJECT, "lint"))
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("lint-imports", env={"PYTHONPATH": "."})


@nox.session
def docs(session: nox.Session) -> None:
    """The site, from docs/ to build/site: a broken link fails. `-- serve` shows it as you write."""
    session.install("-q", *nox.project.dependency_groups(PROJECT, "docs"))
    session.install("-q", "--no-deps", "-e", ".")  # --help and signatures load nothing else
    command = session.posargs or ("build", "--strict", "--site-dir=build/site")
    session.run("mkdocs", *command, env={"NO_MKDOCS_2_WARNING": "1"})


@nox.session
def tests(session: nox.Session) -> None:
    """Types and all tests. Arguments go to pytest: nox -s tests -- tests/test_space.py"""
    groups = nox.project.dependency_groups(PROJECT, "test")
    session.install("-q", "-c", "constraints.txt", "-e", ".", *groups)
    session.run("mypy")
    # two processes, a file to each in turn; what is asked for by name runs in one
    session.run("pytest", *(session.posargs or ("-n2", "--dist=loadfile")))


@nox.session(venv_backend="none")
def faults(session: nox.Session) -> None:
    """A hundred kills, a minute of a locked database, 2,000 trials, 425 crafted databases."""
    python = _python_of_tests(session)
    session.run(python, "-m", "tests.faults", "--kills=100", "--lock=61", external=True)
    session.run(python, "-m", "tests.stress", "--trials", "2000", external=True)
    session.run(python, "-m", "tests.crafted", external=True)


@nox.session(venv_backend="none")
def kernels(session: nox.Session) -> None:
    """Random layers against float64, with every instruction set of oneDNN, one thread and two."""
    python = _python_of_tests(session)
    session.run(python, "-m", "tests.kernels", *session.posargs, external=True)


@nox.session(venv_backend="none")
def bench(session: nox.Session) -> None:
    """Figures beside their targets; fails where one is missed by more than a tenth.

    Arguments choose some of them: nox -s bench -- throughput growth
    """
    python = _python_of_tests(session)
    session.run(python, "-m", "tests.benchmarks", *session.posargs, external=True)


def _python_of_tests(session: nox.Session) -> str:
    """The environment of `tests`, made if need be: with torch it is 5 GB, and one is enough."""
    python = Path(".nox/tests/bin/python")
    if not python.exists():
        session.run(sys.executable, "-m", "nox", "-s", "tests", "--install-only", external=True)
    return str(python)
