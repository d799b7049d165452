"""A buffer is used again when, and only when, nothing holds it any more."""

import copy
import gc
import pickle
import threading

import pytest
import torch

from art_snn.neurons import buffers
from art_snn.neurons.buffers import buffer, release

SIZE = (1500, 1024)


@pytest.fixture(autouse=True)
def empty():
    release()
    yield
    release()


def held():
    """Bytes on the shelf."""
    buffers._shelf.take(1)
    return sum(block.nbytes for block in buffers._shelf.free)


def test_what_is_free_is_used_again():
    first = buffer(SIZE, torch.zeros(1))
    place = first.data_ptr()
    assert buffer(SIZE, torch.zeros(1)).data_ptr() != place
    del first
    assert place in {buffer(SIZE, torch.zeros(1)).data_ptr() for _ in range(2)}


@pytest.mark.parametrize(
    "keep",
    [
        lambda t: t[3:5, 1],
        lambda t: t.view(-1).detach(),
        lambda t: t.numpy(),
        lambda t: t.untyped_storage(),
        lambda t: torch.zeros(1, requires_grad=True) * t,
        lambda t: torch.nn.Parameter(t),
        lambda t: memoryview(t.numpy()),
    ],
)
def test_what_is_held_is_not(keep):
    first = buffer(SIZE, torch.zeros(1)).fill_(7.0)
    place = first.data_ptr()
    held_on = keep(first)
    del first
    gc.collect()
    others = [buffer(SIZE, torch.zeros(1)).fill_(1.0) for _ in range(3)]
    assert place not in {other.data_ptr() for other in others}
    if isinstance(held_on, torch.Tensor) and held_on.grad_fn is not None:
        assert (held_on.grad_fn._saved_other == 7).all()
    del held_on


def test_a_smaller_one_takes_a_larger_place_up_to_twice():
    place = buffer(SIZE, torch.zeros(1)).data_ptr()
    less = buffer((1100, 1024), torch.zeros(1))
    assert less.data_ptr() == place
    assert less.shape == (1100, 1024)
    del less
    wide = buffer((3100, 1024), torch.zeros(1))
    assert wide.data_ptr() != place


def test_no_more_is_kept_than_said(monkeypatch):
    monkeypatch.setattr(buffers, "KEPT", 3 * 1500 * 1024 * 4)
    many = [buffer(SIZE, torch.zeros(1)) for _ in range(6)]
    del many
    assert held() <= buffers.KEPT
    release()
    assert held() == 0


@pytest.mark.parametrize("like", [torch.zeros(1, dtype=torch.bfloat16), torch.zeros(1, device="meta"), torch.ones(1)])
def test_small_and_other_tensors_are_torchs_own(like):
    size = (4, 5) if like.dtype == torch.float32 and like.device.type == "cpu" else SIZE
    made = buffer(size, like)
    assert (made.shape, made.dtype, made.device) == (size, like.dtype, like.device)
    assert held() == 0


def test_tensors_behave(tmp_path):
    made = buffer(SIZE, torch.zeros(1, dtype=torch.float64)).fill_(2.0)
    assert made.dtype == torch.float64
    assert torch.equal(copy.deepcopy(made), made)
    assert torch.equal(pickle.loads(pickle.dumps(made)), made)  # noqa: S301
    torch.save(made, tmp_path / "t.pt")
    assert torch.equal(torch.load(tmp_path / "t.pt"), made)


def test_threads_never_share():
    wrong = []

    def work(mark):
        for _ in range(40):
            mine = buffer((1100, 1000), torch.zeros(1)).fill_(mark)
            if not bool((mine == mark).all()):
                wrong.append(mark)

    threads = [threading.Thread(target=work, args=(float(i),)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
