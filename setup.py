"""Copies the assets that are needed at run time into the wheel, as `dwc/_assets`.

In a checkout and an editable install they are read from `assets/`; see `dwc.files.asset_path`.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ASSETS = ("checkpoints", "study")


class BuildWithAssets(build_py):
    """The usual build of the packages, and the assets."""

    def run(self) -> None:
        """Build, then copy the assets beside the built package, unless it is editable."""
        super().run()
        if self.editable_mode:
            return
        for name in ASSETS:
            target = Path(self.build_lib) / "dwc" / "_assets" / name
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(Path(__file__).parent / "assets" / name, target)


setup(cmdclass={"build_py": BuildWithAssets})
