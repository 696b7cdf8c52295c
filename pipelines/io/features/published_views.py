"""Published feature views: their records, and the declarations that are held to them."""

import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipelines.core.errors import InputError
from pipelines.core.features.contradictions import contradictions
from pipelines.core.features.published import Declared, Published, View, of_json, to_json
from pipelines.io.files import read_json, write_json

if TYPE_CHECKING:
    from feast import FeatureService, FeatureView

RECORDS: Final = Path("published_views.json")
"""Within the feature repository; committed."""


def read(repo: Path) -> Published:
    """The records; none where nothing was ever published."""
    path = repo / RECORDS
    return of_json(read_json(path)) if path.exists() else Published({}, {})


def write(repo: Path, published: Published) -> None:
    """Store the records, whole or not at all."""
    write_json(repo / RECORDS, to_json(published))


def verify(repo: Path) -> None:
    """Hold the declarations of the feature repository to the records: what ``apply`` must not do without.

    Raises:
        InputError: a published view or service was changed, or one isn't recorded; the text says what to do.
    """
    if wrong := contradictions(read(repo), declared(repo)):
        raise InputError("\n".join(wrong))


def declared(repo: Path) -> Declared:
    """What ``definitions.py`` declares. Imports Feast, which takes seconds.

    Raises:
        InputError: there is no such file.
    """
    from feast import FeatureService, FeatureView

    path = repo / "definitions.py"
    if not path.exists():
        raise InputError(f"{path} is missing: this works in a checkout only")
    objects = runpy.run_path(str(path)).values()
    views = {view.name: view_of(view) for view in objects if isinstance(view, FeatureView)}
    services = {service.name: _offered(service) for service in objects if isinstance(service, FeatureService)}
    return Declared(dict(sorted(views.items())), dict(sorted(services.items())))


def view_of(view: "FeatureView") -> View:
    """A feature view of Feast as the records know it."""
    return View(
        keys=tuple(view.join_keys),
        features={field.name: str(field.dtype) for field in view.features},
        ttl_s=int(view.ttl.total_seconds()) if view.ttl else 0,
        table=view.batch_source.get_table_query_string(),
        max_age=view.tags.get("max_age", ""),
    )


def _offered(service: "FeatureService") -> tuple[str, ...]:
    return tuple(f"{view.name}__{field.name}" for view in service.feature_view_projections for field in view.features)
