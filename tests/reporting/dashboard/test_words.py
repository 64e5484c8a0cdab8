"""Attributes as pages show them: in words."""

import urllib.error
import urllib.request

import optuna
import pytest

from nasopt.search.search import Search
from tests.examples import small
from tests.reporting.dashboard.serving import TPE, asked, copied, load, serving


def attrs_of(shown: dict) -> dict[str, str]:
    return {each["key"]: each["value"] for each in shown["user_attrs"]}


@pytest.mark.parametrize("read_only", [False, True])
def test_pages_have_attributes_in_words(believing, tmp_path, read_only):
    database = copied(believing, tmp_path / "x.db")
    with serving(database, read_only=read_only) as url:
        (listed,) = asked(f"{url}/api/studies")["study_summaries"]
        shown = asked(f"{url}/api/studies/1")
    study = attrs_of(shown)
    assert attrs_of(listed) == study
    assert study["networks"] == "1 to 3 layers"
    assert study["possible networks"] == "258"
    assert study["training"] == "epochs 2, batch_size 32, optimizer sgd, lr 0.1"
    assert study["limits"] == study["features"] == "none"
    assert study["sampler"] == "surrogate"
    trial = attrs_of(shown["trials"][7])
    prediction = load(database, "experiment/surrogate/0").trials[7].user_attrs["belief"]
    expected, low, high = (prediction[name] for name in ("expected", "low", "high"))
    assert trial["expected"] == f"{expected:.4f}, 95 % from {low:.4f} to {high:.4f}"
    assert f"trial {prediction['nearest'][0]['trial']} (" in trial["most alike"]
    (best,) = shown["best_trials"]
    assert best in shown["trials"]
    texts = [*study.values(), *(v for t in shown["trials"] for v in attrs_of(t).values())]
    assert not [text for text in texts if "{" in text or "[" in text]
    assert {"key": "seconds", "sortable": True} in shown["union_user_attrs"]


def test_words_are_for_pages_only_and_what_is_stored_stays(believing, tmp_path):
    database = copied(believing, tmp_path / "x.db")
    study = load(database, "experiment/surrogate/0")
    before = study.user_attrs, [trial.user_attrs for trial in study.trials]
    with serving(database) as url:
        asked(f"{url}/api/studies/1")
        with urllib.request.urlopen(f"{url}/csv/1") as response:
            assert "'nearest'" in response.read().decode()
        asked(f"{url}/api/studies/1/rename", "POST", b'{"study_name": "other/surrogate/0"}')
    study = load(database, "other/surrogate/0")
    assert (study.user_attrs, [trial.user_attrs for trial in study.trials]) == before


def test_plain_optunas_attributes_and_a_study_that_is_being_made_are_shown_as_they_are(tmp_path):
    Search(small(), sampler="tpe", storage=tmp_path / "x.db", device="cpu")
    study = optuna.load_study(study_name=TPE, storage=f"sqlite:///{tmp_path}/x.db")
    plain = optuna.create_study(study_name="plain", storage=study._storage)
    plain.set_user_attr("mine", {"a": [1]})
    begun = optuna.create_study(study_name="experiment/gp/0", storage=study._storage)
    begun.set_user_attr("experiment", study.user_attrs["experiment"])
    with serving(tmp_path / "x.db", read_only=True) as url:
        found = asked(f"{url}/api/studies")["study_summaries"]
    shown = {each["study_name"]: attrs_of(each) for each in found}
    assert shown[TPE]["networks"] == "1 to 3 layers"
    assert shown["plain"] == {"mine": '{"a": [1]}'}
    assert shown["experiment/gp/0"].keys() == {"experiment"}
