"""One head as wide as the model, with dropout on its weights in training."""

import pytest
import torch

from implementations.catalogue import suite
from implementations.layers.single_head import SingleHead
from implementations.parameters import parameter_count
from tests.implementations.layers.comparing import draw, draw_x, small_case

CALLS = 2000


@pytest.fixture(autouse=True)
def _same_random_numbers():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.mark.parametrize(("num_heads", "head_dim"), [(1, 7), (3, 5), (2, 13)])
def test_single_head_has_3_times_d_squared_plus_d_parameters(num_heads, head_dim):
    case = small_case(num_heads=num_heads, head_dim=head_dim)
    d = num_heads * head_dim

    assert parameter_count(suite()["single_head"], case) == 3 * (d**2 + d)


def test_single_head_is_random_in_training_and_not_in_evaluation():
    case = small_case()
    module = SingleHead(case.d_model).double()
    x = draw_x(case)

    module.eval()
    assert torch.equal(module(x), module(x))
    module.train()
    assert not torch.equal(module(x), module(x))


def test_the_layer_that_is_measured_repeats_its_answers_in_training():
    case = small_case()
    module = suite()["single_head"].build(case).double().train()
    x = draw_x(case)

    assert torch.equal(module(x), module(x))


def test_dropout_leaves_the_mean_of_the_output_as_it_is():
    module = SingleHead(7, dropout_p=0.3).double()
    x = draw(1, 5, 7)
    with torch.no_grad():
        drawn = torch.stack([module.train()(x) for _ in range(CALLS)])
        error = (drawn.mean(dim=0) - module.eval()(x)).abs()

    # Of 35 means, none strays further than 5 standard errors, but once in 50 000 runs.
    assert bool((error <= 5 * drawn.std(dim=0) / CALLS**0.5).all())


def test_a_weight_is_dropped_or_made_larger_by_what_the_others_lose():
    module = SingleHead(3, dropout_p=0.25).double().train()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
        module.value.bias.fill_(1.0)  # every value is 1 and every weight 1/5
        rows = torch.cat([module(draw(1, 5, 3))[0, :, 0] for _ in range(CALLS // 5)])

    kept = rows * 5 * 0.75
    assert torch.allclose(kept, kept.round(), rtol=0.0, atol=1e-12)
    assert set(kept.round().tolist()) <= {0.0, 1.0, 2.0, 3.0, 4.0, 5.0}
    assert float(kept.mean()) == pytest.approx(5 * 0.75, abs=5 * (5 * 0.75 * 0.25 / CALLS) ** 0.5)
