"""The results of a search in computed sentences, for people who know no such searches."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from optuna.trial import TrialState

from nasopt.analysis.choices import FEWEST_BEST, Preferences
from nasopt.analysis.compared import ComparisonResult
from nasopt.analysis.curves import Curve
from nasopt.analysis.examples import Examples
from nasopt.analysis.front import TradeOff
from nasopt.analysis.importance import Importances
from nasopt.analysis.incumbents import IncumbentCurves
from nasopt.analysis.learning import Savings
from nasopt.analysis.outcome import Outcome
from nasopt.analysis.predictions import Predictions
from nasopt.analysis.record import Record
from nasopt.analysis.statistics import pairs_needed
from nasopt.reporting.names import OWN_IMAGES, field_name, kind_name, layer_noun, place_in_prose
from nasopt.space.fields import Integer, Open, Real, field_from_json
from nasopt.space.layers import Layer
from nasopt.space.limits import LATENCY
from nasopt.space.space import Part
from nasopt.text import accuracy, latency, listed, roughly, several
from nasopt.training.metrics import capital, in_words, with_article

COSTS = {"macs": "multiplications", "parameters": "weights", "latency": "to answer"}
TITLES = {  # of figures
    "progress": "The best found so far",
    "comparison": "The samplers beside each other",
    "learning": "How the networks learnt",
    "beliefs": "What the sampler expected",
    "choices": "What the best networks have in common",
    "importance": "Which choices decide",
    "confusion": "What it takes for what",
}
DEFINITIONS = {  # of metrics but the accuracy
    "balanced_accuracy": "The share of its images that a network gets right, class by class, then "
    "averaged: a rare class counts as much as a frequent one.",
    "macro_f1": "For each class the harmonic mean of two shares, how many of its images are "
    "recognised and how many of those taken for it are of it; averaged, so that a rare class "
    "counts as much as a frequent one.",
}
UNITS = {"evaluation": "network", "total_epochs": "epoch"}
AGAINST = {"parameters": "size", "macs": "work", "latency": "latency"}
FRONT = (
    "The front is made of the networks that no other beats in {} at the same or less cost. "
    "It dominates all that is no better than one of them; 1 would be every image right at no "
    "cost."
)
NEAR = 0.005  # of an accuracy: half a point
FEW = 100  # complete trials, below which importances are a hint


def opening(studies: Sequence[Record], tried: int, best: Outcome | None) -> str:
    """Return two sentences: the aim of the search, and its result."""
    first = studies[0]
    size = space_size(first)
    what = (
        "in a table of networks that were trained before"
        if first.is_benchmark
        else f"for {images_of(first)}"
    )
    possible = (
        f"{tried:,} of endlessly many possible ones"
        if size is None
        else f"{tried:,} of {roughly(size)} possible ones"
    )
    text = f"This search looked for a good neural network {what}. It tried {possible}"
    if best is None or best.accuracy is None:
        return f"{text}; {nothing_found(studies)}."
    what_of = f"{with_article(first.metric)} of"
    where = "" if first.is_benchmark else ", on images that it was not trained on"
    if best.fresh_mean is None:
        return f"{text}; the best has {what_of} {accuracy(best.accuracy)}{where}."
    return (
        f"{text}; the best has {what_of} {accuracy(best.fresh_mean)}{where}: the mean of "
        f"{several(len(best.fresh), 'training')} with other seeds. The search saw "
        f"{accuracy(best.accuracy)} of it, and chose it for that, luck included."
    )


def nothing_found(studies: Sequence[Record]) -> str:
    """Return the reason why there is no best network."""
    limits = dict.fromkeys(limit for study in studies for limit in study.limits)
    if any(trial.state is TrialState.COMPLETE for study in studies for trial in study.over):
        return f"none that was trained to its end is within {listed([*limits])}"
    return "none has been trained to its end yet"


def images_of(study: Record) -> str:
    """Return the images of a study in words; of those of one's own there is no name."""
    name = str(study.experiment.dataset).split()[0]
    return OWN_IMAGES.get(name, f"the images of {name}")


