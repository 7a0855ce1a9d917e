"""Layers against their oracles: right ones pass in every dtype, faults of any kind are found."""

from dataclasses import replace
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from bench.checks.run_situation import verify
from bench.checks.situations import check_cases
from implementations.case import DTYPES
from implementations.interface import Feature
from implementations.specs import from_function
from tests.bench.some_layers import ATTENTION, CROSS, LAYERS, RECURRENCE, Attention, Recurrence
from tests.daily import daily

CASES = {one.name: one for one in check_cases(["float32"], asked=["layer"])}


def found(build, *names, layer=ATTENTION):
    """The checks that fail of a layer with another module, as area and check."""
    mine = replace(layer, build=build)
    results = verify(mine, [CASES[name] for name in names or CASES])
    return {f"{one.area}: {one.check}" for one in results if one.bad}


# Every layer and every dtype once, then the other pairs.
FIRST = (ATTENTION, "float32"), (CROSS, "float64"), (RECURRENCE, "bfloat16"), (CROSS, "float16")
PAIRS = dict.fromkeys([*FIRST, *product(LAYERS, DTYPES)])


@pytest.mark.parametrize(
    "pair", daily(PAIRS, most=len(FIRST)), ids=lambda one: f"{one[0].name}-{one[1]}"
)
def test_a_right_layer_passes_every_situation(pair):
    layer, dtype = pair

    results = list(verify(layer, check_cases([dtype], asked=["layer"]), seed=1))

    assert [str(one) for one in results if one.bad] == []
    assert {one.check for one in results if one.status == "pass"} >= {
        *("output", "repeatable", "own_memory", "inputs_unmodified", "fresh_answer"),
        *("batch_apart", "grad_x"),
    }


def test_every_parameter_has_its_gradient_checked():
    results = verify(CROSS, [CASES["layer_long_memory"]])

    gradients = {one.check for one in results if one.check.startswith("grad_")}
    projections = ("query", "key", "value", "output")
    own = {f"grad_{one}.{part}" for one in projections for part in ("weight", "bias")}
    assert gradients == {"grad_x", "grad_memory", *own}


def test_a_layer_that_needs_no_memory_is_asked_nothing_about_it():
    names = {one.case.name for one in verify(ATTENTION, CASES.values())}

    assert names == {name for name in CASES if "memory" not in name}


def test_a_core_is_asked_no_situation_of_layers():
    core = from_function(torch.nn.functional.scaled_dot_product_attention, name="core")

    assert list(verify(core, CASES.values())) == []


def test_what_a_layer_does_not_declare_is_unsupported():
    results = list(verify(RECURRENCE, [CASES["layer_causal"], CASES["layer_float_mask"]]))

    assert [one.status for one in results] == ["unsupported", "unsupported"]


def test_a_layer_without_a_backward_pass_is_checked_forward():
    forward_only = replace(ATTENTION, supports=ATTENTION.supports - {Feature.BACKWARD})

    results = list(verify(forward_only, [CASES["layer"]]))

    assert [one.status for one in results if one.check == "output"] == ["pass"]
    assert {one.status for one in results if one.check.startswith("grad_")} == {"unsupported"}


def test_what_torch_refuses_in_a_dtype_is_unsupported():
    class Refusing(Recurrence):
        def forward(self, x: Tensor) -> Tensor:
            if x.dtype == torch.float16:
                raise RuntimeError("\"addmm_impl_cpu_\" not implemented for 'Half'")
            return super().forward(x)

    mine = replace(RECURRENCE, build=Refusing)
    results = list(verify(mine, check_cases(["float16"], asked=["layer"])[:3]))

    assert {one.status for one in results} == {"unsupported"}


class OffByThousandth(Attention):
    def mixed(self, query, key, value, mask):
        return super().mixed(query, key, value, mask) * 1.001


class GradientOff(Attention):
    def mixed(self, query, key, value, mask):
        output = super().mixed(query, key, value, mask)
        return output + 1e-3 * (output - output.detach())


class OneWeightOff(Recurrence):
    def forward(self, x):
        output = super().forward(x)
        return torch.cat([output[:, :-1], output[:, -1:] * 1.001], 1)


