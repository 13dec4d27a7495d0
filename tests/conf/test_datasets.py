"""conf/dataset: each file lists every option of its class with the default of the class."""

from __future__ import annotations

import inspect

import pytest
from hydra.utils import get_class, instantiate
from omegaconf import OmegaConf

from nas.data.base import ImageOptions
from tests.support.compose_tools import CONF


@pytest.mark.parametrize("name", ["digits", "cifar10", "cifar100", "imagenet16_120", "svhn", "synthetic"])
def test_dataset_file_lists_every_option_with_its_default(name: str) -> None:
    found = OmegaConf.load(CONF / "dataset" / f"{name}.yaml")
    found = found if "dataset" in found else OmegaConf.create({"dataset": found})
    conf = OmegaConf.merge({"paths": {"data": "there", "output": "run"}, "seed": 0}, found)
    assert conf.dataset.pop("global_batch_size") is None  # an option of the command line, not of the class
    made = get_class(conf.dataset._target_)
    explicit = set(inspect.signature(made.__init__).parameters) - {"self", "options"}
    assert set(conf.dataset) - {"_target_"} == explicit | set(ImageOptions.__annotations__)
    configured = instantiate(conf.dataset)
    default = made("there") if "root" in explicit else made()
    assert configured.name == name
    explicit -= {"split_record"}  # a file of the run, which no class has by itself
    assert {key: getattr(configured, key) for key in explicit} == {key: getattr(default, key) for key in explicit}
