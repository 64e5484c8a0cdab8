"""The result of a comparison: `ComparisonResult`, from finished studies by several samplers.

All of it is read: from the studies, and from the ledger's trainings of their winners.
"""

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from nasopt.analysis.curves import Budget, Curve, Row, Studies, curves, incumbents, study_rows
from nasopt.analysis.evidence import Evidence
from nasopt.analysis.noise import Noise
from nasopt.analysis.record import Record
from nasopt.analysis.regret import Truth
from nasopt.analysis.shown import Shown
from nasopt.analysis.statistics import (
    Difference,
    Equivalent,
    Scores,
    average_ranks,
    differences,
    equivalent,
)
from nasopt.analysis.verdict import limits, verdict, without_model
from nasopt.analysis.winners import QUARTERS, Winner, quarter_winners
from nasopt.text import accuracy


@dataclass(frozen=True)
class Standing:
    """One sampler: means over its studies, at the end of their budgets.

    `seen` is the best value that a search saw: the accuracy of its winner, flattered by its luck,
    or the hypervolume of its front. `fresh` is what the winners gave when they were trained again,
    or the mean over the replicates of a benchmark, `fresh_error` its standard error over the
    studies; None where they were not. `quarters` are
    (`seen`, `fresh`) at each quarter of the budget. Costs are of a study, as if trained. `rank` is
    1 where it is always the best. `difference` is to the baseline; `equivalents` say at which cost
    the baseline is as good, at each quarter of the budget.
    """

    sampler: str
    seeds: tuple[int, ...]
    seen: float | None
    fresh: float | None
    fresh_error: float | None
    quarters: tuple[tuple[float | None, float | None], ...]
    evaluations: float
    pruned: float
    epochs: float
    seconds: float
    rank: float | None
    difference: Difference | None
    equivalents: tuple[Equivalent, ...]

    @property
    def row(self) -> tuple[str, ...]:
        """The texts of a row: the sampler, its studies, fresh and seen values, lead and epochs."""
        gap = self.difference
        accuracies = map(accuracy, (self.fresh, self.seen))
        ahead = ("", "")
        if gap is not None:
            ends = " to ".join(accuracy(end, sign=True) for end in (gap.low, gap.high))
            ahead = accuracy(gap.mean, sign=True), "" if math.isnan(gap.low) else ends
        return self.sampler, str(len(self.seeds)), *accuracies, *ahead, f"{self.epochs:,.0f}"

    def to_json(self) -> dict[str, Any]:
        return {
            **{name: getattr(self, name) for name in self.__dataclass_fields__},
            "difference": self.difference and self.difference.to_json(),
            "equivalents": [each.to_json() for each in self.equivalents],
        }


@dataclass(frozen=True)
class Spread:
    """The scores of the studies by one sampler, their mean and its standard error."""

    sampler: str
    scores: tuple[float, ...]
    mean: float
    error: float | None  # None for a single study


