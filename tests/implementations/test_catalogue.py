"""How implementations are found and loaded, and what is said when they are not."""

import importlib
import inspect
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch

from bench.timing.inputs import make_inputs
from implementations import catalogue as module
from implementations import naming
from implementations.case import Case
from implementations.catalogue import declared_in, load, load_all, suite, with_entry_points
from implementations.interface import ALL_FEATURES, Feature, Implementation
from implementations.naming import CatalogueError, in_this_layout
from implementations.specs import from_function, in_layout

KERNEL = """
    def double(query, key, value):
        '''Twice the value, which is no attention.

        Second paragraph.
        '''
        return 2 * value
"""

Write = Callable[[str, str], Path]


@pytest.fixture
def kernel(write: Write) -> Path:
    return write("my_kernel.py", KERNEL)


def refused(text: str) -> str:
    with pytest.raises(CatalogueError) as refusal:
        load(text)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def test_files_are_found_by_looking_and_their_variants_with_them(write, monkeypatch, tmp_path):
    write("looked_at/__init__.py", "")
    write("looked_at/_helper.py", "")
    write(
        "looked_at/one.py",
        """
        from dataclasses import replace
        from implementations.attention.matmul import IMPLEMENTATION as MATMUL
        IMPLEMENTATION = replace(MATMUL, name="one")
        VARIANTS = (replace(MATMUL, name="one_b"),)
        """,
    )
    monkeypatch.syspath_prepend(tmp_path)

    found = list(declared_in(importlib.import_module("looked_at")))

    assert [(one.name, one.spec) for one in found] == [("one", "one"), ("one_b", "one_b")]


def test_the_names_are_those_that_stand_in_the_files():
    assert naming.suite_names() == set(suite())


def test_a_name_that_does_not_stand_in_its_file_is_refused(write, monkeypatch, tmp_path):
    write("computed/__init__.py", "")
    write(
        "computed/one.py",
        """
        from dataclasses import replace
        from implementations.attention.matmul import IMPLEMENTATION as MATMUL
        IMPLEMENTATION = replace(MATMUL, name="o" + "ne")
        """,
    )
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(CatalogueError, match=r'one\.py must say name="one" as it is'):
        list(declared_in(importlib.import_module("computed")))


def test_an_unknown_name_gets_the_nearest_one_or_all():
    assert "'sdap'; did you mean 'sdpa'? (attnscale list" in refused("sdap")
    assert f"; there are {', '.join(suite())}" in refused("zzz")


@pytest.mark.parametrize("text", ["", "IMPLEMENTATION = 'matmul'"])
def test_a_file_without_a_declaration_is_named_in_the_error(write, monkeypatch, tmp_path, text):
    package = f"undeclared_{len(text)}"
    write(f"{package}/__init__.py", "")
    path = write(f"{package}/forgotten.py", text)
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(CatalogueError, match="declares no IMPLEMENTATION") as refusal:
        list(declared_in(importlib.import_module(package)))
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_the_catalogue_is_in_name_order_and_every_entry_is_loaded_by_its_spec():
    assert list(suite()) == sorted(suite())
    for name, implementation in suite().items():
        assert implementation.name == implementation.spec == name
        assert load(implementation.spec) is implementation


def test_entry_points_join_the_catalogue(kernel, monkeypatch):
    monkeypatch.syspath_prepend(kernel.parent)
    point = EntryPoint("theirs", "my_kernel:double", naming.ENTRY_POINT_GROUP)
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [point])

    found = with_entry_points(load)["theirs"]

    assert found.spec == "theirs=my_kernel:double"
    assert load(found.spec).fn is found.fn


def test_an_entry_point_named_like_a_file_of_the_suite_is_left_out_with_a_warning(
    kernel, monkeypatch
):
    monkeypatch.syspath_prepend(kernel.parent)
    point = EntryPoint("matmul", "my_kernel:double", naming.ENTRY_POINT_GROUP)
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [point])

    with pytest.warns(module.EntryPointWarning, match="two implementations are called 'matmul'"):
        found = with_entry_points(load)

    assert found["matmul"].spec == "matmul"


