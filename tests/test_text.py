import pytest

from nasopt.text import (
    accuracy,
    big,
    duration,
    listed,
    memory,
    roughly,
    several,
    trained_on,
    visible,
)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (111_132, "111,132"),
        (24**20, "4.0e27 = 4_019_988_717_840_603_673_710_821_376"),
        (10**40, "1.0e40"),
    ],
)
def test_large_numbers_are_exact_with_their_magnitude(number, text):
    assert big(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.31, "0.3 s"), (45, "45 s"), (720, "12 min"), (12_240, "3.4 h"), (200_000, "2.3 days")],
)
def test_durations_are_in_the_unit_that_one_would_say(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"), [(258, "258"), (200_000_000, "2.0 × 10⁸"), (24**20, "4.0 × 10²⁷")]
)
def test_large_numbers_are_rounded_for_people(number, text):
    assert roughly(number) == text


def test_an_accuracy_is_shown_in_the_unit_in_which_it_is_stored():
    assert accuracy(0.98056) == "0.9806"
    assert accuracy(93.081) == "93.08"
    assert accuracy(1.0) == "1.0000"  # all, or one in a hundred of a table in percent
    assert accuracy(None) == ""
    assert [accuracy(gap, sign=True) for gap in (0.0123, -1.23, 0.0)] == [
        "+0.0123", "-1.2300", "+0.0000"
    ]  # fmt: skip


def test_words_in_a_row_and_their_numbers():
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert listed([4, 8], "or") == "4 or 8"
    assert listed([]) == ""
    assert [several(n, "study") for n in (1, 2)] == ["1 study", "2 studies"]
    assert several(1_000, "layer") == "1,000 layers"


def test_devices_are_counted_where_there_are_several():
    assert trained_on({"cpu, 2 threads": 7}) == "cpu, 2 threads"
    assert trained_on({"cpu, 2 threads": 12, "NVIDIA H200": 1}) == (
        "cpu, 2 threads (12 trials) and NVIDIA H200 (1 trial)"
    )


def test_a_number_of_more_digits_than_python_spells_out_has_a_magnitude():
    assert big(7 * 10**5000) == "7.0e5000"
    assert roughly(123 * 10**3000) == "1.2 × 10³⁰⁰²"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b]0;title\x07", "\\x1b[31mred\\x1b]0;title\\x07"),
        ("two\nlines\r\tand a tab\x85", "two\\nlines\\r\\tand a tab\\x85"),
        ("abc\u202egpj.exe\u2066", "abc\\u202egpj.exe\\u2066"),
        ("\u2028\x9b", "\\u2028\\x9b"),
        ("naïve 層 4.0 × 10²⁷\u00a0%", "naïve 層 4.0 × 10²⁷\u00a0%"),
        ("न्\u200dय 👩\u200d👧", "न्\u200dय 👩\u200d👧"),
    ],
)
def test_what_would_act_on_a_terminal_is_spelled_out(text, shown):
    assert visible(text) == shown


def test_bytes_are_said_in_the_unit_that_fits():
    sizes = {0: "0.0 kB", 1_234: "1.2 kB", 12_345: "12 kB", 2_100_000: "2.1 MB", 10**9: "1.0 GB"}
    assert {size: memory(size) for size in sizes} == sizes
