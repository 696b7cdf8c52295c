"""Show the feature views and their versions; hold them to their records, publish new ones, retire old ones."""

import argparse
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from pipelines.context import Context
from pipelines.core.errors import InputError
from pipelines.core.features.contradictions import contradictions
from pipelines.core.features.published import Declared, Meanings, Published, obstacles, readers, retire, with_new
from pipelines.io.features import published_views


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare what can be done with them."""
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--check", action="store_true", help="fail where a published view or service was changed (needs no server)"
    )
    what.add_argument("--publish", action="store_true", help="record what is declared and wasn't recorded yet")
    what.add_argument("--retire", metavar="NAME", help="mark a view or service as retired; its name stays taken")
    what.add_argument(
        "--history", action="store_true", help="what the registry remembers of each view, and which models read it"
    )
    parser.add_argument("--force", action="store_true", help="retire what the champion or challenger still reads")


def run(context: Context) -> None:
    """Do it.

    Raises:
        InputError: a published view or service was changed, or what is to be retired is still in use.
        ServiceError: Postgres or MLflow doesn't answer.
    """
    args, repo = context.args, context.root / "feature_repo"
    published = published_views.read(repo)
    if args.check or args.publish:
        declared, meanings = _declared_and_meant(repo)
        _publish(repo, published, declared, meanings) if args.publish else _check(published, declared, meanings)
    elif args.retire:
        _retire(context, repo, published, args.retire)
    elif args.history:
        _history(context, published)
    else:
        _list(published, published_views.declared(repo))


def _declared_and_meant(repo: Path) -> tuple[Declared, Meanings]:
    """Both at once: one costs the import of Feast, the other the reference log."""
    with ProcessPoolExecutor(1) as pool:
        meant = pool.submit(_meanings)
        return published_views.declared(repo), meant.result()


def _meanings() -> Meanings:
    from pipelines.io.features import view_meanings  # its imports are for the other process

    return view_meanings.meanings()


def _check(published: Published, declared: Declared, meanings: Meanings) -> None:
    if wrong := contradictions(published, declared, meanings):
        raise InputError("\n".join(wrong))
    _print([f"{len(declared.views)} feature views and {len(declared.services)} services are what was published"])


def _publish(repo: Path, published: Published, declared: Declared, meanings: Meanings) -> None:
    if missing := sorted(declared.views.keys() - meanings.keys()):
        raise InputError(f"nothing computes {', '.join(missing)}: see pipelines/core/features/feature_views.py")
    now = with_new(published, declared, meanings)
    if wrong := contradictions(now, declared, meanings):
        raise InputError("\n".join(wrong))
    new = sorted({*now.views, *now.services} - {*published.views, *published.services})
    if new:
        published_views.write(repo, now)
    told = f"recorded {', '.join(new)}: commit {repo.name}/{published_views.RECORDS}" if new else "nothing new"
    _print([told])


def _retire(context: Context, repo: Path, published: Published, name: str) -> None:
    from pipelines.io.models import registry

    if hindering := obstacles(published, published_views.declared(repo), name):
        raise InputError("\n".join(hindering))
    services = readers(published, name)
    for model in registry.known(context.settings.mlflow_tracking_uri):
        named = {registry.CHAMPION, registry.CHALLENGER, registry.PREVIOUS}.intersection(model.aliases)
        if named and model.feature_service in services and not context.args.force:
            raise InputError(
                f"model version {model.number} ({', '.join(sorted(named))}) reads {model.feature_service}: promote one "
                f"that doesn't before {name} goes, or let it lose these features with --force"
            )
    published_views.write(repo, retire(published, name, datetime.now(UTC).date().isoformat()))
    _print([f"{name} is retired: commit {repo.name}/{published_views.RECORDS}, then `make pipeline` removes it"])


def _list(published: Published, declared: Declared) -> None:
    pins: dict[str, list[str]] = {}
    for service, features in declared.services.items():
        for view in dict.fromkeys(name.partition("__")[0] for name in features):
            pins.setdefault(view, []).append(service)
    views = [
        (name, ", ".join(view.keys), str(len(view.features)), view.max_age, ", ".join(pins.get(name, ["-"])))
        for name, view in sorted({**{n: r.view for n, r in published.views.items()}, **declared.views}.items())
    ]
    states = {name: record.retired for name, record in published.views.items()}
    states |= {name: record.retired for name, record in published.services.items()}
    _table(
        ("VIEW", "KEYS", "FEATURES", "MAX AGE", "PINNED BY", "STATE"),
        [(*row, _state(states, row[0])) for row in views],
    )
    services = sorted({*published.services, *declared.services})
    offered = {**{n: r.features for n, r in published.services.items()}, **declared.services}
    _print([""])
    _table(("SERVICE", "FEATURES", "STATE"), [(s, str(len(offered[s])), _state(states, s)) for s in services])


def _state(retired: dict[str, str | None], name: str) -> str:
    if name not in retired:
        return "new, not recorded"
    return f"retired {retired[name]}" if retired[name] else "published"


def _history(context: Context, published: Published) -> None:
    from pipelines.io.features import feast_store, view_history
    from pipelines.io.models import registry

    lines = []
    for view, versions in view_history.history(feast_store.open_store(context.settings)).items():
        lines.append(view)
        for one in versions:
            what = "; ".join(one.changes) or "descriptions only"
            lines.append(f"  {one.version}  {one.at:%Y-%m-%d %H:%M:%S}Z  {what}")
    lines.append("")
    models = registry.known(context.settings.mlflow_tracking_uri)
    for service in sorted({*published.services, *(m.feature_service for m in models)}):
        read_by = [" ".join([str(m.number), *m.aliases]) for m in models if m.feature_service == service]
        lines.append(f"{service}: read by {'model ' + ', '.join(read_by) if read_by else 'no model'}")
    _print(lines)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    every = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*every, strict=True)]
    _print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in every)


def _print(lines: Iterable[str]) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
