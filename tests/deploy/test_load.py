"""nas.load: run directories, files of several versions, weights with a genotype, and use without Hydra."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import nas
from nas.architecture.cell import Genotype
from nas.cli.build import build_space
from nas.data.synthetic import Synthetic
from nas.deploy.load import TrainedNetwork
from nas.deploy.model import Model, save_model
from nas.spaces.genotype_file import save_genotype
from nas.spaces.notation import parse_genotype
from nas.spaces.registry import space_of
from nas.utils.errors import NasError
from nas.zoo.architectures import published_architectures
from tests.support.compose_tools import DATA, ROOT, composed
from tests.support.deploy_tools import DARTS, NB201, SIZES, random_model, save_random_model

X = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def test_load_reads_a_run_directory_or_its_model(tmp_path: Path) -> None:
    model = random_model()
    save_random_model(tmp_path / "run" / "model.pt")
    for source in (tmp_path / "run", str(tmp_path / "run" / "model.pt")):
        network = nas.load(source)
        assert isinstance(network, TrainedNetwork) and not network.training
        assert not any(module.training for module in network.modules())
        assert (network.genotype, network.shape, network.classes) == (model.genotype, (3, 8, 8), 10)
        assert (network.mean, network.std, network.dataset) == ((0.4,) * 3, (0.2,) * 3, "synthetic")
        assert network.class_names == tuple(f"kind {k}" for k in range(10)) and network.options == SIZES[NB201]
        torch.testing.assert_close(network(X), model.network()(X), rtol=0, atol=0)


def test_load_normalizes_pixels(tmp_path: Path) -> None:
    pixels = torch.rand(3, 3, 8, 8)
    file = save_random_model(tmp_path / "model.pt")
    plain, whole = nas.load(file), nas.load(file, normalize=True)
    data = Synthetic(shape=(3, 8, 8), mean=0.4, std=0.2)
    torch.testing.assert_close(whole(pixels), plain(data.train_transform._normalize(pixels)), rtol=0, atol=0)
    assert not torch.allclose(whole(pixels), plain(pixels)) and whole.state_dict().keys() == plain.state_dict().keys()
    assert whole.double()(pixels.double()).dtype == torch.float64


def test_load_keeps_the_auxiliary_head(tmp_path: Path) -> None:
    file = save_random_model(tmp_path / "model.pt", text=DARTS)
    network = nas.load(file)
    assert any("auxiliary" in name for name, _ in network.named_parameters())
    lean = random_model(DARTS).network(auxiliary=False)
    assert not any("auxiliary" in name for name, _ in lean.named_parameters())
    torch.testing.assert_close(network(X), lean(X), rtol=0, atol=0)


def test_load_reads_version_1(tmp_path: Path) -> None:
    """Read a file without normalization, class names and data set."""
    value = torch.load(save_random_model(tmp_path / "new.pt"), weights_only=True)
    for key in ("mean", "std", "class_names", "dataset"):
        del value[key]
    torch.save({**value, "version": 1}, tmp_path / "model.pt")
    network = nas.load(tmp_path)
    torch.testing.assert_close(network(X), random_model().network()(X), rtol=0, atol=0)
    assert network.mean is None and network.std is None and network.class_names == () and network.dataset is None
    with pytest.raises(NasError, match="has no mean and std"):
        nas.load(tmp_path, normalize=True)


def test_load_reads_a_model_of_release_0_1_0() -> None:
    """Compare the logits with those of that release."""
    network = nas.load(Path(__file__).parent / "files" / "model_0_1_0.pt", normalize=True)
    with torch.no_grad():
        logits = network(torch.linspace(0, 1, 2 * 3 * 8 * 8).view(2, 3, 8, 8))
    expected = [
        [-5.89684, 3.92529, -0.24534, -4.17368, 1.66924, -1.25522, -0.04883, 9.63326, -0.13451, 7.18082],
        [-14.09653, 4.44922, 3.50696, -5.25934, 10.6935, 3.1886, 7.35415, 11.89587, -6.92044, 8.93182],
    ]
    torch.testing.assert_close(logits, torch.tensor(expected), rtol=0, atol=1e-4)
    assert (network.dataset, network.class_names[0]) == ("synthetic", "kind 0")


def test_load_reads_weights_with_a_genotype(tmp_path: Path) -> None:
    torch.save({"state_dict": random_model().state}, tmp_path / "weights.pth")
    save_genotype(random_model().genotype, tmp_path / "genotype.json")
    for genotype in (NB201, random_model().genotype, tmp_path / "genotype.json", tmp_path):
        network = nas.load(tmp_path / "weights.pth", genotype=genotype, shape=(3, 8, 8))
        torch.testing.assert_close(network(X), random_model().network()(X), rtol=0, atol=0)
        assert network.options == SIZES[NB201], "inferred from the weights"
    with pytest.raises(NasError, match="unknown option of the network 'chanels': did you mean 'channels'"):
        nas.load(tmp_path / "weights.pth", genotype=NB201, chanels=4)
    with pytest.raises(NasError, match="genotype: not given"):
        nas.load(tmp_path / "weights.pth")


def test_load_rejects_sources_without_weights(tmp_path: Path) -> None:
    save_genotype(random_model().genotype, tmp_path / "genotype.json")
    for source, message in (
        (NB201, "a genotype without weights. Set weights .*, and genotype to"),
        (tmp_path, "is the run of a search. Train the network: python train.py genotype="),
        (tmp_path / "genotype.json", "genotype.json: contains no weights"),
    ):
        with pytest.raises(NasError, match=f"weights=.*{message}"):
            nas.load(source)
    with pytest.raises(NasError, match="nowhere.pt: no such file"):
        nas.load(tmp_path / "nowhere.pt")


@pytest.mark.parametrize("text", [NB201, DARTS])
def test_space_of_matches_the_configuration(text: str) -> None:
    genotype = parse_genotype(text)
    data = Synthetic(shape=(3, 8, 8))
    with composed("search", f"space={genotype.space}", *DATA) as cfg:
        expected = build_space(cfg.space, data)
    found = space_of(genotype, data.shape, data.classes)
    networks = [str(space.network(genotype, **SIZES[text])) for space in (found, expected)]
    assert networks[0] == networks[1] and type(found) is type(expected) and found.name == expected.name


@pytest.mark.parametrize("name", ["AmoebaNet", "NoisyDARTS_A", "SPOS", "GDAS_F1", "SNAS_mild", "DARTS_V2"])
def test_load_reads_models_of_published_architectures(name: str, tmp_path: Path) -> None:
    """Cover more nodes per cell, fixed reductions, missing links and single-path networks."""
    entry = next((entry for entry in published_architectures() if entry.name == name or name in entry.aliases), None)
    if entry is None:
        pytest.skip(f"the table has no {name}")
    genotype = parse_genotype(entry.genotype)
    space = space_of(genotype, (3, 32, 32), 10)
    small = {"channels": 8, "layers": 3} if entry.notation == "darts" else {}
    options = {**entry.network_options((32, 32)), **small}
    network = space.network(genotype, **options).eval()
    save_model(Model(genotype, options, space.shape, 10, network.state_dict()), tmp_path / "model.pt")
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(nas.load(tmp_path)(x), network(x), rtol=0, atol=0)
        torch.save(network.state_dict(), tmp_path / "weights.pt")
        by_name = nas.load(tmp_path / "weights.pt", genotype=name)
        torch.testing.assert_close(by_name(x), network(x), rtol=0, atol=0)


def test_space_of_rejects_an_unknown_space() -> None:
    with pytest.raises(NasError, match="unknown space of the genotype 'foo'"):
        space_of(Genotype("foo", {}), (3, 8, 8), 10)


def run_isolated(code: str, path: Path, cwd: Path) -> str:
    """Return the output of a new interpreter that finds the package in ``path`` alone."""
    command = [sys.executable, "-c", f"import sys; sys.path[:] = [{str(path)!r}, *sys.path[1:]]\n{code}"]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


USE = """
import nas
assert 'torch' not in sys.modules and 'hydra' not in sys.modules, 'import nas must be fast'
network = nas.load('model.pt', normalize=True)
assert nas.__file__.startswith(sys.path[0]), nas.__file__
import nas.utils.errors
assert not {'hydra', 'omegaconf', 'pytorch_lightning'} & set(sys.modules)
import torch
torch.save(network.state_dict(), 'weights.pt')
try:
    nas.load('weights.pt', genotype='DARTS_V2')
