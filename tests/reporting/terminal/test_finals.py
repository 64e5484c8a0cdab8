"""Which classes a model takes for which, on screens of 80 columns."""

import io

import numpy as np
import pytest

from nasopt.analysis.classification import scores
from nasopt.reporting.terminal.display import paper, print_parts
from nasopt.reporting.terminal.finals import score_parts


def printed(classes, most=9):
    confusion = np.random.default_rng(0).integers(1, most + 1, (len(classes),) * 2)
    text = io.StringIO()
    out = paper(text, terminal=False)
    print_parts(out, score_parts(out, scores(confusion), classes, "accuracy"))
    lines = text.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    return confusion, lines


@pytest.mark.parametrize(
    "name", ["x" * 90, "many words " * 9, "\u65e5\u672c\u306e\u72ac" * 12, "a|b", "[red]<b>"]
)
def test_counts_are_whole_however_long_the_names_are(name):
    confusion, lines = printed(["short", name, "other"])
    table = lines[lines.index("") + 1 :]
    assert table[0].split()[-4:] == ["recall", "1", "2", "3"]
    for number, row in enumerate(confusion, 1):
        (line,) = (each for each in table if each.startswith(f"{number} "))
        assert line.split()[-3:] == [str(count) for count in row]
    shown = "".join("".join(line[:40].split()) for line in table)
    assert "".join(name.split())[:20] in shown


def test_where_the_counts_have_no_room_the_hardest_classes_are_told():
    classes = [f"class {number}" for number in range(20)]
    assert any(line.startswith("true \\ predicted") for line in printed(classes)[1])
    lines = printed(classes, most=99_999)[1]
    assert any(line.startswith("hardest classes") for line in lines)
