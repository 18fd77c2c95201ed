import pytest

from cloche.bench.reports.cells import amount


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (4.2e-8, "s", "42.0 ns"),
        (9.9996e-4, "s", "1.00 ms"),
        (2.5e-5, "s", "25.0 µs"),
        (0.5, "s", "500 ms"),
        (61.2, "s", "61.2 s"),
        (0, "s", "0 ns"),
        (819, "B", "819 B"),
        (593_000, "B", "593 kB"),
        (1.41e9, "B", "1.41 GB"),
        (12_345, "1/s", "12,345/s"),
        (5.4, "1/s", "5.40/s"),
    ],
)
def test_three_digits_count(value: float, unit: str, text: str) -> None:
    assert amount(value, unit) == text


@pytest.mark.parametrize(
    ("value", "digits"), [(2.6149, "2.61"), (340.2, "340"), (0.0214, "0.021"), (95_948, "95.9k"), (1_004_455, "1.00M")]
)
def test_ratios(value: float, digits: str) -> None:
    assert amount(value, "x") == digits + "\N{MULTIPLICATION SIGN}"
