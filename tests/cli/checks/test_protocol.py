"""Protocols and genotypes of other spaces."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.error_tools import NB201, TRAIN, run, snapshot


@pytest.mark.parametrize(
    ("genotype", "protocol", "own", "other", "fix"),
    [
        (NB201, "darts_cifar10", "darts", "nas_bench_201", "such as nas_bench_201_12_cifar10."),
        (NB201, "darts_ptb", "recurrent", "nas_bench_201", "such as nas_bench_201_12_cifar10."),
        ("DARTS_V2", "nas_bench_201_200_cifar10", "nas_bench_201", "darts", "such as darts_cifar10."),
        ("DARTS_V2", "spos_imagenet", "mobile or shufflenet", "darts", "such as darts_imagenet."),
        ("RNN_DARTS_V2", "gdas_cifar100", "darts", "recurrent", "such as darts_ptb."),
        ("64:64:64:64:64", "darts_cifar10", "darts", "nats_size", "Leave protocol out."),
    ],
)
def test_protocol_of_another_space_is_refused(
    genotype: str, protocol: str, own: str, other: str, fix: str, tmp_path: Path
) -> None:
    """Before the data set of the protocol is read."""
    given = (f"genotype='{genotype}'", f"protocol={protocol}", f"paths.data={tmp_path}/none")
    found = run("train", *given, f"hydra.run.dir={tmp_path}/run")
    found.refused(f"protocol={protocol}: it is a protocol of space={own}, and genotype={genotype[:9]}")
    assert f" is of space={other}. " in found.erred and found.erred.rstrip().endswith(fix)
    assert not snapshot(tmp_path)


def test_options_of_the_command_line_are_not_those_of_the_protocol(tmp_path: Path) -> None:
    given = (f"genotype={NB201}", "protocol=nas_bench_201_12_cifar10", f"paths.data={tmp_path}/none")
    found = run("train", *given, "network.layers=3", f"hydra.run.dir={tmp_path}/a")
    found.refused("network.layers: the networks of space=nas_bench_201 do not have it")
    options = (*TRAIN, "network.layers=null", "network.auxiliary=null", "protocol=darts_cifar10", "dataset.cutout=0")
    run("train", f"genotype={NB201}", *options, f"hydra.run.dir={tmp_path}/b").succeeded()
