"""nas.cli.run_dir.course: options in the record of an earlier version."""

from __future__ import annotations

import json

import pytest
from omegaconf import OmegaConf

from nas.callbacks.recording.run_state import KEY
from nas.cli.run_dir.course import check_course, encode_course
from nas.utils.errors import NasError


def test_memory_format_of_an_earlier_version_does_not_change_the_course() -> None:
    cfg = OmegaConf.create({"trainer": {"max_epochs": 2}, "training": {"clip_norm": 5.0}})
    saved = json.loads(encode_course(cfg))
    saved["options"]["training.channels_last"] = True
    check_course(cfg, {KEY: {"options": json.dumps(saved)}})
    saved["options"]["training.other"] = 1
    with pytest.raises(NasError, match="training.other=no such option: the run of ckpt_path has 1"):
        check_course(cfg, {KEY: {"options": json.dumps(saved)}})


def test_cost_target_that_is_not_set_does_not_change_the_course_of_an_earlier_version() -> None:
    cfg = OmegaConf.create({"trainer": {"max_epochs": 2}, "method": {"arch_step": {"every": 1}}})
    checkpoint = {KEY: {"options": encode_course(cfg)}}
    for target in (None, {"target": None, "form": "multiply"}):
        cfg.method.arch_step.cost_target = target
        check_course(cfg, checkpoint)
    cfg.method.arch_step.cost_target.target = 80
    with pytest.raises(NasError, match="cost_target.target=80: the run of ckpt_path has no such option"):
        check_course(cfg, checkpoint)


def test_costs_of_an_earlier_pareto_search_do_not_change_the_course() -> None:
    method = {"costs": {"_target_": "CostSources", "network": None, "latency_table": "a.json"}, "objectives": ["value"]}
    cfg = OmegaConf.create({"trainer": {"max_epochs": 2}, "method": method})
    saved = json.loads(encode_course(cfg))
    for name, earlier in (("network", "network_options"), ("latency_table", "latency_table")):
        saved["options"][f"method.{earlier}"] = saved["options"].pop(f"method.costs.{name}")
    checkpoint = {KEY: {"options": json.dumps(saved)}}
    check_course(cfg, checkpoint)
    cfg.method.costs.latency_table = "b.json"
    with pytest.raises(NasError, match="costs.latency_table=b.json: the run of ckpt_path has a.json"):
        check_course(cfg, checkpoint)
