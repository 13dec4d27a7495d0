"""Overrides as text: quoting and merging."""

from __future__ import annotations

import shlex
from pathlib import Path

from nas.cli.main import prepare
from nas.cli.overrides.parse import in_directory, merge_overrides, parse, quote, quote_for_shell, quote_texts, value_of
from tests.support.error_tools import NB201

DARTS = "Genotype(normal=[('sep_conv_3x3', 1), ('none', 0)], normal_concat=range(2, 6), reduce=[])"


def test_quote_texts_quotes_genotypes_and_paths() -> None:
    assert quote_texts(f"genotype={NB201}") == f"genotype='{NB201}'"
    assert quote_texts(f"genotype={DARTS}") == f'genotype="{DARTS}"'
    assert quote_texts(f"genotype={NB201},{NB201}") == f"genotype='{NB201}','{NB201}'"
    assert quote_texts("ckpt_path=sweep/lr=0.1/run (1)") == "ckpt_path='sweep/lr=0.1/run (1)'"
    for argument in (f"genotype='{NB201}'", "genotype=outputs/a,outputs/b", "seed=1,2", "method=gdas", "--help"):
        assert quote_texts(argument) == argument
    assert quote_texts("ckpt_path=~/run") == f"ckpt_path={Path.home()}/run"
    assert prepare("train", [f"genotype={NB201}"]).arguments == [f"genotype='{NB201}'"]
    assert [quote(text) for text in ("a", "a'b", "a'\"b")] == ["'a'", '"a\'b"', "'a\\'\"b'"]


def test_overrides_in_shell_quotes_are_read_back_by_the_shell() -> None:
    for value in ("a b", "${oc.env:X}", "it's ${x}", '${oc.env:X,"3"}', '"'):
        [word] = shlex.split(quote_for_shell("name", value))
        assert word in (f"name={quote(value)}", f'name="{value}"')
        assert "$" not in value or quote_for_shell("name", value).startswith("'")


def test_merge_overrides_prefers_the_command_line() -> None:
    saved = ["method=gdas", "epochs=2", "+callbacks.x={a:1}"]
    assert merge_overrides(saved, ["epochs=3"]) == ["method=gdas", "+callbacks.x={a:1}", "epochs=3"]
    assert merge_overrides(saved, ["~callbacks.x"]) == ["method=gdas", "epochs=2"]


def test_the_last_of_two_overrides_wins() -> None:
    arguments = ["seed=1", "+seed=2", "~other", "genotype='a=b'"]
    assert value_of(arguments, "seed") == "2" and value_of(arguments, "genotype") == "a=b"
    assert value_of(arguments, "epochs") is None


def test_merge_overrides_removes_an_added_part() -> None:
    saved = ["+callbacks.x._target_=a.B", "+callbacks.x.c=1", "+callbacks.xy=1", "+callbacks.checkpoint.more=1"]
    assert merge_overrides(saved, ["~callbacks.x"]) == saved[2:]
    assert merge_overrides(saved, ["~callbacks.checkpoint"]) == [*saved[:3], "~callbacks.checkpoint"]


def test_quote_is_read_back() -> None:
    for text in ("x\\", "a\\'b", "\\\\", "\\'\"", "a\\b", "'", "\\\"'", "{a:b}, c=${d}"):
        assert parse([f"key={quote(text)}"])[0].value() == text


def test_command_line_of_a_sweep_in_another_directory() -> None:
    typed = ["-m", "seed=0,1", "+hydra.sweep.dir=old"]
    assert in_directory(typed, Path("/runs/darts,gdas")) == ["-m", "seed=0,1", "hydra.sweep.dir='/runs/darts,gdas'"]
    assert in_directory(typed[:2], Path("/runs/a-b")) == ["-m", "seed=0,1", "hydra.sweep.dir=/runs/a-b"]
