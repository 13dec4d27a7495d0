"""Several genotypes evaluated at the same time: order of results, replay of a log, failures, resume."""

from __future__ import annotations

import json
import math
import random
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from nas.architecture.cell import Genotype
from nas.blackbox.ask_tell import AskTellLoop, Budget
from nas.blackbox.evaluator import QueryResult
from nas.blackbox.parallel import step
from nas.blackbox.predictors.boosted_trees import BoostedTrees
from nas.blackbox.query_records import read_queries
from nas.blackbox.strategies.base import Strategy
from nas.blackbox.strategies.bohb import Bohb
from nas.blackbox.strategies.local_search import LocalSearch
from nas.blackbox.strategies.predictor_guided import PredictorGuided
from nas.blackbox.strategies.random_search import RandomSearch
from nas.blackbox.strategies.regularized_evolution import RegularizedEvolution
from nas.blackbox.strategies.reinforce import ReinforceStrategy
from nas.blackbox.virtual_workers import VirtualWorkers
from nas.spaces.genotype_file import load_genotype
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError
from tests.support.compose_tools import DATA, lines, small
from tests.support.error_tools import run
from tests.support.query_tools import (
    CHAIN,
    COMMAND,
    FORMULA,
    QUICK,
    THREADS,
    SmallSpace,
    assert_same_queries,
    run_and_kill,
    value_of,
)

NB201 = NasBench201((3, 32, 32), 10)
STRATEGIES: list[Any] = [RandomSearch, RegularizedEvolution, LocalSearch, ReinforceStrategy, Bohb]
TREES = partial(BoostedTrees, members=1, trees=5)
STRATEGIES.append(pytest.param(partial(PredictorGuided, predictor=TREES, batch=3), id="PredictorGuided"))


def evaluate(genotype: Genotype, fidelity: int | None = None, position: int = 0) -> QueryResult:
    return QueryResult(value_of(genotype), 10 + value_of(genotype, "cost"))


def new_loop(strategy: type[Strategy], queries: int = 80, cached: bool = False, space: Any = NB201) -> AskTellLoop:
    return AskTellLoop(strategy(space), Budget(queries=queries), random.Random(3), cached)


def finish(loop: AskTellLoop, count: int, call: Any = evaluate) -> VirtualWorkers:
    """Run a loop to its end on simulated workers."""
    workers = VirtualWorkers(call, count)
    while step(loop, workers):
        pass
    return workers


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_one_worker_equals_a_serial_run(strategy: type[Strategy]) -> None:
    serial, parallel = new_loop(strategy), new_loop(strategy)
    while serial.step(evaluate):
        pass
    finish(parallel, 1)
    assert parallel.history == serial.history and len(serial.history) == 80
    assert all(query.order is None for query in serial.history)


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_log_of_four_workers_is_replayed_exactly(strategy: type[Strategy], cached: bool) -> None:
    """The replay asks and tells in the recorded order, with the genotypes that were evaluated at the same time."""
    space = SmallSpace(CHAIN) if cached else NB201
    whole, part = (new_loop(strategy, queries, cached, space) for queries in (45, 30))
    finish(whole, 4)
    workers = VirtualWorkers(evaluate, 4)
    while len(part.history) < 20 and step(part, workers):
        pass
    again = new_loop(strategy, 45, cached, space)
    again.replay(part.history, part.asked)
    assert again.history == part.history and again.pending.keys() == part.pending.keys()
    assert [a.genotype for a in again.pending.values()] == [a.genotype for a in part.pending.values()]
    resumed = VirtualWorkers(evaluate, 4)
    resumed.load_state_dict(workers.state_dict())
    while step(again, resumed):
        pass
    assert again.history == whole.history and again.best == whole.best
    positions = [query.order.position if query.order else number for number, query in enumerate(whole.history)]
    assert positions != sorted(positions), "results arrive in another order than they were asked for"


def test_evolution_keeps_all_workers_busy() -> None:
    loop, workers = new_loop(RegularizedEvolution), VirtualWorkers(evaluate, 4)
    while len(loop.history) < 76:
        step(loop, workers)
        assert len(workers.running) == 3 and len(loop.pending) == 3
    assert workers.now == pytest.approx(loop.spent / 4, rel=0.1)


