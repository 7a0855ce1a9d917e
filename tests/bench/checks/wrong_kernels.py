"""A file of kernels that fail one check each; `right` passes all."""

# Needs torch and nothing else: what a user has.
KERNELS = """
import torch
from itertools import count

def right(query, key, value, attn_mask=None, is_causal=False, scale=None):
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    scores = query @ key.mT * scale
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        attn_mask = torch.zeros_like(scores).masked_fill(~attn_mask, -torch.inf)
    if attn_mask is not None:
        scores = scores + attn_mask
    empty = (scores == -torch.inf).all(-1, keepdim=True)
    return scores.masked_fill(empty, 0.0).softmax(-1).masked_fill(empty, 0.0) @ value

def grouped(query, key, value, is_causal=False, enable_gqa=False):
    group = query.shape[-3] // key.shape[-3]
    key, value = (t.repeat_interleave(group, -3) for t in (key, value))
    return right(query, key, value, is_causal=is_causal)

def grouped_in_turn(query, key, value, enable_gqa=False):
    group = query.shape[-3] // key.shape[-3]
    return right(query, *(torch.cat([t] * group, -3) for t in (key, value)))

def unscaled(query, key, value):
    return right(query, key, value, scale=1.0)

def scale_ignored(query, key, value, scale=None):
    return right(query, key, value)

def halved(tensor):
    return tensor / 2 + tensor.detach() / 2

def grouped_halved(query, key, value, enable_gqa=False):
    return grouped(query, halved(key), value)

def query_halved(query, key, value):
    return right(halved(query), key, value)

def key_halved(query, key, value):
    return right(query, halved(key), value)

def value_halved(query, key, value):
    return right(query, key, halved(value))

def detached(query, key, value):
    return right(query, key, value).detach()

def key_detached(query, key, value):
    return right(query, key.detach(), value)

def inverted(query, key, value, attn_mask=None):
    return right(query, key, value, attn_mask=None if attn_mask is None else ~attn_mask)

kept = {}

def scale_kept(query, key, value, scale=None):
    return right(query, key, value, scale=kept.setdefault(query.shape[-1], scale))

def unbiased(query, key, value, attn_mask=None):
    return right(query, key, value)

def strict(query, key, value, is_causal=False):
    return right(query, key, value, torch.ones(7, 7, dtype=torch.bool).tril(-1))

def overflowing(query, key, value, scale=None):
    weights = (query @ key.mT * scale).exp()
    return weights / weights.sum(-1, keepdim=True) @ value

def raising(query, key, value):
    raise ValueError("not with me")

def turned(query, key, value):
    return right(query, key, value).mT

def wide(query, key, value):
    return right(query, key, value).double()

def in_place(query, key, value):
    output = right(query.clone(), key, value)
    query.mul_(2)
    return output

def in_place_and_inference_only(query, key, value):
    if query.requires_grad:
        raise RuntimeError("inference only")
    output = right(query, key, value)
    key.add_(1)
    return output

class Greedy(torch.autograd.Function):
    @staticmethod
    def forward(ctx, query, key, value):
        return value.new_zeros(*query.shape[:-1], value.shape[-1])

    @staticmethod
    def backward(ctx, upstream):
        upstream.mul_(2)
        return None, None, None

def upstream_in_place(query, key, value):
    return right(query, key, value) + Greedy.apply(query, key, value)

def mask_in_place(query, key, value, attn_mask=None):
    output = right(query, key, value, attn_mask)
    if attn_mask is not None:
        attn_mask.fill_(True)
    return output

def tracked_in_place(query, key, value):
    output = right(query.clone(), key, value)
    if query.requires_grad:
        query.data.mul_(2)
    return output

calls = count()

def restless(query, key, value):
    return right(query, key, value) * (1 + next(calls) * 1e-6)

def tracked_only(query, key, value):
    return right(query, key, value, scale=1.0 if query.requires_grad else None)

class Backward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, query, key, value):
        return right(query, key, value)

    @staticmethod
    def backward(ctx, upstream):
        raise RuntimeError("no way back")

def no_way_back(query, key, value):
    return Backward.apply(query, key, value)

def heads_third(query, key, value, attn_mask=None):
    query, key, value = (t.transpose(1, 2) for t in (query, key, value))
    return right(query, key, value, attn_mask=attn_mask).transpose(1, 2)

def unscaled_heads_third(query, key, value):
    query, key, value = (t.transpose(1, 2) for t in (query, key, value))
    return right(query, key, value, scale=1.0).transpose(1, 2)

def exiting(query, key, value):
    torch.os._exit(3)
"""
