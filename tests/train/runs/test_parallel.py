"""How a batch is shared out; the steps themselves are in `test_steps`, several hosts in `test_main`."""

import numpy as np
import pytest

from train.runs import parallel
from train.runs.steps import TrainState


def test_a_batch_is_cut_in_order():
    shared = parallel.split_over_devices({"images": np.arange(24).reshape(4, 3, 2)})
    np.testing.assert_array_equal(
        shared["images"], [[np.arange(6 * place, 6 * place + 6).reshape(3, 2)] for place in range(4)]
    )


@pytest.mark.parametrize(("size", "better"), [(1, 4), (5, 4)])
def test_a_batch_that_cannot_be_shared(size, better):
    with pytest.raises(ValueError, match=f"multiple of the 4 devices, got {size}; use {better}, or fewer devices"):
        parallel.check_batch_size(size)
    parallel.check_batch_size(better)


@pytest.mark.parametrize(
    ("batch", "shape", "together"),
    [(8, (512, 512), 8), (6, (512, 512), 8), (1, (32, 32), 4), (64, (1500, 1500), 12), (8, (4000, 6000), 4)],
    ids=["as in training", "rounded up", "one each", "fewer", "no fewer than one each"],
)
@pytest.mark.parametrize("by_all", [True, False])
def test_whole_images_are_evaluated_in_batches_that_fit(batch, shape, together, by_all):
    assert parallel.evaluated_together(batch, shape, by_all=by_all) == together


def test_a_state_comes_back_from_the_devices():
    state = TrainState(np.int32(7), {"w": np.arange(3.0, dtype=np.float32)}, {}, (), None)
    copies = parallel.replicate(state)
    assert np.shape(copies.params["w"]) == (4, 3)
    np.testing.assert_array_equal(np.asarray(copies.params["w"]), [[0, 1, 2]] * 4)


def test_a_process_alone_decides_alone():
    assert parallel.is_first() and (parallel.process_index(), parallel.process_count()) == (0, 1)
    assert parallel.all_agree(True) and not parallel.all_agree(False)
    assert parallel.all_stop(True, 3) and not parallel.all_stop(False, 3)
    parallel.wait_for_all()
