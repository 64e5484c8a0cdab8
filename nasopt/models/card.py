"""`Card` and its text: the README.md of a model folder, in the form of Hugging Face's cards."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from nasopt.analysis.outcome import layer_rows
from nasopt.models.model import Model, Training
from nasopt.reporting.commands import command
from nasopt.space.layers import in_pixels
from nasopt.space.model import cost, has_own
from nasopt.text import accuracy, listed, several, visible

DRAWING = "network.svg"
MOST_NAMED = 20  # classes in a sentence
FORMS = {
    "model.safetensors": "the weights",
    "architecture.json": "the layers, the training, and digests of the other files",
    "preprocessing.json": "size, mean and deviation of the images, and the classes in order",
    "network.py": "the network in plain PyTorch, without nasopt",
    "model.onnx": "the network for ONNX: takes bytes, gives logits",
    "model.pt2": "the network for `torch.export.load`: takes bytes, gives logits",
    "trained-on.txt": "digests of the images that it was trained on",
}


@dataclass(frozen=True, kw_only=True)
class Score:
    """One figure of a model on one split, by the name that Hugging Face has for it.

    `interval` is where the true value lies with 95 %.
    """

    name: str  # "accuracy", "balanced_accuracy", "f1"
    value: float
    split: str = "test"
    interval: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a model card says beyond the model itself.

    `found` tells in Markdown how the network was found, `command` reproduces all of it. `sections`
    are further ones, titles with their Markdown. `figures` are picture files, by name, shown in
    order.
    """

    scores: Sequence[Score] = ()
    found: str = ""
    command: str = ""
    sections: Mapping[str, str] = field(default_factory=dict)
    figures: Mapping[str, bytes] = field(default_factory=dict)


def card_text(model: Model, card: Card, name: str, files: Iterable[str]) -> str:
    """Return the card of the model in a folder called `name`, which has `files` besides."""
    sections = {
        "Figures": _figures(model, card),
        **card.sections,
        "The network": _network(model),
        "Intended use": _intended_use(model),
        "Limits": _limits(model),
        "Data": _data(model),
        "Recipe": _recipe(model.training),
        "How it was found": card.found or "The architecture was given; no search is recorded here.",
        "Reproduce": _reproduce(model, card, name),
        "Use": _use(model, name, files),
    }
    body = "\n\n".join(f"## {title}\n\n{text}" for title, text in sections.items())
    return f"{_head(model, card, name)}\n# {plain(name)}\n\n{_opening(model)}\n\n{body}\n"


def plain(text: str) -> str:
    """Return a text in which Markdown and HTML see nothing but letters, in one line.

    It may stand anywhere but at the beginning of a line.
    """
    return re.sub(r"([\\`*_\[\]<>#|~&])", r"\\\1", visible(text))


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _head(model: Model, card: Card, name: str) -> str:
    """Return the YAML between two lines of dashes; its texts are in JSON, which YAML contains."""
    results = [
        {
            "task": {"type": "image-classification"},
            "dataset": {"name": _dataset(model), "type": _dataset(model), "split": score.split},
            "metrics": [{"type": score.name, "value": score.value, "name": score.name}],
        }
        for score in _scores(model, card)
    ]
    entries: dict[str, Any] = {
        "library_name": "nasopt",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "pytorch", "onnx", "neural-architecture-search", "nasopt"],
        "metrics": sorted({score.name for score in _scores(model, card)}),
        "model-index": [{"name": name, "results": results}],
    }
    lines = (f"{key}: {json.dumps(value)}" for key, value in entries.items() if value)
    return "\n".join(["---", *lines, "---", ""])


def _scores(model: Model, card: Card) -> list[Score]:
    """Return the scores to show: on validation images only those that were not trained on."""
    training = model.training
    if training is None or training.validation_included:
        return [*card.scores]
    if any(score.split == "validation" for score in card.scores):
        return [*card.scores]
    return [*card.scores, Score(name="accuracy", value=training.accuracy, split="validation")]


def _dataset(model: Model) -> str:
    """Return the name of the data set: of pictures of one's own, that of their folder."""
    if model.training is None:
        return "unknown"
    told = model.training.dataset
    return Path(str(told.get("path", ""))).name or str(told["name"])


def _opening(model: Model) -> str:
    count = cost(model.architecture, model.input_shape, len(model.classes))
    return (
        f"A convolutional network of {several(len(model.architecture.layers), 'layer')} and a "
        f"classifier ({count.parameters:,} parameters, {count.macs:,} multiply-accumulates an "
        f"image), which tells {len(model.classes):,} classes apart in {_images(model)}. It was "
        f"made with nasopt {version('nasopt')}, neural architecture search on Optuna.\n\n"
        f"![The network]({DRAWING})"
    )


def _images(model: Model) -> str:
    colour = {"grey": "grey images", "RGB": "colour images"}.get(
        model.preprocessing.colour or "", f"images of {model.preprocessing.channels} channels"
    )
    return f"{colour} of {in_pixels(model.preprocessing.size)} pixels"


def _figures(model: Model, card: Card) -> str:
    rows = [
        (score.split, score.name.replace("_", " "), accuracy(score.value), _interval(score))
        for score in _scores(model, card)
    ]
    lines = []
    if rows:
        lines.append(markdown_table(("split", "metric", "value", "95 % interval"), rows))
    if not any(score.split == "test" for score in card.scores):
        lines.append("No figures of a test split are recorded.")
    if model.training is not None and model.training.validation_included:
        lines.append("The validation images were trained on as well, so they tell nothing.")
    lines += [f"![{plain(name.rpartition('.')[0])}]({name})" for name in card.figures]
    return "\n\n".join(lines)