except nas.utils.errors.NasError as error:
    assert 'weights of another architecture' in str(error) or 'classifier' in str(error), error
print(tuple(network(torch.rand(2, *network.shape)).shape), network.classes)
"""


def test_load_works_with_the_package_alone(tmp_path: Path) -> None:
    """Use the files of the package without conf/, search.py and train.py."""
    shutil.copytree(ROOT / "nas", tmp_path / "site" / "nas", ignore=shutil.ignore_patterns("__pycache__"))
    save_random_model(tmp_path / "model.pt")
    assert run_isolated(USE, tmp_path / "site", tmp_path) == "(2, 10) 10"


@pytest.mark.slow
def test_load_works_from_a_wheel(tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(ROOT / "nas", source / "nas", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    options = ["--no-deps", "--no-index", "--no-build-isolation", "-q", "-w", str(tmp_path)]
    built = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", *options, str(source)], capture_output=True, text=True
    )
    if built.returncode and re.search(r"setuptools|license|bdist_wheel", built.stderr):
        pytest.skip("building a wheel without a download needs a recent setuptools here")
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    shutil.unpack_archive(wheel, tmp_path / "site", "zip")
    assert (tmp_path / "site" / "nas" / "py.typed").is_file() and not (tmp_path / "site" / "conf").exists()
    save_random_model(tmp_path / "model.pt")
    assert run_isolated(USE, tmp_path / "site", tmp_path) == "(2, 10) 10"


def examples() -> list[str]:
    """Return the examples of the documentation that load a network of images."""
    texts = [path.read_text() for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]]
    found = [block for text in texts for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL)]
    return [block for block in found if "nas.load(" in block and "Chunk(" not in block]


def test_load_examples_of_the_documentation_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for directory in ("outputs/train/DATE/TIME", "trained"):
        save_random_model(tmp_path / directory / "model.pt")
    torch.save({"state_dict": random_model().state}, tmp_path / "weights.pt")
    pytest.importorskip("PIL.Image").new("RGB", (40, 30)).save(tmp_path / "rose.jpg")
    assert examples()
    for example in examples():
        exec(compile(example, "documentation", "exec"), {})
