"""The Triton kernels of `triton_flash`; importing this file imports Triton.

With scores in units of log 2, s = q·k · scale · log₂e + mask · log₂e, weights p = 2^(s - lse) and
the upstream gradient do of an output o,

    lse = log₂ Σⱼ 2^sⱼ        dv = Σᵢ pᵢ doᵢ          dp = do·v      δ = do·o
    ds = p (dp - δ)           dk = scale Σᵢ dsᵢ qᵢ    dq = scale Σⱼ dsⱼ kⱼ

(Dao 2023, "FlashAttention-2", algorithms 1 and 2.) A program owns a block of query rows, or in
`key_gradients` one of keys, and walks along the other side.

Inputs are read by strides, so that a broadcast dimension has stride 0 and takes no memory; their
last dimension is contiguous. Outputs are contiguous. `dim` is the width of rows in memory, and
`block_dim` the power of two that holds it. Blocks marked `edge` may hold keys that do not exist or
lie in the future of some row; all others are computed without such tests, in a loop of their own.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator, import"
# Triton compiles these functions; their parameters are pointers, numbers and blocks of its own.

import triton
import triton.language as tl

# Arguments stand in rows by what they belong to.
# fmt: off


@triton.jit
def load_rows(
    start, stride, base, length,
    dim: tl.constexpr, block_rows: tl.constexpr, block_dim: tl.constexpr,
):
    """Rows start.. of a matrix (length, dim), with zeros beyond it: (block_rows, block_dim)."""
    rows = tl.arange(0, block_rows)[:, None]
    columns = tl.arange(0, block_dim)[None, :]
    # Only the start can be large: 64 bits for it alone are cheap.
    pointers = base + tl.cast(start, tl.int64) * stride + rows * stride + columns
    return tl.load(pointers, mask=(start + rows < length) & (columns < dim), other=0.0)


@triton.jit
def store_rows(
    block, start, base, length,
    dim: tl.constexpr, block_rows: tl.constexpr, block_dim: tl.constexpr,
):
    """Undo `load_rows` for a contiguous matrix."""
    rows = tl.arange(0, block_rows)[:, None]
    columns = tl.arange(0, block_dim)[None, :]
    pointers = base + tl.cast(start, tl.int64) * dim + rows * dim + columns
    inside = (start + rows < length) & (columns < dim)
    tl.store(pointers, block.to(base.dtype.element_ty), mask=inside)


@triton.jit
def own_block(length, block_rows: tl.constexpr, from_end: tl.constexpr):
    """Which head of all batch items this program works on, and the first row of its block.

    With `from_end` the last rows go first: those of a causal call see the most keys, and none of
    them should be left at the end.
    """
    blocks = tl.cdiv(length, block_rows)
    item = tl.cast(tl.program_id(0) // blocks, tl.int64)
    block = tl.program_id(0) % blocks
    return item, (blocks - 1 - block if from_end else block) * block_rows


@triton.jit
def of_head(base, item, num_heads, batch_stride, head_stride):
    """Where the matrix of a head begins."""
    return base + item // num_heads * batch_stride + item % num_heads * head_stride


@triton.jit
def seen_keys(
    start_row, key_len,
    block_queries: tl.constexpr, block_keys: tl.constexpr, is_causal: tl.constexpr,
):
    """Where the whole blocks of keys end that every row of a block sees, and where all keys end."""
    stop = key_len
    whole = key_len // block_keys * block_keys
    if is_causal:
        stop = tl.minimum(key_len, start_row + block_queries)
        # Key start_row is the last one that every row of the block sees.
        whole = tl.minimum(whole, (start_row + 1) // block_keys * block_keys)
    return whole, stop


@triton.jit
def masked(
    scores, rows, columns,
    mask, mask_row, mask_column, query_len, key_len,
    mask_kind: tl.constexpr, is_causal: tl.constexpr, edge: tl.constexpr,
):
    """Scores in units of log 2, -inf where they are masked; rows and columns broadcast to them."""
    if mask_kind != "none":
        # A mask of n × n elements is beyond 32 bits from n = 46341 on.
        pointers = mask + (
            tl.cast(rows, tl.int64) * mask_row + tl.cast(columns, tl.int64) * mask_column
        )
        entries = tl.load(pointers, mask=(rows < query_len) & (columns < key_len), other=0)
        if mask_kind == "boolean":
            scores = tl.where(entries != 0, scores, float("-inf"))
        else:
            # The lowest numbers have no room for log₂e, and are no -inf.
            added = tl.maximum(entries.to(tl.float32), -2.3e38) * 1.4426950408889634
            scores += tl.where(entries == float("-inf"), float("-inf"), added)
    if edge:
        scores = tl.where(columns < key_len, scores, float("-inf"))
        if is_causal:
            scores = tl.where(columns <= rows, scores, float("-inf"))
    return scores


@triton.jit(do_not_specialize=["num_heads", "query_len", "key_len"])
def forward(
    query, query_batch, query_head, query_row,
    key, key_batch, key_head, key_row,
    value, value_batch, value_head, value_row,
    mask, mask_batch, mask_head, mask_row, mask_column,
    output, log_sums,
    num_heads, query_len, key_len, scale,
    head_dim: tl.constexpr, value_dim: tl.constexpr,
    block_head_dim: tl.constexpr, block_value_dim: tl.constexpr,
    block_queries: tl.constexpr, block_keys: tl.constexpr,
    mask_kind: tl.constexpr, is_causal: tl.constexpr, saves: tl.constexpr, precision: tl.constexpr,
):
    """Write the output of a block of query rows and, if `saves`, their log-sum-exps."""
    item, start_row = own_block(query_len, block_queries, True)
    query = of_head(query, item, num_heads, query_batch, query_head)
    key = of_head(key, item, num_heads, key_batch, key_head)
    value = of_head(value, item, num_heads, value_batch, value_head)
    mask = of_head(mask, item, num_heads, mask_batch, mask_head)
    output += item * query_len * value_dim
    log_sums += item * query_len

    queries = load_rows(
        start_row, query_row, query, query_len, head_dim, block_queries, block_head_dim
    )
    rows = start_row + tl.arange(0, block_queries)
    total = tl.zeros([block_queries, block_value_dim], tl.float32)
    highest = tl.full([block_queries], float("-inf"), tl.float32)
    normaliser = tl.zeros([block_queries], tl.float32)
    whole, stop = seen_keys(start_row, key_len, block_queries, block_keys, is_causal)
    factor = scale * 1.4426950408889634
    for edge in tl.static_range(2):
        for first in range(whole if edge else 0, stop if edge else whole, block_keys):
            keys = load_rows(first, key_row, key, key_len, head_dim, block_keys, block_head_dim)
            products = tl.dot(queries, tl.trans(keys), input_precision=precision)
            columns = first + tl.arange(0, block_keys)
            scores = masked(
                products * factor, rows[:, None], columns[None, :],
                mask, mask_row, mask_column, query_len, key_len, mask_kind, is_causal, edge,
            )
            new_highest = tl.maximum(highest, tl.max(scores, 1))
            shift = new_highest
            if mask_kind != "none":
                # While a row has seen masked keys only, -inf minus -inf must not become NaN.
                shift = tl.where(new_highest == float("-inf"), 0.0, new_highest)
            weights = tl.exp2(scores - shift[:, None])
            rescale = tl.exp2(highest - shift)
            normaliser = normaliser * rescale + tl.sum(weights, 1)
            values = load_rows(
                first, value_row, value, key_len, value_dim, block_keys, block_value_dim
            )
            total = total * rescale[:, None]
            total = tl.dot(weights.to(values.dtype), values, total, input_precision=precision)
            highest = new_highest

    empty = normaliser == 0.0
    normaliser = tl.where(empty, 1.0, normaliser)
    total = total / normaliser[:, None]
    store_rows(total, start_row, output, query_len, value_dim, block_queries, block_value_dim)
    if saves:
        # +inf makes every recomputed weight of an empty row 2^-inf = 0.
        log_sum = tl.where(empty, float("inf"), highest + tl.log2(normaliser))
        tl.store(log_sums + rows, log_sum, mask=rows < query_len)


@triton.jit(do_not_specialize=["num_heads", "query_len", "key_len"])
def query_gradients(
    query, query_batch, query_head, query_row,
    key, key_batch, key_head, key_row,
    value, value_batch, value_head, value_row,
    mask, mask_batch, mask_head, mask_row, mask_column,
    upstream, upstream_batch, upstream_head, upstream_row,
    output, log_sums, deltas, grad_query,
    num_heads, query_len, key_len, scale,
    head_dim: tl.constexpr, value_dim: tl.constexpr,
    block_head_dim: tl.constexpr, block_value_dim: tl.constexpr,
    block_queries: tl.constexpr, block_keys: tl.constexpr,
    mask_kind: tl.constexpr, is_causal: tl.constexpr, precision: tl.constexpr,
):
    """Write δ and the gradient of a block of query rows."""
    item, start_row = own_block(query_len, block_queries, True)
    query = of_head(query, item, num_heads, query_batch, query_head)
    key = of_head(key, item, num_heads, key_batch, key_head)
    value = of_head(value, item, num_heads, value_batch, value_head)
    mask = of_head(mask, item, num_heads, mask_batch, mask_head)
    upstream = of_head(upstream, item, num_heads, upstream_batch, upstream_head)
    output += item * query_len * value_dim
    log_sums += item * query_len
    deltas += item * query_len
    grad_query += item * query_len * head_dim

    queries = load_rows(
        start_row, query_row, query, query_len, head_dim, block_queries, block_head_dim
    )
    upstreams = load_rows(
        start_row, upstream_row, upstream, query_len, value_dim, block_queries, block_value_dim
    )
    outputs = load_rows(
        start_row, value_dim, output, query_len, value_dim, block_queries, block_value_dim
    )
    rows = start_row + tl.arange(0, block_queries)
    row_deltas = tl.sum(upstreams.to(tl.float32) * outputs.to(tl.float32), 1)
    tl.store(deltas + rows, row_deltas, mask=rows < query_len)
    row_log_sums = tl.load(log_sums + rows, mask=rows < query_len, other=float("inf"))

    total = tl.zeros([block_queries, block_head_dim], tl.float32)
    whole, stop = seen_keys(start_row, key_len, block_queries, block_keys, is_causal)
    factor = scale * 1.4426950408889634
    for edge in tl.static_range(2):
        for first in range(whole if edge else 0, stop if edge else whole, block_keys):
            keys = load_rows(first, key_row, key, key_len, head_dim, block_keys, block_head_dim)
            values = load_rows(
                first, value_row, value, key_len, value_dim, block_keys, block_value_dim
            )
            products = tl.dot(queries, tl.trans(keys), input_precision=precision)
            columns = first + tl.arange(0, block_keys)
            scores = masked(
                products * factor, rows[:, None], columns[None, :],
                mask, mask_row, mask_column, query_len, key_len, mask_kind, is_causal, edge,
            )
            weights = tl.exp2(scores - row_log_sums[:, None])
            weight_grads = tl.dot(upstreams, tl.trans(values), input_precision=precision)
            score_grads = weights * (weight_grads - row_deltas[:, None])
            total = tl.dot(score_grads.to(keys.dtype), keys, total, input_precision=precision)
    total = total * scale
    store_rows(total, start_row, grad_query, query_len, head_dim, block_queries, block_head_dim)


@triton.jit(do_not_specialize=["num_heads", "query_len", "key_len"])
def key_gradients(
    query, query_batch, query_head, query_row,
    key, key_batch, key_head, key_row,
    value, value_batch, value_head, value_row,
    mask, mask_batch, mask_head, mask_row, mask_column,
    upstream, upstream_batch, upstream_head, upstream_row,
    log_sums, deltas, grad_key, grad_value,
    num_heads, query_len, key_len, scale,
    head_dim: tl.constexpr, value_dim: tl.constexpr,
    block_head_dim: tl.constexpr, block_value_dim: tl.constexpr,
    block_queries: tl.constexpr, block_keys: tl.constexpr,
    mask_kind: tl.constexpr, is_causal: tl.constexpr, precision: tl.constexpr,
):
    """Write the gradients of a block of keys and values; needs the δ of `query_gradients`."""
    item, start_key = own_block(key_len, block_keys, False)
    query = of_head(query, item, num_heads, query_batch, query_head)
    key = of_head(key, item, num_heads, key_batch, key_head)
    value = of_head(value, item, num_heads, value_batch, value_head)
    mask = of_head(mask, item, num_heads, mask_batch, mask_head)
    upstream = of_head(upstream, item, num_heads, upstream_batch, upstream_head)
    log_sums += item * query_len
    deltas += item * query_len
    grad_key += item * key_len * head_dim
    grad_value += item * key_len * value_dim

    keys = load_rows(start_key, key_row, key, key_len, head_dim, block_keys, block_head_dim)
    values = load_rows(start_key, value_row, value, key_len, value_dim, block_keys, block_value_dim)
    columns = start_key + tl.arange(0, block_keys)
    key_total = tl.zeros([block_keys, block_head_dim], tl.float32)
    value_total = tl.zeros([block_keys, block_value_dim], tl.float32)
    # From `edge` on some row sees some key of the block, from `whole` on every row every key.
    edge = 0
    whole = 0
    if is_causal:
        edge = start_key // block_queries * block_queries
        whole = tl.cdiv(start_key + block_keys - 1, block_queries) * block_queries
        whole = tl.minimum(whole, tl.cdiv(query_len, block_queries) * block_queries)
    factor = scale * 1.4426950408889634
    for later in tl.static_range(0 if is_causal else 1, 2):
        for first in range(whole if later else edge, query_len if later else whole, block_queries):
            queries = load_rows(
                first, query_row, query, query_len, head_dim, block_queries, block_head_dim
            )
            upstreams = load_rows(
                first, upstream_row, upstream, query_len, value_dim, block_queries, block_value_dim
            )
            rows = first + tl.arange(0, block_queries)
            # Rows that do not exist have weights 2^-inf = 0; keys that do not are never stored.
            row_log_sums = tl.load(log_sums + rows, mask=rows < query_len, other=float("inf"))
            row_deltas = tl.load(deltas + rows, mask=rows < query_len, other=0.0)
            products = tl.dot(keys, tl.trans(queries), input_precision=precision)
            scores = masked(
                products * factor, rows[None, :], columns[:, None],
                mask, mask_row, mask_column, query_len, key_len, mask_kind, is_causal, 1 - later,
            )
            weights = tl.exp2(scores - row_log_sums[None, :])
            value_total = tl.dot(
                weights.to(upstreams.dtype), upstreams, value_total, input_precision=precision
            )
            weight_grads = tl.dot(values, tl.trans(upstreams), input_precision=precision)
            score_grads = weights * (weight_grads - row_deltas[None, :])
            key_total = tl.dot(
                score_grads.to(queries.dtype), queries, key_total, input_precision=precision
            )
    key_total = key_total * scale
    store_rows(key_total, start_key, grad_key, key_len, head_dim, block_keys, block_head_dim)
    store_rows(value_total, start_key, grad_value, key_len, value_dim, block_keys, block_value_dim)


# fmt: on
# Under TRITON_INTERPRET=1 the decorator gives functions of the interpreter.
INTERPRETED = not isinstance(forward, triton.JITFunction)