def space_size(study: Record) -> int | None:
    """Return the number of ways to choose; None if a real number is open."""
    if any(isinstance(field, Real) for field in study.search_space.values()):
        return None
    if not study.is_benchmark:
        size = study.experiment.network_space.size
        for field in study.experiment.training.hyperparameters.values():
            size *= int(field.size)
        return size
    size = 1
    for field in study.search_space.values():
        size *= int(field.size)
    return size


def times(part: Part) -> str:
    """Return a count of layers in words: "3 to 6 layers"."""
    noun = layer_noun(part.layer.kind)
    high = len(part.names)
    return several(high, noun) if part.low == high else f"{part.low} to {several(high, noun)}"


def outline(study: Record) -> str:
    """Return the layers of a space in words: "3 to 6 layers, then 1 fully connected layer"."""
    if study.is_benchmark:
        return several(len(study.search_space), "place")
    return ", then ".join(times(part) for part in study.experiment.network_space.parts)


def size_in_words(study: Record) -> str:
    """Return a large number as a power of ten: "4.0 × 10²⁷"."""
    size = space_size(study)
    return "no end" if size is None else roughly(size)


def training(recipe: Mapping[str, Any]) -> str:
    """Return a stored recipe in a line: "epochs 10, lr real(0.01, 0.1, log=True)"."""
    return pairs({name: field_from_json(value) for name, value in recipe.items()})


def warm_start(study: Record) -> str:
    """Return what the study began with: "50 trainings of digits/random/0 (runs/digits.db)"."""
    return ", ".join(
        f"{several(len(each['values']), 'training')} of {listed(each['studies'])} ({each['from']})"
        for each in study.warm_start
    )


def pairs(values: Mapping[str, Any]) -> str:
    """Return names with their values: "nasopt 0.1.0, optuna 5.0.0"."""
    return ", ".join(f"{name} {value}" for name, value in values.items())


def options(field: Open) -> str:
    """Return the choices in words: "4, 8, 16 or 32"."""
    if isinstance(field, Real):
        return f"{field.low:g} to {field.high:g}"
    if isinstance(field, Integer) and field.size > 6:
        return f"{field.low} to {field.high}"
    return listed([str(each) for each in field.candidates], "or")


def searched(study: Record) -> str:
    """Return the space in words."""
    if study.is_benchmark:
        fields = list(dict.fromkeys(options(each) for each in study.search_space.values()))
        return (
            f"A network has {len(study.search_space)} places, and in each of them one of these: "
            f"{'; '.join(fields)}."
        )
    sentences = []
    for part in study.experiment.network_space.parts:
        choices = [
            f"the {field_name(name)} ({options(field)})"
            for name, field in part.layer.open_fields.items()
        ]
        what = f"with {listed(choices)} left open" if choices else "all alike"
        sentences.append(f"{times(part)} {what}")
    text = f"A network has {', then '.join(sentences)}."
    recipe = [
        f"{name.removeprefix('recipe.')} ({options(field)})"
        for name, field in study.experiment.training.hyperparameters.items()
    ]
    return f"{text} Of the training {listed(recipe)} was open as well." if recipe else text


def about_examples(found: Examples) -> str:
    best, median, worst = (
        accuracy(each.accuracy or 0) for each in (found.best, found.median, found.worst)
    )
    if found.complete == 1:
        return f"A single network was trained to the end. It has {best}{_again(found.best)}."
    text = f"Of {found.complete:,} networks trained to the end, the best has {best}"
    text += f"{_again(found.best)}, "
    if found.complete == 2:
        return f"{text}the other {worst}."
    text += f"the one in the middle {median}, the worst {worst}."
    ratio = _ratio(found.best.macs, found.median.macs)
    return f"{text} {ratio}" if ratio else text


HOW_DRAWN = (
    "From left to right as an image passes through. A block is as wide as it has filters and as "
    "tall as its picture; its colour is the size of its filters. Below it: filters, their size, "
    "and ÷2 where the picture is halved."
)
OWN = "A block of one's own has its name below."
SKIPS = "An arc is the input that is added again."