def test_local_search_visits_the_genotypes_of_a_serial_search() -> None:
    serial, parallel = new_loop(LocalSearch, 120), new_loop(LocalSearch, 120)
    finish(serial, 1)
    finish(parallel, 4)
    assert isinstance(serial.strategy, LocalSearch) and isinstance(parallel.strategy, LocalSearch)
    assert parallel.strategy.optima == serial.strategy.optima
    assert {query.genotype for query in parallel.history} == {query.genotype for query in serial.history}


def test_reinforce_takes_one_step_along_the_mean_gradient_of_a_batch() -> None:
    strategy, rng = ReinforceStrategy(NB201, momentum=0.0), random.Random(0)
    strategy.momentum = 0.9
    asked = []
    for _ in range(3):
        asked.append((strategy.ask(rng), strategy.details))
    before, expected = strategy.logits.detach().clone(), []
    for number, (genotype, chosen) in enumerate(asked):
        assert genotype is not None
        strategy.details = chosen
        value, weight = float(number), 1 - 0.9 ** (number + 1)
        mean = sum(0.1 * 0.9 ** (number - i) * i for i in range(number + 1)) / weight
        expected.append(strategy.gradient(value - mean))
        strategy.tell(genotype, value)
        assert (strategy.ask(rng) is None) is (number < 2), "the next batch waits for the whole one"
        if number < 2:
            assert (strategy.logits == before).all()
    assert strategy.logits.grad is not None
    assert strategy.logits.grad.allclose(sum(expected) / 3)  # type: ignore[union-attr]


def test_bohb_starts_the_next_bracket_while_a_rung_is_incomplete() -> None:
    strategy, rng = Bohb(NB201, rungs=3, eta=3), random.Random(0)
    asked: list[tuple[Genotype, int, Any]] = []
    for _ in range(12):
        asked.append((strategy.ask(rng), strategy.rung, strategy.details))
    assert [rung for _, rung, _ in asked] == [0] * 9 + [1] * 3, "nine candidates, then the second bracket"
    for genotype, rung, details in reversed(asked[:9]):
        strategy.rung, strategy.details = rung, details
        strategy.tell(genotype, value_of(genotype))
    best = sorted((genotype for genotype, _, _ in asked[:9]), key=lambda genotype: -value_of(genotype))
    promoted = []
    for _ in range(3):
        promoted.append(strategy.ask(rng))
        assert strategy.rung == 1
    assert promoted == best[:3], "the first bracket has precedence"


def test_failed_evaluation_counts_and_is_repeated_once() -> None:
    calls: dict[int, int] = {}

    def fail(genotype: Genotype, fidelity: int | None, position: int) -> QueryResult:
        calls[position] = calls.get(position, 0) + 1
        if position in (4, 9) and calls[position] <= (1 if position == 4 else 2):
            raise RuntimeError(f"of {position}")
        return evaluate(genotype)

    loop = new_loop(RegularizedEvolution, 30)
    finish(loop, 2, fail)
    failed = [query for query in loop.history if query.error]
    assert len(loop.history) == 30 and [query.error for query in failed] == ["RuntimeError: of 9"]
    assert math.isnan(failed[0].value) and failed[0].seconds == 0 and (calls[4], calls[9], calls[5]) == (2, 2, 1)
    again = new_loop(RegularizedEvolution, 30)
    again.replay(loop.history, loop.asked)
    assert again.best == loop.best


class Repeating(RandomSearch):
    """Strategy that asks for two genotypes, then for the first one only."""

    def ask(self, rng: random.Random) -> Genotype:
        self.asked = getattr(self, "asked", 0) + 1
        return self.space.sample(random.Random(5 if self.asked == 2 else 4))


@pytest.mark.parametrize("slow", [0, 1])
def test_repeated_answers_do_not_discard_running_evaluations(slow: int) -> None:
    def call(genotype: Genotype, fidelity: int | None, position: int) -> QueryResult:
        return QueryResult(value_of(genotype), 50 if position == slow else 10)

    loop = new_loop(Repeating, 10, cached=True)
    finish(loop, 2, call)
    assert loop.ended == "repeats" and not loop.pending and len({query.genotype for query in loop.history}) == 2
    again = new_loop(Repeating, 10, cached=True)
    again.replay(loop.history, loop.asked)
    assert again.history == loop.history


