"""The card of a final model, from a result that was never trained."""

import html
import json

import numpy as np
import pytest
import yaml
from markdown_it import MarkdownIt

from nasopt.analysis import final_test
from nasopt.analysis.classification import confusion_matrix, over_seeds, scores
from nasopt.analysis.reranking import Candidate, Reranking
from nasopt.models.card import card_text
from nasopt.models.final_card import final_card
from nasopt.storage.latencies import Latency
from nasopt.text import visible
from tests.models.small import SMALL, untrained

NASTY = ("a|b", "<img src=x onerror=alert(1)>", "*c*\n# d [e](f) `g`")


def result(metric="balanced_accuracy"):
    found = scores(confusion_matrix(np.array([0, 0, 0, 1, 2]), np.array([0, 0, 1, 1, 1]), 3))
    of = found.by(metric)
    contender = final_test.Contender(
        "the winner", f"trial 3 of {NASTY[1]}/random/0", SMALL, 10, 20, ("k",)
    )
    tested = final_test.Tested(contender, found, (of,), over_seeds([of]), None)
    reranking = Reranking((Candidate(f"{NASTY[1]}/random/0", 3, 0.9, 10, 20, (0.8,)),), metric)
    test = final_test.FinalTest(
        "it", NASTY, 2, (tested,), (), "2026-01-01T00:00", 1, 1, metric=metric
    )  # fmt: skip
    latencies = (Latency("cpu (A|B)", 1, 1, 0.01, 0.02, 1000),)
    efficiency = final_test.Efficiency(
        "the winner", 10, 20, 3000, latencies, memory_is_measured=False
    )
    return final_test.FinalResult("it", "digits", reranking, test, (efficiency,), "it-model")


@pytest.fixture(scope="module")
def text():
    return card_text(untrained(SMALL, 1), final_card(result(), "nasopt finals it.py"), "it", [])


def test_names_are_no_markup(text):
    body = text.split("---\n", 2)[2].partition("## Use")[0]  # with the table of files, in code
    page = MarkdownIt().enable("table").render(body)
    for markup in ("<img src=x", "<em>", "</a>", "<code>g", "<h1>d"):
        assert markup not in page
    for name in NASTY:
        assert f"<td>{html.escape(visible(name))}</td>" in page


def test_the_metric_of_the_search_comes_first_and_networks_are_compared_by_it(text):
    first, *others = yaml.safe_load(text.split("---")[1])["model-index"][0]["results"]
    assert first["metrics"][0]["type"] == "balanced_accuracy"
    assert first["metrics"][0]["value"] == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert {each["metrics"][0]["type"] for each in others} == {"accuracy", "f1"}
    assert "| network | test balanced accuracy |" in text
    assert "ranked by their balanced accuracy" in text
    assert json.dumps(result().to_json())
    assert repr(result()).startswith("<FinalResult: it, balanced accuracy 0.5556 on test>")