def about_network(outcome: Outcome) -> str:
    """Return the figures of a drawn network, and how it is drawn."""
    counts = {"parameters": outcome.parameters, "MACs": outcome.macs}
    facts = [f"{n:,} {name}" for name, n in counts.items() if n is not None]
    known = accuracy(outcome.accuracy) or "none yet"
    size = "".join(f", {each}" for each in facts)
    text = f"{outcome.study}, trial {outcome.number}: {in_words(outcome.metric)} {known}"
    return f"{text}{_again(outcome)}{size}. {HOW_DRAWN}"


def _again(best: Outcome) -> str:
    """Return the meaning of the figure beside it, with the fresh accuracy, if that is known."""
    if best.fresh_mean is None:
        return ""
    return f" as the search saw it (trained again {accuracy(best.fresh_mean)})"


def _ratio(ours: int | None, theirs: int | None) -> str:
    if not ours or not theirs:
        return ""
    if ours >= 1.2 * theirs:
        return f"The best takes {ours / theirs:.1f} times the multiplications of the middle one."
    if theirs >= 1.2 * ours:
        return f"The best takes only {ours / theirs:.0%} of the multiplications of the middle one."
    return "The best takes about as many multiplications as the middle one."


def about_spreads(result: ComparisonResult) -> str:
    """Explain how to read the comparison's figure: a single study has no standard error."""
    if all(each.error is None for each in result.spreads):
        return (
            "A mark is the only study of a sampler. Another seed may turn it around: "
            f"{pairs_needed(len(result.standings) - 1)} seeds are needed to tell."
        )
    return (
        "A dot is a study, a large mark the mean of a sampler with its standard error. Where bars "
        "overlap, the samplers can hardly be told apart."
    )


def front_title(found: TradeOff) -> str:
    return f"{capital(found.metric)} against {AGAINST[found.cost]}"


def about_curves(found: IncumbentCurves, two_objectives: bool, metric: str = "accuracy") -> str:
    done = [curve for curve in found.ends if curve.sampler not in found.under_way]
    others = [curve for curve in found.ends if curve.sampler in found.under_way]
    sentences = [
        _reached("At the end", done, two_objectives),
        _reached("So far", others, two_objectives),
    ]
    if two_objectives:
        sentences.insert(0, FRONT.format(in_words(metric)))
    if found.seeds > 1:
        sentences.append(
            f"Lines are medians over up to {several(found.seeds, 'study')} a sampler, bands their "
            "middle half."
        )
    if found.left_out:
        sentences.append(
            "In no line, since they are under way or no network of theirs was trained to its end: "
            f"{listed(found.left_out)}."
        )
    sentences.append(_soon(found, two_objectives))
    return " ".join(filter(None, sentences))


def _reached(when: str, curves: Sequence[Curve], two_objectives: bool) -> str:
    if not curves:
        return ""
    what, verb = ("front", "dominates") if two_objectives else ("best network", "has")
    ends = [
        f"by {curve.sampler} {f'{verb} ' if place == 0 else ''}{accuracy(curve.median[-1])}"
        for place, curve in enumerate(curves)
    ]
    return f"{when} the {what} found {listed(ends)}."


def _soon(found: IncumbentCurves, two_objectives: bool) -> str:
    """Return a sentence on when little was left to find; "" for a search without a course."""
    curve = found.ends[0]
    if curve.sampler in found.under_way or len(curve.positions) < 2:
        return ""
    last, (first, *_) = curve.median[-1], curve.positions
    near = NEAR if last <= 1 else NEAR * 100
    place = next(p for p, v in zip(curve.positions, curve.median, strict=True) if v >= last - near)
    who = f"The search by {curve.sampler}"
    if first < place >= 0.9 * curve.positions[-1]:
        better = f"{who} was still getting better at its end: a longer one may find more."
        return "" if curve.sampler in found.exhausted else better
    after = several(int(place), UNITS[found.axis])
    if two_objectives:
        return f"{who} came within half a percent of that after {after}."
    return f"{who} was within half a point of its end after {after}."


