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
class ChoicePicture:
    """One possible value of a field; `width` (pixels) and `colour` are those of drawn networks."""

    text: str
    width: float = 0.0
    colour: str = ""


@dataclass(frozen=True)
class PartPicture:
    """The layers that have the same open fields: their number, and the choices of each field."""

    title: str
    fields: dict[str, list[ChoicePicture]]


def pictured(study: Record) -> list[PartPicture]:
    if study.is_benchmark:
        alike: dict[tuple[str, ...], int] = {}
        for field in study.search_space.values():
            texts = tuple(each.text for each in _choices("", field))
            alike[texts] = alike.get(texts, 0) + 1
        return [
            PartPicture(
                several(count, "place"), {"one of": [ChoicePicture(text) for text in texts]}
            )
            for texts, count in alike.items()
        ]
    return [
        PartPicture(
            captions.times(part),
            {
                field_name(name): _choices(name, field)
                for name, field in part.layer.open_fields.items()
            },
        )
        for part in study.experiment.network_space.parts
    ]


def _choices(name: str, field: Open) -> list[ChoicePicture]:
    if isinstance(field, Real) or field.size > 8:
        return [ChoicePicture(captions.options(field))]
    whole = all(type(each) is int and each > 0 for each in field.candidates)
    if name == "filters" and whole:
        most = max(field.boundary_values)
        return [ChoicePicture(str(each), width=WIDEST * each / most) for each in field.candidates]
    if name == "kernel_size" and whole:
        return [
            ChoicePicture(in_pixels((int(each), int(each))), colour=kernel_colour(int(each)))
            for each in field.candidates
        ]
    return [ChoicePicture(str(each)) for each in field.candidates]
