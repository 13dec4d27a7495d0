"""Checkpoint files: atomic writing, and callback states of version 0.1.0."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nas.callbacks.enas_controller_training import ControllerTraining
from nas.callbacks.selection.early_stopping import HessianEigenvalue
from nas.cli.run_dir.checkpoints import AtomicCheckpointIO, read_checkpoint
from nas.utils.errors import NasError


def test_save_checkpoint_leaves_no_other_file(tmp_path: Path) -> None:
    AtomicCheckpointIO().save_checkpoint({"epoch": 3}, tmp_path / "last.ckpt")
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]
    assert AtomicCheckpointIO().load_checkpoint(tmp_path / "last.ckpt")["epoch"] == 3


@pytest.mark.parametrize(
    ("old", "callback"),
    [("Reinforce", ControllerTraining()), ("Curvature", HessianEigenvalue())],
    ids=lambda x: str(x)[:9],
)
def test_load_checkpoint_finds_states_under_earlier_names(
    old: str, callback: ControllerTraining | HessianEigenvalue, tmp_path: Path
) -> None:
    AtomicCheckpointIO().save_checkpoint({"callbacks": {old: {"baseline": 0.5}, "Other": {}}}, tmp_path / "last.ckpt")
    states = AtomicCheckpointIO().load_checkpoint(tmp_path / "last.ckpt")["callbacks"]
    assert states == {callback.state_key: {"baseline": 0.5}, "Other": {}}


def test_read_checkpoint_detects_a_changed_byte(tmp_path: Path) -> None:
    """torch.load itself does not verify the checksums."""
    path = tmp_path / "last.ckpt"
    state = {"weight": torch.full((1000,), 1.5)}
    AtomicCheckpointIO().save_checkpoint({"epoch": 3, "state_dict": state, "pytorch-lightning_version": "2"}, path)
    assert torch.equal(read_checkpoint(path)["state_dict"]["weight"], state["weight"])
    content = bytearray(path.read_bytes())
    place = content.index(state["weight"].numpy().tobytes()) + 1000
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(NasError, match="is damaged or not a checkpoint .the checksum of"):
        read_checkpoint(path)


def test_load_checkpoint_drops_paths_out_of_the_directory_of_checkpoints(tmp_path: Path) -> None:
    """Lightning deletes a checkpoint that a better one replaces, by the path in the state of its callback."""
    home = tmp_path / "checkpoints"
    inside, outside = f"{home}/epoch=1.ckpt", f"{home}/../../valuable"
    state = {"dirpath": str(home), "best_model_path": inside, "last_model_path": outside, "monitor": None}
    state |= {"kth_best_model_path": "s3://bucket/x", "best_k_models": {inside: 1.0, outside: 2.0, "/etc/x": 3.0}}
    AtomicCheckpointIO().save_checkpoint({"callbacks": {"ModelCheckpoint": state}}, tmp_path / "last.ckpt")
    found = AtomicCheckpointIO().load_checkpoint(tmp_path / "last.ckpt")["callbacks"]["ModelCheckpoint"]
    assert found == {
        "dirpath": str(home), "best_model_path": inside, "last_model_path": "", "monitor": None,
        "kth_best_model_path": "", "best_k_models": {inside: 1.0},
    }  # fmt: skip