def test_a_broken_entry_point_does_not_keep_the_others_away(monkeypatch):
    point = EntryPoint("fancy", "no_such_package:kernel", naming.ENTRY_POINT_GROUP)
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [point])

    with pytest.warns(module.EntryPointWarning, match="entry point fancy left out"):
        found = with_entry_points(load)

    assert "fancy" not in found
    assert "sdpa" in found


def test_a_kernel_is_loaded_from_a_file_under_its_functions_name(kernel):
    found = load(f"{kernel}:double")

    assert (found.name, found.spec) == ("double", f"{kernel}:double")
    assert found.title == "Twice the value, which is no attention."
    assert float(found.fn(torch.ones(1), torch.ones(1), torch.ones(1))) == 2.0


def test_a_kernel_is_loaded_from_a_module(kernel, monkeypatch):
    monkeypatch.syspath_prepend(kernel.parent)

    assert load("my_kernel:double").name == "double"


def test_a_module_beside_the_user_is_found_without_installing_it(write, monkeypatch):
    path = write("only_here.py", KERNEL)
    monkeypatch.chdir(path.parent)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])

    assert load("only_here:double").name == "double"
    assert str(path.parent) not in sys.path


def test_a_file_may_import_its_neighbour(write):
    write("neighbour_of_kernel.py", "FACTOR = 3")
    path = write(
        "with_neighbour.py",
        """
        from neighbour_of_kernel import FACTOR
        def triple(query, key, value):
            return FACTOR * value
        """,
    )

    assert load(f"{path}:triple").title == "user's kernel"


def test_another_name_may_be_given(kernel):
    found = load(f"mine={kernel}:double")

    assert (found.name, found.spec) == ("mine", f"mine={kernel}:double")


def test_a_declared_implementation_may_be_named_instead_of_a_function():
    found = load("again=implementations.attention.matmul:IMPLEMENTATION")

    assert found.name == "again"
    assert found.workspace_law == "n^2*d"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nosuch.py:f", "there is no file nosuch.py"),
        ("no_such_module_here:f", "importing failed with ModuleNotFoundError"),
        ("=x.py:f", "expected path/to/file.py:function or package.module:function"),
        ("x.py:", "expected path/to/file.py:function or package.module:function"),
        (":f", "expected path/to/file.py:function or package.module:function"),
        ("math:nosuch", "math has no function 'nosuch'"),
        ("math:pi", "math has no function 'pi'"),
    ],
)
def test_a_spec_that_leads_nowhere_says_why(text, message):
    assert message in refused(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("raise RuntimeError('first line\\nsecond line')", "failed with RuntimeError: first line"),
        ("def broken(:", "failed with SyntaxError"),
        ("import sys; sys.exit(7)", "failed with SystemExit: 7"),
    ],
)
def test_a_module_that_cannot_be_imported_is_one_line(write, text, message):
    path = write("raises.py", text)

    assert message in refused(f"{path}:f")


def test_what_a_module_prints_while_it_is_imported_stays_off_stdout(write, capsys):
    path = write("chatty.py", "print('hello')\ndef f(query, key, value): return value")

    load(f"{path}:f")

    assert capsys.readouterr().out == ""


def test_load_all_takes_each_name_once_in_the_order_given(kernel):
    found = load_all(["sdpa", "matmul", "sdpa"], [f"{kernel}:double"])

    assert [one.name for one in found] == ["sdpa", "matmul", "double"]


def test_two_kernels_of_one_name_clash(kernel):
    with pytest.raises(CatalogueError, match="two implementations are called 'double'"):
        load_all([], [f"{kernel}:double", f"{kernel}:double"])

    found = load_all([], [f"{kernel}:double", f"other={kernel}:double"])
    assert [one.name for one in found] == ["double", "other"]


@pytest.mark.parametrize("prefix", ["", "matmul="])
def test_a_kernel_named_like_one_of_the_suite_is_refused_with_the_way_out(write, prefix):
    path = write("clash.py", "def matmul(query, key, value): return value")

    with pytest.raises(CatalogueError, match="'matmul' is taken") as refusal:
        load_all([], [f"{prefix}{path}:matmul"])
    assert f"--impl other_name={path}:matmul" in str(refusal.value)


