"""Which packages there are; all else is in pyproject.toml, which cannot say that one of them lies elsewhere.

The scripts are `experiments/` in a checkout, for whoever reads them, and `jaxq/experiments/` in what is installed.
"""

from setuptools import find_packages, setup

setup(
    packages=[
        *find_packages(include=["jaxq", "jaxq.*"]),
        *(f"jaxq.{package}" for package in find_packages(include=["experiments", "experiments.*"])),
    ],
    package_dir={"jaxq.experiments": "experiments"},
)
