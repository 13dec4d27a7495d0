"""Published architectures: genotypes, names, and reproduction of the published figures."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from nas.cli.build import build_space
from nas.nn.macs import count_operations, count_parameters
from nas.spaces.base import Network, Space
from nas.spaces.darts.notation import from_pairs, from_triples
from nas.spaces.genotype_file import load_genotype
from nas.spaces.nas_bench_201.cost import nas_bench_201_cost
from nas.spaces.notation import native_string, parse_genotype
from nas.utils.errors import NasError
from nas.zoo.architectures import (
    PublishedArchitecture,
    find_architecture,
    get_architecture,
    published_architectures,
    similar_names,
)
from tests.support.compose_tools import composed
from tests.support.zoo_tools import DATASETS, build_network, build_space_of, equals_reported

ALL = published_architectures()
MANY_RUNS = ("darts_pt", "blank_pt")  # too many to build each time
COUNTED = [
    pytest.param(entry, data, id=f"{entry.name}-{data}", marks=[pytest.mark.slow] * entry.name.startswith(MANY_RUNS))
    for entry in ALL
    for data, figures in entry.reported.items()
    if entry.space != "nas_bench_201" and {"params_M", "macs_M"} & set(figures)
]


def test_published_architectures_have_unique_names_and_sources() -> None:
    names = [entry.name for entry in ALL]
    assert len(set(names)) == len(names) > 300
    for entry in ALL:
        assert entry.source and entry.paper, entry.name
        figures = {f"{data}.{key}" for data, reported in entry.reported.items() for key in reported}
        assert set(entry.not_reproduced) <= figures, entry.name
        assert not entry.reported or entry.reported_in, entry.name


def test_published_architectures_round_trip_through_native_strings() -> None:
    for entry in ALL:
        genotype = parse_genotype(entry.genotype)
        assert native_string(genotype) == entry.genotype or "FairDARTS" in entry.source, entry.name
        assert parse_genotype(native_string(genotype)) == genotype, entry.name
        assert genotype.space == entry.notation, entry.name


@pytest.mark.parametrize(
    "repeated", [pytest.param(False, id="single"), pytest.param(True, id="repeated", marks=pytest.mark.slow)]
)
def test_published_architectures_build(repeated: bool) -> None:
    """Build the results of repeated runs, which are many and similar, only in the slow tests."""
    built = 0
    for entry in ALL:
        if (re.search(r"_(run)?\d$|_c100_|_svhn_|_cifar100_", entry.name) is not None) == repeated:
            genotype = parse_genotype(entry.genotype)
            size = {"channels": 8, "layers": 3} if genotype.space == "darts" else {}
            with torch.device("meta"):
                network = build_space_of(genotype, (3, 32, 32), 10).network(genotype, **{**entry.network, **size})
            assert count_parameters(network) > 1000, entry.name
            built += 1
    assert built > 60


@pytest.mark.parametrize("space", ["darts_s1", "darts_s2", "darts_s3", "darts_s4", "darts"])
def test_published_architectures_are_members_of_their_space(space: str) -> None:
    """Except those of SNAS, with ``none`` on links, and of SETN, with a further op."""
    members = [entry for entry in ALL if entry.space == space and not entry.name.startswith(("SNAS", "SETN"))]
    assert len(members) > 25
    spaces: dict[bool, Space] = {}
    for fixed in (False, True):
        with composed("search", f"space={space}", "dataset=synthetic") as cfg:
            cfg.space.fixed_reduction = fixed
            spaces[fixed] = build_space(cfg.space, _Shape())  # type: ignore[arg-type]
    for entry in members:
        genotype = parse_genotype(entry.genotype)
        spaces["reduce" not in genotype.cells].check(genotype)


class _Shape:
    """The part of a data set that a space reads."""

    shape, classes, inputs = (3, 32, 32), 10, "images"


@pytest.mark.parametrize(("entry", "data"), COUNTED)
def test_reported_figures_equal_counts(entry: PublishedArchitecture, data: str) -> None:
    """Count by the authors' rule; figures listed as not reproduced must differ."""
    network, figures = build_network(entry, data), entry.reported[data]
    if "params_M" in figures:
        counted = count_parameters(network, auxiliary=bool(figures.get("auxiliary")))
        expected = f"{data}.params_M" not in entry.not_reproduced
        assert equals_reported(counted, figures["params_M"]) == expected, f"{counted / 1e6} for {figures}"
    if "macs_M" in figures:
        counted = count_operations(network, DATASETS[data][0], figures.get("rule", "macs"))
        expected = f"{data}.macs_M" not in entry.not_reproduced
        assert equals_reported(counted, figures["macs_M"]) == expected, f"{counted / 1e6} for {figures}"


