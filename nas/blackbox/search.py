"""Searches that see nothing of a genotype but its value."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Any, Literal

import pytorch_lightning as pl
import torch

from nas.architecture.cell import Genotype
from nas.blackbox.evaluator import Evaluator, growing
from nas.blackbox.history import Budget, Queries, Query
from nas.blackbox.strategies.base import Strategy
from nas.data.base import ImageData
from nas.searches.base import Search
from nas.spaces.base import Space
from nas.utils.errors import NasError

ENDLESS = 10**9  # batches of an epoch whose end is a matter of seconds


class Turns(pl.LightningDataModule):
    """Batches that say nothing but that it is time for a query; the epochs share ``queries`` out, where it is given."""

    def __init__(self, queries: int | None) -> None:
        super().__init__()
        self.queries = queries

    def train_dataloader(self) -> range:
        if self.queries is None or self.trainer is None:
            return range(ENDLESS)
        return range(-(-self.queries // (self.trainer.max_epochs or 1)))


class QuerySearch(Search):
    """A strategy and what it asks: each step is one query of the evaluator.

    The epochs of the trainer share the budget out: after each there is a checkpoint and a line of history. A
    checkpoint holds the queries with their values; a resumed search asks the strategy for them once more, which costs
    nothing, and goes on from there.

    Args:
        strategy: makes the strategy for a space.
        evaluator: makes the evaluator from (space, data, device).
        budget: when the search ends.
        seed: of all draws of the strategy.
        cached: whether a genotype that was evaluated before is answered from the history, for nothing.
        repetitions: how many independent searches are made, without the trainer where there are several.
        fidelities: those of the evaluator, in epochs, one for each rung of the strategy; None where it has one.
        callbacks: callbacks that belong to the method.
    """

    def __init__(
        self,
        space: Space,
        strategy: Callable[[Space], Strategy],
        evaluator: Callable[..., Evaluator],
        budget: Budget | None = None,
        seed: int = 0,
        cached: bool = False,
        repetitions: int = 1,
        fidelities: Sequence[int] | None = None,
        callbacks: Sequence[pl.Callback] = (),
        name: str = "query",
    ) -> None:
        super().__init__(space, name)
        if repetitions < 1:
            raise NasError(f"method.repetitions={repetitions}: give a whole number of repetitions, at least 1")
        if evaluator is None:  # a configuration may say so
            raise NasError(
                "method.evaluator=null: a search by queries asks an evaluator: leave it out, choose by evaluator=NAME"
            )
        self.budget = Budget() if budget is None else budget
        self.seed = seed
        self.cached = cached
        self.repetitions = repetitions
        self.fidelities = growing(fidelities)
        self.queries = self.begin(seed, strategy)
        # Lightning counts the steps of an optimizer, and saves no checkpoint where they do not grow.
        self.clock = torch.nn.Parameter(torch.zeros(()))
        self.evaluator: Evaluator | None = None
        self._make_strategy = strategy
        self._make_evaluator = evaluator
        self.callbacks = list(callbacks)
        self._images: ImageData | None = None
        self._state: dict[str, Any] = {}

    def begin(self, seed: int, strategy: Callable[[Space], Strategy] | None = None) -> Queries:
        """A run of the strategy from its first query on."""
        make = self._make_strategy if strategy is None else strategy
        return Queries(make(self.space), self.budget, random.Random(seed), self.cached, self.fidelities)

    def open(self, data: ImageData, device: torch.device) -> Evaluator:
        """The evaluator; it may read the images. Raises NasError where it has other fidelities than the search."""
        evaluator = self._make_evaluator(space=self.space, data=data, device=device)
        if tuple(evaluator.fidelities) != self.fidelities:
            raise NasError(
                f"method.fidelities={list(self.fidelities)}: those of the evaluator are "
                f"{list(evaluator.fidelities)}: choose them by evaluator.fidelities"
            )
        return evaluator

    def batches(self, data: ImageData) -> Turns:
        self._images = data
        return Turns(self.budget.queries)

    def genotype(self) -> Genotype:
        """The best genotype by value, the first of equals; before the first query, any."""
        best = self.queries.best
        return self.space.sample(random.Random(self.seed)) if best is None else best.genotype

    def diagnostics(self) -> dict[str, float]:
        best = self.queries.best
        found = {"queries": float(len(self.queries.history)), "spent": self.queries.spent}
        if best is None or not math.isfinite(best.value):
            return found
        return {**found, "best": best.value, **({"fidelity": float(best.fidelity)} if best.fidelity else {})}

    def results(self) -> dict[str, Any]:
        best, queries, evaluator = self.queries.best, self.queries, self.evaluator
        assert best is not None and evaluator is not None
        return {
            "value": best.value if math.isfinite(best.value) else None,
            "value_of": evaluator.unit_at(best.fidelity),
            "val_accuracy_of": None,
            "queries": len(queries.history),
            "genotypes": len({query.genotype for query in queries.history}),
            **({"fidelity": best.fidelity} if best.fidelity is not None else {}),
            "query_seconds": round(queries.spent, 3),
            "query_seconds_are": "simulated" if evaluator.simulated else "measured",
            "ended_by": queries.ended or "epochs",
            **evaluator.facts(best.genotype),
        }

    def configure_callbacks(self) -> list[pl.Callback]:
        return self.callbacks

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD([self.clock], lr=0.0)

    def check_precision(self, precision: str) -> None:
        if self.repetitions > 1 and precision != "32-true":
            raise NasError(
                f"trainer.precision={precision}: repetitions have no trainer, and value genotypes in 32-true: leave it "
                "out, or use method.repetitions=1"
            )
        if precision not in ("32-true", "bf16-mixed"):
            raise NasError(
                f"trainer.precision={precision}: a search by queries values genotypes in 32-true or bf16-mixed; "
                "float16's loss scaling does not reach what an evaluator trains"
            )

    def check_processes(self, count: int) -> None:
        """Raises NasError where the trainer would run more than one process."""
        if count > 1:
            raise NasError(
                f"method={self.name} asks one question at a time, and the {count} processes of this trainer would all "
                "ask the same: use trainer=cpu or trainer=gpu"
            )

    def on_train_start(self) -> None:
        assert self._images is not None, "batches() comes first"
        self.evaluator = self.open(self._images, self.device)
        self.evaluator.begin(self.seed)
        if self._state:
            self.evaluator.load(self._state)
        super().on_train_start()  # after the evaluator, which may draw from the generators that it restores

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> Literal[-1] | None:
        return -1 if self.queries.ended or self._epoch_is_over(batch_idx) else None

    def training_step(self, batch: Any, batch_idx: int) -> None:
        assert self.evaluator is not None
        paid = self.queries.step(self.evaluator)
        self.optimizers().step()  # type: ignore[union-attr]
        best = self.queries.best
        if paid and best is not None:
            seen = {
                "query/value": self.queries.history[-1].value,
                "query/best": best.value,
                "query/spent": self.queries.spent,
            }
            self.log_dict(seen, on_step=True, on_epoch=False, batch_size=1)
        if self.queries.ended:
            self.trainer.should_stop = True

    def _epoch_is_over(self, step: int) -> bool:
        """Whether this epoch's share of the budget is used; each epoch has at least one query."""
        share = (self.current_epoch + 1) / (self.trainer.max_epochs or 1)
        queries, seconds = self.budget.queries, self.budget.seconds
        asked = queries is not None and len(self.queries.history) >= queries * share
        spent = seconds is not None and self.queries.spent >= seconds * share
        return step > 0 and (asked or spent)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["queries"] = {
            "history": [[self.space.native(q.genotype), q.value, q.seconds] for q in self.queries.history],
            "evaluator": self.evaluator.state() if self.evaluator is not None else {},
            "fidelities": list(self.fidelities),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        saved = checkpoint["queries"]
        if tuple(saved.get("fidelities", self.fidelities)) != self.fidelities:
            raise NasError(
                f"ckpt_path: the search was started with evaluator.fidelities={saved['fidelities']}, not "
                f"{list(self.fidelities)}: go on with those"
            )
        self.queries = self.begin(self.seed)
        self.queries.replay([Query(self.space.parse(text), value, spent) for text, value, spent in saved["history"]])
        self._state = saved["evaluator"]
