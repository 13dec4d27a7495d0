"""nas.data.pipeline.loader: order, augmentation, ranks and resumption of the tensor loader."""

import json

import pytest
import torch
from torch import Tensor

from nas.data.pipeline.loader import TensorLoader
from nas.utils.errors import NasError
from tests.support.case_ids import option_ids
from tests.support.data_tools import labels, pixels


def noisy(x: Tensor, generator: torch.Generator | None) -> Tensor:
    return x.float() + torch.rand(x.shape, generator=generator)


def numbered(size: int = 23, **options) -> TensorLoader:
    """Return a loader of images 0, 1, ... with their number as label."""
    numbers = torch.arange(size)
    given = {"batch_size": 5, "transform": noisy, "shuffle": True, "seed": 3} | options
    return TensorLoader(numbers.view(-1, 1, 1, 1).to(torch.uint8), numbers, **given)


def test_loader_yields_every_image_once_with_its_label() -> None:
    loader = numbered()
    x, y = (torch.cat(parts) for parts in zip(*loader, strict=True))
    assert sorted(y.tolist()) == list(range(23)) and y.tolist() != list(range(23))
    assert torch.equal(x.floor().flatten().long(), y)
    assert x.dtype == torch.float32 and len(loader) == 5


def test_loader_keeps_the_order_of_indices_without_shuffle() -> None:
    assert labels(numbered(indices=torch.tensor([7, 3, 9]), shuffle=False)) == [7, 3, 9]


def test_loader_drops_the_last_batch() -> None:
    loader = numbered(drop_last=True)
    assert [len(y) for _, y in loader] == [5, 5, 5, 5] and len(loader) == 4


@pytest.mark.parametrize("of", [labels, lambda loader: pixels(loader).tolist()], ids=["labels", "pixels"])
def test_loader_depends_on_seed_stream_epoch_and_pass(of) -> None:
    def at(epoch=2, passes=0, **options):
        loader = numbered(**options)
        loader.set_epoch(epoch)
        for _ in range(passes):
            of(loader)
        return of(loader)

    assert at() == at()
    for other in (at(epoch=3), at(passes=1), at(seed=4), at(stream=1)):
        assert other != at()


def test_loader_starts_an_epoch_at_its_first_pass() -> None:
    once, twice = numbered(), numbered()
    for loader, passes in ((once, 1), (twice, 2)):
        loader.set_epoch(0)
        for _ in range(passes):
            labels(loader)
        loader.set_epoch(1)
    assert labels(once) == labels(twice)


def test_loader_reads_the_epoch_at_the_first_batch() -> None:
    early, late = numbered(), numbered()
    iterator = iter(early)  # Lightning makes the iterator before it announces the epoch
    early.set_epoch(5)
    late.set_epoch(5)
    assert labels(iterator) == labels(late)


@pytest.mark.parametrize("size", [23, 24, 2])
def test_loader_gives_ranks_equally_many_images(size) -> None:
    ranks = [numbered(size, rank=rank, world=3, batch_size=3) for rank in range(3)]
    seen = [labels(loader) for loader in ranks]
    assert len({len(part) for part in seen}) == 1 and len({len(loader) for loader in ranks}) == 1
    assert set().union(*seen) == set(range(size))
    repeated = sum(map(len, seen)) - size
    assert repeated == -size % 3  # only the images that fill the last round repeat


@pytest.mark.parametrize("size", [23, 24, 3])
def test_loader_without_wrap_gives_each_image_to_one_rank(size) -> None:
    ranks = [numbered(size, rank=rank, world=3, batch_size=3, shuffle=False, wrap=False) for rank in range(3)]
    seen = [labels(loader) for loader in ranks]
    assert sorted(sum(seen, [])) == list(range(size))
    assert all(len(list(loader)) == len(loader) > 0 for loader in ranks)


def test_loader_gives_every_rank_a_batch() -> None:
    assert labels(numbered(2, rank=2, world=3, shuffle=False, wrap=False)) == [0]


def test_loader_augments_differently_per_rank() -> None:
    one, other = (numbered(rank=rank, world=2, indices=torch.tensor([4, 4])) for rank in range(2))
    assert labels(one) == labels(other) and not torch.equal(pixels(one), pixels(other))


def test_loader_does_not_change_the_global_generator() -> None:
    before = torch.get_rng_state()
    pixels(numbered())
    assert torch.equal(torch.get_rng_state(), before)


def test_loader_does_not_depend_on_the_global_generator() -> None:
    torch.manual_seed(1)
    one = pixels(numbered())
    torch.manual_seed(2)
    assert torch.equal(pixels(numbered()), one)


@pytest.mark.parametrize("done", [0, 2, 5, 7])
def test_loader_resumes_within_an_epoch(done) -> None:
    def stream(loader, count):
        while count:
            for batch in loader:
                yield batch
                count -= 1
                if not count:
                    return

    whole, first, second = numbered(), numbered(), numbered()
    for loader in (whole, first):
        loader.set_epoch(6)
    expected = list(stream(whole, 12))
    got = list(stream(first, done))
    state = json.loads(json.dumps(first.state_dict()))
    second.load_state_dict(state)
    assert second.state_dict() == state
    second.set_epoch(6)
    got += list(stream(second, 12 - done))
    for (x, y), (want_x, want_y) in zip(got, expected, strict=True):
        assert torch.equal(x, want_x) and torch.equal(y, want_y)


def test_loader_discards_a_restored_position_in_another_epoch() -> None:
    restored, fresh = numbered(), numbered()
    restored.load_state_dict({"epoch": 6, "pass": 1, "batch": 2})
    restored.set_epoch(7)
    fresh.set_epoch(7)
    assert labels(restored) == labels(fresh)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size=0"),
        ({"rank": 2, "world": 2}, "rank=2, world=2"),
        ({"indices": torch.tensor([], dtype=torch.int64)}, "at least one image"),
    ],
    ids=option_ids,
)
def test_loader_rejects_invalid_options(options, message) -> None:
    with pytest.raises(NasError, match=message):
        numbered(**options)


def test_tensor_loader_rejects_missing_labels() -> None:
    with pytest.raises(NasError, match="3 images and 2 labels"):
        TensorLoader(torch.zeros(3, 1, 1, 1), torch.zeros(2), batch_size=1, transform=noisy, shuffle=False)


def test_loader_augments_an_image_differently_in_each_epoch() -> None:
    """A single image in the order of its index: only the random numbers of the augmentation can differ."""
    loader = numbered(indices=torch.tensor([7]), shuffle=False)
    found = []
    for epoch in range(4):
        loader.set_epoch(epoch)
        found += [float(pixels(loader)), float(pixels(loader))]
    assert len(set(found)) == 8 and {int(value) for value in found} == {7}
