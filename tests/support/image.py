"""A Containerfile without an engine: its instructions run with a scratch folder as root directory.

That root is a view of this machine's folders in a mount namespace of its own: what is written lands
in the scratch folder. The base image and the other stages are this machine's too, so layers are not
tested, but each RUN line, the user, the command and the health check are run as they stand.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.conftest import ROOT

OVERLAID = ("etc", "home", "opt", "root", "srv", "usr", "var")
PASSED_ON = re.compile(r"PIP_|SSL_CERT|REQUESTS_CA|\w+_proxy$", re.IGNORECASE)
PROGRAMS = f"{sys.base_prefix}/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
CACHE = Path.home() / ".cache/pip"  # of this machine; an engine keeps such a folder too
MAX_SYSTEM_ID = 999  # other users and groups are not in an image


def read_instructions(containerfile: Path) -> list[tuple[str, str]]:
    """Read the keyword and the rest of each instruction."""
    text = containerfile.read_text(encoding="utf-8")
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split()[0], " ".join(line.split()[1:])) for line in text.splitlines() if line]


@dataclass(kw_only=True)
class Settings:
    """What the instructions of a stage set."""

    environment: dict[str, str] = field(default_factory=dict)
    user: str = "0:0"
    folder: str = "/"
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)

    def take(self, keyword: str, value: str) -> None:
        """Take over an instruction that neither copies nor runs."""
        if keyword == "ENV":
            for each in shlex.split(value):
                name, text = each.split("=", 1)
                self.environment[name] = text.replace("$PATH", self.environment.get("PATH", ""))
        elif keyword == "USER":
            self.user = value
        elif keyword == "WORKDIR":
            self.folder = value
        elif keyword == "ENTRYPOINT":
            self.entrypoint = json.loads(value)
        elif keyword == "CMD":
            self.command = json.loads(value)
        elif keyword == "HEALTHCHECK":
            self.health = json.loads(value.split(" CMD ")[1])
        else:
            assert keyword in ("ARG", "EXPOSE"), keyword  # arguments are this machine's variables


class ScratchImage:
    """The root directory, and the settings of the stage that was built last."""

    def __init__(self, folder: Path) -> None:
        own_mounts = ["unshare", "--mount", "true"]
        if os.geteuid() or subprocess.run(own_mounts, check=False).returncode:
            pytest.skip("a root directory of its own needs root and a mount namespace")
        self.root, self.upper, self.work = (folder / name for name in ("root", "upper", "work"))
        for parent in (self.root, self.upper, self.work):
            for name in OVERLAID:
                (parent / name).mkdir(parents=True)
        for name in ("dev", "proc", "tmp"):
            (self.root / name).mkdir()
        (self.root / "tmp").chmod(0o1777)
        for name in ("bin", "lib", "lib64", "sbin"):
            if Path("/", name).is_symlink():
                (self.root / name).symlink_to(Path("/", name).readlink())
        for each in [folder, *folder.parents][:-2]:  # users of the image pass through these
            each.chmod(each.stat().st_mode | 0o011)
        for table, secrets in (("passwd", "shadow"), ("group", "gshadow")):
            self._keep_system_accounts(table, secrets)
        (self.upper / "root/.cache/pip").mkdir(parents=True)
        CACHE.mkdir(parents=True, exist_ok=True)
        self.settings = Settings()

    def _keep_system_accounts(self, table: str, secrets: str) -> None:
        lines = Path("/etc", table).read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if int(line.split(":")[2]) <= MAX_SYSTEM_ID]
        names = {line.split(":")[0] for line in kept}
        hidden = Path("/etc", secrets).read_text(encoding="utf-8").splitlines(keepends=True)
        (self.upper / "etc" / table).write_text("".join(kept), encoding="utf-8")
        with (self.upper / "etc" / secrets).open("w", encoding="utf-8") as file:
            file.writelines(line for line in hidden if line.split(":")[0] in names)

    def build(self, containerfile: Path, context: Path = ROOT) -> list[str]:
        """Follow all instructions, stage after stage; the RUN lines that were run."""
        stages: dict[str, Settings] = {}
        lines = []
        for keyword, value in read_instructions(containerfile):
            if keyword == "FROM":
                base, *name = value.split(" AS ")
                default = Settings(environment={"PATH": PROGRAMS})
                self.settings = deepcopy(stages.get(base, default))
                stages |= dict.fromkeys(name, self.settings)
            elif keyword == "RUN":
                lines.append(re.sub(r"^(--\S+ )+", "", value))
                self.run(lines[-1])
            elif keyword == "COPY":
                self._copy(value, context)
            else:
                self.settings.take(keyword, value)
        return lines

    def _copy(self, value: str, context: Path) -> None:
        *sources, target = value.split()
        if sources[0].startswith("--from="):  # the stages share the root directory
            assert sources[1:] == [target]
            return
        allowed = (context / ".containerignore").read_text(encoding="utf-8").splitlines()
        place = self.root / self.settings.folder.strip("/") / target
        for source in sources:
            assert f"!{source}" in allowed
            if (context / source).is_dir():
                shutil.copytree(context / source, place)
            else:
                place.mkdir(parents=True, exist_ok=True)
                shutil.copy(context / source, place)

    def command(self, script: str, *namespaces: str, **variables: str) -> list[str]:
        """Return the command that runs a script of the shell as the image's user."""
        mounts = [
            f"mount -t overlay overlay {self.root}/{name}"
            f" -o lowerdir=/{name},upperdir={self.upper}/{name},workdir={self.work}/{name}"
            for name in OVERLAID
        ]
        mounts += [f"mount --rbind /{name} {self.root}/{name}" for name in ("dev", "proc")]
        mounts += [f"mount --bind {CACHE} {self.root}/root/.cache/pip"]
        machine = {name: text for name, text in os.environ.items() if PASSED_ON.match(name)}
        home = {"HOME": "/root"} if self.settings.user.startswith("0:") else {}
        environment = home | machine | self.settings.environment | variables
        settings = [f"{name}={text}" for name, text in environment.items()]
        start = ["chroot", f"--userspec={self.settings.user}", str(self.root), "env", "-i"]
        inside = ["sh", "-c", f"cd {self.settings.folder} && {script}"]
        (self.root / self.settings.folder.strip("/")).mkdir(parents=True, exist_ok=True)
        steps = [*mounts, f"exec {shlex.join([*start, *settings, *inside])}"]
        if "--net" in namespaces:
            steps.insert(0, "ip link set lo up")
        return ["unshare", "--mount", *namespaces, "sh", "-ec", "\n".join(steps)]

    def run(self, script: str, *namespaces: str, **variables: str) -> str:
        """Run a script of the shell as the image's user; its output."""
        done = subprocess.run(
            self.command(script, *namespaces, **variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{script}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout

    def serve(self, **variables: str) -> str:
        """Run the image's command until its health check is content, then end it; its output.

        It has a network of its own: its port is free, and it can ask nobody.
        """
        start = shlex.join(self.settings.entrypoint + self.settings.command)
        check = shlex.join(self.settings.health)
        script = (
            f"{start} & server=$!; until {check} 2> /dev/null; do kill -0 $server || exit 1;"
            " sleep 1; done; kill $server; wait $server"
        )
        return self.run(script, "--net", **variables)
