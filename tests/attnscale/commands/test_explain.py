"""`attnscale explain`: the examples step by step, as JSON, and as files."""

import json

from attnscale.exit_codes import DONE, WRONG_REQUEST


def test_an_example_is_explained_step_by_step(attnscale_):
    shown = attnscale_("explain", "three")

    assert (shown.code, shown.err) == (DONE, "")
    for said in ("1. Every word", "2. Scores", "3. Weights", "4. Output", "0.8277", "0.9741"):
        assert said in shown.out
    assert "five" not in shown.out


def test_without_a_name_every_example_is_explained(attnscale_):
    text = attnscale_("explain").out

    assert [f"{name}: " in text for name in ("three", "literal", "five")] == [True] * 3


def test_json_is_one_document_with_the_numbers_in_full(attnscale_):
    shown = attnscale_("explain", "five", "--json")

    (entry,) = json.loads(shown.out)["examples"]
    assert shown.err == ""
    assert entry["name"] == "five"
    assert [round(one, 4) for one in entry["output"][0]] == [4.8639, 5.8639]


def test_causal_hides_later_words(attnscale_):
    (entry,) = json.loads(attnscale_("explain", "three", "--causal", "--json").out)["examples"]

    assert entry["is_causal"] is True
    assert entry["weights"][0] == [1.0, 0.0, 0.0]


def test_out_writes_a_heat_map_of_each_example(attnscale_, tmp_path):
    shown = attnscale_("explain", "three", "five", "--out", tmp_path)

    assert shown.code == DONE
    assert {path.name for path in tmp_path.iterdir()} == {
        f"attention_weights.{name}.{kind}"
        for name in ("three", "five")
        for kind in ("png", "svg", "csv")
    }
    assert f"heat map: {tmp_path / 'attention_weights.three.png'}" in shown.err


def test_a_place_that_cannot_be_written_is_one_line(attnscale_, tmp_path):
    (tmp_path / "file").write_text("in the way")

    shown = attnscale_("explain", "three", "--json", "--out", tmp_path / "file" / "out")

    assert shown.code == WRONG_REQUEST
    (line,) = shown.err.splitlines()
    assert "cannot write there" in line


def test_an_unknown_example_is_one_line(attnscale_):
    attnscale_("explain", "six").assert_refused("examples are three, literal, five", "'six'")
