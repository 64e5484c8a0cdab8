"""The study file that `nasopt init` writes: a proposal as Python, with the reasons beside it."""

import os
import re
import shlex
import sys
import textwrap
from dataclasses import MISSING, fields
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

from nasopt.data.survey import Survey, look_at
from nasopt.errors import DataError, StudyError
from nasopt.reporting.prospects import findings, prospects
from nasopt.search.proposal import Proposal, propose
from nasopt.space.layers import Layer
from nasopt.space.space import Repeat, Space
from nasopt.text import visible
from nasopt.training.evaluation import Recipe

LONGEST_NAME = 100  # characters of the file's
MOST_CLASSES = 30  # that are listed
COLUMNS = 96  # of a line of comment

LIMITED = "\n    limit={:_},  # of {:,} for training and validation, to keep trials short"
METRIC = '\n    metric="{}",  # the mean recall of the classes, small ones count as much'
TEMPLATE = '''\
"""{title}

    nasopt run {file}

{story}
"""

from nasopt import Conv, Experiment, Recipe, Space, categorical, macs, parameters, repeat
from nasopt.data import Dataset, image_folder

{classes}
dataset: Dataset = image_folder(
    {path},  # a sub-folder for each class{inside}
    size={size},  # pixels of a side, to which the centre square of each is scaled{limit}
)

experiment: Experiment = Experiment(
    dataset=dataset,
    space={space},
    limits=(
        {weights},  # few pictures train few weights
        {operations},  # for one picture: so trials take alike long
    ),
    recipe=Recipe(
{recipe}
    ),{metric}
    trials={trials},
)
'''


def make_study(
    folder: str | Path, output: str | Path | None, *, size: int | None = None, device: str = "auto"
) -> Proposal:
    """Return the proposal for a folder of pictures, written to `output` if that is given.

    Raises an Error for what cannot be, and StudyError if `output` is there already.
    """
    if size is not None and (type(size) is not int or size < 1):
        raise DataError(f"size={size!r}: use 1, 2, 3, ... pixels")
    path = Path(study_name(folder) if output is None else output)
    if output is not None:
        if path.suffix != ".py":
            raise StudyError(f"output={path}: no name of a study file; let it end in .py")
        _refuse_existing(path)
    proposal = propose(look_at(folder), name=path.stem, size=size, device=device)
    if output is not None:
        _write(path, study_text(proposal, path))
    return proposal


def study_name(folder: str | Path) -> str:
    """Return the name of the study file for a folder: as the folder, but never as a module's.

    A study file's folder is where Python looks for modules first.
    """
    words = re.sub(r"[^\w-]+", "_", Path(os.path.abspath(Path(folder).expanduser())).name).strip(
        "_"
    )
    name = words.encode(errors="replace").decode()[:LONGEST_NAME] or "pictures"
    taken = {"nasopt", *sys.stdlib_module_names, *packages_distributions()}
    return f"{name}_study.py" if name in taken else f"{name}.py"


def _refuse_existing(path: Path) -> None:
    if not path.parent.is_dir():
        raise StudyError(f"output={path}: no folder {path.parent}; make it, or choose another")
    if path.is_symlink() or path.exists():
        raise StudyError(f"output={path}: is there already; choose another with -o, or remove it")


def _write(path: Path, text: str) -> None:
    """Write a new file, whole or not at all."""
    try:
        with path.open("x", encoding="utf-8") as file:
            try:
                file.write(text)
                file.flush()
            except OSError:  # a full disk, say
                path.unlink()
                raise
    except FileExistsError:
        _refuse_existing(path)
        raise
    except OSError as error:
        raise StudyError(
            f"output={path}: cannot be written ({error.strerror}); choose another with -o"
        ) from error


