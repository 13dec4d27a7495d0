"""nas.data.text.base: batches of a search and of a training, ranks and resumption."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from nas.data.text.base import TextData
from nas.data.text.corpus import Corpus
from nas.data.text.synthetic import SyntheticText
from nas.nn.chunk import Chunk
from nas.utils.errors import NasError


class Counting(TextData):
    """A text of numbers: token i of the training text is i, of the validation text 1000 + i."""

    name = "counting"

    def load(self) -> Corpus:
        words = tuple(map(str, range(2000)))
        return Corpus(words, torch.arange(400), 1000 + torch.arange(120), 500 + torch.arange(41))


def trainer(rank: int = 0, world: int = 1, epoch: int = 0, overfit: float = 0.0, supernet: bool = False) -> Any:
    device = SimpleNamespace(root_device=torch.device("cpu"))
    module = SimpleNamespace(uses_batch_statistics=supernet)
    return SimpleNamespace(
        global_rank=rank,
        world_size=world,
        current_epoch=epoch,
        overfit_batches=overfit,
        strategy=device,
        lightning_module=module,
    )


def built(run: Any = None, **options: Any) -> Counting:
    data = Counting(**{"batch_size": 4, "bptt": 7, "eval_batch_size": 3} | options)
    data.trainer = run
    return data


def joined(chunks: list[tuple[Chunk, Tensor]]) -> Tensor:
    return torch.cat([chunk.tokens for chunk, _ in chunks])


def test_training_reads_all_columns_in_order_with_the_next_token_as_target() -> None:
    chunks = list(built(bilevel=False, length_std=2.0).train_dataloader())
    columns = torch.arange(400).view(4, 100).t()
    tokens = joined(chunks)
    assert len(tokens) in (98, 99) and torch.equal(tokens, columns[: len(tokens)])
    targets = torch.cat([target for _, target in chunks]).view(-1, 4)
    assert torch.equal(targets, columns[1 : 1 + len(tokens)])
    assert [chunk.number for chunk, _ in chunks] == list(range(len(chunks)))
    assert {chunk.stream for chunk, _ in chunks} == {"train"}
    assert all(chunk.lr_scale == len(chunk.tokens) / 7 for chunk, _ in chunks[:-1])


def test_search_reads_the_validation_text_at_the_same_row_modulo_its_length() -> None:
    chunks = list(built(bilevel=True, short_probability=0.5).train_dataloader())
    columns, row = 1000 + torch.arange(120).view(4, 30).t(), 0
    assert {len(batch["train"][0].tokens) for batch in chunks[:-1]} == {7, 3}
    for batch in chunks:
        chunk, target = batch["val"]
        first = row % 29
        assert torch.equal(chunk.tokens, columns[first : min(first + 7, 29)]) and chunk.stream == "arch"
        assert torch.equal(target.view(-1, 4), columns[first + 1 : min(first + 7, 29) + 1])
        assert chunk.number == batch["train"][0].number and chunk.lr_scale == 1
        row += len(batch["train"][0].tokens)


def test_validation_and_test_read_every_token_once() -> None:
    data = built()
    for loader, stream, columns in ((data.val_dataloader(), "val", 3), (data.test_dataloader(), "test", 1)):
        chunks = list(loader)
        size = len(data.corpus.valid if stream == "val" else data.corpus.test) // columns
        assert len(loader) == len(chunks) and len(joined(chunks)) == size - 1
        assert {chunk.stream for chunk, _ in chunks} == {stream} and chunks[0][0].tokens.shape[1] == columns


def test_length_of_a_loader_is_that_of_its_epoch() -> None:
    lengths = set()
    for epoch in range(12):
        loader = built(trainer(epoch=epoch), bilevel=False, length_std=4.0).train_dataloader()
        assert len(loader) == len(list(loader))
        lengths.add(len(loader))
    assert len(lengths) > 1


def test_epochs_differ_and_a_resumed_epoch_is_identical() -> None:
    loader = built(trainer(epoch=2), bilevel=False).train_dataloader()
    whole = list(loader)
    other = list(built(trainer(epoch=3), bilevel=False).train_dataloader())
    assert [len(c.tokens) for c, _ in whole] != [len(c.tokens) for c, _ in other]
    seen = built(trainer(epoch=2), bilevel=False).train_dataloader()
    for _, _ in zip(range(3), seen, strict=False):
        pass
    resumed = built(trainer(epoch=2), bilevel=False).train_dataloader()
    resumed.load_state_dict(seen.state_dict())
    resumed.set_epoch(2)
    rest = list(resumed)
    assert [chunk.number for chunk, _ in rest] == [chunk.number for chunk, _ in whole[3:]]
    assert all(torch.equal(a[0].tokens, b[0].tokens) for a, b in zip(rest, whole[3:], strict=True))


def test_overfitting_repeats_the_lengths_of_the_first_epoch() -> None:
    first = [len(c.tokens) for c, _ in built(trainer(epoch=0), bilevel=False).train_dataloader()]
    fixed = [len(c.tokens) for c, _ in built(trainer(epoch=5, overfit=2), bilevel=False).train_dataloader()]
    assert fixed == first


def test_ranks_share_the_columns_of_a_batch() -> None:
    whole = list(built(bilevel=True).train_dataloader())
    parts = [list(built(trainer(rank, 2), bilevel=True).train_dataloader()) for rank in (0, 1)]
    for batch, *shares in zip(whole, *parts, strict=True):
        for half in ("train", "val"):
            together = torch.cat([share[half][0].tokens for share in shares], dim=1)
            assert torch.equal(together, batch[half][0].tokens) and shares[0][half][0].tokens.shape[1] == 2
    valid = [built(trainer(rank, 2)).val_dataloader() for rank in (0, 1)]
    assert [loader.text.shape[1] for loader in valid] == [2, 1] and {loader.replicas for loader in valid} == {1}
    test = [built(trainer(rank, 2)).test_dataloader() for rank in (0, 1)]
    assert torch.equal(test[0].text, test[1].text) and test[0].replicas == 2, "a single column cannot be shared"


@pytest.mark.parametrize(("columns", "world", "shared"), [(10, 5, True), (10, 6, False), (10, 8, False), (3, 2, False)])
def test_each_rank_of_a_search_validates_two_columns_or_the_whole_text(columns: int, world: int, shared: bool) -> None:
    runs = [trainer(rank, world, supernet=True) for rank in range(world)]
    data = [built(run, eval_batch_size=columns) for run in runs]
    loaders = [one.val_dataloader() for one in data]
    sizes = [loader.text.shape[1] for loader in loaders]
    assert min(sizes) >= 2 and sizes == ([columns // world] * world if shared else [columns] * world)
    read = sum(target.numel() for loader in loaders for _, target in loader)
    assert {one.count_validated(read) for one in data} == {(120 // columns - 1) * columns}


@pytest.mark.parametrize(
    ("options", "run", "problem"),
    [
        (
            {"batch_size": 2},
            trainer(0, 2, supernet=True),
            "batch_size=2: batch norm of a search needs 2 columns per rank. Set at least 4.",
        ),
        ({"batch_size": 3}, trainer(0, 2), "batch_size=3: not a multiple of the 2 ranks"),
        ({"batch_size": 200}, None, "batch_size=200: .*Set at most 133"),
    ],
    ids=["statistics", "ranks", "columns"],
)
def test_batch_sizes_that_do_not_fit_are_refused(options: dict[str, int], run: Any, problem: str) -> None:
    with pytest.raises(NasError, match=problem):
        built(run, bilevel=False, **options).train_dataloader()


def test_text_shorter_than_a_column_is_refused() -> None:
    data = SyntheticText(size=2, bilevel=False)
    with pytest.raises(NasError, match="the train text of .* has 2 tokens, and a column needs 3. Use a longer text"):
        data.train_dataloader()


def test_search_refuses_to_validate_a_single_column() -> None:
    for world in (1, 2):
        with pytest.raises(NasError, match="dataset.eval_batch_size=1: batch norm .* Set at least 2."):
            built(trainer(0, world, supernet=True), eval_batch_size=1).val_dataloader()
    assert built(trainer(0, 2), eval_batch_size=1).val_dataloader().replicas == 2, "a training"