def _interval(score: Score) -> str:
    if score.interval is None:
        return ""
    return " to ".join(accuracy(end) for end in score.interval)


def _network(model: Model) -> str:
    rows = layer_rows(model.architecture.convolutions)
    (label, numbers), *others = rows.items()
    table = markdown_table([label, *numbers], ([name, *texts] for name, texts in others))
    widths = [layer.wording.filters for layer in model.architecture.dense]
    after = f"Then the mean of each map, {_dense(widths)}and a classifier."
    return f"{table}\n\n{after}"


def _dense(widths: Sequence[str]) -> str:
    if not widths:
        return ""
    noun = "fully connected layer" + ("s" if len(widths) > 1 else "")
    return f"{noun} {listed([f'{width} wide' for width in widths])}, "


def _intended_use(model: Model) -> str:
    names = [f"{plain(name)}" for name in model.classes[:MOST_NAMED]]
    more = len(model.classes) - len(names)
    classes = listed(names) if more <= 0 else f"{', '.join(names)} and {more:,} more"
    return (
        "To sort pictures like those that it was trained on into the classes: "
        f"{classes}. The probabilities rank the classes of a picture; they are not calibrated."
    )


def _limits(model: Model) -> str:
    size = in_pixels(model.preprocessing.size)
    return "\n".join(
        f"- {limit}"
        for limit in (
            "It answers with one of its classes whatever the picture shows: that none fits, it "
            "cannot say, and its probabilities may be high all the same.",
            f"It sees the centre square of a picture, scaled to {size} pixels: neither what lies "
            "outside, nor finer detail.",
            "The figures hold for pictures of the same origin. Other cameras, light or habits of "
            "taking them make it worse, and nothing here says by how much.",
            "Whoever or whatever the training pictures show rarely, it knows badly. See the "
            "figures of each class before a decision about people or safety rests on it.",
        )
    )


def _data(model: Model) -> str:
    training = model.training
    rows = [("mean of each channel", _numbers(model.preprocessing.mean))]
    rows.append(("deviation of each channel", _numbers(model.preprocessing.deviation)))
    if training is None:
        return markdown_table(("", "of the training images, from 0 to 255"), rows)
    train, validation = training.images
    what = "both" if training.validation_included else "the training images"
    told = training.dataset
    facts = [
        ("data set", plain(_dataset(model))),
        ("images", f"{train:,} for training, {validation:,} for validation; trained on {what}"),
        ("subset", "all" if told["limit"] is None else f"{told['limit']:,} images"),
        ("seed of the split", str(told["split_seed"])),
        ("fingerprint", plain(told["fingerprint"])),
    ]
    return markdown_table(("", ""), [*facts, *rows])


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)


def _recipe(training: Training | None) -> str:
    if training is None:
        return "Not recorded."
    rows = [(name, str(value)) for name, value in training.recipe.to_json().items()]
    rows += [("seed", str(training.seed)), ("device", training.device), ("torch", training.torch)]
    return markdown_table(("", ""), rows)


def _reproduce(model: Model, card: Card, name: str) -> str:
    again = f"{command('reproduce', name)}{_study(model)}"
    lines = [
        *([f"{card.command}   # the search and all of this"] if card.command else []),
        f"{again}   # this training; says whether the figures agree",
    ]
    return _fenced("bash", lines)


def _study(model: Model) -> str:
    """Return the option that names the study file, if blocks of the user's are in the network."""
    return " --blocks STUDY.py" if has_own(model.architecture) else ""


def _defined(model: Model) -> list[str]:
    """Return the line of Python that defines such blocks."""
    names = sorted({each.kind for each in model.architecture.layers if each.is_own})
    return [f'nasopt.load_experiment("STUDY.py")  # defines {listed(names)}'] if names else []


def _use(model: Model, name: str, files: Iterable[str]) -> str:
    channels, height, width = model.input_shape
    blocks = [
        _fenced("bash", [f"{command('predict', name)}{_study(model)} picture.jpg"]),
        _fenced(
            "python",
            [
                "import nasopt",
                "",
                *_defined(model),
                f"model = nasopt.load({visible(name)!r})",
                'model.predict(["picture.jpg"])[0].label',
            ],
        ),
    ]
    names = [each for each in FORMS if each in {*files}]
    said = []
    if "network.py" in names:
        said.append("Without nasopt, `network.py` has the network in plain PyTorch.")
    if "model.pt2" in names:
        said.append(
            f"The other forms take bytes (n, {channels}, {height}, {width}) and normalise them "
            "themselves:"
        )
    if said:
        blocks.append(" ".join(said))
    if "model.onnx" in names:
        lines = [
            "import onnxruntime",
            "",
            'session = onnxruntime.InferenceSession("model.onnx")',
            '(logits,) = session.run(None, {"images": images})  # uint8',
        ]
        blocks.append(_fenced("python", lines))
    blocks.append(markdown_table(("file", "what it is"), ((f"`{n}`", FORMS[n]) for n in names)))
    return "\n\n".join(blocks)


def _fenced(language: str, lines: Iterable[str]) -> str:
    return "\n".join([f"```{language}", *map(visible, lines), "```"])


def drawings(model: Model) -> Iterator[tuple[str, bytes]]:
    """Yield the pictures that every card has, by name."""
    from nasopt.reporting.figures.svg import network_svg

    yield DRAWING, network_svg(model.architecture, model.input_shape).encode()
