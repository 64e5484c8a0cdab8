from tests.stress import run


def test_four_writers_and_a_dashboard_lose_no_trial(tmp_path):
    seconds, answers, _ = run(trials=60, workers=4, folder=tmp_path)
    assert seconds > 0
    assert answers > 0
