"""The steps of an example as a student reads them."""

from rich.console import Console

from reports.articles.lesson import lesson, number
from tests.reports.articles.some_example import CAUSAL, some_example


def printed(example) -> str:
    console = Console(width=100, record=True)
    with console.capture() as captured:
        console.print(lesson(example))
    return captured.get()


def test_the_steps_come_in_order_with_their_formulas():
    text = printed(some_example())

    headings = [line for line in text.splitlines() if line[:2] in ("1.", "2.", "3.", "4.")]
    assert [one.split(":")[0].split(" b")[0] for one in headings] == [
        "1. Every word",
        "2. Scores",
        "3. Weights",
        "4. Output",
    ]
    assert "Q·Kᵀ / √d with d = 1" in headings[1]


def test_every_step_writes_one_number_out():
    text = printed(some_example())

    assert "“oh” asks “ah”: (1·0) / √1 = 0 / 1 = 0" in text
    assert (
        "“oh”: e^(0 − 1.0986), e^(1.0986 − 1.0986) = 0.3333, 1; each is divided by their sum 1.3333"
        in text
    )
    assert "“oh”: 0.2500·(2) + 0.7500·(4) = (3.5000)" in text


def test_what_a_mask_hides_is_called_hidden_and_the_mask_is_explained():
    plain, causal = printed(some_example()), printed(some_example(**CAUSAL))

    assert "hidden" not in plain
    assert ["ah", "0", "hidden"] in [line.split() for line in causal.splitlines()]
    assert "A word does not see the words after it." in " ".join(causal.split())


def test_the_check_against_the_oracle_is_told():
    assert "differ by 2e-16 at most; 1.0e-15 is allowed" in printed(some_example(difference=2e-16))


def test_numbers_have_four_decimals_and_whole_ones_none():
    assert [number(one) for one in (2.0, 0.5, 1 / 3, -1.0, None)] == [
        *("2", "0.5000", "0.3333", "-1", "hidden"),
    ]