def about_learning(saved: Savings, metric: str = "accuracy") -> str:
    text = (
        f"A line is a network: its {in_words(metric)} after each epoch, one pass over the training "
        "images."
    )
    if saved.pruned:
        text += (
            f" {saved.pruned:,} of {several(saved.trainings, 'training')} lagged behind and were "
            f"stopped early (grey). That saved {saved.whole - saved.epochs:,} of {saved.whole:,} "
            f"epochs, {saved.share:.0%}."
        )
    else:
        text += " None was stopped for lagging behind, so nothing was saved by pruning."
    if saved.broken:
        text += (
            f" {saved.broken:,} of {several(saved.trainings, 'training')} went wrong and ended "
            "early (grey, too): the numbers grew beyond all bounds, or memory ran out."
        )
    return text


def about_predictions(found: Predictions) -> str:
    return (
        "A dot is a network: what the surrogate expected of it before it was trained, and what was "
        f"seen. Half of the {len(found.trials):,} are within {accuracy(found.typical)} of "
        f"what was expected; {found.within:.0%} lie in their interval, which should hold 95%."
    )


def amount(cost: float, quantity: str) -> str:
    """Return a cost as a text: a count, or a latency."""
    return latency(cost) if quantity == LATENCY else f"{cost:,}"


def about_front(found: TradeOff) -> str:
    unit = COSTS[found.cost]
    best = found.front[-1]
    highest = f"The highest {in_words(found.metric)}, {accuracy(best.accuracy)},"
    text = f"{highest} takes {amount(best.cost, found.cost)} {unit}."
    cheap = found.cheaper(0.01 if best.accuracy <= 1 else 1.0)
    if cheap is not None:
        text += (
            f" For {accuracy(best.accuracy - cheap.accuracy)} less there is one with "
            f"{amount(cheap.cost, found.cost)}, {cheap.cost / best.cost:.0%} of that."
        )
    edge = 0.0 if found.shown is None else found.shown[0]
    below = sum(point.accuracy < edge for point in found.points)
    if below:
        are = "is" if below == 1 else "are"
        text += f" {several(below, 'dot')} below the edge {are} not shown."
    return text


def about_choices(found: Preferences) -> str:
    who = f"{found.n_best:,} {'networks nearest the front' if found.two_objectives else 'best'}"
    text = (
        f"Blue: more often among the {who} than among all {found.n_networks:,}; orange: less often."
    )
    if any(having < FEWEST_BEST for kind in found.by_kind for having in kind.having):
        text += f" A column is empty where fewer than {FEWEST_BEST} of the best have the layer."
    clear = [each for each in found.contrasts if abs(each.difference) > each.luck]
    if not clear:
        return f"{text} No difference stands out from what chance makes of so few best networks."
    first, count = clear[0], len(found.contrasts)
    where = f" in {place_in_prose(first.place)}" if first.place[-1:].isdigit() else ""
    return (
        f"{text} The clearest: {kind_name(first.kind)} {first.choice}{where}, in "
        f"{first.best:.0%} of the best and {first.all:.0%} of all. {len(clear)} of {count} "
        f"differences stand out like that; chance alone makes about {count / 20:.0f} do so."
    )


def about_importances(found: Importances) -> str:
    kinds = [f"{kind_name(kind)} {share:.0%}" for kind, share in found.by_kind.items()]
    place, share = next(iter(found.by_place.items()))
    text = (
        f"Whether a network is among the best tenth depends on these choices: {listed(kinds)}. "
        f"The most influential of all is {place_in_prose(place)} ({share:.0%})."
    )
    if found.trials < FEW:
        return f"{text} From {found.trials} trainings this is a hint, no more."
    return f"{text} Computed from {found.trials:,} trainings (PED-ANOVA)."


def in_a_line(layers: Iterable[Layer]) -> str:
    """Return a network for a table: "48·5/2 64·3", filters, kernel size, and stride if not 1."""
    return " ".join(map(_short, layers))


@cache  # the layers of thousands of networks are few different ones
def _short(layer: Layer) -> str:
    return layer.wording.short
