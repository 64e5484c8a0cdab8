"""What a comparison comes to, in plain words; and what limits it."""

from collections.abc import Callable, Mapping, Sequence

from nasopt.analysis.curves import Studies
from nasopt.analysis.statistics import TEST_PAIRS, Difference, Scores
from nasopt.noise import WEAK_SHARE, Noise
from nasopt.wording import several

Spelling = Callable[[float], str]  # of a difference, in the unit of what stands around it


def verdict(
    found: Sequence[Difference], baseline: str, budget: str, noise: Noise | None, spelled: Spelling
) -> str:
    """One sentence on which sampler is better than `baseline`, after `budget`."""
    if not found:
        return f"There is nothing to compare with {baseline}."
    if noise is not None and noise.share < WEAK_SHARE:
        return (
            "Which sampler is better cannot be told here: of the variance between trainings only "
            f"{noise.share:.2f} is architecture, the rest is the luck of their seeds."
        )
    few = [each for each in found if each.p is None]
    claims = [_claims([each for each in found if each.p is not None], baseline, spelled)]
    if few:
        pairs = min(each.pairs for each in few)
        claims.append(
            f"{pairs} {'pair' if pairs == 1 else 'pairs'} of studies cannot tell (a test needs "
            f"{TEST_PAIRS}); by the intervals alone {_leanings(few, baseline, spelled)}"
        )
    return f"After {budget} {'; '.join(filter(None, claims))}."


def _claims(found: Sequence[Difference], baseline: str, spelled: Spelling) -> str:
    groups = {
        f"better than {baseline}": [e for e in found if e.significant and e.mean > 0],
        f"worse than {baseline}": [e for e in found if e.significant and e.mean < 0],
        f"not told apart from {baseline}": [e for e in found if not e.significant],
    }
    return _sentence(groups, spelled)


def _leanings(found: Sequence[Difference], baseline: str, spelled: Spelling) -> str:
    groups = {
        f"ahead of {baseline}": [e for e in found if e.low > 0],
        f"behind {baseline}": [e for e in found if e.high < 0],
        f"level with {baseline}": [e for e in found if not (e.low > 0 or e.high < 0)],
    }
    return _sentence(groups, spelled)


def _sentence(groups: Mapping[str, Sequence[Difference]], spelled: Spelling) -> str:
    parts = []
    for what, members in groups.items():
        names = [f"{each.sampler} ({spelled(each.mean)}{_p(each)})" for each in members]
        if names:
            listed = " and ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)
            parts.append(f"{listed} {'are' if names[1:] else 'is'} {what}")
    return ", ".join(parts)


def _p(difference: Difference) -> str:
    return "" if difference.holm is None else f", p = {difference.holm:.2g}"


def limits(rows: Studies, scores: Scores, baseline: str, score: str, replicates: int) -> list[str]:
    """What a reader has to know of the claims."""
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
    if len(scores.get(baseline, {})) < TEST_PAIRS:
        notes.append(
            f"The least p of 5 pairs is .0625, so there is no test below {TEST_PAIRS} seeds."
        )
    return notes