def test_run_without_any_value_ends_with_the_last_failure() -> None:
    def fail(*task: Any) -> QueryResult:
        raise RuntimeError("no memory")

    with pytest.raises(NasError, match="all 5 evaluations failed, the last one with RuntimeError: no memory"):
        finish(new_loop(RandomSearch, 5), 2, fail)


def replayed(run_dir: Path, **options: Any) -> AskTellLoop:
    """Replay the log of a run of ``COMMAND`` serially."""
    loop = AskTellLoop(RegularizedEvolution(NB201, **options), Budget(queries=1000), random.Random(0))
    loop.replay(read_queries(NB201, run_dir / "queries.jsonl"))
    return loop


def test_search_on_simulated_workers_resumes_identically_after_kill(tmp_path: Path) -> None:
    arguments = [*COMMAND, "method.concurrency=3", "method.budget.queries=24", "epochs=4"]
    whole, broken = run_and_kill(arguments, tmp_path)
    run("search", f"ckpt_path={broken}", *FORMULA, "~callbacks.kill").succeeded()
    assert_same_queries(whole, broken)
    found = lines(whole / "queries.jsonl")
    assert len(found) == 24 and any(line.get("position", line["query"]) != line["query"] for line in found)
    loop = replayed(whole)
    assert loop.best is not None and loop.best.genotype == load_genotype(whole)
    assert [query.value for query in loop.history] == [line["value"] for line in found]


def test_search_by_processes_has_the_values_of_a_serial_search(tmp_path: Path) -> None:
    command = [*QUICK, "method=random_search", *small("nas_bench_201"), *DATA, "proxy=jacob_cov", "epochs=1"]
    command += ["method.budget.queries=6", "threads=1"]
    for name in ("serial", "processes"):
        more = [f"executor={name}", *(["executor.workers=2"] if name == "processes" else [])]
        run("search", *command, *more, f"hydra.run.dir={tmp_path}/{name}").succeeded()
    serial, parallel = (lines(tmp_path / name / "queries.jsonl") for name in ("serial", "processes"))
    assert sorted((line["genotype"], line["value"]) for line in parallel) == sorted(
        (line["genotype"], line["value"]) for line in serial
    )
    summaries = [json.loads((tmp_path / name / "summary.json").read_text()) for name in ("serial", "processes")]
    assert summaries[0]["value"] == summaries[1]["value"]
    wrong = ["executor=processes", "executor.workers=2", "method.concurrency=3", f"hydra.run.dir={tmp_path}/wrong"]
    run("search", *command, *wrong).refused("method.concurrency=3: the executor evaluates 2", "executor.workers=3")
    run("search", "method=darts", "executor=ray", f"hydra.run.dir={tmp_path}/no").refused("evaluates no candidates")


def test_repetitions_in_workers_equal_those_in_this_process(tmp_path: Path) -> None:
    command = [*COMMAND, "method.budget.seconds=300", "method.repetitions=6", "seed=5"]
    for name, more in (("serial", []), ("workers", THREADS)):
        run("search", *command, *more, f"hydra.run.dir={tmp_path}/{name}").succeeded()
    for name in ("repetitions.jsonl", "anytime.csv", "table.csv"):
        assert (tmp_path / "serial" / name).read_bytes() == (tmp_path / "workers" / name).read_bytes()


@pytest.mark.data
@pytest.mark.slow
def test_evolution_with_four_workers_keeps_the_published_result(shared: Path, tmp_path: Path) -> None:
    """500 runs of 12,000 simulated seconds each: means within 0.15 of the serial ones."""
    found = {}
    for count in (1, 4):
        command = ["experiment=regularized_evolution/nas_bench_201", f"paths.data={shared}/data"]
        command += [f"method.concurrency={count}", f"hydra.run.dir={tmp_path}/{count}"]
        run("search", *command).succeeded()
        table = json.loads((tmp_path / str(count) / "summary.json").read_text())["table"]
        found[count] = [table[f"cifar10/{split}"]["mean"] for split in ("valid", "test")]
    assert found[4] == pytest.approx(found[1], abs=0.15)
