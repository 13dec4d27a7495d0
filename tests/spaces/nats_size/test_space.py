"""Tests of NATS-Bench's size space."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from nas.architecture.cell import op_counts
from nas.spaces.genotype_file import load_genotype
from nas.spaces.nats_size.cost import nats_size_cost
from nas.spaces.nats_size.notation import parse
from nas.spaces.nats_size.space import NatsSize
from nas.spaces.notation import native_string
from nas.utils.errors import NasError
from tests.support.compose_tools import DATA
from tests.support.error_tools import TINY, run

SMALL = (2, 3, 5, 8)


def test_check_and_sample_use_the_candidate_widths() -> None:
    space = NatsSize((3, 8, 8), 4, SMALL)
    space.check(parse("2:8:3:5:5"))
    with pytest.raises(NasError, match="op '4' is not a choice on edge 2->3"):
        space.check(parse("2:8:4:5:5"))
    assert {op_counts(space.sample(random.Random(n))).keys() <= {"2", "3", "5", "8"} for n in range(50)} == {True}
    for wrong in ([], [8, 4], [4, 4], [0, 4], [2.5]):
        with pytest.raises(NasError, match="widths="):
            NatsSize((3, 8, 8), 4, wrong)  # type: ignore[arg-type]


def test_search_then_train(tmp_path: Path) -> None:
    found, trained, other = tmp_path / "found", tmp_path / "trained", tmp_path / "other"
    options = ["space=nats_size", "space.widths=[2,3,5,8]", "method=darts", "epochs=1", *DATA]
    searched = run("search", *options, f"hydra.run.dir={found}")
    searched.succeeded()
    value = json.loads((found / "genotype.json").read_text())
    genotype = load_genotype(found)
    assert value["native"] == native_string(genotype) and value["native"] in searched.said
    assert {link[0] for link in value["cells"]["cell"]["links"]} <= {"2", "3", "5", "8"}
    assert (found / "cell.png").stat().st_size > 5000
    run("train", f"genotype={found}", "epochs=1", f"hydra.run.dir={trained}").succeeded()
    summary = json.loads((trained / "summary.json").read_text())
    assert (summary["genotype"], summary["space"]) == (value["native"], "nats_size")
    assert (summary["parameters"], summary["macs"]) == nats_size_cost(genotype, (3, 8, 8), 10)
    run("train", "genotype=8:16:24:32:40", *TINY, "epochs=1", f"hydra.run.dir={other}").succeeded()
    assert load_genotype(other) == parse("8:16:24:32:40")


def test_command_line_refuses_unsupported_options(tmp_path: Path) -> None:
    to, size = f"hydra.run.dir={tmp_path / 'new'}", "space=nats_size"
    run("search", size, "method=pc_darts", *TINY, to).refused("PartialChannels", "no edges of another kind")
    run("search", size, "method=gdas", "method.edge.add_inactive=true", *TINY, to).refused("add_inactive")
    run("search", size, "method=gdas", "space.mix=blend", *TINY, to).refused("space.mix", "interpolate, mask")
    run("search", size, "method=mask_gumbel", "space.mix=interpolate", *TINY, to).refused("space.mix=mask")
    run("search", size, "method=gdas", "space.widths=[8,4]", *TINY, to).refused("smallest first")
    run("train", "genotype=8:16:24", *TINY, to).refused("five layers")
    run("train", "genotype=8:16:24:32:40", "network.channels=4", *TINY, to).refused("network.channels")
