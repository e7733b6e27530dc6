"""All ways to install the pipeline give the same versions, and no file names a package host."""

import importlib.metadata
import re
import sysconfig
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
ENVS = ROOT / "envs"
FILES = sorted(path.name for path in ENVS.iterdir())


def pins(name: str) -> dict[str, str]:
    """Versions in a requirements file by package; fails at a line that is not a pin, a comment or an include."""
    result = {}
    for line in (ENVS / name).read_text().splitlines():
        if line and not line.startswith(("#", "-r ")):
            package, version = re.fullmatch(r'([\w.-]+)==([\w.]+)(?:; sys_platform == "linux")?', line).groups()
            result[package] = version
    return result


DIRECT = pins("requirements.txt") | pins("requirements-dev.txt")
ALL = pins("constraints.txt")
OPTIONAL = pins("requirements-lora.txt") | pins("requirements-slides.txt")


@pytest.mark.parametrize("package", DIRECT)
def test_the_pinned_version_is_the_installed_one(package):
    assert importlib.metadata.version(package).split("+")[0] == DIRECT[package]


@pytest.mark.parametrize("package", OPTIONAL)
def test_an_optional_package_has_the_pinned_version_where_it_is_installed(package):
    if not list(importlib.metadata.distributions(name=package)):
        pytest.skip(f"{package} is not installed")
    assert importlib.metadata.version(package) == OPTIONAL[package]


def test_constraints_contain_every_direct_pin():
    assert DIRECT.items() <= ALL.items()


def test_constraints_contain_all_indirect_dependencies():
    pulled_in, waiting = set(), list(DIRECT)
    while waiting:
        package = waiting.pop()
        pulled_in.add(normal(package))
        waiting += [name for name in needs(package) if normal(name) not in pulled_in]
    assert pulled_in <= {normal(package) for package in ALL}


def needs(package: str) -> list[str]:
    """Names of the installed packages that a package requires, without those of its extras."""
    requirements = importlib.metadata.requires(package) or []
    names = [re.match(r"[\w.-]+", text).group() for text in requirements if "extra ==" not in text]
    # Not all of sys.path: setuptools, once imported, adds a folder of packages of its own.
    packages = [sysconfig.get_path("purelib")]
    installed = {normal(found.name) for found in importlib.metadata.distributions(path=packages)}
    return [name for name in names if normal(name) in installed]


def normal(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()


def test_pyproject_reads_the_packages_of_the_pipeline_from_the_requirements():
    dynamic = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["dynamic"]
    assert dynamic["optional-dependencies"]["pipeline"] == {"file": "envs/requirements.txt"}


def test_the_conda_environment_has_the_versions_of_the_requirements():
    python, pip, from_pip = yaml.safe_load((ENVS / "environment.yaml").read_text())["dependencies"]
    supported = re.search(r'requires-python = "(.*)"', (ROOT / "pyproject.toml").read_text())[1]
    assert python == f"python {supported}"
    assert pip == "pip"
    pins = [line for line in (ENVS / "requirements.txt").read_text().splitlines() if "==" in line]
    assert from_pip == {"pip": pins}


def test_the_container_has_the_versions_of_the_requirements():
    recipe = (ENVS / "Containerfile").read_text()
    assert re.findall("pip install.*", recipe) == [
        "pip install --no-cache-dir -r /envs/requirements.txt -c /envs/constraints.txt"
    ]
    assert "==" not in recipe


@pytest.mark.parametrize("name", FILES)
def test_no_package_host_is_named(name):
    assert not re.search(r"://|index-url|find-links|trusted-host", (ENVS / name).read_text())
