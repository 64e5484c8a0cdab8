"""The verdict of a comparison in plain words; and its limits."""

from collections.abc import Iterator, Mapping, Sequence

from nasopt.analysis.curves import Studies
from nasopt.analysis.noise import WEAK_SHARE, Noise
from nasopt.analysis.statistics import TEST_PAIRS, Difference, Scores, pairs_needed
from nasopt.text import accuracy, listed, several


def verdict(found: Sequence[Difference], baseline: str, budget: str, noise: Noise | None) -> str:
    """Return one sentence on which sampler is better than `baseline`, after `budget`.

    Nothing is claimed without a test, and none is made with few seeds: it says how many it needs.
    """
    if not found:
        return f"There is nothing to compare with {baseline}."
    if noise is not None and noise.share < WEAK_SHARE:
        return (
            "Which sampler is better cannot be told here: of the variance between trainings only "
            f"{noise.share:.2f} is architecture, the rest is the luck of their seeds."
        )
    tested = [each for each in found if each.p is not None]
    few = [each for each in found if each.p is None]
    claims = [_claims(tested, baseline), *_undecided(few)]
    return f"After {budget} {'; '.join(filter(None, claims))}."


def _undecided(found: Sequence[Difference]) -> Iterator[str]:
    """Return what is missing for a verdict: differences of so few studies are none."""
    alike: dict[int, list[str]] = {}
    for each in found:
        told = f"{each.sampler} ({accuracy(each.mean, sign=True)})"
        alike.setdefault(each.pairs, []).append(told)
    for pairs, samplers in alike.items():
        yield (
            f"{several(pairs, 'pair')} of studies cannot tell: there is no verdict on "
            f"{listed(samplers)}, since a test needs {TEST_PAIRS} seeds"
        )


def _claims(found: Sequence[Difference], baseline: str) -> str:
    groups = {
        f"better than {baseline}": [e for e in found if e.significant and e.mean > 0],
        f"worse than {baseline}": [e for e in found if e.significant and e.mean < 0],
        f"not told apart from {baseline}": [e for e in found if not e.significant],
    }
    parts = []
    for what, members in groups.items():
        names = [f"{each.sampler} ({accuracy(each.mean, sign=True)}{_p(each)})" for each in members]
        if names:
            parts.append(f"{listed(names)} {'are' if names[1:] else 'is'} {what}")
    return ", ".join(parts)


def _p(difference: Difference) -> str:
    return "" if difference.holm is None else f", p = {difference.holm:.2g}"


def limits(rows: Studies, scores: Scores, baseline: str, score: str, replicates: int) -> list[str]:
    """Return the sentences that a reader has to know of the claims."""
    notes = []
    for sampler, by_seed in rows.items():
        without = [seed for seed in by_seed if seed not in scores.get(sampler, {})]
        if without:
            seeds = ", ".join(map(str, without))
            notes.append(
                f"{sampler} has no complete training within the budget with seed {seeds}, and is "
                "left out there."
            )
        values = {tuple(row.value for row in each) for each in by_seed.values()}
        if len(values) == 1 < len(by_seed):
            notes.append(f"The studies by {sampler} are all alike, whatever their seed.")
    if score == "seen":
        why = "are not to be trained again"
        if replicates:
            why = f"were not all trained again with {several(replicates, 'other seed')}"
        notes.append(f"The winners {why}, so luck flatters what they are compared by.")
    if score == "hypervolume":
        notes.append(
            "With two objectives the fronts are compared as the searches saw them, luck included."
        )
    pairs, comparisons = len(scores.get(baseline, {})), len(scores) - 1
    if pairs < TEST_PAIRS:
        notes.append(
            f"The least p of 5 pairs is 0.0625, so there is no test below {TEST_PAIRS} seeds."
        )
    elif pairs < (enough := pairs_needed(comparisons)):
        notes.append(
            f"With {pairs} seeds none of {comparisons} differences can be significant once their p "
            f"are corrected for their number: that takes {enough} seeds, or fewer samplers."
        )
    return notes


def without_model(rows: Studies, start_ups: Mapping[str, int]) -> list[str]:
    """Return a sentence on each sampler whose studies all end in its start-up (sampler -> trials).

    Trials that cost nothing, as repeats, count there.
    """
    found = []
    for sampler, by_seed in rows.items():
        trials = max((each[-1].number + 1 for each in by_seed.values() if each), default=0)
        start_up = start_ups.get(sampler, 0)
        if 0 < trials <= start_up:
            found.append(
                f"{sampler} has nothing to go by in its first {start_up} trials, and no study has "
                f"more than {trials}: here it is random sampling."
            )
    return found
