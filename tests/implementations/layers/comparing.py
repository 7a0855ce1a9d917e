"""What the tests of layers share: a case in small distinct primes, inputs, and what is compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from implementations.case import Case

EPSILON = torch.finfo(torch.float64).eps


def small_case(**condition: object) -> Case:
    sizes = {"batch": 3, "num_heads": 2, "seq_len": 5, "head_dim": 11}
    return Case(**{**sizes, "dtype": "float64", **condition})


def draw(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def draw_x(case: Case) -> Tensor:
    return draw(case.batch, case.seq_len, case.d_model)


def draw_memory(case: Case) -> Tensor:
    return draw(case.batch, case.key_len, case.d_model, seed=1)


def draw_mask(case: Case, kind: str, *leading: int) -> Tensor | None:
    """A mask (*leading, seq_len, key_len); a boolean one leaves the third query no key."""
    drawn = draw(*leading, case.seq_len, case.key_len, seed=2)
    if kind == "boolean":
        allowed = drawn < 0.7
        allowed[..., 2, :] = False
        return allowed
    return drawn if kind == "float" else None


def with_gradients(
    layer: Callable[..., Tensor], parameters: Mapping[str, Tensor], *inputs: Tensor
) -> dict[str, Tensor]:
    """The output of `layer(*inputs)`, and the gradients of inputs and parameters."""
    leaves = {f"input {index}": one.requires_grad_() for index, one in enumerate(inputs)}
    output = layer(*leaves.values())
    leaves |= parameters
    gradients = torch.autograd.grad(output, list(leaves.values()), draw(*output.shape, seed=3))
    return {"output": output.detach(), **dict(zip(leaves, gradients, strict=True))}


def assert_same(actual: Mapping[str, Tensor], expected: Mapping[str, Tensor], case: Case) -> None:
    """Equal but for rounding: no number is a sum of more terms than a batch of x has numbers."""
    assert actual.keys() == expected.keys()
    allowed = EPSILON * case.batch * max(case.seq_len, case.key_len) * case.d_model
    for name, value in expected.items():
        size = max(1.0, float(value.detach().abs().max()))
        error = float((actual[name] - value).detach().abs().max())
        assert error <= allowed * size, f"{name}: off by {error}, allowed {allowed * size}"


def trained(module: nn.Module) -> dict[str, Tensor]:
    return {name: one for name, one in module.named_parameters() if one.requires_grad}


def positions_read(module: nn.Module, case: Case, position: int, **options: object) -> set[int]:
    """The positions of x that the output at `position` depends on, by its gradient."""
    x = draw_x(case).requires_grad_()
    (gradient,) = torch.autograd.grad(module(x, **options)[:, position].sum(), x)
    return set(gradient.abs().sum(dim=(0, 2)).nonzero()[:, 0].tolist())
