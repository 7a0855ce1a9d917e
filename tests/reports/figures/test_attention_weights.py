"""The heat map of a worked example shows every number of it."""

import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from reports.figures.attention_weights import AttentionWeights, write
from tests.reports.articles.some_example import CAUSAL, some_example

chart = AttentionWeights()


def numbers(figure: Figure) -> list[list[str]]:
    return [[text.get_text() for text in axes.texts] for axes in figure.axes]


def test_both_panels_show_every_number_of_their_matrix():
    figure = chart.draw(some_example())

    assert numbers(figure) == [
        ["0.0000", "0.0000", "0.0000", "1.0986"],
        ["0.5000", "0.5000", "0.2500", "0.7500"],
    ]


def test_the_first_query_stands_at_the_top_and_the_first_key_on_the_left():
    axes = chart.draw(some_example()).axes[1]

    assert [label.get_text() for label in axes.get_xticklabels()] == ["ah", "oh"]
    assert axes.yaxis_inverted()
    assert not axes.xaxis_inverted()
    assert [text.get_position() for text in axes.texts][1] == (1.5, 0.5)


def test_what_the_mask_hides_is_hatched_in_both_panels_and_has_no_number():
    figure = chart.draw(some_example(**CAUSAL))

    assert [len(row) for row in numbers(figure)] == [3, 3]
    for axes in figure.axes:
        hatched = [one for one in axes.patches if isinstance(one, Rectangle) and one.get_hatch()]
        assert [one.get_xy() for one in hatched] == [(1, 0)]
    assert "hatched" in chart.caption(some_example(**CAUSAL))
    assert "hatched" not in chart.caption(some_example())


@pytest.mark.parametrize(
    ("weights", "title"),
    [
        ([[0.4, 0.6], [0.25, 0.75]], "Every word gives “oh” its largest weight, 0.6000 to 0.7500"),
        ([[0.4, 0.6], [0.4, 0.6]], "Every word gives “oh” its largest weight, 0.6000"),
        (
            [[1.0, 0.0], [0.25, 0.75]],
            "Every word gives itself its largest weight, 0.7500 to 1.0000",
        ),
        ([[0.1, 0.9], [0.8, 0.2]], "The largest weights fall on “ah” and “oh”"),
    ],
)
def test_the_title_says_where_the_largest_weights_fall(weights, title):
    assert chart.title(some_example(weights=weights)) == title


def test_alt_text_has_every_weight():
    assert chart.alt(some_example()) == (
        "Weights on ah, oh. ah: 0.5000, 0.5000. oh: 0.2500, 0.7500."
    )


def test_equal_scores_are_drawn_without_a_scale_to_divide_by():
    figure = chart.draw(some_example(scores=[[1.0, 1.0], [1.0, 1.0]]))

    assert numbers(figure)[0] == ["1.0000"] * 4


def test_an_example_without_words_is_not_drawn():
    with pytest.raises(ValueError, match="the example has no words"):
        chart.draw(some_example(words=[]))


def test_the_files_are_png_svg_and_csv_and_the_csv_has_what_is_drawn(tmp_path):
    png = write(some_example(**CAUSAL), tmp_path / "new")

    assert png == tmp_path / "new" / "attention_weights.two.png"
    assert png.stat().st_size > 1000
    assert png.with_suffix(".svg").exists()
    table = pd.read_csv(png.with_suffix(".csv"))
    assert list(table) == ["example", "query", "key", "score", "weight"]
    assert table["weight"].tolist() == [1.0, 0.0, 0.25, 0.75]
    assert table["score"].isna().tolist() == [False, True, False, False]
