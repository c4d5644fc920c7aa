"""Build the Navidrome plug-in, twinear.ndp, from its source: `pip install ziglang` first.

Equal sources and an equal compiler give equal bytes. The archive's comment is the SHA-256 of what
it was built from, so that a test without the compiler sees whether it is up to date.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
SOURCES = ("plugin.zig", "manifest.json")
PLUGIN = HERE / "twinear.ndp"
EPOCH = (1980, 1, 1, 0, 0, 0)


def build(out: Path, hosts: Sequence[str] = ()) -> None:
    """Compile the source and pack it.

    Parameters
    ----------
    hosts
        The hosts that Navidrome lets the plug-in ask; any without them.
    """
    manifest = json.loads((HERE / "manifest.json").read_text(encoding="utf-8"))
    if hosts:
        manifest["permissions"]["http"]["requiredHosts"] = list(hosts)
    with tempfile.TemporaryDirectory() as folder:
        target = ("-target", "wasm32-freestanding", "-O", "ReleaseSmall", "-fstrip")
        kind = ("-fno-entry", "-rdynamic", "--name", "plugin")
        zig = (sys.executable, "-m", "ziglang", "build-exe", str(HERE / "plugin.zig"))
        subprocess.run((*zig, *target, *kind), cwd=folder, check=True)  # noqa: S603
        wasm = (Path(folder) / "plugin.wasm").read_bytes()
    files = {"manifest.json": json.dumps(manifest, indent=2).encode(), "plugin.wasm": wasm}
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:  # compressors differ
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, EPOCH), content)
        archive.comment = source_digest().encode()


def source_digest() -> str:
    """Hash the sources."""
    digest = hashlib.sha256()
    for name in SOURCES:
        digest.update((HERE / name).read_bytes())
    return digest.hexdigest()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Build the Navidrome plug-in.")
    parser.add_argument("--out", type=Path, default=PLUGIN, help="the file to write")
    parser.add_argument("--host", action="append", default=[], help="only this host may be asked")
    options = parser.parse_args()
    build(options.out, options.host)
    print(options.out)