def test_reported_figures_of_nas_bench_201_equal_closed_form() -> None:
    for entry in (entry for entry in ALL if entry.space == "nas_bench_201"):
        for data, figures in entry.reported.items():
            found = nas_bench_201_cost(parse_genotype(entry.genotype), *DATASETS[data])
            assert found == (round(figures["params_M"] * 1e6), round(figures["macs_M"] * 1e6)), (entry.name, data)


def sizes(network: Network, data: str) -> tuple[float, float, float]:
    """Return parameters without and with the auxiliary head, and multiply-adds, in millions."""
    counts = (
        count_parameters(network),
        count_parameters(network, auxiliary=True),
        count_operations(network, DATASETS[data][0], "macs"),
    )
    return (round(counts[0] / 1e6, 4), round(counts[1] / 1e6, 4), round(counts[2] / 1e6, 3))


@pytest.mark.data
def test_genotypes_equal_those_of_the_authors(shared: Path) -> None:
    published = json.loads((shared / "specs" / "genotypes.json").read_text()) | recent(shared)
    others = ("FairNAS", "sgas_", "milenas_", "shapley_nas_")  # not in these files
    entries = [e for e in ALL if e.name not in ("SPOS", "SPOS_blocks") and not e.name.startswith(others)]
    for entry in entries:
        given = published[entry.name]
        found = parse_genotype(entry.genotype).cells
        if not {"normal", "reduce"} & given.keys():
            assert entry.genotype == as_text(given), entry.name
        for kind in ("normal", "reduce"):
            if given.get(kind) is not None:
                triples = given["format"] == "op_to_from"
                read = from_triples if triples else from_pairs
                assert found[kind] == read(map(tuple, given[kind]), given[f"{kind}_concat"]), entry.name
    fidelity = (Path(__file__).parents[2] / "docs" / "fidelity.md").read_text()
    assert f"Genotypes of {len(entries)} published architectures" in fidelity


def as_text(given: Mapping[str, Any]) -> str:
    """Return the string of a published architecture without normal and reduction cells."""
    if "arch" in given:
        return f"shufflenet:{'-'.join(map(str, given['arch']))}"
    if "recurrent" in given:
        return f"Genotype(recurrent={[tuple(pair) for pair in given['recurrent']]}, concat={given['concat']})"
    if "blocks" in given:
        blocks = [block for block in given["blocks"] if block["type"] == "inverted_residual"]
        names = (name for b in blocks for name in [f"k{b['kernel']}e{b['expand']}"] * b["repeat"])
        return f"mobile:{'-'.join(names)}"
    return str(given["arch_str"])


def recent(shared: Path) -> dict[str, Any]:
    """Return the published cells of the methods since 2021."""
    found: dict[str, Any] = json.loads((shared / "specs" / "genotypes_recent.json").read_text())["genotypes"]
    return found


@pytest.mark.data
def test_recent_network_sizes_equal_those_measured_with_the_darts_network(shared: Path) -> None:
    for name, given in recent(shared).items():
        (figures,) = given["computed"].values()
        found = sizes(build_network(get_architecture(name), "cifar10"), "cifar10")
        assert found[:2] == (figures["params_M_without_aux"], figures["params_M_with_aux"]), name