@dataclass(frozen=True)
class ComparisonResult(Shown):
    """The samplers compared. `score` names the measure: "fresh", "seen" or "hypervolume".

    `truth` is what a benchmark knows of them, None where networks were trained. `noise` is what
    `nasopt noise` measured of the experiment; None if it did not. `notes` are sentences on what
    limits the claims. `studies` are those that were compared.
    """

    experiment: str
    objectives: tuple[str, ...]
    budget: Budget
    baseline: str
    replicates: int
    score: str
    standings: tuple[Standing, ...]
    winners: tuple[Winner, ...]
    curves: tuple[Curve, ...]
    rows: tuple[Row, ...]
    noise: Noise | None
    truth: Truth | None = None
    notes: tuple[str, ...] = field(default=())
    studies: tuple[Record, ...] = field(default=(), repr=False, compare=False)

    @property
    def spreads(self) -> tuple[Spread, ...]:
        """The scores of the studies by each sampler that has a score."""
        found: dict[str, list[float]] = {}
        if self.score == "hypervolume":
            last = {row.study: row for row in self.rows}
            for row in last.values():
                found.setdefault(row.sampler, []).append(row.incumbent or 0.0)
        for winner in self.winners:
            if winner.quarter == QUARTERS:
                value = winner.fresh_mean if self.score == "fresh" else winner.seen
                found.setdefault(winner.sampler, []).append(value)
        return tuple(
            Spread(sampler, tuple(values), statistics.fmean(values), _error(values))
            for sampler, values in found.items()
        )

    @property
    def by_sampler(self) -> Studies:
        """The rows of each study, by sampler and seed."""
        found: dict[str, dict[int, list[Row]]] = {}
        for row in self.rows:
            found.setdefault(row.sampler, {}).setdefault(row.seed, []).append(row)
        return found

    @property
    def verdict(self) -> str:
        """One sentence on which sampler is better."""
        found = [each.difference for each in self.standings if each.difference is not None]
        return verdict(found, self.baseline, str(self.budget), self.noise)

    def __repr__(self) -> str:
        """Return a table of the samplers for a notebook; rows and curves would fill pages."""
        seen = "volume" if self.score == "hypervolume" else "seen"
        again = "again" if self.truth is None else "true"
        lines: list[tuple[str, ...]] = [
            ("sampler", "studies", again, seen, f"over {self.baseline}", "95 %", "epochs")
        ]
        lines += [each.row for each in self.standings]
        lines = [line[:2] + line[3:] if self.score != "fresh" else line for line in lines]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        table = "\n".join(
            "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])])
            for line in lines
        )
        return f"{self.experiment}: {self.budget} a study\n{table}\n{self.verdict}"

    def to_json(self) -> dict[str, Any]:
        return {
            "experiment": self.experiment,
            "objectives": list(self.objectives),
            "budget": {self.budget.unit: self.budget.amount},
            "baseline": self.baseline,
            "replicates": self.replicates,
            "score": self.score,
            "verdict": self.verdict,
            "notes": list(self.notes),
            "noise": self.noise and self.noise.to_json(),
            "truth": self.truth and self.truth.to_json(),
            "standings": [each.to_json() for each in self.standings],
            "winners": [each.to_json() for each in self.winners],
            "curves": [each.to_json() for each in self.curves],
            "rows": [each.to_json() for each in self.rows],
        }


def compared(
    studies: Sequence[Record],
    budget: Budget,
    evidence: Evidence,
    *,
    baseline: str,
    replicates: int,
    start_ups: Mapping[str, int] | None = None,
    notes: Sequence[str] = (),
) -> ComparisonResult:
    """Compare the samplers of finished `studies` of one experiment, within `budget`.

    `evidence` judges the winners, by `replicates` other seeds where these have to be trained.
    `start_ups` say how many first trials of a sampler are random.
    """
    rows = _rows(studies, budget, evidence)
    single = len(studies[0].objectives) == 1
    replicates = replicates if single else 0
    winners = list(_winners(studies, rows, budget, evidence, replicates))
    seen, fresh = _seen(rows), _fresh(winners)
    scores = fresh or seen
    score = ("fresh" if fresh else "seen") if single else "hypervolume"
    return ComparisonResult(
        experiment=studies[0].name.rsplit("/", 2)[0],
        objectives=studies[0].objectives,
        budget=budget,
        baseline=baseline,
        replicates=replicates if fresh else 0,
        score=score,
        standings=_standings(rows, winners, seen, fresh, scores, baseline, budget),
        winners=tuple(winners),
        curves=tuple(curves(rows, budget)),
        rows=tuple(row for by_seed in rows.values() for each in by_seed.values() for row in each),
        noise=evidence.noise(studies[0]),
        truth=evidence.truth(studies, rows, budget),
        notes=(
            *notes,
            *without_model(rows, start_ups or {}),
            *limits(rows, scores, baseline, score, replicates),
        ),
        studies=tuple(studies),
    )


def _rows(studies: Sequence[Record], budget: Budget, evidence: Evidence) -> Studies:
    """Return the rows of all studies within `budget`, in order of their seeds."""
    rows = {
        sampler: {seed: budget.within(each) for seed, each in sorted(by_seed.items())}
        for sampler, by_seed in study_rows(studies).items()
    }
    for study in studies:
        of_study = rows[study.sampler]
        of_study[study.seed] = evidence.completed(study, of_study[study.seed])
    return rows


