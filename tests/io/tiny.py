"""A mapping of the smallest log: columns u, i and t."""

from pipelines.core.lake.mapping import SourceMapping

MAPPING = SourceMapping.parse(
    {
        "name": "tiny",
        "columns": {"user_id": "u", "item_id": "i"},
        "event_type": {"constant": "view"},
        "timestamp": {"column": "t"},
        "catalogue": {"from": "api"},
    },
    "tiny.yaml",
)
