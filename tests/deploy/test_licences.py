"""The core install holds no copyleft but what the page of licences names."""

import json
import re
import subprocess
import sys
from functools import cache
from importlib.metadata import distribution

import pytest
from deploy.sbom import core_packages
from packaging.utils import canonicalize_name

from tests.conftest import ROOT, Project

# A shared library that is no module of Python: libgomp-e985bcbb.so.1.0.0 -> gomp
LIBRARY = re.compile(r"lib([A-Za-z0-9_+-]+?)(?:-[0-9a-f]{8})*(?:_x86_64|_arm64)?\.so(?:\.[\d.]+)?")
PERMISSIVE = re.compile(
    r"SvtAv1Enc|dav1d|drm|opencore-amr[nw]b|opus|vpl|vpx|Xau|xcb(-shape|-shm|-xfixes)?"  # PyAV
    r"|avif|brotli(common|dec)|freetype|harfbuzz|jpeg|lcms2|lzma|openjp2|png16|tiff|zstd"  # Pillow
    r"|sharpyuv|webp(demux|mux)?|(scipy_)?openblas(o-r0|64_)?|faiss|llvmlite|arrow(_\w+)?|parquet"
    r"|torch(_\w+)?|torchbind_test|c10(_cuda)?|shm|aoti_custom_ops|backend_with_compiler"
    r"|jitbackend_test|caffe2_nvrtc"  # PyTorch
    r"|cu\w+|nv\w+|nccl"  # NVIDIA's: not free, not copyleft
)
COPYLEFT = re.compile(r"GPL|General Public|SSPL|EUPL|OSL|CeCILL|CC-BY-SA", re.IGNORECASE)
PAGE = (ROOT / "docs/reference/licences.md").read_text(encoding="utf-8")


WITH_DVC = ("dulwich", "grandalf", "pygit2")


@cache
def read_licences() -> dict[str, str]:
    """Read what the authors of the packages of the core, and of some of DVC's, declare."""
    packages = [*core_packages(), *WITH_DVC]
    command = ["pip-licenses", "--with-system", "--format", "json", "--packages", *packages]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    rows = json.loads(done.stdout)
    return {canonicalize_name(row["Name"]): row["License"] for row in rows}


def find_copyleft(licences: dict[str, str]) -> dict[str, str]:
    """Find the packages that no licence without copyleft can be chosen for."""
    return {
        name: licence
        for name, licence in licences.items()
        if all(COPYLEFT.search(choice) for choice in re.split(r" OR |; ", licence))
    }


def read_table(heading: str) -> dict[str, str]:
    """Read a table of the page: first cell -> second."""
    text = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([^|]+)` \| ([^|]+) \|", text, re.MULTILINE)
    return {name: licence.strip() for names, licence in rows for name in names.split("`, `")}


def test_no_package_of_the_core_install_is_under_the_gpl_and_one_under_the_lgpl() -> None:
    core = core_packages()
    assert "dvc" not in core
    licences = {name: read_licences()[name] for name in core}
    undeclared = {name for name, licence in licences.items() if licence == "UNKNOWN"}
    assert all("Permission is hereby granted" in licence_text(name) for name in undeclared)  # MIT
    assert find_copyleft(licences) == read_table("Packages under copyleft")


def licence_text(package: str) -> str:
    files = distribution(package).files or []
    return next(file.read_text() for file in files if file.name.startswith("LICENSE"))


def test_dvc_would_bring_the_gpl() -> None:
    licences = {name: read_licences()[name] for name in WITH_DVC}
    assert set(find_copyleft(licences)) == {"grandalf", "pygit2"}  # dulwich: Apache, if one likes


@pytest.mark.skipif(sys.platform != "linux", reason="other wheels bundle other libraries")
def test_every_library_under_copyleft_in_a_wheel_is_on_the_page() -> None:
    named = set(read_table("Libraries inside wheels"))
    bundled = {
        library[1]
        for package in core_packages()
        for file in distribution(package).files or []
        if (library := LIBRARY.fullmatch(file.name))
    }
    assert named <= bundled
    unknown = {name for name in bundled - named if not PERMISSIVE.fullmatch(name)}
    assert not unknown, "are they under copyleft? name them on the page, or here"


@pytest.mark.slow(reason="inspects the environment and validates what it finds")
def test_make_sbom_writes_bills_of_materials_and_the_list(spoiled: Project) -> None:
    from cyclonedx.schema import OutputFormat, SchemaVersion
    from cyclonedx.validation import make_schemabased_validator

    spoiled.must("make", "-o", ".venv/ready", "sbom")
    folder = spoiled.folder / "sbom"
    validator = make_schemabased_validator(OutputFormat.JSON, SchemaVersion.V1_6)
    core = (folder / "core.cdx.json").read_text(encoding="utf-8")
    assert validator.validate_str(core) is None  # the other one is validated by its program
    everything = (folder / "environment.cdx.json").read_text(encoding="utf-8")
    names = {
        name: {canonicalize_name(each["name"]) for each in json.loads(text)["components"]}
        for name, text in (("core", core), ("environment", everything))
    }
    assert names["core"] == set(core_packages())
    assert names["core"] | {"dvc", "pytest"} <= names["environment"]
    rows = (folder / "licences.md").read_text(encoding="utf-8").splitlines()[2:]
    assert len(rows) == len(names["core"])
