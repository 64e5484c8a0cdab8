"""What was found in a folder of pictures, and what a search on it will take, in sentences."""

from nasopt.data.folders import TEST, TRAIN, VALIDATION
from nasopt.data.survey import Survey
from nasopt.search.proposal import FEWEST_TRIALS, Proposal
from nasopt.text import duration, listed, several

FEW = 100  # validation pictures, with which little can be told


def findings(survey: Survey) -> list[str]:
    """Return what was found in the folder, in sentences."""
    least, most = min(survey.classes.values()), max(survey.classes.values())
    each = f"{least:,} of each" if least == most else f"{least:,} to {most:,} of each"
    low, median, high = survey.short_sides
    sides = (
        f"{low} pixels on the shorter side"
        if low == high
        else f"{low:,} to {high:,} pixels on the shorter side (median {median:,})"
    )
    colour = (
        "all grey"
        if survey.grey == 1
        else "nearly all grey"
        if survey.is_grey
        else "in colour"
        if survey.grey < 0.05
        else f"in colour but for {survey.grey:.0%} grey ones"
    )
    pictures = f"{several(survey.pictures, 'picture')} of {len(survey.classes)} classes"
    found = [f"{pictures}, {each}; {sides}, {colour}."]
    if survey.is_unbalanced:
        found.append(
            f"The largest class has {survey.imbalance:.1f} times as many as the smallest, so "
            "networks are compared by balanced accuracy: the mean over the classes."
        )
    return [*found, _splits(survey)]


def _splits(survey: Survey) -> str:
    counts = dict(
        zip(
            (TRAIN, VALIDATION, TEST),
            (survey.training, survey.validation, survey.test),
            strict=True,
        )
    )
    parts = listed([f"{count:,} for {name}" for name, count in counts.items() if count])
    if not survey.brought:
        return f"{parts}, split by chance, class by class."
    brought = listed(survey.brought)
    if not survey.test:
        return f"{parts}, as the folder has them: there is no test split."
    if len(survey.brought) == 2:
        return f"{parts}: the folder has those for {brought}, validation is split off training."
    return f"{parts}, as the folder has them."


def prospects(proposal: Proposal) -> list[str]:
    """Return what a search on this machine will take and tell, in sentences."""
    trials, survey = proposal.experiment.trials, proposal.survey
    told = [
        f"A typical trial takes {duration(proposal.seconds_per_trial)} on this {proposal.device}, "
        f"unpruned; {trials} trials take about {duration(proposal.seconds)}."
    ]
    if trials == FEWEST_TRIALS:
        told.append("With fewer trials there is no search.")
    if survey.seconds_to_read > 60:
        told.append(
            f"Reading the pictures takes {duration(survey.seconds_to_read)} at each start: scale "
            "them down once, beforehand."
        )
    data = proposal.experiment.data
    if data.limit is not None:
        seen = survey.training + survey.validation
        told.append(
            f"So that trials are short, {data.limit:,} of the {seen:,} pictures for training and "
            "validation are searched with."
        )
    validation = data.counts[1]
    told.append(
        f"With {several(validation, 'validation picture')}, an accuracy is uncertain by "
        f"{2 * proposal.standard_error:.3f} either way (95 %, at most)."
    )
    if validation < FEW:
        told.append("That is too few to tell good networks apart: add pictures.")
    return told