def test_keywords_that_a_kernel_does_not_accept_are_unsupported():
    found = from_function(lambda query, key, value, *, is_causal=False: value, name="few")

    assert found.supports.isdisjoint(
        {Feature.BOOLEAN_MASK, Feature.FLOAT_MASK, Feature.SCALE, Feature.DROPOUT}
    )
    assert found.unsupported(Case(seq_len=5, is_causal=True)) is None
    assert found.unsupported(Case(seq_len=5, mask="float")) == "few does not support float_mask"
    assert found.unsupported(Case(seq_len=5, mask="boolean")) == "few does not support boolean_mask"


def test_a_kernel_with_keywords_of_any_name_supports_what_every_core_takes():
    found = from_function(lambda query, key, value, **keywords: value, name="all")

    # It may pass them on to a function that knows no others.
    assert found.supports == ALL_FEATURES


def test_a_kernel_that_takes_a_window_or_grouped_queries_says_so_by_its_signature():
    def kernel(query, key, value, *, window=None, enable_gqa=False):
        return value

    found = from_function(kernel)

    assert found.supports == {
        Feature.WINDOW,
        Feature.GROUPED,
        Feature.BACKWARD,
        Feature.CROSS_LENGTH,
        Feature.VALUE_DIM,
        Feature.LEADING_DIMS,
    }


def test_a_window_is_a_mask_to_a_kernel_that_takes_masks_only():
    seen: list[dict[str, object]] = []

    def kernel(query, key, value, *, attn_mask=None, is_causal=False):
        seen.append({"attn_mask": attn_mask, "is_causal": is_causal})
        return value

    found, case = from_function(kernel), Case(seq_len=3, window=2, is_causal=True)
    rows = torch.ones(3, 1)
    found.call(rows, rows, rows, **found.keywords(case, rows, rows, None))

    (asked,) = seen
    assert found.unsupported(case) is None
    assert asked["is_causal"] is False
    assert asked["attn_mask"].tolist() == [[1, 0, 0], [1, 1, 0], [0, 1, 1]]
    assert from_function(lambda query, key, value: value, name="bare").unsupported(case) is not None


def test_only_keywords_that_differ_from_their_defaults_are_passed():
    seen: list[dict[str, object]] = []

    def kernel(query, key, value, **keywords):
        seen.append(keywords)
        return value

    one = torch.ones(1)
    found: Implementation = from_function(kernel)
    found.call(one, one, one)
    found.call(one, one, one, is_causal=True, scale=0.0)

    assert seen == [{}, {"is_causal": True, "scale": 0.0}]


def test_devices_and_dtypes_that_are_not_declared_are_unsupported():
    only = Implementation(
        name="narrow",
        title="",
        source="",
        fn=suite()["matmul"].fn,
        time_law="n^2*d",
        workspace_law="n",
        dtypes=("bfloat16",),
        devices=("cpu",),
        declines=lambda case: "too long" if case.seq_len > 7 else None,
    )

    assert only.unsupported(Case(seq_len=5, device="cuda:0")) == "narrow runs on cpu only"
    assert only.unsupported(Case(seq_len=5)) == "narrow does not take float32"
    assert only.unsupported(Case(seq_len=11, dtype="bfloat16")) == "too long"
    assert only.unsupported(Case(seq_len=5, dtype="bfloat16")) is None


def test_every_declared_law_names_only_sizes_of_a_case_and_parses():
    from reports.laws.grammar import parse

    for implementation in suite().values():
        for law in (implementation.time_law, implementation.workspace_law):
            assert set(parse(law).names) <= {"n", "m", "w", "d", "h", "b"}, implementation.name


def test_a_module_supports_what_its_forward_takes():
    class Kernel(torch.nn.Module):
        def forward(self, query, key, value, *, is_causal=False):
            return value

    supports = from_function(Kernel(), name="kernel").supports

    assert Feature.CAUSAL in supports
    assert Feature.SCALE not in supports
    assert Feature.BOOLEAN_MASK not in supports


SHAPES = """
    from implementations.attention.matmul import matmul
    seen = []
    def heads_third(query, key, value, *, attn_mask=None, is_causal=False):
        'Attention on (batch, seq_len, num_heads, head_dim).'
        seen.append([(tuple(t.shape), t.is_contiguous()) for t in (query, key, value)])
        turned = (t.transpose(1, 2) for t in (query, key, value))
        return matmul(*turned, attn_mask=attn_mask, is_causal=is_causal).transpose(1, 2)
"""


