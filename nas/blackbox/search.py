"""Black-box search: a strategy and an evaluator, driven by the trainer."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Any, Literal

import pytorch_lightning as pl
import torch

from nas.architecture.cell import Genotype
from nas.blackbox.ask_tell import AskTellLoop, Budget
from nas.blackbox.evaluator import Evaluator, check_fidelities
from nas.blackbox.parallel import EvaluationBuild, evaluation_of, step
from nas.blackbox.query_data import QueryDataModule
from nas.blackbox.query_records import decode_queries, encode_queries
from nas.blackbox.strategies.base import Strategy
from nas.blackbox.virtual_workers import VirtualWorkers
from nas.data.kinds import DataSet
from nas.data.unloaded import unloaded
from nas.executors.base import Executor, Workers
from nas.executors.processes import MAX_WORKERS
from nas.executors.serial import Serial
from nas.searches.base import Search
from nas.spaces.base import Space
from nas.spaces.limits import Limits
from nas.utils.errors import NasError
from nas.utils.ranges import COUNT, SEED, Range, check_ranges


@check_ranges(seed=SEED, repetitions=COUNT, fidelities=COUNT, concurrency=Range(1, MAX_WORKERS, whole=True))
class BlackBoxSearch(Search):
    """Search by a strategy that receives only the values of genotypes. Each training step is one query.

    An executor with several workers evaluates several genotypes at the same time. The strategy receives values in the
    order of the results, which the log and the checkpoint contain. A genotype whose evaluation fails twice is a query
    without a value. Evaluators with simulated seconds run in this process, on the simulated clock.

    The budget is divided among the trainer's epochs, and each epoch ends with a checkpoint and a line of history. A
    checkpoint contains the queries and their values. A resumed search replays them to the strategy without evaluating
    them.

    Args:
        space: search space.
        strategy: builds the strategy from the space.
        evaluator: builds the evaluator from ``space``, ``data`` and ``device``.
        budget: limit of the search.
        seed: seed of the strategy.
        cached: whether a repeated genotype is answered from the history at no cost.
        repetitions: number of independent searches; more than one run without the trainer.
        fidelities: training lengths of the evaluator in epochs, one per rung of the strategy; None for one fidelity.
        executor: executor of the evaluations or, with several repetitions, of the repetitions; None for this process.
        concurrency: number of genotypes that are evaluated at the same time; None is the number of workers of the
            executor, or 1 with several repetitions. Without workers, parallel evaluations are simulated on the clock of
            their seconds.
        callbacks: callbacks of the method.
        name: name of the method.

    Raises:
        NasError: if an option is out of range, or the fidelities do not fit the strategy.
    """

    resumes_within_epochs = True

    def __init__(
        self,
        space: Space,
        strategy: Callable[[Space], Strategy],
        evaluator: Callable[..., Evaluator] | None,
        budget: Budget | None = None,
        seed: int = 0,
        cached: bool = False,
        repetitions: int = 1,
        fidelities: Sequence[int] | None = None,
        executor: Executor | None = None,
        concurrency: int | None = None,
        callbacks: Sequence[pl.Callback] = (),
        name: str = "black_box",
    ) -> None:
        super().__init__(space, name)
        if evaluator is None:  # possible in a configuration
            raise NasError(
                f"method.evaluator=null: method={name} needs an evaluator. Set evaluator=benchmark, zero_cost, "
                "supernet or training."
            )
        self.budget = Budget() if budget is None else budget
        self.seed = seed
        self.cached = cached
        self.repetitions = repetitions
        self.fidelities = check_fidelities(fidelities)
        self.loop = self.new_loop(seed, strategy)
        # Lightning counts the steps of an optimizer and saves no checkpoint if their number does not grow.
        self.clock = torch.nn.Parameter(torch.zeros(()))
        self._evaluator: Evaluator | None = None
        self._build_strategy = strategy
        self._build_evaluator = evaluator
        self.callbacks = list(callbacks)
        self.executor = Serial() if executor is None else executor
        self.concurrency = concurrency
        self._images: DataSet | None = None
        self._workers: Workers | None = None
        self._workers_state: dict[str, Any] = {}
        self._evaluator_state: dict[str, Any] = {}

    @property
    def evaluator(self) -> Evaluator | None:
        """The evaluator of the run, built on first access; None before the search has its images."""
        if self._evaluator is None and self._images is not None:
            self._evaluator = self.build_evaluator(self._images, self.device)
            self._evaluator.reset(self.seed)
            if self._evaluator_state:
                self._evaluator.load_state_dict(self._evaluator_state)
        return self._evaluator

    def has_ended(self) -> bool:
        return self.loop.ended is not None

    def progress(self, finished: float, epochs: int) -> tuple[float, int]:
        """Return the used share of the budget in epochs. Each epoch has at least one query."""
        queries, seconds = self.budget.queries, self.budget.seconds
        number = epochs if queries is None else min(epochs, queries)
        by_queries = 0.0 if queries is None else len(self.loop.history) / queries
        by_seconds = 0.0 if seconds is None else self.loop.spent / seconds
        return number * (1.0 if self.has_ended() else min(max(by_queries, by_seconds), 1.0)), number

    def new_loop(self, seed: int, strategy: Callable[[Space], Strategy] | None = None) -> AskTellLoop:
        """Return a run of the strategy that has not made any query."""
        built = (self._build_strategy if strategy is None else strategy)(self.space)
        built.limits = self.limits
        return AskTellLoop(built, self.budget, random.Random(seed), self.cached, self.fidelities)

    def build_evaluator(self, data: DataSet, device: torch.device) -> Evaluator:
        """Build the evaluator, which may read the images. Raise NasError if its fidelities differ from the search's."""
        evaluator = self._build_evaluator(space=self.space, data=data, device=device)
        if tuple(evaluator.fidelities) != self.fidelities:
            raise NasError(
                f"method.fidelities={list(self.fidelities)}: the evaluator has {list(evaluator.fidelities)}. Set "
                "evaluator.fidelities instead."
            )
        return evaluator

    def open_workers(self, evaluator: Evaluator, data: DataSet, device: str) -> Workers:
        """Start the workers of a search.

        Args:
            evaluator: evaluator of this process.
            data: images for the evaluators of other processes.
            device: kind of device: "cpu" or "cuda".

        Raises:
            NasError: if the executor has fewer workers than ``concurrency``.
        """
        available, count = self.executor.workers(device), self.concurrency
        if evaluator.simulated or isinstance(self.executor, Serial) or self.repetitions > 1:
            count = (1 if self.repetitions > 1 else available) if count is None else count
            return VirtualWorkers(evaluation_of(evaluator), count, evaluator.simulated)
        if count is not None and count != available:
            raise NasError(
                f"method.concurrency={count}: the executor evaluates {available} genotypes at the same time. Leave it "
                f"out, or set executor.workers={count}."
            )
        return self.executor.start(EvaluationBuild(self._build_evaluator, self.space, unloaded(data)), device)

    def close_workers(self) -> None:
        if self._workers is not None:
            self._workers.close()
            self._workers = None

    def batches(self, data: DataSet) -> QueryDataModule:
        self.check_data(data)
        self._images = data
        return QueryDataModule(self.budget.queries)

    def genotype(self) -> Genotype:
        """Return the best genotype by value, the first of equals; a random one before the first query."""
        best = self.loop.best
        return self.loop.strategy.sample_allowed(random.Random(self.seed)) if best is None else best.genotype

    def use_limits(self, limits: Limits, multiplier_lr: float) -> None:
        super().use_limits(limits, multiplier_lr)
        self.loop.strategy.limits = limits

    def diagnostics(self) -> dict[str, float]:
        best = self.loop.best
        numbers = {"queries": float(len(self.loop.history)), "spent": self.loop.spent}
        if best is None or not math.isfinite(best.value):
            return numbers
        return {**numbers, "best": best.value, **({"fidelity": float(best.fidelity)} if best.fidelity else {})}

    def results(self) -> dict[str, Any]:
        best, loop, evaluator = self.loop.best, self.loop, self.evaluator
        assert best is not None and evaluator is not None
        return {
            "value": best.value if math.isfinite(best.value) else None,
            "value_of": evaluator.describe_value(best.fidelity),
            "val_accuracy_of": None,
            "queries": len(loop.history),
            "genotypes": len({query.genotype for query in loop.history}),
            **({"fidelity": best.fidelity} if best.fidelity is not None else {}),
            "query_seconds": round(loop.spent, 3),
            "query_seconds_are": "simulated" if evaluator.simulated else "measured",
            "ended_by": loop.ended or "epochs",
            **evaluator.reported_accuracies(best.genotype),
        }

    def configure_callbacks(self) -> list[pl.Callback]:
        return self.callbacks

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD([self.clock], lr=0.0)

    def check_precision(self, precision: str) -> None:
        if self.repetitions > 1 and precision != "32-true":
            raise NasError(
                f"trainer.precision={precision}: repetitions run in 32-true without a trainer. Remove it, or set "
                "method.repetitions=1."
            )
        if precision not in ("32-true", "bf16-mixed"):
            raise NasError(
                f"trainer.precision={precision}: a black-box search supports 32-true and bf16-mixed. The loss scaling "
                "of float16 does not apply to an evaluator's trainings."
            )

    def check_processes(self, count: int) -> None:
        """Raise NasError if the trainer would run more than one process."""
        if count > 1:
            raise NasError(
                f"method={self.name}: each of the {count} processes of this trainer would repeat all queries. Set "
                "trainer=cpu or trainer=gpu, and executor=processes for parallel evaluations."
            )

    def on_train_start(self) -> None:
        assert self._images is not None, "the trainer requires the data module of batches()"
        assert self.evaluator is not None  # built here, on the device of the trainer
        self._workers = self.open_workers(self.evaluator, self._images, self.device.type)
        if isinstance(self._workers, VirtualWorkers) and self._workers_state:
            self._workers.load_state_dict(self._workers_state)
        super().on_train_start()  # last: it restores the random generators, from which the evaluator may have sampled

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> Literal[-1] | None:
        return -1 if self.loop.ended or self._epoch_is_over(batch_idx) else None

    def training_step(self, batch: Any, batch_idx: int) -> None:
        assert self._workers is not None
        paid = step(self.loop, self._workers)
        self.optimizers().step()  # type: ignore[union-attr]
        best = self.loop.best
        if paid and best is not None:
            value, spent = self.loop.history[-1].value, self.loop.spent
            metrics = {"query/value": value, "query/best": best.value, "query/spent": spent}
            self.log_dict(metrics, on_step=True, on_epoch=False, batch_size=1)
        if self.loop.ended:
            self.trainer.should_stop = True

    def _epoch_is_over(self, step: int) -> bool:
        """Return whether this epoch's share of the budget is used; each epoch has at least one query."""
        share = (self.current_epoch + 1) / (self.trainer.max_epochs or 1)
        queries, seconds = self.budget.queries, self.budget.seconds
        queries_used = queries is not None and len(self.loop.history) >= queries * share
        seconds_used = seconds is not None and self.loop.spent >= seconds * share
        return step > 0 and (queries_used or seconds_used)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["queries"] = {
            **encode_queries(self.space, self.loop),
            "workers": self._workers.state_dict() if isinstance(self._workers, VirtualWorkers) else {},
            "evaluator": self.evaluator.state_dict() if self.evaluator is not None else {},
            "fidelities": list(self.fidelities),
            "budget": [self.budget.queries, self.budget.seconds],
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        saved = checkpoint["queries"]
        if tuple(saved.get("fidelities", self.fidelities)) != self.fidelities:
            raise NasError(
                f"evaluator.fidelities={list(self.fidelities)}: the checkpoint has {saved['fidelities']}. Resume with "
                f"evaluator.fidelities={saved['fidelities']}."
            )
        self.loop = self.new_loop(self.seed)
        self.loop.replay(decode_queries(self.space, saved), saved.get("asked"))
        if saved.get("budget") == [self.budget.queries, self.budget.seconds]:
            self.loop.ended = saved["ended"]
        self._evaluator_state = saved["evaluator"]
        self._workers_state = saved.get("workers", {})
