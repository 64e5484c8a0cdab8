"""Numbers as one would say them, and texts as a terminal may show them."""

import math
import unicodedata
from collections.abc import Mapping, Sequence

UNSEEN = ("Cc", "Cf", "Zl", "Zp")  # categories of Unicode that act and are not seen
JOINERS = (
    "\u200c\u200d"  # but these belong to letters: Persian ones, and pictures of several people
)
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def visible(text: str) -> str:
    """`text` in one line, its control characters spelled out: on a terminal they would act.

    So are those of Unicode that turn the direction of writing.
    """
    if text.isprintable():
        return text
    return "".join(
        each.encode("unicode_escape").decode()
        if unicodedata.category(each) in UNSEEN and each not in JOINERS
        else each
        for each in text
    )


def big(number: int) -> str:
    """Exact up to a million million, then its magnitude as well: 4.0e27."""
    if number < 10**12:
        return f"{number:,}"
    mantissa, exponent = _scientific(number)
    return f"{mantissa}e{exponent} = {number:_}" if exponent < 30 else f"{mantissa}e{exponent}"


def roughly(number: int) -> str:
    """Exact up to a million, then 4.0 × 10²⁷."""
    if number < 10**6:
        return f"{number:,}"
    mantissa, exponent = _scientific(number)
    return f"{mantissa} × 10{str(exponent).translate(SUPERSCRIPTS)}"


def _scientific(number: int) -> tuple[str, int]:
    if number < 10**300:
        exponent = len(str(number)) - 1
        return f"{number / 10**exponent:.1f}", exponent
    share, whole = math.modf(math.log10(number))  # Python spells out no more than 4,300 digits
    return f"{10**share:.1f}", int(whole)


def duration(seconds: float) -> str:
    """0.3 s, 45 s, 12 min, 3.4 h, 2.1 days."""
    if seconds < 0.05:
        return "under 0.1 s"
    if math.isinf(seconds):
        return "out of memory"
    for limit, unit, digits in ((10, 1, 1), (100, 1, 0), (6000, 60, 0), (172_800, 3600, 1)):
        if seconds < limit:
            return (
                f"{seconds / unit:.{digits}f} {'s' if unit == 1 else 'min' if unit == 60 else 'h'}"
            )
    return f"{seconds / 86_400:.1f} days"


def percent(accuracy: float) -> str:
    """97.22%, of a fraction; of a table in percent (above 1) as it is."""
    return f"{accuracy * 100 if accuracy <= 1 else accuracy:.2f}%"


def points(difference: float, of: float, *, sign: bool = False) -> str:
    """A difference of accuracies in percentage points; `of` tells the unit, as in `percent`."""
    value = difference * 100 if of <= 1 else difference
    return f"{value:+.2f}" if sign else f"{value:.2f} points"


def listed(words: Sequence[object], last: str = "and") -> str:
    """a, b and c"""
    texts = [str(word) for word in words]
    if len(texts) < 2:
        return "".join(texts)
    return f"{', '.join(texts[:-1])} {last} {texts[-1]}"


def trained_on(devices: Mapping[str, int]) -> str:
    """ "cpu, 2 threads (12 trials) and NVIDIA H200 (8 trials)"; a single device is only named."""
    if len(devices) == 1:
        return next(iter(devices))
    return listed([f"{name} ({several(count, 'trial')})" for name, count in devices.items()])


def several(count: int, noun: str) -> str:
    """1 study, 3 studies"""
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {noun.removesuffix('y')}ies" if noun.endswith("y") else f"{count:,} {noun}s"


def done_of(done: int, total: int | None) -> str:
    """ "6 of 12 trials"; where fewer were asked for than there are, "11 trials (6 asked for)" """
    if total is None:
        return several(done, "trial")
    if done > total:
        return f"{several(done, 'trial')} ({total:,} asked for)"
    return f"{done:,} of {total:,} trials"
