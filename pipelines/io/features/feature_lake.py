"""What the manifest of the features says, in types."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipelines.core.errors import InputError
from pipelines.io.features import feature_files


@dataclass(frozen=True)
class FeatureFile:
    """A file that never changes; ``created`` is when a correction was built, None where rows were new."""

    rows: int
    sha256: str
    created: datetime | None


@dataclass(frozen=True)
class FeatureLake:
    """``views``: view -> path within the view's folder -> file. What the features know of ends at ``until`` (UTC).

    ``erased_until``: the number of the last erasure whose user they are without.
    """

    folder: Path
    until: datetime
    views: Mapping[str, Mapping[str, FeatureFile]]
    erased_until: int = 0

    @classmethod
    def read(cls, root: Path) -> "FeatureLake":
        """Read the manifest; files of a view by date.

        Raises:
            InputError: there is none, or one of another format.
        """
        manifest = feature_files.manifest(root)
        folder = root / feature_files.FEATURES
        if manifest["format"] != feature_files.FORMAT:
            raise InputError(f"{folder}: format {manifest['format']} is old: run `python -m pipelines features`")
        views = {
            view: {part: _file(parts[part]) for part in sorted(parts, key=feature_files.place)}
            for view, parts in manifest["files"].items()
        }
        return cls(folder, _utc(manifest["until"]), views, manifest.get("erased", [0])[0])


def _file(entry: feature_files.Entry) -> FeatureFile:
    created = entry["created"]
    return FeatureFile(entry["rows"], entry["sha256"], _utc(created) if created else None)


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
