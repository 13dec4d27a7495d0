"""Tests of the user's configuration directory (``-cd``): broken files, and commands that name it."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.cli.commands.report.read_run import read_run
from nas.cli.main import prepare
from nas.report import facts
from nas.utils.errors import NasError
from tests.support.error_tools import TINY, run

FILES = {
    "tab": ("name: x\n\tchannels: 4\n", "mine.yaml, line 2: found character '\\t'", "Indent with spaces"),
    "duplicate": ("name: x\nname: y\n", "mine.yaml, line 2: found duplicate key name", "Correct the file"),
    "bracket": ("ops: [none, skip_connect\n", "mine.yaml, line 2", "Correct the file"),
    "list": ("- none\n", "the configuration files do not fit together", "Each holds keys"),
    "empty": ("", "unknown key 'space.channels': space has no keys", "Check the file"),
    "latin": (b"name: \xe4\n", "is not UTF-8 text", "Save it as UTF-8"),
}


@pytest.mark.parametrize("name", FILES)
def test_broken_yaml_of_the_user_is_named_with_its_line(name: str, tmp_path: Path) -> None:
    content, *phrases = FILES[name]
    file = tmp_path / "conf" / "space" / "mine.yaml"
    file.parent.mkdir(parents=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(NasError) as error:
        prepare("search", ["-cd", str(tmp_path / "conf"), "space=mine", "space.channels=4"])
    assert all(str(phrase) in str(error.value) for phrase in phrases), error.value
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", ["- none\n", "", "channels: 4\n", "text\n", "_target_: [a]\n"])
def test_file_of_the_user_without_a_target_is_refused(content: str, tmp_path: Path) -> None:
    file = tmp_path / "conf" / "space" / "mine.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(content)
    with pytest.raises(NasError, match=r"space: the file of this choice has no _target_"):
        prepare("search", ["method=darts", "-cd", str(tmp_path / "conf"), "space=mine", f"hydra.run.dir={tmp_path}/r"])


def test_next_command_has_the_config_dir(tmp_path: Path) -> None:
    folder = tmp_path / "my conf" / "space"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text("defaults: [nas_bench_201, _self_]\nchannels: 4\ncells_per_stage: 1\n")
    base = ("method=gdas", "space=mine", *TINY, "epochs=1", f"hydra.run.dir={tmp_path}/run")
    found = run("search", "-cd", tmp_path / "my conf", *base, "trainer.profiler=simple")
    found.succeeded()
    given = f"-cd '{tmp_path}/my conf'"
    assert f"train.py {given} genotype={tmp_path}/run" in found.said
    small = ("network.channels=4", "network.cells_per_stage=1", "epochs=1", f"hydra.run.dir={tmp_path}/t")
    run("train", "-cd", tmp_path / "my conf", f"genotype={tmp_path}/run", *small).succeeded()
    commands = [command.text for command in facts.commands(read_run(tmp_path / "run", "r"))]
    assert f"python train.py {given} genotype=r hydra.run.dir=r-train" in commands
    (tmp_path / "run" / "summary.json").unlink()
    commands = [command.text for command in facts.commands(read_run(tmp_path / "run", "r"))]
    assert f"python search.py {given} ckpt_path=r" in commands
    evaluation = ("-cd", tmp_path / "my conf", "mode=eval", f"weights={tmp_path}/run", f"hydra.run.dir={tmp_path}/e")
    run("train", *evaluation).refused(f"python train.py {given} genotype={tmp_path}/run")
    assert f"profile        {tmp_path}/run/fit-profile.txt" in found.said
    assert "optimizer" in (tmp_path / "run" / "fit-profile.txt").read_text()


@pytest.mark.parametrize(
    ("group", "target"), [("space", "nas.spaces.nas_bench_201.space.NasBench201"), ("method", "x")]
)
def test_file_of_the_user_without_a_name_is_refused(group: str, target: str, tmp_path: Path) -> None:
    file = tmp_path / "conf" / group / "mine.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(f"_target_: {target}\n")
    with pytest.raises(NasError, match=f"{group}=mine: its file lacks the key name. Add the line 'name: mine'."):
        prepare("search", ["-cd", str(tmp_path / "conf"), f"{group}=mine"])


def test_unknown_option_of_a_network_names_the_form_for_custom_spaces() -> None:
    with pytest.raises(NasError, match=r"custom space needs \+: \+network.stages=2\.$"):
        prepare("train", ["genotype=DARTS_V2", "network.stages=2"])
