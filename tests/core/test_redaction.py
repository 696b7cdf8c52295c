import logging
import sys

import pytest

from pipelines.core.redaction import Redacting, may_hold_secrets, pseudonym, redacted

KEY = "rm_0123456789ab_" + "Ab-_9" * 8 + "xyz"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("postgresql://me:pa55@db:5432/x", "postgresql://me:***@db:5432/x"),
        ("redis://:pa55@redis:6379/0 is gone", "redis://:***@redis:6379/0 is gone"),
        ("connect failed: host=db password=pa55 user=me", "connect failed: host=db password=*** user=me"),
        ('{"password": "pa55", "k": 3}', '{"password": "***", "k": 3}'),
        ("Authorization: Bearer pa55.word", "Authorization: Bearer ***"),
        ("X-API-Key: pa55", "X-API-Key: ***"),
        (f"refused {KEY} twice", "refused rm_0123456789ab_*** twice"),
        ("the password is wrong; 3 tokens; http://a/b@c", "the password is wrong; 3 tokens; http://a/b@c"),
    ],
)
def test_secrets_are_starred_and_the_rest_stays(text: str, clean: str) -> None:
    assert redacted(text) == clean


@pytest.mark.parametrize("text", ["PASSWORD=pa55", "pa\u017f\u017fword=pa55", "//u:p@h", KEY, "X-Api-Key: p"])
def test_text_that_changes_is_never_passed_as_free_of_secrets(text: str) -> None:
    assert redacted(text) != text
    assert may_hold_secrets(text)


def test_usual_text_is_passed_as_free_of_secrets() -> None:
    assert not may_hold_secrets('{"path":"/recommend","user":"U1","ms":3.5}')


def test_formatter_takes_secrets_out_of_tracebacks_too() -> None:
    try:
        raise OSError("redis://:hunter2@redis:6379")
    except OSError:
        record = logging.LogRecord("x", logging.ERROR, __file__, 1, "at %s", ("//u:hunter2@h",), sys.exc_info())
    line = Redacting("%(levelname)s %(message)s").format(record)
    assert line.startswith("ERROR at //u:***@h\nTraceback")
    assert "hunter2" not in line


def test_pseudonym_is_the_users_and_the_secrets() -> None:
    assert pseudonym("U1", "a") == pseudonym("U1", "a") != pseudonym("U1", "b") != pseudonym("U2", "b")
    assert len(pseudonym("U1", "a")) == 16
