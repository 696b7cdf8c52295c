"""Which shop is connected (``data/source.yaml``) and how its log is read (``pipelines/sources``)."""

from datetime import date
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipelines.core.errors import ConfigError
from pipelines.core.lake.mapping import SourceMapping
from pipelines.core.lake.paging import Paging
from pipelines.io import files

SOURCE_FILE: Final = Path("data/source.yaml")
BUILT_IN: Final = Path(__file__).parents[2] / "sources"
SUFFIXES: Final = (".csv", ".csv.gz", ".parquet")


SHOP: Final = r"[\w.-]+"
"""What a shop's name may be: it names a folder."""


class Connection(BaseModel):
    """The connected shop: its name, the mapping's name or path, files or folders of the log, the catalogue's URL.

    Files that their name dates before ``since`` stay out. ``catalogue_paging`` is how the API wants to be asked.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    shop: str = Field(pattern=f"^{SHOP}$")
    source: str
    clickstream: list[str]
    since: date | None = None
    catalogue_url: str | None = None
    catalogue_paging: Paging = "skip"


def read_connection(root: Path) -> Connection:
    """Read ``data/source.yaml``.

    Raises:
        ConfigError: no shop is connected, or the file is not what `connect` writes.
    """
    path = root / SOURCE_FILE
    if not path.exists():
        raise ConfigError(
            f"no shop is connected ({SOURCE_FILE} is missing): run `python -m pipelines connect --clickstream PATH "
            "--catalogue-url URL`, or `python -m pipelines simulate` first for a simulated one"
        )
    try:
        return Connection.model_validate(_read_yaml(path))
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def write_connection(root: Path, connection: Connection) -> None:
    """Write ``data/source.yaml``."""
    files.write_text(root / SOURCE_FILE, yaml.safe_dump(connection.model_dump(), sort_keys=False))


def load_mapping(source: str, root: Path) -> SourceMapping:
    """Load a built-in mapping by name or one of the user's own by its path.

    Raises:
        ConfigError: there is no such mapping, or it is wrong.
    """
    path = mapping_path(source, root)
    return SourceMapping.parse(_read_yaml(path), str(path))


def mapping_path(source: str, root: Path) -> Path:
    """The file behind a mapping's name or path.

    Raises:
        ConfigError: there is no such file.
    """
    own = source.endswith((".yaml", ".yml"))
    path = root / source if own else BUILT_IN / f"{source.replace('-', '_')}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem.replace("_", "-") for p in BUILT_IN.glob("*.yaml")))
        raise ConfigError(f"no source mapping {source!r}: choose one of {known}, or give the path of a .yaml file")
    return path


def log_files(paths: list[str], root: Path) -> list[Path]:
    """The files of the log behind ``paths``, each a file or a folder; those of a folder sorted by path.

    Raises:
        ConfigError: a path is missing, empty or of another kind.
    """
    found: dict[Path, None] = {}
    for given in paths:
        path = (root / given).resolve()
        inside = [p for p in sorted(path.rglob("*")) if _is_log(p) and not p.is_dir()] if path.is_dir() else [path]
        if not path.exists():
            raise ConfigError(f"clickstream: {given} does not exist")
        if not inside or not inside[0].name.endswith(SUFFIXES):
            raise ConfigError(f"clickstream: {given} is or holds no {', '.join(SUFFIXES)} file")
        found.update(dict.fromkeys(inside))
    return list(found)


def _is_log(path: Path) -> bool:
    return path.name.endswith(SUFFIXES) and not path.name.startswith(".")


def _read_yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {error}") from None
