"""nas.utils.torch_file: files of both formats of torch.save pass, and declared sizes are compared."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch

from nas.utils.torch_file import check_tensors, check_torch_file, describe_damage

WEIGHT = torch.arange(12.0).view(3, 4)
CONTENT: dict[str, Any] = {
    "tied": WEIGHT, "view": WEIGHT.t(), "tied again": WEIGHT, "half": torch.ones(5, dtype=torch.bfloat16),
    "parameter": torch.nn.Parameter(torch.ones(3)), "long": torch.arange(5), "empty": torch.empty(0),
    "bool": torch.ones(3, dtype=torch.bool), "complex": torch.ones(2, dtype=torch.complex64),
    "plain": [1, 2.5, None, (True, "x")], "state": OrderedDict(a={0: torch.ones(())}), "set": {1, 2},
}  # fmt: skip


@pytest.mark.parametrize("archive", [True, False])
def test_check_torch_file_accepts_both_formats(archive: bool, tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    torch.save(CONTENT, path, _use_new_zipfile_serialization=archive)
    check_torch_file(path)
    found = torch.load(path, weights_only=True)
    check_tensors(found)
    assert torch.equal(found["view"], WEIGHT.t()) and found["set"] == {1, 2}


def test_describe_damage_names_what_the_first_bytes_show(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    torch.save(CONTENT, path)
    whole = path.read_bytes()
    assert describe_damage(path) is None
    for content, problem in ((b"", "is empty"), (whole[:-1], "truncated"), (bytes(99), "not a file of torch.save")):
        path.write_bytes(content)
        assert problem in str(describe_damage(path))


def test_check_tensors_counts_shared_storages_once() -> None:
    one = torch.ones(1 << 21)
    check_tensors({"a": [one] * 3, "b": (one.view(2, -1), {"c": one})})
    with pytest.raises(ValueError, match="bytes in storages of"):
        check_tensors([one[k:] for k in range(10)])
    with pytest.raises(ValueError, match=r"a tensor of \(9,\) in a storage of 4 bytes"):
        check_tensors({"deep": [{"er": torch.ones(1).expand(9)}]})


def test_check_tensors_ends_on_containers_that_contain_themselves() -> None:
    loop: list[Any] = [torch.ones(1)]
    loop.append(loop)
    check_tensors(loop)
