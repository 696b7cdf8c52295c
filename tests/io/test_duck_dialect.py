"""DuckDB behind SQLAlchemy."""

from pathlib import Path

import duckdb
import pytest
import sqlalchemy as sa

from pipelines.io import duck_dialect


@pytest.fixture
def engine(tmp_path: Path) -> sa.Engine:
    duck_dialect.register()
    with duckdb.connect(str(tmp_path / "some.db")) as con:
        con.execute("CREATE TABLE numbers AS SELECT range AS n, 'x' || range AS name FROM range(5)")
        con.execute(
            "CREATE VIEW seen AS SELECT *, TIMESTAMPTZ '2026-02-01 00:00:00+00' AS at, [n] AS listed FROM numbers"
        )
    return sa.create_engine(f"{duck_dialect.URL}{tmp_path}/some.db")


def test_result_outlives_its_connection(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        first = connection.execute(sa.text("SELECT n FROM numbers ORDER BY n"))
        connection.execute(sa.text("SELECT 1"))
    assert first.scalars().all() == [0, 1, 2, 3, 4]


def test_parameters_are_bound(engine: sa.Engine) -> None:
    numbers = sa.table("numbers", sa.column("n"))
    with engine.connect() as connection:
        query = sa.select(numbers.c.n).where(numbers.c.n.in_([1, 3])).order_by(numbers.c.n).limit(1)
        assert connection.execute(query).fetchmany(5) == [(1,)]


def test_columns_of_a_view_have_our_types(engine: sa.Engine) -> None:
    columns = {column["name"]: type(column["type"]) for column in sa.inspect(engine).get_columns("seen")}
    assert columns == {"n": sa.BIGINT, "name": sa.VARCHAR, "at": sa.TIMESTAMP, "listed": sa.types.NullType}


def test_tables_are_found_by_name(engine: sa.Engine) -> None:
    assert [sa.inspect(engine).has_table(name) for name in ("numbers", "seen", "absent")] == [True, True, False]


def test_wrong_sql_is_an_error_of_sqlalchemy(engine: sa.Engine) -> None:
    with engine.connect() as connection, pytest.raises(sa.exc.DBAPIError, match="absent"):
        connection.execute(sa.text("SELECT * FROM absent"))
