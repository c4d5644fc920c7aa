"""What an install consists of, and under which licences: `make sbom`.

Writes into a folder, without the network:

environment.cdx.json  every package of this environment, tools of development included (CycloneDX)
core.cdx.json         those of the core install alone: `pip install .`, without extras
licences.md           the packages of the core install with version, licence and address

A licence is what the author of a package declares. Libraries that a wheel bundles are not in it:
docs/reference/licences.md lists them.
"""

import json
import subprocess
import sys
import tomllib
from importlib.metadata import requires
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"


def core_packages() -> list[str]:
    """Return the packages that the core install needs on this platform, sorted by name.

    They are the dependencies in pyproject.toml, and theirs in turn, as they are installed here.
    """
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    waiting = [(Requirement(each), "") for each in project["dependencies"]]
    found: set[tuple[str, str]] = set()  # package, extra of it
    while waiting:
        requirement, extra = waiting.pop()  # asked for by this extra of some package
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        for key in {(name, each) for each in ("", *requirement.extras)} - found:
            found.add(key)
            waiting += [(Requirement(each), key[1]) for each in requires(name) or []]
    return sorted({name for name, _ in found})


def select(bill: dict[str, Any], packages: list[str]) -> dict[str, Any]:
    """Return a bill of materials without other packages than these."""
    components = [c for c in bill["components"] if canonicalize_name(c["name"]) in packages]
    kept = {c["bom-ref"] for c in (*components, bill["metadata"]["component"])}
    dependencies = [
        {"ref": each["ref"], "dependsOn": sorted(kept.intersection(each.get("dependsOn", [])))}
        for each in bill["dependencies"]
        if each["ref"] in kept
    ]
    return bill | {"components": components, "dependencies": dependencies}


def main(folder: Path) -> None:
    """Write the bills of materials and the list."""
    folder.mkdir(parents=True, exist_ok=True)
    packages = core_packages()
    everything, core = folder / "environment.cdx.json", folder / "core.cdx.json"
    program = ("cyclonedx-py", "environment", "--pyproject", str(PYPROJECT), "--mc-type", "library")
    written = ("--output-reproducible", "--output-file", str(everything), sys.executable)
    subprocess.run([*program, *written], check=True)
    bill = select(json.loads(everything.read_text(encoding="utf-8")), packages)
    core.write_text(json.dumps(bill, indent=2) + "\n", encoding="utf-8")
    table = ("--with-system", "--with-urls", "--format", "markdown")
    list_file = ("--output-file", str(folder / "licences.md"))
    subprocess.run(["pip-licenses", *table, *list_file, "--packages", *packages], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
