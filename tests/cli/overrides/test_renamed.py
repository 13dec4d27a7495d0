"""Names of earlier versions: each has a row, the new name exists, and a user reads one line."""

from __future__ import annotations

from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from nas.cli.overrides.parse import parse
from nas.cli.overrides.renamed import RENAMED, _entries, lookup, refuse_renamed, renamed, translate
from nas.cli.overrides.renamed_experiments import EXPERIMENTS
from nas.utils.errors import NasError
from tests.support.compose_tools import CONF, choices
from tests.support.error_tools import SEARCH, run


@cache
def composed_names() -> frozenset[str]:
    """All dotted keys of all choices of the groups, and key=value for each value that is text and for each choice.

    Experiments choose from the other groups, so that only the keys of their files are added.
    """
    jobs: list[tuple[str, list[str]]] = [("search", ["mode=rank_proxies"]), ("train", [])]
    for group in ("method", "callbacks", "dataset", "space", "logger"):
        jobs += [("search", [f"{group}={name}"]) for name in choices(group)]
    jobs += [("search", ["method=random_search", f"evaluator={name}"]) for name in choices("evaluator")]
    configs: list[Any] = []
    with initialize_config_dir(str(CONF), version_base="1.3"):
        for job, overrides in jobs:
            configs.append(compose(job, overrides))
    configs += [OmegaConf.load(file) for file in (CONF / "experiment").rglob("*.yaml")]
    found: set[str] = set()
    for key, value in chain.from_iterable(map(_entries, configs)):
        found |= {key} if value is None else {key, f"{key}={value}"}
    groups = [path for path in CONF.iterdir() if path.is_dir()]
    return frozenset(found | {f"{group.name}={name}" for group in groups for name in choices(group.name)})


def exists(name: str) -> bool:
    """Return whether some composed configuration has a key (``*`` for one part of it) or a key=value."""
    if "*" not in name:
        return name in composed_names()
    head, tail = name.split("*")
    middles = (known[len(head) : len(known) - len(tail)] for known in composed_names() if _fits(known, head, tail))
    return any("." not in middle for middle in middles)


def _fits(name: str, head: str, tail: str) -> bool:
    return name.startswith(head) and name.endswith(tail) and len(name) > len(head) + len(tail)


@pytest.mark.parametrize("old", RENAMED)
def test_renamed_rows_lead_from_absent_to_existing_names(old: str) -> None:
    assert not exists(old)
    for new in RENAMED[old].split(" or "):
        assert exists(new.partition("=")[0]), new  # a new value need not be a default


def test_renamed_rows_are_sorted() -> None:
    assert list(RENAMED) == sorted(RENAMED) and list(EXPERIMENTS) == sorted(EXPERIMENTS)


@pytest.mark.parametrize("old", EXPERIMENTS)
def test_renamed_experiments_are_replaced_by_existing_choices(old: str) -> None:
    assert not (CONF / "experiment" / f"{old}.yaml").exists()
    for part in parse(EXPERIMENTS[old].split()):
        assert (CONF / part.key_or_group / f"{part.value()}.yaml").is_file()


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("method.edge.portion", "4", ("method.edge.portion", ["method.edge.channel_divisor"])),
        (
            "method.weight_optimizer.lr",
            None,
            ("method.weight_optimizer.lr", ["method.weight_step.optimizer.lr"]),
        ),
        ("method.schedules.1.tune", "8", ("method.schedules.1.tune", ["method.callbacks.1.projection_epochs"])),
        ("method.schedules.1.every", "8", ("method.schedules.1.every", ["method.callbacks.1.every"])),
        ("method", "scan", ("method=scan", ["mode=rank_proxies"])),
        ("method", "darts", None),
        ("experiment", "darts_darts_cifar10", ("experiment=darts_darts_cifar10", [EXPERIMENTS["darts_darts_cifar10"]])),
        ("method.edge", None, None),
    ],
)
def test_lookup_finds_the_longest_row(key: str, value: str | None, expected: tuple[str, list[str]] | None) -> None:
    assert lookup(key, value) == expected


def test_renamed_names_the_alternatives_that_exist() -> None:
    both = "method.relaxation.strength was renamed to method.relaxation.reg_scale or method.relaxation.zero_one_weight"
    assert str(renamed("method.relaxation.strength")) == both
    cfg = OmegaConf.create({"method": {"relaxation": {"reg_scale": 1.0}}})
    assert str(renamed("method.relaxation.strength", None, cfg)) == both.partition(" or ")[0]


def test_translate_gives_the_override_of_this_version() -> None:
    assert translate("+method.schedules.0.keep=[4]") == ["+method.callbacks.0.keep=[4]"]
    assert translate("~callbacks.finite") == ["~callbacks.stop_on_nan"]
    assert translate("method.clip_scope=all_stale") == ["method.weight_step.clip_params=all_accumulated"]
    assert translate("space.channels=4") == ["space.channels=4"]
    assert translate("experiment=darts_darts_cifar10") == ["method=darts", "space=darts", "dataset=cifar10"]


def test_refuse_renamed_reads_nested_keys_and_values() -> None:
    with pytest.raises(NasError, match="method.edge.portion was renamed to method.edge.channel_divisor$"):
        refuse_renamed(OmegaConf.create({"method": {"edge": {"portion": 2, "channel_divisor": 4}}}))
    with pytest.raises(NasError, match="method.schedules was renamed to method.callbacks$"):
        refuse_renamed(OmegaConf.create({"method": {"_target_": "nas.x.Search", "schedules": []}}))
    with pytest.raises(NasError, match="dataset.split=xvalid was renamed to dataset.split=nas_bench_201$"):
        refuse_renamed(OmegaConf.create({"dataset": {"split": "xvalid"}}))


def test_refuse_renamed_leaves_options_of_foreign_classes_alone() -> None:
    refuse_renamed(OmegaConf.create({"method": {"_target_": "mine.Search", "schedules": [], "order": "a"}}))
    with pytest.raises(NasError, match="method.edge.portion was renamed"):
        refuse_renamed(OmegaConf.create({"method": {"_target_": "mine.Search", "edge": {"portion": 2}}}))


def test_search_refuses_an_old_name_before_it_writes(tmp_path: Path) -> None:
    place = f"hydra.run.dir={tmp_path}/run"
    run("search", *SEARCH, place, "method=scan_").refused("unknown method 'scan_'")
    run("search", *SEARCH, place, "export.normalise=true").refused("export.normalise was renamed to export.normalize")
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    (tmp_path / "conf" / "experiment" / "mine.yaml").write_text(
        "# @package _global_\nexport: {normalise: true, normalize: false}\n"
    )
    done = run("train", "genotype=x", place, f"--config-dir={tmp_path}/conf", "experiment=mine")
    done.refused("export.normalise was renamed to export.normalize")
    assert not (tmp_path / "run").exists()
