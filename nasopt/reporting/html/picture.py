"""The space that was searched as a picture: layers in order, and the choices of each."""

from dataclasses import dataclass

from nasopt.analysis.record import Record
from nasopt.reporting import captions
from nasopt.reporting.figures.drawing import WIDEST, kernel_colour
from nasopt.reporting.names import field_name
from nasopt.space.fields import Open, Real
from nasopt.space.layers import in_pixels
from nasopt.text import several


@dataclass(frozen=True)
class Choice:
    """One possible value of a field; `width` (pixels) and `colour` are those of drawn networks."""

    text: str
    width: float = 0.0
    colour: str = ""


@dataclass(frozen=True)
class Part:
    """The layers that have the same open fields: their number, and the choices of each field."""

    title: str
    fields: dict[str, list[Choice]]


def pictured(study: Record) -> list[Part]:
    if study.is_benchmark:
        alike: dict[tuple[str, ...], int] = {}
        for field in study.parameters.values():
            texts = tuple(each.text for each in _choices("", field))
            alike[texts] = alike.get(texts, 0) + 1
        return [
            Part(several(count, "place"), {"one of": [Choice(text) for text in texts]})
            for texts, count in alike.items()
        ]
    return [
        Part(
            captions.times(part),
            {
                field_name(name): _choices(name, field)
                for name, field in part.layer.open_fields.items()
            },
        )
        for part in study.begun.space.parts
    ]


def _choices(name: str, field: Open) -> list[Choice]:
    if isinstance(field, Real) or field.size > 8:
        return [Choice(captions.options(field))]
    if name == "filters":
        most = max(field.boundary_values)
        return [Choice(str(each), width=WIDEST * each / most) for each in field.candidates]
    if name == "kernel_size":
        return [
            Choice(in_pixels((int(each), int(each))), colour=kernel_colour(int(each)))
            for each in field.candidates
        ]
    return [Choice(str(each)) for each in field.candidates]