def _winners(
    studies: Sequence[Record], rows: Studies, budget: Budget, evidence: Evidence, replicates: int
) -> Iterator[Winner]:
    for study in studies:
        for winner in quarter_winners(rows[study.sampler][study.seed], budget):
            params = study.trials[winner.number].params
            yield replace(winner, fresh=evidence.fresh(study, params, replicates))


def _fresh(winners: Sequence[Winner]) -> dict[str, dict[int, float]]:
    """Return the mean of each last winner in other trainings; nothing unless all have some."""
    last = [winner for winner in winners if winner.quarter == QUARTERS]
    found: dict[str, dict[int, float]] = {}
    for winner in last if all(winner.fresh for winner in last) else ():
        found.setdefault(winner.sampler, {})[winner.seed] = winner.fresh_mean
    return found


def _seen(rows: Studies) -> dict[str, dict[int, float]]:
    """Return the last incumbent of each study that has one."""
    return {
        sampler: {
            seed: each[-1].incumbent
            for seed, each in by_seed.items()
            if each and each[-1].incumbent is not None
        }
        for sampler, by_seed in rows.items()
    }


def _standings(
    rows: Studies,
    winners: Sequence[Winner],
    seen: Scores,
    fresh: Scores,
    scores: Scores,
    baseline: str,
    budget: Budget,
) -> tuple[Standing, ...]:
    scored = {sampler: scores[sampler] for sampler in rows if scores.get(sampler)}
    gaps = differences(scored, baseline) if baseline in scored else {}
    ranks = average_ranks(scored) if scored else {}
    return tuple(
        Standing(
            sampler=sampler,
            seeds=tuple(by_seed),
            seen=_mean(seen[sampler].values()),
            fresh=_mean(fresh.get(sampler, {}).values()),
            fresh_error=_error(fresh.get(sampler, {}).values()),
            quarters=_quarters([each for each in winners if each.sampler == sampler]),
            evaluations=_total(by_seed, "evaluation"),
            pruned=statistics.fmean(
                sum(row.state == "pruned" for row in each) for each in by_seed.values()
            ),
            epochs=_total(by_seed, "total_epochs"),
            seconds=_total(by_seed, "total_seconds"),
            rank=ranks.get(sampler),
            difference=gaps.get(sampler),
            equivalents=_equivalents(sampler, rows, baseline, budget),
        )
        for sampler, by_seed in rows.items()
    )


def _quarters(winners: Sequence[Winner]) -> tuple[tuple[float | None, float | None], ...]:
    found = []
    for quarter in range(1, QUARTERS + 1):
        here = [winner for winner in winners if winner.quarter == quarter]
        again = bool(here) and all(winner.fresh for winner in here)
        seen = _mean([winner.seen for winner in here])
        found.append((seen, _mean([w.fresh_mean for w in here]) if again else None))
    return tuple(found)


def _mean(values: Any) -> float | None:
    return statistics.fmean(values) if values else None


def _error(values: Any) -> float | None:
    return statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None


def _total(by_seed: Mapping[int, Sequence[Row]], axis: str) -> float:
    return statistics.fmean(getattr(rows[-1], axis) if rows else 0 for rows in by_seed.values())


def _equivalents(
    sampler: str, rows: Studies, baseline: str, budget: Budget
) -> tuple[Equivalent, ...]:
    if sampler == baseline or baseline not in rows:
        return ()
    seeds = sorted(rows[sampler].keys() & rows[baseline].keys())
    ours, theirs = ([rows[name][seed] for seed in seeds] for name in (sampler, baseline))
    if not seeds:
        return ()
    table = incumbents(theirs, budget.axis, budget.positions)
    found = []
    for quarter in range(1, QUARTERS + 1):
        at = budget.amount * quarter // QUARTERS
        reached = incumbents(ours, budget.axis, [at])[:, 0]
        found.append(equivalent(sampler, baseline, at, reached, table, budget.positions))
    return tuple(each for each in found if each is not None)
