"""Kernels with a path of its own for some sizes, which is wrong; everywhere else they are right.

Real kernels choose their path by lengths, head_dim and the number of heads: a fault in one path
shows at its sizes only.
"""

from __future__ import annotations

from typing import Unpack

import torch
from torch import Tensor

from tests.planted import size_faults as faults
from tests.planted.pieces import Options, by_name, plant
from tests.planted.planted import Planted, plain
from tests.planted.size_faults import Kernel, Where, square, wide

# name, what it does, where, what is wrong there, what must catch it
_FAULTS: tuple[tuple[str, str, Where, Kernel, str], ...] = (
    (
        "not_rescaled_at_64_features_by_128",
        "does not rescale for 64 features and lengths that 128 divides",
        lambda s: s.head_dim == 64 and s.rows % 128 == 0,
        faults.not_rescaled,
        "shapes: output",
    ),
    (
        "not_rescaled_at_128_features_by_256",
        "does not rescale for 128 features and lengths that 256 divides",
        lambda s: s.head_dim == 128 and s.rows % 256 == 0,
        faults.not_rescaled,
        "shapes: output",
    ),
    (
        "not_rescaled_from_1024_rows_of_3_heads",
        "does not rescale from 1024 rows and 3 heads on",
        lambda s: s.rows >= 1024 and s.heads >= 3,
        faults.not_rescaled,
        "shapes: output",
    ),
    (
        "highest_from_zero_beyond_512_squared",
        "takes 0 for the highest score of rows below it, from 512 queries and keys on",
        lambda s: min(s.rows, s.keys) >= 512,
        faults.highest_from_zero,
        "scores: output",
    ),
    (
        "last_key_lost_where_keys_divide_by_512",
        "loses the last key where 512 divides the number of keys and 64 the features",
        lambda s: s.keys % 512 == 0 and s.head_dim % 64 == 0 and s.keys > 0,
        faults.last_key_lost,
        "shapes: output",
    ),
    (
        "last_key_lost_from_2048_squared",
        "loses the last key of 2048 queries and keys or more",
        lambda s: min(s.rows, s.keys) >= 2048,
        faults.last_key_lost,
        "shapes: output",
    ),
    (
        "last_key_lost_for_4_heads_of_many_keys",
        "loses the last key of 2048 or more, for 4 heads",
        lambda s: s.keys >= 2048 and s.heads >= 4,
        faults.last_key_lost,
        "shapes: output",
    ),
    (
        "heads_mixed_from_4_on",
        "gives the last of 4 or more heads the first one's value, from 32 features on",
        lambda s: s.heads >= 4 and wide(s),
        faults.last_head_with_the_first_value,
        "shapes: output",
    ),
    (
        "heads_mixed_from_8_on",
        "gives the last of 8 or more heads the first one's value, from 64 features on",
        lambda s: s.heads >= 8 and wide(s, 64),
        faults.last_head_with_the_first_value,
        "shapes: output",
    ),
    (
        "heads_mixed_for_long_rows",
        "gives the last head the first one's value, for 3 heads or more of 512 rows or more",
        lambda s: s.heads >= 3 and s.rows >= 512 and s.rows % 2 == 0,
        faults.last_head_with_the_first_value,
        "shapes: output",
    ),
    (
        "last_item_zero_from_4_on",
        "leaves the last of 4 or more batch items zero, from 32 features on",
        lambda s: s.batch >= 4 and wide(s),
        faults.last_item_zero,
        "shapes: output",
    ),
    (
        "last_item_zero_from_8_on",
        "leaves the last of 8 or more batch items zero, from 128 rows on",
        lambda s: s.batch >= 8 and s.rows >= 128,
        faults.last_item_zero,
        "shapes: output",
    ),
    (
        "last_item_zero_for_long_rows",
        "leaves the last of 3 or more batch items zero, from 1024 rows on",
        lambda s: s.batch >= 3 and s.rows >= 1024,
        faults.last_item_zero,
        "shapes: output",
    ),
    (
        "causal_strict_by_512",
        "lets no causal query see its own key where 512 divides the rows",
        lambda s: s.causal and s.rows % 512 == 0 and s.rows > 0,
        faults.diagonal(lambda s: -1),
        "causal: output",
    ),
    (
        "causal_one_more_from_1024_rows_of_3_heads",
        "lets causal queries see one key more from 1024 rows and 3 heads on",
        lambda s: s.causal and s.rows >= 1024 and s.heads >= 3,
        faults.diagonal(lambda s: 1),
        "causal: output",
    ),
    (
        "causal_not_rescaled_at_128_features",
        "does not rescale causal rows of 128 features where 128 divides the lengths",
        lambda s: s.causal and s.head_dim == 128 and s.rows % 128 == 0,
        faults.not_rescaled,
        "causal: output",
    ),
    (
        "bottom_right_beyond_700_keys",
        "aligns the triangle at the bottom right for more than 700 keys",
        lambda s: s.causal and s.keys > 700 and not square(s),
        faults.diagonal(faults.bottom_right),
        "causal: output",
    ),
    (
        "bottom_right_beyond_1000_keys",
        "aligns the triangle at the bottom right for more than 1000 keys, and fewer queries",
        lambda s: s.causal and s.keys > 1000 and s.rows < s.keys,
        faults.diagonal(faults.bottom_right),
        "causal: output",
    ),
    (
        "bottom_right_from_4_heads_on",
        "aligns the triangle at the bottom right for 4 heads or more, from 32 features on",
        lambda s: s.causal and s.heads >= 4 and wide(s),
        faults.diagonal(faults.bottom_right),
        "causal: output",
    ),
    (
        "mask_ignored_by_256",
        "does not mask the last key of 64 features where 256 divides the rows",
        lambda s: s.mask == torch.bool and s.head_dim == 64 and s.rows % 256 == 0,
        faults.mask_of_the_last_key_ignored,
        "masks: output",
    ),
    (
        "float_mask_ignored_from_1024_rows_on",
        "does not add the mask to the last key from 1024 rows on",
        lambda s: s.mask not in (None, torch.bool) and s.rows >= 1024,
        faults.mask_of_the_last_key_ignored,
        "masks: output",
    ),
    (
        "mask_ignored_from_4_heads_on",
        "does not mask the last key for 4 heads or more, from 32 features on",
        lambda s: s.mask is not None and s.heads >= 4 and wide(s),
        faults.mask_of_the_last_key_ignored,
        "masks: output",
    ),
    (
        "query_gradient_unscaled_by_128",
        "leaves the scale out of the query's gradient where 128 divides rows of 64 features",
        lambda s: s.rows % 128 == 0 and s.head_dim == 64,
        faults.backward(faults.query_unscaled),
        "gradients: grad_query",
    ),
    (
        "key_gradient_lost_from_2048_rows_on",
        "gives the last key no gradient from 2048 rows on",
        lambda s: s.rows >= 2048 and s.rows == s.keys,
        faults.backward(faults.last_key_without_gradient),
        "gradients: grad_key",
    ),
    (
        "value_gradients_of_other_heads_from_4_on",
        "gives values the next head's gradient for 4 heads or more, from 32 features on",
        lambda s: s.heads >= 4 and wide(s),
        faults.backward(faults.value_of_the_next_head),
        "gradients: grad_value",
    ),
    (
        "triangle_forgotten_backward_by_512",
        "forgets the triangle in the backward pass where 512 divides the rows",
        lambda s: s.causal and s.rows % 512 == 0 and s.rows > 0,
        faults.backward(faults.mask_forgotten),
        "gradients: grad_key",
    ),
    (
        "mask_forgotten_backward_from_1024_rows_on",
        "forgets the mask in the backward pass from 1024 rows on",
        lambda s: s.mask is not None and s.rows >= 1024,
        faults.backward(faults.mask_forgotten),
        "gradients: grad_key",
    ),
    (
        "last_key_lost_in_decoding_by_1024",
        "loses the last key for a single query where 1024 divides the keys",
        lambda s: s.rows == 1 and s.keys % 1024 == 0 and s.keys > 0,
        faults.last_key_lost,
        "shapes: output",
    ),
    (
        "last_key_lost_in_decoding_of_4_items",
        "loses the last key for a single query of 4 items or more",
        lambda s: s.rows == 1 and s.batch >= 4 and s.keys > 512,
        faults.last_key_lost,
        "shapes: output",
    ),
    (
        "last_key_lost_for_a_few_queries",
        "loses the last of 1024 keys or more for 2 to 16 queries",
        lambda s: 2 <= s.rows <= 16 and s.keys >= 1024 and s.heads >= 4,
        faults.last_key_lost,
        "shapes: output",
    ),
    (
        "scale_ignored_by_128",
        "ignores a given scale for 64 features where 128 divides the rows",
        lambda s: s.head_dim == 64 and s.rows % 128 == 0,
        faults.scale_ignored,
        "shapes: output",
    ),
    (
        "first_mask_for_all_by_128",
        "masks every item and head as the first where 128 divides the keys",
        lambda s: s.mask is not None and s.keys % 128 == 0,
        faults.first_mask_for_all,
        "masks: output",
    ),
    (
        "read_as_contiguous_from_512_rows_on",
        "reads the key as if its rows followed each other, from 512 rows on",
        lambda s: s.rows >= 512 and s.heads >= 3,
        faults.read_as_contiguous,
        "masks: output",
    ),
)


def _dispatched(where: Where, fault: Kernel) -> Kernel:
    def kernel(query: Tensor, key: Tensor, value: Tensor, **options: Unpack[Options]) -> Tensor:
        chosen = fault if where(faults.sizes(query, key, options)) else plain
        return chosen(query, key, value, **options)

    return kernel


PLANTED: tuple[Planted, ...] = tuple(
    plant(_dispatched(where, fault), killed_by, name=name, what=what)
    for name, what, where, fault, killed_by in _FAULTS
)
globals().update(by_name(PLANTED))
