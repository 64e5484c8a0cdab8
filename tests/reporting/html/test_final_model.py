import sqlite3

from nasopt.reporting.figures import confusion_figure
from tests.reporting.conftest import written


def test_the_page_has_the_final_model_once_there_is_one(tested):
    folder, before, result = tested
    assert "The final model" not in before
    page = written(folder)
    assert page.count("The final model") == 2  # its title, and a link to it
    assert result.test.verdict in page
    assert result.test.about_looks in page
    for each in result.test.tested:
        assert each.contender.name in page
        assert f"{each.over_seeds.mean:.4f}" in page
    for each in result.test.mistakes:
        assert f"test image {each.image}" in page
        assert each.picture in page


def test_a_look_that_nasopt_did_not_write_is_told_in_one_line(tested, capsys):
    from nasopt.cli.main import main

    folder, _, _ = tested
    with sqlite3.connect(folder / "x.db") as good, sqlite3.connect(folder / "bad.db") as database:
        good.backup(database)
        database.execute("UPDATE nasopt_looks SET content = '{\"classes\": 5}'")
    assert main(["report", str(folder / "bad.db"), "-o", str(folder / "bad.html")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("nasopt: nasopt_looks: look ")
    assert said.count("\n") == 1


def test_right_cells_and_wrong_ones_are_told_apart_by_more_than_colour():
    right, wrong = confusion_figure(("a", "b"), ((3, 1), (0, 0))).data
    assert [list(row) for row in right.z] == [[0.75**0.5, None], [None, None]]
    assert [list(row) for row in wrong.z] == [[None, 0.25**0.5], [None, None]]
    assert right.customdata[0][0] == "3 of a taken for a"
