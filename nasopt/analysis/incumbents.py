"""The course of the searches of an experiment, those that are under way told apart."""

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass

from nasopt.analysis.curves import Budget, Curve, Row, Studies, curves
from nasopt.analysis.record import Record
from nasopt.analysis.selection import budget_of, is_done


@dataclass(frozen=True)
class IncumbentCurves:
    """The `curves` of each sampler over its studies at their end; if none is, over all, so far.

    `axis` is that of the budgets. `under_way` are samplers without a study at its end, and
    `exhausted` those with nothing left to try. `left_out` are studies that are in no curve: they
    are under way, or have no network trained to its end.
    """

    curves: tuple[Curve, ...]
    axis: str
    under_way: frozenset[str]
    exhausted: frozenset[str]
    left_out: tuple[str, ...]
    seeds: int  # studies behind a curve, at most

    @property
    def ends(self) -> list[Curve]:
        """The curves along `axis`, the one that came furthest first."""
        here = [each for each in self.curves if each.axis == self.axis and each.median]
        return sorted(here, key=lambda each: -each.median[-1])


def course(studies: Sequence[Record], rows: Studies) -> IncumbentCurves:
    """Return the curves of `studies` of one experiment and their `rows`."""
    done = {study.name for study in studies if is_done(study, budget_of(study))}
    budget = budget_of(studies[0])
    followed = {sampler: _followed(by_seed.values(), done) for sampler, by_seed in rows.items()}
    under_way = frozenset(
        sampler for sampler, found in followed.items() if found and found[0][0].study not in done
    )
    seen = {each[0].study for found in followed.values() for each in found}
    return IncumbentCurves(
        curves=tuple(
            curve
            for sampler, found in followed.items()
            for curve in _curves(sampler, found, None if sampler in under_way else budget)
        ),
        axis=budget.axis,
        under_way=under_way,
        exhausted=frozenset(study.sampler for study in studies if study.ended),
        left_out=tuple(study.name for study in studies if study.name not in seen),
        seeds=max(map(len, followed.values())),
    )


def _followed(studies: Iterable[Sequence[Row]], done: Container[str]) -> list[Sequence[Row]]:
    """Return the studies at their end that found something; if none, the others that did."""
    found = [rows for rows in studies if rows and rows[-1].incumbent is not None]
    return [rows for rows in found if rows[0].study in done] or found


def _curves(sampler: str, found: Sequence[Sequence[Row]], budget: Budget | None) -> Iterator[Curve]:
    """Return curves to the end of the longest of the studies that are done.

    A study that ended earlier found no more.
    """
    if not found:
        return
    if budget is not None:
        budget = Budget(max(getattr(rows[-1], budget.axis) for rows in found), budget.unit)
    yield from curves({sampler: dict(enumerate(found))}, budget)
