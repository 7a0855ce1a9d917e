"""Linear attention: weights φ(q)·φ(k) in place of exp(q·k), so that no pair is ever looked at.

Katharopoulos et al. 2020, "Transformers are RNNs: Fast Autoregressive Transformers with Linear
Attention", equations 5 to 7, with φ(x) = elu(x) + 1:

    output_i = φ(q_i)ᵀ Σ_j φ(k_j) v_jᵀ / φ(q_i)ᵀ Σ_j φ(k_j)

Both sums are the same for all queries: a head takes n · head_dim · value_dim multiply-adds. Causal,
each query has sums of its own: whole chunks of keys are summed up to each chunk of queries, and
what the queries see of their own chunk goes pair by pair (Yang et al. 2024, "Gated Linear Attention
Transformers with Hardware-Efficient Training", section 2.2).
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import pad

from implementations.blocks import summing_dtype
from implementations.interface import Feature, Implementation
from implementations.masking import check_arguments
from implementations.oracle import Scored

# As many pairs of a chunk as a product of matrices needs; no fewer than head_dim, so that the sums
# of all chunks, (n / chunk, head_dim, value_dim), take no more memory than the values.
SHORTEST_CHUNK = 64


def linear(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    is_causal: bool = False,
) -> Tensor:
    """Σ_j φ(q)·φ(k_j) v_j / Σ_j φ(q)·φ(k_j): (..., query_len, d) -> (..., query_len, value_dim).

    Half precision is summed in float32. A row in which φ(q)·φ(k) vanishes for all keys gives zeros.

    Raises:
        ValueError: shapes or dtypes that do not fit.

    """
    check_arguments(query, key, value, None, is_causal)
    wide = summing_dtype(query)
    rows, keys = _features(query.to(wide)), _features(key.to(wide))
    # A value of 1 beside the others: its weighted sum is the sum of the weights.
    values = pad(value.to(wide), (0, 1), value=1.0)
    sums = _causal_sums(rows, keys, values) if is_causal else rows @ (keys.mT @ values)
    weighted, weights = sums[..., :-1], sums[..., -1:]
    return (weighted / weights.masked_fill(weights == 0.0, 1.0)).to(query.dtype)


def _features(x: Tensor) -> Tensor:
    """elu(x) + 1, without the digits that the sum loses where x is below 0."""
    return x.relu() + x.clamp(max=0.0).exp()


def _causal_sums(rows: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Σ_{j ≤ i} (rows_i · keys_j) values_j: (..., query_len, value_dim)."""
    query_len, key_len = rows.shape[-2], min(rows.shape[-2], keys.shape[-2])
    size = min(max(SHORTEST_CHUNK, rows.shape[-1]), max(1, query_len))
    count = -(-query_len // size)

    def chunks(tensor: Tensor, length: int) -> Tensor:
        """(..., count, size, columns): the first rows, then zeros."""
        filled = pad(tensor[..., :length, :], (0, 0, 0, count * size - length))
        return filled.view(*filled.shape[:-2], count, size, filled.shape[-1])

    rows, keys, values = chunks(rows, query_len), chunks(keys, key_len), chunks(values, key_len)
    # Of chunk i the sum over all chunks before it.
    before = pad((keys.mT @ values).cumsum(-3)[..., :-1, :, :], (0, 0, 0, 0, 1, 0))
    found = (rows @ keys.mT).tril() @ values + rows @ before
    return found.flatten(-3, -2)[..., :query_len, :]


def _log_kernel(query: Tensor, key: Tensor, scale: float) -> Tensor:
    """log(φ(q)·φ(k)), whose softmax is the weights; there is no scale."""
    return (_features(query) @ _features(key).mT).log()


def _one_each(query: Tensor, key: Tensor, scale: float) -> Tensor:
    """The relative error of a weight, in steps of rounding."""
    return query.new_ones(*query.shape[:-1], key.shape[-2])


IMPLEMENTATION = Implementation(
    name="linear",
    title="Linear attention with elu + 1, causal by chunks",
    source="Katharopoulos et al. 2020, equations 5 to 7; Yang et al. 2024, section 2.2",
    fn=linear,
    time_law="n*d^2/h",
    scores_pairs=False,
    workspace_law="n*d",
    supports=frozenset(
        {
            Feature.BACKWARD,
            Feature.CAUSAL,
            Feature.CROSS_LENGTH,
            Feature.VALUE_DIM,
            Feature.LEADING_DIMS,
        }
    ),
    oracle=Scored(scores=_log_kernel, sizes=_one_each),
)
