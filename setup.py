"""Build step: copy conf/ into the package, so that an installed package runs without the checkout."""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent


class BuildWithConfiguration(build_py):
    """The usual build, and conf/ as nas/conf, without the files of the user's machine in conf/local."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:  # an editable install reads conf/ of the checkout
            return
        target = Path(self.build_lib, "nas", "conf")
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(ROOT / "conf", target, ignore=shutil.ignore_patterns("local", "__pycache__"))


setup(cmdclass={"build_py": BuildWithConfiguration})
