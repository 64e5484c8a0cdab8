"""`load_experiment`: the experiment of a study file, its mistakes told with their line."""

import difflib
import pkgutil
import re
import sys
import traceback
import types
from dataclasses import replace
from importlib.metadata import packages_distributions
from pathlib import Path

from nasopt.data.paths import relative_to
from nasopt.errors import Error, StudyError, closest
from nasopt.search.experiment import Experiment


def load_experiment(path: str | Path) -> Experiment:
    """Run a study file and return its `experiment`, named after the file unless it has a name.

    Raises StudyError, with the line of the file if there is one.
    """
    path = Path(path)
    try:
        source = path.read_bytes()
    except IsADirectoryError as error:
        example = path / "digits.py"
        raise StudyError(f"{path}: a folder; name a study file in it, as in {example}") from error
    except OSError as error:
        if not isinstance(error, FileNotFoundError):
            raise StudyError(f"{path}: {error.strerror}; give the path of a study file") from error
        raise StudyError(f"{path}: no such file; {_neighbour(path)}") from error
    module = types.ModuleType(f"nasopt-study:{path.stem}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # a dataclass in it looks there for its annotations
    folder = path.resolve().parent
    sys.path.insert(0, str(folder))  # as for a script: it may import its neighbours
    try:
        with relative_to(folder):
            exec(compile(source, str(path), "exec"), module.__dict__)
    except SyntaxError as error:  # of this file, or of one that it imports
        where = f"{error.filename or path}:{error.lineno or 1}"
        raise StudyError(f"{where}: {error.msg}; fix that line") from error
    except ModuleNotFoundError as error:
        raise StudyError(f"{path}:{_line(error, path)}: {_missing(str(error.name))}") from error
    except Error as error:
        raise StudyError(f"{path}:{_line(error, path)}: {error}") from error
    except (Exception, SystemExit) as error:
        raise StudyError(f"{path}:{_line(error, path)}: {_message(error)}") from error
    finally:
        sys.path.remove(str(folder))
    experiment = getattr(module, "experiment", None)
    if not isinstance(experiment, Experiment):
        found = "none" if experiment is None else f"of type {type(experiment).__name__}"
        raise StudyError(f"{path}: experiment is {found}; write experiment = Experiment(...)")
    if experiment.name == "experiment":
        return replace(experiment, name=path.stem)
    return experiment


def _neighbour(path: Path) -> str:
    """Return the remedy for a file that is not there: the closest study file in its folder."""
    stems = [each.stem for each in path.parent.glob("*.py")]
    match = difflib.get_close_matches(path.stem, stems, n=1)
    return (
        f"did you mean {path.with_name(match[0] + '.py')}?"
        if match
        else "give the path of a study file"
    )


def _line(error: BaseException, path: Path) -> int:
    """Return the last line of the study file that was running."""
    frames = traceback.extract_tb(error.__traceback__)
    return next((f.lineno or 0 for f in reversed(frames) if f.filename == str(path)), 1)


def _missing(module: str) -> str:
    package, _, name = module.partition(".")
    if package == "nasopt":
        modules = [each.name for each in pkgutil.iter_modules([str(Path(__file__).parents[1])])]
        return f"{module}: no such module; {closest(name, modules)}"
    known = {"nasopt", *packages_distributions(), *sys.stdlib_module_names}
    match = difflib.get_close_matches(package, known, n=1, cutoff=0.8)
    if match:  # never as an argument of pip: strangers publish under mistyped names
        return f"{module} is not installed; did you mean {match[0]}?"
    return f"{module} is not installed; install it (pip install {package}) or leave it out"


def _message(error: BaseException) -> str:
    """Return the mistake and the remedy, for an error of the study file's own."""
    text = f"{type(error).__name__}: {error}".splitlines()[0]
    wanted = re.match(r"cannot import name '(\w+)' from '(nasopt[.\w]*)'", str(error))
    if wanted is None:
        return f"{text}; fix that line"
    name, source = wanted.groups()
    exported = [each for each in vars(sys.modules[source]) if not each.startswith("_")]
    names = getattr(sys.modules[source], "__all__", exported)
    return f"{source} has no {name}; {closest(name, names)}"
