"""nas.cli.run_dir.read_yaml: plain values, and interpolations as text."""

from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from nas.cli.run_dir.read_yaml import read_yaml, record_of
from nas.utils.errors import NasError


def test_read_yaml_reads_what_hydra_writes(tmp_path: Path) -> None:
    content = {"a": [1, 2.5, None, True, "no", "1e-3", "2020-01-01"], "b": {"c": "${a}", "d": "x: y", "e": "'é\""}}
    (tmp_path / "x.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(content)))
    assert read_yaml(tmp_path / "x.yaml") == content


def test_read_yaml_names_the_file_and_the_line(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("a: 1\nb: !!python/name:os.system x\n")
    with pytest.raises(NasError, match=r"x\.yaml is damaged: line 2 has the tag tag:yaml\.org,2002:python/name"):
        read_yaml(tmp_path / "x.yaml")
    with pytest.raises(NasError, match="missing.yaml is damaged: .*No such file"):
        read_yaml(tmp_path / "missing.yaml")


def test_record_of_keeps_trusted_interpolations_only(tmp_path: Path) -> None:
    trusted = {"a": "${oc.env:HOME}", "b": ["${c}"], "c": 1}
    record = record_of({"a": "${oc.env:HOME}", "b": ["${c}"], "c": 2, "d": "${oc.env:PATH}"}, tmp_path, trusted)
    assert record.b[0] == 2 and record.a.startswith("/") and record.d == "$ {oc.env:PATH}"
    assert record_of({"a": "${oc.env:HOME}", "b": "???"}, tmp_path) == {"a": "$ {oc.env:HOME}", "b": "? ? ?"}
    with pytest.raises(NasError, match="is damaged"):
        record_of([1], tmp_path)
