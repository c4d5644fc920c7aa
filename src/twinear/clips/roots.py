"""Where the audio of a data folder may really lie.

A row of `clips.csv` names a file of the data folder. Where that is a link, it may lead to another
file of the folder, or into DVC's cache, of which DVC may check files out as links; but nowhere
else: who gives somebody a data folder must not choose which other files of theirs are read.
"""

from collections.abc import Sequence
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from pathlib import Path

from twinear.base.errors import DataError


def audio_roots(data: Path) -> tuple[Path, ...]:
    """Find the folders in which the clips of a data folder may lie: it, and DVC's cache."""
    cache = find_dvc_cache(data)
    return (data.resolve(), *([cache] if cache else []))


def locate(path: Path, roots: Sequence[Path]) -> Path | None:
    """Follow the links of a path; None if it is not there or lies in none of the roots."""
    try:
        real = path.resolve(strict=True)
    except (OSError, ValueError, RuntimeError):  # missing, a name no file can have, a loop
        return None
    return real if any(real.is_relative_to(root) for root in roots) else None


def find_dvc_cache(folder: Path) -> Path | None:
    """Find the cache of the DVC repository that a folder lies in; None if it lies in none.

    DVC may check files out as links to its cache. It is `.dvc/cache`, or what `cache.dir` says in
    the repository's `config` or `config.local`, relative to these, or in the configuration of the
    user or the system.

    Raises
    ------
    DataError
        The configuration cannot be read.
    """
    folder = folder.resolve()
    above = (each / ".dvc" for each in (folder, *folder.parents))
    dvc = next((each for each in above if (each / "config").is_file()), None)
    if dvc is None:
        return None
    files = [*_shared_configurations(), dvc / "config", dvc / "config.local"]
    config = ConfigParser(strict=False, interpolation=None)
    try:
        config.read(files, encoding="utf-8")
    except (ConfigParserError, UnicodeDecodeError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(dvc, f"has a configuration that cannot be read ({reason})") from error
    return (dvc / config.get("cache", "dir", fallback="cache")).resolve()


def _shared_configurations() -> list[Path]:
    """Name the configurations of system and user; none without DVC, which is an extra."""
    try:
        from dvc.dirs import global_config_dir, system_config_dir  # slow to import
    except ModuleNotFoundError:
        return []
    return [Path(folder) / "config" for folder in (system_config_dir(), global_config_dir())]
