"""The wording of numbers, and the form in which a terminal may show a text."""

import math
import unicodedata
from collections.abc import Mapping, Sequence

RUN_AGAIN = "run the same command again"  # a remedy
GOES_ON = "the same command goes on"  # after an interruption
BEGINS_ANEW = "the same command begins anew"  # after that of one that keeps nothing
UNSEEN = ("Cc", "Cf", "Zl", "Zp")  # Unicode categories of invisible characters with an effect
JOINERS = (
    "\u200c\u200d"  # except these, which join letters, as in Persian, and emoji of several people
)
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def installing(extra: str) -> str:
    """Return the command that installs an extra, in quotes that every shell takes."""
    return f'pip install "nasopt[{extra}]"'


def visible(text: str) -> str:
    """Return `text` in one line, with control characters spelled out: a terminal would obey them.

    Unicode characters that change the direction of writing are spelled out as well.
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
    """Return `number` exactly, from 10**12 on led by its magnitude, as in "4.0e27 = ...".

    From 10**30 on only the magnitude is given.
    """
    if number < 10**12:
        return f"{number:,}"
    mantissa, exponent = _scientific(number)
    return f"{mantissa}e{exponent} = {number:_}" if exponent < 30 else f"{mantissa}e{exponent}"


def roughly(number: int) -> str:
    """Return `number` exactly below a million, then as in "4.0 × 10²⁷"."""
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
    """Return `seconds` in words: "0.3 s", "45 s", "12 min", "3.4 h", "2.1 days"."""
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


def memory(size: int) -> str:
    """Return a number of bytes in words: "12 kB", "2.1 MB", "1.3 GB"."""
    for limit, unit, name in ((10**6, 10**3, "kB"), (10**9, 10**6, "MB")):
        if size < limit:
            return f"{size / unit:.{0 if size >= 10 * unit else 1}f} {name}"
    return f"{size / 10**9:.1f} GB"


def latency(seconds: float | None) -> str:
    """Return a latency in milliseconds: "3.21 ms"; "" for None."""
    return "" if seconds is None else f"{1e3 * seconds:,.3g} ms"


def accuracy(value: float | None, *, sign: bool = False) -> str:
    """Return an accuracy, or a difference of two, as it is stored: "0.9806"; "" for None.

    A table in percent keeps its unit: "93.08". No unit is guessed from a value: 1.0 is every image
    right or, in such a table, one in a hundred.
    """
    if value is None:
        return ""
    return f"{value:{'+' if sign else ''}.{4 if abs(value) < 10 else 2}f}"


def probability(p: float) -> str:
    """Return the p of a test, which is never 0: "0.016", "<0.001"."""
    return f"{p:.3f}" if p >= 0.001 else "<0.001"


def listed(words: Sequence[object], last: str = "and") -> str:
    """Return the words as a list: "a, b and c"."""
    texts = [str(word) for word in words]
    if len(texts) < 2:
        return "".join(texts)
    return f"{', '.join(texts[:-1])} {last} {texts[-1]}"


def trained_on(devices: Mapping[str, int]) -> str:
    """Return devices, each with its number of trials; a single device is only named.

    An example is "cpu, 2 threads (12 trials) and NVIDIA H200 (8 trials)".
    """
    if len(devices) == 1:
        return next(iter(devices))
    return listed([f"{name} ({several(count, 'trial')})" for name, count in devices.items()])


def several(count: int, noun: str) -> str:
    """Return a count with its noun: "1 study", "3 studies"."""
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {noun.removesuffix('y')}ies" if noun.endswith("y") else f"{count:,} {noun}s"


def done_of(done: int, total: int | None) -> str:
    """Return the progress: "6 of 12 trials", or "11 trials (6 asked for)" if there are more."""
    if total is None:
        return several(done, "trial")
    if done > total:
        return f"{several(done, 'trial')} ({total:,} asked for)"
    return f"{done:,} of {total:,} trials"
