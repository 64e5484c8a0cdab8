"""What a search came to, in sentences that are computed: for people who know no such searches."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from nasopt.analysis.beliefs import Beliefs
from nasopt.analysis.choices import Choices
from nasopt.analysis.compared import ComparisonResult
from nasopt.analysis.curves import Curve
from nasopt.analysis.examples import Examples
from nasopt.analysis.front import TradeOff
from nasopt.analysis.importance import Importances
from nasopt.analysis.learning import Savings
from nasopt.analysis.record import Record
from nasopt.fields import Integer, Open, Real, field_from_json
from nasopt.figures.choices import kind_name, place_name
from nasopt.layers import Conv, Dense, Layer
from nasopt.space import Part
from nasopt.wording import listed, percent, points, roughly, several

FIELDS = {
    "filters": "number of filters",
    "kernel_size": "size of the filters",
    "stride": "stride",
    "op": "kind of layer",
    "width": "width",
    "depth": "number of layers",
    "layer": "kind of layer",
    "edge": "operation",
}
LAYERS = {"conv": "layer", "pool": "pooling layer", "dense": "fully connected layer"}
COSTS = {"macs": "multiplications", "parameters": "weights"}
TITLES = {  # of figures that are shown in several places
    "comparison": "The samplers beside each other",
    "choices": "What the best networks have in common",
    "front-parameters": "Accuracy against size",
    "front-macs": "Accuracy against work",
}
NEAR = 0.005  # of an accuracy: half a point
FEW = 100  # complete trials, below which importances are a hint


def opening(first: Record, tried: int, best: float | None) -> str:
    """What was looked for and what was found, in two sentences."""
    size = space_size(first)
    possible = "any number of" if size is None else roughly(size)
    what = (
        "in a table of networks that were trained before"
        if first.is_benchmark
        else (f"for the images of {data_name(first)}")
    )
    text = (
        f"This search looked for a good neural network {what}. It tried {tried:,} of "
        f"{possible} possible ones"
    )
    if best is None:
        return f"{text}; none has been trained to its end yet."
    where = "" if first.is_benchmark else ", on images that it was not trained on"
    return f"{text}; the best has an accuracy of {percent(best)}{where}."


def data_name(study: Record) -> str:
    return str(study.begun.data.fingerprint).split()[0]


def space_size(study: Record) -> int | None:
    """Number of ways to choose; None where a real number is open."""
    if any(isinstance(field, Real) for field in study.parameters.values()):
        return None
    if not study.is_benchmark:
        size = study.begun.space.size
        for field in study.begun.recipe.parameters.values():
            size *= int(field.size)
        return size
    size = 1
    for field in study.parameters.values():
        size *= int(field.size)
    return size


def times(part: Part) -> str:
    """ "3 to 6 layers" """
    noun = LAYERS[part.layer.kind]
    high = len(part.names)
    return several(high, noun) if part.low == high else f"{part.low} to {several(high, noun)}"


def outline(study: Record) -> str:
    """ "3 to 6 layers, then 1 fully connected layer" """
    if study.is_benchmark:
        return several(len(study.parameters), "place")
    return ", then ".join(times(part) for part in study.begun.space.parts)


def size_in_words(study: Record) -> str:
    """ "4.0 × 10²⁷" """
    size = space_size(study)
    return "no end" if size is None else roughly(size)


def training(recipe: Mapping[str, Any]) -> str:
    """A recipe as it is stored, in a line: "epochs 10, lr real(0.01, 0.1, log=True)" """
    return pairs({name: field_from_json(value) for name, value in recipe.items()})


def pairs(values: Mapping[str, Any]) -> str:
    """ "nasopt 0.1.0, optuna 5.0.0" """
    return ", ".join(f"{name} {value}" for name, value in values.items())


def options(field: Open) -> str:
    """ "4, 8, 16 or 32" """
    if isinstance(field, Real):
        return f"{field.low:g} to {field.high:g}"
    if isinstance(field, Integer) and field.size > 6:
        return f"{field.low} to {field.high}"
    return listed([str(each) for each in field.candidates], "or")


def searched(study: Record) -> str:
    """The space in words."""
    if study.is_benchmark:
        fields = list(dict.fromkeys(options(each) for each in study.parameters.values()))
        return (
            f"A network has {len(study.parameters)} places, and in each of them one of these: "
            f"{'; '.join(fields)}."
        )
    sentences = []
    for part in study.begun.space.parts:
        choices = [
            f"the {FIELDS.get(name, name)} ({options(field)})"
            for name, field in part.layer.open_fields.items()
        ]
        what = f"with {listed(choices)} left open" if choices else "all alike"
        sentences.append(f"{times(part)} {what}")
    text = f"A network has {', then '.join(sentences)}."
    recipe = [
        f"{name.removeprefix('recipe.')} ({options(field)})"
        for name, field in study.begun.recipe.parameters.items()
    ]
    return f"{text} Of the training {listed(recipe)} was open as well." if recipe else text


def about_examples(found: Examples) -> str:
    best, median, worst = found.best, found.median, found.worst
    text = (
        f"Of {several(found.complete, 'network')} trained to the end, the best has "
        f"{percent(best.accuracy or 0)}, the one in the middle {percent(median.accuracy or 0)}, "
        f"the worst {percent(worst.accuracy or 0)}."
    )
    ratio = _ratio(best.macs, median.macs)
    return f"{text} {ratio}" if ratio else text


def _ratio(ours: int | None, theirs: int | None) -> str:
    if not ours or not theirs:
        return ""
    if ours >= 1.2 * theirs:
        return f"The best takes {ours / theirs:.1f} times the multiplications of the middle one."
    if theirs >= 1.2 * ours:
        return f"The best takes only {ours / theirs:.0%} of the multiplications of the middle one."
    return "The best takes about as many multiplications as the middle one."


def verdict(result: ComparisonResult) -> str:
    """Which sampler is better, in percentage points as the table beside it."""
    of = max((each.seen or 0.0 for each in result.standings), default=0.0)
    return result.told(lambda gap: f"{points(gap, of, sign=True)} points")


def about_curves(curves: Sequence[Curve], seeds: int) -> str:
    here = [curve for curve in curves if curve.axis == "evaluation" and curve.median]
    here.sort(key=lambda curve: -curve.median[-1])
    ends = [
        f"by {curve.sampler} {'has ' if place == 0 else ''}{percent(curve.median[-1])}"
        for place, curve in enumerate(here)
    ]
    text = f"At the end the best network found {listed(ends)}."
    if seeds > 1:
        text = (
            f"{text} Lines are medians over up to {several(seeds, 'study')} a sampler, bands their "
            "middle half."
        )
    return f"{text} {_soon(here[0])}"


def _soon(curve: Curve) -> str:
    """After how many networks little was left to find."""
    last = curve.median[-1]
    near = NEAR if last <= 1 else NEAR * 100
    place = next(p for p, v in zip(curve.positions, curve.median, strict=True) if v >= last - near)
    who = f"The search by {curve.sampler}"
    if place >= 0.9 * curve.positions[-1]:
        return f"{who} was still getting better at its end: a longer one may find more."
    return f"{who} was within half a point of its end after {several(int(place), 'network')}."


def about_learning(saved: Savings) -> str:
    text = "A line is a network: its accuracy after each epoch, one pass over the training images."
    if saved.epochs < saved.whole:
        return (
            f"{text} {saved.pruned:,} of {saved.networks:,} networks lagged behind and were "
            f"stopped early (grey). That saved {saved.whole - saved.epochs:,} of {saved.whole:,} "
            f"epochs, {saved.share:.0%}."
        )
    return f"{text} None was stopped early, so nothing was saved by pruning."


def about_beliefs(found: Beliefs) -> str:
    example = found.trials[0].seen
    return (
        "A dot is a network: what the surrogate expected of it before it was trained, and what was "
        f"seen. Half of the {len(found.trials):,} are within {points(found.typical, example)} of "
        f"what was expected; {found.within:.0%} lie in their interval, which should hold 95%."
    )


def about_front(found: TradeOff) -> str:
    unit = COSTS[found.cost]
    best = found.front[-1]
    text = f"The most accurate network has {percent(best.accuracy)} with {best.cost:,} {unit}."
    cheap = found.cheaper(0.01 if best.accuracy <= 1 else 1.0)
    if cheap is not None:
        text += (
            f" For {points(best.accuracy - cheap.accuracy, best.accuracy)} less there is one with "
            f"{cheap.cost:,}, {cheap.cost / best.cost:.0%} of that."
        )
    edge = 0.0 if found.shown is None else found.shown[0]
    below = sum(point.accuracy < edge for point in found.points)
    if below:
        are = "is" if below == 1 else "are"
        text += f" {several(below, 'network')} below the edge {are} not shown."
    return text


def about_choices(found: Choices) -> str:
    who = f"{found.best:,} {'networks nearest the front' if found.two_objectives else 'best'}"
    text = f"Blue: more often among the {who} than among all {found.networks:,}; red: less often."
    clear = [each for each in found.contrasts if abs(each.difference) > each.luck]
    if not clear:
        return f"{text} No difference stands out from what chance makes of so few best networks."
    first, count = clear[0], len(found.contrasts)
    return (
        f"{text} The clearest: {kind_name(first.kind)} {first.choice}{_where(first.place)}, in "
        f"{first.best:.0%} of the best and {first.all:.0%} of all. {len(clear)} of {count} "
        f"differences stand out like that; chance alone makes about {count / 20:.0f} do so."
    )


def _where(place: str) -> str:
    name = place_name(place)
    return (
        f" in layer {name}" if name.isdecimal() else f" ({place})" if place[-1:].isdigit() else ""
    )


def about_importances(found: Importances) -> str:
    kinds = [f"{kind_name(kind)} {share:.0%}" for kind, share in found.by_kind.items()]
    place, share = next(iter(found.by_place.items()))
    text = (
        f"Of what decides whether a network is among the best tenth, {listed(kinds)}. "
        f"The most important place is {_where(place).removeprefix(' in ') or place} ({share:.0%})."
    )
    if found.trials < FEW:
        return f"{text} From {found.trials} networks this is a hint, no more."
    return f"{text} Computed from {found.trials:,} networks (PED-ANOVA)."


def in_a_line(layers: Iterable[Layer]) -> str:
    """For a table: "48·5/2 64·3", filters, kernel size, and stride where it is not 1."""
    return " ".join(map(_word, layers))


@cache
def _word(layer: Layer) -> str:
    if isinstance(layer, Dense):
        return f"dense·{layer.chosen('width')}"
    size = layer.chosen("kernel_size")
    if not isinstance(layer, Conv):
        return f"{layer.chosen('op')}·{size}"
    op = {"residual": "+", "separable": "~"}.get(layer.chosen("op"), "")
    stride = f"/{layer.chosen('stride')}" if layer.chosen("stride") > 1 else ""
    return f"{op}{layer.chosen('filters')}·{size}{stride}"
