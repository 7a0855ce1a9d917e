"""The name of the attention kernel that ran, from what the profiler saw.

No device was at hand: what the profiler tells of CUDA is made by hand.
"""

from types import SimpleNamespace
from typing import Any

import pytest

from bench.machine.attention_kernel import attention_kernel


def events(tree: dict[str, Any], parent: Any = None) -> list[Any]:
    """The events of a tree of names, callers before what they call."""
    found = []
    for name, below in tree.items():
        event = SimpleNamespace(name=name, parent=parent)
        found += [event, *events(below, event)]
    return found


def called(chosen: str, *below: str) -> list[Any]:
    inside = {"aten::empty": {}, chosen: {name: {"[memory]": {}} for name in below}}
    return events({"aten::scaled_dot_product_attention": inside, "aten::add": {}})


@pytest.mark.parametrize(
    ("chosen", "below"),
    [
        ("_scaled_dot_product_flash_attention", ("aten::_flash_attention_forward",)),
        ("_scaled_dot_product_efficient_attention", ("aten::_efficient_attention_forward",)),
        ("_scaled_dot_product_cudnn_attention", ("aten::_cudnn_attention_forward",)),
        ("_scaled_dot_product_attention_math", ("aten::matmul", "aten::_safe_softmax")),
    ],
)
def test_on_cuda_the_operator_that_torch_chose_is_named_and_not_what_it_calls(chosen, below):
    assert attention_kernel(called(f"aten::{chosen}", *below)) == chosen


def test_a_backward_pass_is_no_kernel_of_its_own():
    backward = events(
        {
            "autograd::engine::evaluate_function: ScaledDotProductFlashAttentionBackward0": {
                "ScaledDotProductFlashAttentionBackward0": {
                    "aten::_scaled_dot_product_flash_attention_backward": {
                        "aten::_flash_attention_backward": {}
                    }
                }
            }
        }
    )
    forward = called("aten::_scaled_dot_product_flash_attention")

    assert attention_kernel([*forward, *backward]) == "_scaled_dot_product_flash_attention"
    assert attention_kernel(backward) is None


def test_plain_operators_annotations_and_a_choice_without_a_kernel_name_none():
    plain = {"aten::softmax": {"aten::_softmax": {}}, "my attention": {"aten::bmm": {}}}

    assert attention_kernel(events(plain)) is None
    assert attention_kernel(events({"aten::scaled_dot_product_attention": {}})) is None
    assert attention_kernel([]) is None


def test_each_of_several_kernels_is_named_once_and_those_of_a_library_with_it():
    seen = [
        *called("aten::_scaled_dot_product_attention_math"),
        *events({"a compiled region": {"flash_attn::_flash_attn_forward": {}}}),
        *called("aten::_scaled_dot_product_attention_math"),
    ]

    assert (
        attention_kernel(seen) == "_scaled_dot_product_attention_math, "
        "flash_attn::_flash_attn_forward"
    )
