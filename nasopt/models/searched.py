"""What was searched: the studies that a final model comes from, and their experiment."""

import re
from collections.abc import Sequence

from nasopt.analysis.difference import difference
from nasopt.analysis.outcome import studies_of
from nasopt.analysis.record import Record
from nasopt.analysis.selection import read_study, studies_together
from nasopt.data import DATASETS
from nasopt.errors import StudyError, closest
from nasopt.reporting.commands import command
from nasopt.search.experiment import Experiment
from nasopt.search.study import refuse_difference
from nasopt.space.limits import Limit
from nasopt.space.own import is_here
from nasopt.space.space import Space
from nasopt.storage.database import shown_url
from nasopt.storage.rdb import Storage

PUBLISHED = re.compile(r"(\w+) limit=(\d+|None) split=0")  # fingerprint of a known data set


def searched(storage: Storage, experiment: Experiment | None, study: str | None) -> list[Record]:
    """Return the studies of `experiment`, or of the one that was begun last; or `study` alone.

    Raises StudyError if there is none, if one was begun with other data, another space or recipe
    than the experiment has, or if networks were looked up in a table.
    """
    if experiment is None:
        found, _ = studies_together(storage, study)
    else:
        found = [read_study(storage, name) for name in _names(storage, experiment, study)]
        for each in found:
            refuse_difference(each.name, each.experiment.to_json(), experiment)
    for each in found:
        if each.is_benchmark:
            raise StudyError(
                f"study={each.name}: its networks were looked up in a table, and there are no "
                "images to train them on; name a study that trains"
            )
    return found


def _names(storage: Storage, experiment: Experiment, study: str | None) -> Sequence[str]:
    names = [each for each in studies_of(storage) if each.rsplit("/", 2)[0] == experiment.name]
    if not names:
        shown = storage.path or shown_url(storage.url)
        raise StudyError(
            f"storage={shown}: no study of {experiment.name} in it; run it first, or name "
            "another database"
        )
    if study is not None and study not in names:
        raise StudyError(f"study={study!r}: none of {experiment.name}'s; {closest(study, names)}")
    return names if study is None else [study]


def recalled(study: Record) -> Experiment:
    """Return the experiment of a study, whose data set must be one that comes by its name.

    Raises StudyError for images of one's own: a database does not have them.
    """
    known = study.experiment
    named = PUBLISHED.fullmatch(known.dataset)
    name = study.name.rsplit("/", 2)[0]
    if named is None or named[1] not in DATASETS:
        raise StudyError(
            f"study={study.name}: its images ({known.dataset.split()[0]}) are not in the "
            f"database; give its file instead: {command('finals', f'{name}.py')}"
        )
    for part in known.network_space.parts:
        if part.layer.is_own and not is_here(type(part.layer)):
            raise StudyError(
                f"study={study.name}: the code of its block {part.layer.kind} is not in the "
                f"database; give its file instead: {command('finals', f'{name}.py')}"
            )
    limit = None if named[2] == "None" else int(named[2])
    experiment = Experiment(
        dataset=DATASETS[named[1]](limit=limit),
        space=Space.from_json(dict(known.space)),
        recipe=known.training,
        limits=tuple(Limit.from_text(each) for each in study.limits),
        objectives=("accuracy", *known.objectives[1:]),
        metric=known.objectives[0],
        seed=known.seed,
        name=name,
    )
    found = difference(known.to_json(), experiment.record.to_json())
    if found is not None:
        raise StudyError(
            f"study={study.name}: {found[0]} cannot be had again; give its file instead: "
            f"{command('finals', f'{name}.py')}"
        )
    return experiment