@pytest.mark.data
def test_network_sizes_equal_those_measured_with_authors_code(shared: Path) -> None:
    """Compare networks for CIFAR-10 and ImageNet, with the published options."""
    published = json.loads((shared / "specs" / "genotypes.json").read_text())
    compared = 0
    for entry in ALL:
        for size, figures in published.get(entry.name, {}).get("computed", {}).items():
            if not isinstance(figures, dict):
                continue
            data = "imagenet" if size.startswith("imagenet") else "cifar10"
            network = build_network(entry, data)
            keys = ("params_M_without_aux", "params_M_with_aux", "madds_M_conv_plus_linear")
            assert sizes(network, data) == tuple(figures[key] for key in keys), (entry.name, size)
            if "madds_M_thop_0_0_31_post1910280903_rules" in figures:
                thop = count_operations(network, DATASETS[data][0], "thop_2019") / 1e6
                assert round(thop, 3) == figures["madds_M_thop_0_0_31_post1910280903_rules"]
            compared += 1
    assert compared == 15
    for size, figures in published["GDAS_F1"]["measured"].items():
        data = size.split("_")[2]
        network = build_network(get_architecture("GDAS_F1"), data, channels=int(size.split("_")[3].removeprefix("C")))
        macs = count_operations(network, DATASETS[data][0], "macs_bias")
        counts = [n / 1e6 for n in (count_parameters(network, auxiliary=True), count_parameters(network), macs)]
        assert counts == [figures[key] for key in ("params_total_M", "params_no_aux_M", "flops_eval_M")], size
    mobile, given = build_network(get_architecture("NoisyDARTS_A"), "imagenet"), published["NoisyDARTS_A"]["computed"]
    without = build_network(get_architecture("NoisyDARTS_A"), "imagenet", squeeze=0)
    assert [round(count_parameters(n) / 1e6, 3) for n in (mobile, without)] == [
        given["params_M"],
        given["params_M_without_se"],
    ]
    macs_of = [round(count_operations(n, DATASETS["imagenet"][0], "macs") / 1e6, 1) for n in (mobile, without)]
    assert macs_of == [given["madds_M_224_conv_linear"], given["madds_M_without_se"]]


AUTODL = [
    ("GDAS_V1", 3.368782, 519.43),
    ("GDAS_GF", 2.999638, 482.30),
    ("GDAS_FG", 2.912158, 439.91),
    ("SETN", 4.619206, 722.39),
]


@pytest.mark.parametrize(("name", "params_m", "macs_m"), AUTODL)
def test_network_sizes_equal_those_measured_with_autodl_projects(name: str, params_m: float, macs_m: float) -> None:
    network = build_network(get_architecture(name), "cifar10")
    assert count_parameters(network) == round(params_m * 1e6)
    assert round(count_operations(network, DATASETS["cifar10"][0], "macs_bias") / 1e6, 2) == macs_m


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("DARTS_V2", "DARTS_V2"),
        ("darts_v2", "DARTS_V2"),
        ("darts-V2", "DARTS_V2"),
        ("PC-DARTS", "PC_DARTS_cifar"),
        ("p-darts", "PDARTS"),
        ("fairdarts-B", "FairDARTS_b"),
        ("gdas (frc)", "GDAS_F1"),
        ("NoisyDARTS-a", "noisy_darts_a"),
        ("NoisyDARTS-A", "NoisyDARTS_A"),
        ("noisydarts-b", "noisy_darts_b"),
        ("enas", "ENASNet"),
    ],
)
def test_get_architecture_accepts_aliases_and_spelling_variants(name: str, expected: str) -> None:
    assert get_architecture(name).name == expected
    assert load_genotype(name) == parse_genotype(get_architecture(expected).genotype)


def test_unknown_or_ambiguous_names_are_refused() -> None:
    assert find_architecture("foo") is None and similar_names("foo") == []
    with pytest.raises(NasError, match="genotype=nosy_darts_a: no published .* Did you mean noisy_darts_a"):
        get_architecture("nosy_darts_a")
    with pytest.raises(NasError, match="genotype=foo: .* python train.py --list"):
        get_architecture("foo")
    with pytest.raises(NasError, match="genotype=noisydarts-A: ambiguous name. Use one of noisy_darts_a, NoisyDARTS_A"):
        find_architecture("noisydarts-A")


def test_published_prefers_file_over_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nas.spaces.genotype_file import find_published, save_genotype

    monkeypatch.chdir(tmp_path)
    (tmp_path / "pdarts").mkdir()
    assert find_published("pdarts") is get_architecture("PDARTS"), "a directory without genotype.json does not count"
    other = load_genotype("DARTS_V1")
    save_genotype(other, tmp_path / "pdarts" / "genotype.json")
    assert find_published("pdarts") is None and load_genotype("pdarts") == other
    assert find_published(get_architecture("PDARTS").genotype) is None


def test_network_options_depend_on_image_size() -> None:
    drnas, gdas, mobile = map(get_architecture, ("DrNAS_imagenet", "GDAS_F1", "NoisyDARTS_A"))
    assert drnas.network_options((32, 32)) == {"pool_norm": "plain"}
    assert drnas.network_options((224, 224)) == {"pool_norm": "plain", "channels": 48, "layers": 14, "stem": "imagenet"}
    assert gdas.network_options((224, 224))["channels"] == 52
    assert gdas.network_options((127, 224)).get("channels") != 52, "its options for ImageNet"
    assert mobile.network_options((224, 224)) == {}
