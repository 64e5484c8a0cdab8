"""What one does here: `nox` runs the checks that CI runs, `nox -l` lists the rest."""

import sys
from pathlib import Path

import nox

nox.options.default_venv_backend = "venv"
nox.options.sessions = ["lint", "docs", "tests"]

PROJECT = nox.project.load_toml("pyproject.toml")


@nox.session
def lint(session: nox.Session) -> None:
    """Check format, lint, and the direction of imports, in a small environment without torch."""
    session.install("-q", *nox.project.dependency_groups(PROJECT, "lint"))
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("lint-imports", env={"PYTHONPATH": "."})


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site from docs/ to build/site; a broken link fails.

    `nox -s docs -- serve` shows it as you write.
    """
    session.install("-q", *nox.project.dependency_groups(PROJECT, "docs"))
    session.install("-q", "--no-deps", "-e", ".")  # --help and signatures load nothing else
    command = session.posargs or ("build", "--strict", "--site-dir=build/site")
    session.run("mkdocs", *command, env={"NO_MKDOCS_2_WARNING": "1"})


@nox.session
def tests(session: nox.Session) -> None:
    """Check types and run all tests.

    Arguments go to pytest: nox -s tests -- tests/space/test_space.py
    """
    groups = nox.project.dependency_groups(PROJECT, "test")
    session.install("-q", "-c", "constraints.txt", "-e", ".", *groups)
    session.run("mypy")
    # two processes, a file to each in turn; what is asked for by name runs in one
    session.run("pytest", *(session.posargs or ("-n2", "--dist=loadfile")))


@nox.session(venv_backend="none")
def faults(session: nox.Session) -> None:
    """Try kills, power cuts, hosts, locked and crafted databases: about an hour on two cores.

    One argument is a share of the usual counts: nox -s faults -- 0.1
    """
    python = _python_of_tests(session)
    share = float(session.posargs[0]) if session.posargs else 1.0
    kills, making, cuts = (max(1, round(share * usual)) for usual in (400, 100, 100))
    for part in (
        ("pytest", "-m", "long"),
        ("tests.faults", f"--kills={kills}", "--lock=61"),
        ("tests.making", f"--kills={making}"),
        ("tests.power", f"--cuts={cuts}"),
        ("tests.finals_kills", f"--kills={making}"),
        ("tests.takeover",),
        ("tests.stress", f"--trials={max(100, round(share * 2_000))}"),
        ("tests.outage", f"--trials={max(100, round(share * 2_000))}"),
        ("tests.crafted",),
    ):
        session.run(python, "-m", *part, external=True)


@nox.session(name="ray")
def on_ray(session: nox.Session) -> None:
    """Try a Ray cluster of two nodes on this machine, one of which is killed: a few minutes."""
    groups = nox.project.dependency_groups(PROJECT, "test")
    session.install("-q", "-c", "constraints.txt", "-e", ".[ray]", *groups)
    session.run("pytest", "-m", "long or not long", "tests/search/test_on_ray.py")


@nox.session(venv_backend="none")
def kernels(session: nox.Session) -> None:
    """Check random layers against float64, by each instruction set of oneDNN, 1 and 2 threads."""
    python = _python_of_tests(session)
    session.run(python, "-m", "tests.kernels", *session.posargs, external=True)


@nox.session(venv_backend="none")
def bench(session: nox.Session) -> None:
    """Measure figures and fail if one misses its target by more than a tenth.

    Arguments choose some of them: nox -s bench -- throughput growth
    """
    python = _python_of_tests(session)
    session.run(python, "-m", "tests.benchmarks", *session.posargs, external=True)


PEERS = {
    "ours": [],
    "smac": ["smac"],
    "cqr": ["syne-tune", "huggingface_hub"],
    "hebo": [  # pip finds no versions that go together by itself
        *("HEBO==0.3.6", "GPy==1.13.2", "pymoo==0.6.0", "numpy==1.24.4", "scipy==1.12.0"),
        *("pandas==2.3.3", "torch", "gpytorch"),
    ],
}


@nox.session
@nox.parametrize("peer", list(PEERS))
def peers(session: nox.Session, peer: str) -> None:
    """Compare with samplers of other projects on two tables, each in an environment of its own.

    Arguments go to the runs: nox -s peers -- --seeds 3
    """
    python = _python_of_tests(session)
    Path("runs").mkdir(exist_ok=True)
    rows, given = "runs/peers.csv", ["--seeds", "20", "--trials", "50", *session.posargs]
    if peer == "ours":
        for sampler in ("random", "tpe", "gp", "surrogate"):
            run = ["run", rows, sampler, "--sampler", sampler, "--tables", "cifar10", "macro"]
            session.run(python, "-m", "tests.benchmarks.regret", *run, *given, external=True)
    else:
        session.install("-q", *PEERS[peer])
        theirs = str(Path(session.bin) / "python")
        run = ["run", rows, peer, "--python", theirs, *given]
        session.run(python, "-m", "tests.benchmarks.peers", *run, external=True)
    session.run(python, "-m", "tests.benchmarks.peers", "show", rows, external=True)


@nox.session(venv_backend="none")
def scale(session: nox.Session) -> None:
    """Measure how far one study scales: trainings by workers, trials a second by databases.

    Arguments choose parts, as does `parallel`, the price of parallelism by samplers:
    nox -s scale -- storage simulation
    """
    python = _python_of_tests(session)
    parts = session.posargs or ["workers", "storage", "simulation"]
    if "parallel" in parts:
        session.run(python, "-m", "tests.benchmarks.parallel", external=True)
        parts = [each for each in parts if each != "parallel"]
    if parts:
        session.run(python, "-m", "tests.benchmarks.scale", *parts, external=True)


def _python_of_tests(session: nox.Session) -> str:
    """Return the Python of `tests`, made if need be: with torch it is 5 GB, and one is enough."""
    python = Path(".nox/tests/bin/python")
    if not python.exists():
        session.run(sys.executable, "-m", "nox", "-s", "tests", "--install-only", external=True)
    return str(python)