@pytest.mark.parametrize(
    ("build", "layer", "check"),
    [
        (OffByThousandth, ATTENTION, "output"),
        (GradientOff, ATTENTION, "grad_value.weight"),
        (OneWeightOff, RECURRENCE, "output"),
    ],
    ids=lambda one: getattr(one, "__name__", None),
)
def test_a_fault_of_a_thousandth_is_found_in_float32(build, layer, check):
    assert any(one.endswith(f": {check}") for one in found(build, "layer", layer=layer))


class Kept(Attention):
    answer = None

    def forward(self, x, *args, **keywords):
        if self.training or torch.is_grad_enabled():
            return super().forward(x, *args, **keywords)
        if self.answer is None or self.answer.shape != x.shape:
            self.answer = super().forward(x, *args, **keywords)
        return self.answer.clone()


class KeptProjection(Attention):
    weight = None

    def forward(self, x, *args, **keywords):
        if self.training:
            return super().forward(x, *args, **keywords)
        if self.weight is None:
            self.weight = self.query.weight.detach().clone()
        own = {**dict(self.named_parameters()), "query.weight": self.weight}
        plain = Attention(self.case).to(x.dtype)
        return torch.func.functional_call(plain, own, (x, *args), keywords)


class Overwriting(Attention):
    def forward(self, x, *args, **keywords):
        output = super().forward(x, *args, **keywords)
        with torch.no_grad():
            x.mul_(0.5)
        return output


class Drifting(Attention):
    def forward(self, x, *args, **keywords):
        output = super().forward(x, *args, **keywords)
        with torch.no_grad():
            self.query.bias.add_(1.0)
        return output


class Reused(Attention):
    buffer = None

    def forward(self, x, *args, **keywords):
        output = super().forward(x, *args, **keywords)
        if torch.is_grad_enabled():
            return output
        if self.buffer is None or self.buffer.shape != output.shape:
            self.buffer = torch.empty_like(output)
        return self.buffer.copy_(output)


class Leaking(Attention):
    """Adds a trace of the first item to the others, as large inputs show only."""

    def forward(self, x, *args, **keywords):
        output = super().forward(x, *args, **keywords)
        return output + (x[:1].abs() > 6.0).to(x.dtype) * 0.1


class Looking(Attention):
    """Sees later positions where they are large."""

    def mixed(self, query, key, value, mask):
        loud = value.abs().amax(-2, keepdim=True)
        return super().mixed(query, key, value, mask) + (loud > 8.0) * 0.1


@pytest.mark.parametrize(
    ("build", "name", "check"),
    [
        (Kept, "layer", "state: fresh_answer"),
        (KeptProjection, "layer", "state: fresh_answer"),
        (Overwriting, "layer", "state: inputs_unmodified"),
        (Drifting, "layer", "state: inputs_unmodified"),
        (Reused, "layer", "state: own_memory"),
        (Leaking, "layer", "shapes: batch_apart"),
        (Looking, "layer_causal", "causal: future_ignored"),
    ],
    ids=lambda one: getattr(one, "__name__", None),
)
def test_a_fault_of_state_or_of_what_is_seen_is_found(build, name, check):
    assert check in found(build, name)


def test_a_mask_that_hides_too_little_is_found_where_hidden_positions_change():
    class Half(Attention):
        def mixed(self, query, key, value, mask):
            if mask is not None and mask.dtype == torch.bool:
                loud = value.abs().amax(-1)[..., None, :] > 8.0
                mask = mask | loud
            return super().mixed(query, key, value, mask)

    assert "masks: masked_ignored" in found(Half, "layer_boolean_mask")


def test_a_parameter_without_a_gradient_is_named():
    class Detached(Attention):
        def forward(self, x, *args, **keywords):
            own = dict(self.named_parameters())
            own["key.weight"] = own["key.weight"].detach()
            plain = Attention(self.case).to(x.dtype)
            return torch.func.functional_call(plain, own, (x, *args), keywords)

    results = verify(replace(ATTENTION, build=Detached), [CASES["layer"]])
    lost = {one.check: one.reason for one in results if one.bad and one.area == "gradients"}

    assert lost == {"grad_key.weight": "no gradient reaches key.weight"}


def test_a_module_that_gives_more_than_a_tensor_is_told_so():
    results = verify(
        replace(RECURRENCE, build=lambda case: nn.RNN(case.d_model, case.d_model)), [CASES["layer"]]
    )

    assert [one.reason for one in results] == ["expected a tensor, got tuple"]