@pytest.fixture
def heads_third(write: Write) -> str:
    return f"{write('in_shapes.py', SHAPES)}:heads_third"


def drawn() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    query, key, value = torch.randn(2, 3, 5, 11), torch.randn(2, 3, 7, 11), torch.randn(2, 3, 7, 13)
    return query, key, value


def test_a_kernel_of_another_layout_sees_its_shapes_and_gives_ours(heads_third):
    found = load(f"{heads_third}[bshd]")
    query, key, value = drawn()

    output = found.call(query, key, value, is_causal=True)

    (shapes,) = sys.modules["attnscale_user_in_shapes"].seen
    assert [shape for shape, _ in shapes] == [(2, 5, 3, 11), (2, 7, 3, 11), (2, 7, 3, 13)]
    assert output.shape == (2, 3, 5, 13)
    expected = suite()["matmul"].call(query, key, value, is_causal=True)
    assert torch.equal(output, expected)


def test_inputs_made_for_a_layout_reach_its_kernel_contiguous_and_uncopied(heads_third):
    found = load(f"{heads_third}[bshd]")
    case = Case(batch=2, num_heads=3, seq_len=5, key_len=7, head_dim=11, value_dim=13)
    inputs = make_inputs(case, layout=found.layout)

    found.call(inputs.query, inputs.key, inputs.value)

    (shapes,) = sys.modules["attnscale_user_in_shapes"].seen
    assert [contiguous for _, contiguous in shapes] == [True] * 3


def test_the_layout_is_no_part_of_the_name_and_what_is_known_of_the_kernel_stays(heads_third):
    plain, turned = load(heads_third), load(f"{heads_third}[bshd]")
    named = load(f"mine={heads_third}[bshd]")

    assert (plain.layout, turned.layout) == ("bhsd", "bshd")
    assert (turned.name, named.name) == ("heads_third", "mine")
    assert turned.spec == f"{heads_third}[bshd]"
    assert turned.title == plain.title == "Attention on (batch, seq_len, num_heads, head_dim)."
    assert inspect.getsourcefile(inspect.unwrap(turned.fn)) == heads_third.partition(":")[0]
    assert not turned.declared
    assert plain.supports - turned.supports == {Feature.LEADING_DIMS}
    assert Feature.SCALE not in turned.supports


def test_the_usual_layout_may_be_named_and_changes_nothing(heads_third):
    found = load(f"{heads_third}[bhsd]")

    assert found.layout == "bhsd"
    assert Feature.LEADING_DIMS in found.supports


def test_another_layout_is_gone_through_once_only(heads_third):
    once = load(f"{heads_third}[bshd]")

    assert in_layout(once, "bshd") is once


def test_what_is_adapted_to_our_signature_is_not_turned_by_naming_our_layout(heads_third):
    once = load(f"{heads_third}[bshd]")
    query, key, value = drawn()

    output = in_layout(once, "bhsd").call(query, key, value)

    assert torch.equal(output, once.call(query, key, value))


def test_an_output_that_is_no_tensor_is_left_for_the_checks_to_report():
    found = in_layout(from_function(lambda query, key, value: None, name="none"), "bshd")

    assert found.fn(*drawn()) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}[sbhd]", "expected [bhsd] or [bshd], got [sbhd]"),
        ("{}[]", "expected [bhsd] or [bshd], got []"),
        ("{}[bshd", "expected [bhsd] or [bshd], got [bshd"),
        ("{}[bshd]x", "expected [bhsd] or [bshd], got [bshd]x"),
    ],
)
def test_a_spec_with_an_unknown_layout_says_which_there_are(heads_third, text, message):
    assert message in refused(text.format(heads_third))


def test_a_layout_is_added_to_a_spec_unless_it_is_the_usual_one_or_the_spec_has_its_own():
    assert in_this_layout(["my.py:f"], "bhsd") == ["my.py:f"]
    assert in_this_layout(["my.py:f"], "bshd") == ["my.py:f[bshd]"]
    assert in_this_layout(["mine=my.py:f[bhsd]"], "bshd") == ["mine=my.py:f[bhsd]"]
    with pytest.raises(CatalogueError, match="--layout: expected bhsd or bshd, got 'sbhd'"):
        in_this_layout(["my.py:f"], "sbhd")
