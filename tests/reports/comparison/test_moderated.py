import numpy as np
import pytest

from reports.comparison.moderated import moderated


def scattered(sigma, freedom, seed=0):
    rng = np.random.default_rng(seed)
    return np.asarray(sigma) ** 2 * rng.chisquare(freedom, np.shape(sigma)) / freedom


def test_cells_of_one_scatter_share_its_knowledge():
    found, freedom = moderated(scattered(np.full(400, 0.03), 2), np.full(400, 2.0))

    assert np.sqrt(found) == pytest.approx(np.full(400, 0.03), rel=0.25)
    assert freedom.min() > 20


def test_a_cell_of_another_scatter_keeps_its_own():
    sigma = np.where(np.arange(200) % 2, 0.01, 0.3)

    found, freedom = moderated(scattered(sigma, 8), np.full(200, 8.0))

    assert np.sqrt(found)[sigma == 0.3].min() > 3 * np.sqrt(found)[sigma == 0.01].max()
    assert freedom.max() < 12


def test_too_few_cells_lend_each_other_nothing():
    _, freedom = moderated(np.array([1e-4, 4e-4]), np.array([2.0, 2.0]))

    assert list(freedom) == [2, 2]


def test_without_repetitions_nothing_is_known():
    found, freedom = moderated(np.array([np.nan, np.nan]), np.zeros(2))

    assert np.isnan(found).all()
    assert not freedom.any()
