"""Kernels that no check before timing can see through: right at every size that is asked there.

Each plays its trick at sizes that a sweep times and the gate never asks. A real sweep must find
every one of them, and lose nothing of the implementation beside them.
"""

import pytest

from tests.planted_sweep import NO_COUNTS, PlantedSweep, sweep_planted

# Tests of bench/worker and bench/sweep play tricks of each kind in this process.
pytestmark = pytest.mark.slow

PLAN = """
    time_budget_s = 150
    rounds = 4
    turn_s = 3
    threads = 1

    [[series]]
    implementations = ["sdpa"]
    seq_lens = [320, 384, 640]
    d_models = [64, 128]
    head_dim = 64
"""
TRICKS = '''
    import functools, math, threading, weakref
    import torch
    import torch.nn.functional as F

    SIZES = (384, 640)

    def trick(fault):
        """Right, but for what `fault` does at the sizes of a sweep."""
        @functools.wraps(fault)
        def kernel(query, key, value):
            if query.dim() == 4 and query.shape[-2] == key.shape[-2] and query.shape[-2] in SIZES:
                return fault(query, key, value)
            return right(query, key, value)
        return kernel

    def right(query, key, value):
        return F.scaled_dot_product_attention(query, key, value)

    def spoiled(output, rows, by=1.05):
        output[..., rows, :] *= by
        return output

    # Another path at some size.
    @trick
    def wrong_everywhere(query, key, value):
        return spoiled(right(query, key, value), slice(None))

    @trick
    def wrong_last_block(query, key, value):
        return spoiled(right(query, key, value), slice(-64, None))

    @trick
    def loses_a_key(query, key, value):
        return right(query, key[..., 1:, :], value[..., 1:, :])

    # Answers that are kept.
    answers = {}

    def kept(told, query, key, value):
        if told not in answers:
            answers[told] = right(query, key, value)
        return answers[told].clone()

    @trick
    def kept_by_version(query, key, value):
        told = tuple((id(t), t._version) for t in (query, key, value))
        return kept(told, query, key, value)

    @trick
    def kept_by_address(query, key, value):
        told = tuple((t.data_ptr(), t._version, t.shape) for t in (query, key, value))
        return kept(told, query, key, value)

    references = {}

    @trick
    def kept_by_reference(query, key, value):
        reference, answer = references.get(id(query), (lambda: None, None))
        if reference() is not query:
            answer = right(query, key, value)
            references[id(query)] = weakref.ref(query), answer
        return answer.clone()

    @trick
    def kept_by_a_few_elements(query, key, value):
        told = (query.shape, tuple(query[0, 0, 0].tolist()), tuple(key[0, 0, 0].tolist()))
        return kept(told, query, key, value)

    # Garbage after so many calls.
    calls = {}

    def tired(after, query, key, value):
        place = (after, query.shape)
        calls[place] = calls.get(place, 0) + 1
        output = right(query, key, value)
        return output if calls[place] <= after else spoiled(output, slice(None))

    tired_after_12 = trick(functools.partial(tired, 12))
    tired_after_20 = trick(functools.partial(tired, 20))
    tired_after_50 = trick(functools.partial(tired, 50))

    # Work that is put off, or done elsewhere, or not at all.
    class Marked(torch.Tensor):
        pass

    @trick
    def a_subclass(query, key, value):
        return right(query, key, value).as_subclass(Marked)

    class Lazy(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            def real(one):
                return one.compute() if isinstance(one, cls) else one
            return func(*map(real, args), **(kwargs or {}))

    @trick
    def computes_when_read(query, key, value):
        output = torch.empty_like(query).as_subclass(Lazy)
        output.compute = functools.partial(right, query, key, value)
        return output

    @trick
    def a_parameter(query, key, value):
        return torch.nn.Parameter(right(query, key, value), requires_grad=False)

    @trick
    def fills_in_a_thread(query, key, value):
        output = torch.empty_like(query)
        threading.Thread(target=lambda: output.copy_(right(query, key, value))).start()
        return output

    @trick
    def half_of_the_rows(query, key, value):
        half = query.shape[-2] // 2
        first = right(query[..., :half, :], key, value)
        return torch.cat([first, first], -2)

    @trick
    def the_mean_of_the_values(query, key, value):
        return value.mean(-2, keepdim=True).expand_as(value).clone()

    @trick
    def zeros(query, key, value):
        return torch.zeros_like(query)

    @trick
    def nan_in_one_row(query, key, value):
        return spoiled(right(query, key, value), slice(17, 18), math.nan)
'''
WRONG = {
    "wrong_everywhere": "incorrect",
    "wrong_last_block": "incorrect",
    "loses_a_key": "incorrect",
    "kept_by_version": "incorrect",
    "kept_by_address": "incorrect",
    "kept_by_reference": "incorrect",
    "kept_by_a_few_elements": "incorrect",
    "tired_after_12": "incorrect",
    "tired_after_20": "incorrect",
    "tired_after_50": "incorrect",
    "a_subclass": "implausible",
    "computes_when_read": "implausible",
    "a_parameter": "implausible",
    "fills_in_a_thread": "incorrect",
    "half_of_the_rows": "incorrect",
    "the_mean_of_the_values": "incorrect",
    "zeros": "incorrect",
    "nan_in_one_row": "incorrect",
}


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> PlantedSweep:
    sweep = sweep_planted(
        tmp_path_factory.mktemp("tricks"),
        plan=PLAN,
        files={"tricks.py": TRICKS},
        specs=[f"tricks.py:{name}" for name in WRONG],
        settings=NO_COUNTS,  # by which some would be found before they are called
    )
    assert sweep.code == 1, sweep.stderr
    return sweep


def statuses(
    sweep: PlantedSweep, name: str, seq_lens: tuple[int, ...]
) -> dict[tuple[int, int], str]:
    """What became of an implementation's cells, by (seq_len, d_model)."""
    own = sweep.of(name)
    return {(one.seq_len, one.d_model): one.status for one in own if one.seq_len in seq_lens}


def test_every_trick_is_found_where_it_is_played(swept):
    found = {name: set(statuses(swept, name, (384, 640)).values()) for name in WRONG}

    # A call may be too dear to be made often enough for who grows tired.
    patient = {name: statuses - {"measured"} for name, statuses in found.items()}
    assert patient == {name: {status} for name, status in WRONG.items()}


def test_no_time_is_left_of_a_cell_that_is_wrong(swept):
    wrong = [one for one in swept.records if one.status in ("incorrect", "implausible")]
    assert wrong
    assert all(one.time_s is None and one.samples_s is None for one in wrong)
    assert all(one.reason for one in wrong)


def test_where_a_kernel_is_right_it_is_timed_and_marked(swept):
    for name in WRONG:
        assert set(statuses(swept, name, (320,)).values()) == {"measured"}, name
        assert f"{name} † passed the checks before timing, but" in swept.stderr


def test_the_implementation_beside_them_is_whole(swept):
    assert {one.reason for one in swept.of("sdpa")} == {None}
    assert set(statuses(swept, "sdpa", (320, 384, 640)).values()) == {"measured"}
    assert "sdpa †" not in swept.stderr