def study_text(proposal: Proposal, output: Path) -> str:
    """Return the text of the study file `output`."""
    experiment, survey = proposal.experiment, proposal.survey
    assert isinstance(experiment.space, Space)
    data = experiment.data
    limit = (
        ""
        if data.limit is None
        else LIMITED.format(data.limit, survey.training + survey.validation)
    )
    sentences = [*findings(survey), *prospects(proposal)]
    weights, operations = map(_limit, experiment.limits)
    return TEMPLATE.format(
        title=_in_docstring(f"A search on the pictures in {survey.path.name or survey.path}."),
        file=_in_docstring(shlex.quote(str(output))),
        story="\n".join(_in_docstring(line) for line in _wrapped(" ".join(sentences), 100)),
        classes="\n".join(f"# {line}" for line in _wrapped(_classes(survey), COLUMNS)),
        path=_quoted(_path(survey.path, output)),
        inside=" in each split" if survey.brought else "",
        size=proposal.size,
        limit=limit,
        space=_space(experiment.space),
        weights=weights,
        operations=operations,
        recipe=_recipe(experiment.recipe, survey),
        metric=METRIC.format(experiment.metric) if survey.is_unbalanced else "",
        trials=experiment.trials,
    )


def _classes(survey: Survey) -> str:
    named = [f"{visible(name)} {count:,}" for name, count in survey.classes.items()]
    more = len(named) - MOST_CLASSES
    shown = named if more <= 0 else [*named[:MOST_CLASSES], f"{more} more"]
    return f"Classes: {', '.join(shown)}."


def _path(folder: Path, output: Path) -> str:
    """Return the path of the folder for a study file: relative where both may move together."""
    folder, home = Path(os.path.abspath(folder)), Path(os.path.abspath(output)).parent
    return str(folder.relative_to(home) if folder.is_relative_to(home) else folder)


def _quoted(text: str) -> str:
    """Return the Python source of a text, in double quotes where that is as simple."""
    source = repr(text)
    return source if '"' in text or "'" in text else f'"{source[1:-1]}"'


def _space(space: Space) -> str:
    inner = "".join(f"        {_source(each, 8)},\n" for each in space.layers)
    last = "# pixels: strides shrink the map no further"
    return f"Space(\n{inner}        min_resolution={space.min_resolution},  {last}\n    )"


def _source(item: Layer | Repeat, indent: int) -> str:
    """Return the Python source of a part of a space whose last line is indented by so much."""
    name, parts = type(item).__name__, _chosen(item)
    if isinstance(item, Repeat):
        name, parts = "repeat", [_source(item.layer, indent + 4), str(item.low), str(item.high)]
    inner = "".join(f"{' ' * (indent + 4)}{each},\n" for each in parts)
    return f"{name}(\n{inner}{' ' * indent})"


def _chosen(value: Any) -> list[str]:
    """Return the fields of a dataclass that are not at their default, as keyword arguments."""
    return [
        f"{each.name}={getattr(value, each.name)!r}"
        for each in fields(value)
        if each.default is MISSING or getattr(value, each.name) != each.default
    ]


def _limit(limit: Any) -> str:
    return f"{limit.quantity} <= {int(limit.bound):_}"


def _recipe(recipe: Recipe, survey: Survey) -> str:
    why = {
        "epochs": "the more, the better each network; and the fewer trials in the same time",
        "batch_size": "pictures",
        "lr": "at its peak",
        "shift": "pixels, by up to which a picture is moved in training",
        "flip": "half of them mirrored: leave it out for letters and digits",
    }
    lines = [
        f"        {name}={getattr(recipe, name)!r},  # {reason}"
        for name, reason in why.items()
        if name != "flip" or recipe.flip
    ]
    if not recipe.flip:
        lines.append(
            "        # flip=True mirrors half of them: right for objects, wrong for digits"
        )
    return "\n".join(lines)


def _in_docstring(text: str) -> str:
    return visible(text).replace("\\", "\\\\").replace('"""', '\\"\\"\\"')


def _wrapped(text: str, columns: int) -> list[str]:
    return textwrap.wrap(text, columns, break_long_words=False, break_on_hyphens=False) or [""]
