"""What tables on PostgreSQL promise: made once in a schema of their own, refused in words, used again once mended."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import peewee
import psycopg
import pytest
import trustme

from duey.monitor import postgres_database
from duey.monitor.access import AccessUnavailable, SchemaTooNew
from duey.monitor.access import database as access_database
from duey.monitor.access import schema as access_schema
from duey.monitor.access.database import Server
from duey.monitor.access.schema_postgres import MIGRATIONS
from tests.monitor.conftest import PATIENCE_S
from tests.support import rows
from tests.support.file_errors import in_a_child
from tests.support.ports import free_port
from tests.support.postgres_server import PASSWORD, USER, PostgresServer
from tests.support.waiting import wait_until

NEXT = (*MIGRATIONS, ("ALTER TABLE tokens ADD COLUMN mood TEXT NOT NULL DEFAULT 'calm'",))
INSERT = "INSERT INTO tokens (name, digest, scopes, created_at) VALUES ('t', '', 'read', 0)"


@pytest.fixture
def database(postgres: str) -> Iterator[Server]:
    made = Server(postgres)
    yield made
    made.close()


def count(database: Server) -> int:
    with database.reading() as db:
        return int(db.execute_sql("SELECT count(*) FROM tokens").fetchone()[0])


def refusal(work: Callable[[], object]) -> str:
    """The one sentence of AccessUnavailable, without the password."""
    with pytest.raises(AccessUnavailable) as refused:
        work()
    text = str(refused.value)
    assert text.startswith("the access database postgresql://127.0.0.1:") and "\n" not in text and len(text) < 500
    assert PASSWORD not in text and "pass%20word" not in text
    return text


def test_both_dialects_have_the_same_versions() -> None:
    assert len(MIGRATIONS) == len(access_schema.MIGRATIONS)


@rows("url", ["", "postgres://h/d", "postgresql://h", "postgresql://h/", "postgresql://h/d?schema=A", "sqlite:///a.db"])
def test_another_kind_of_url_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ValueError, match="expected postgresql://USER:PASSWORD@HOST:PORT/DB, found another URL"):
        Server(url)


def test_the_url_decides_which_database_it_is(tmp_path: Path) -> None:
    assert isinstance(access_database.database("postgresql:///d"), Server)
    assert isinstance(access_database.database(f"sqlite:///{tmp_path}/a.db"), access_database.File)


def test_tables_stand_in_a_schema_of_their_own_and_services_do_not_meet(database: Server, postgres: str) -> None:
    with database.writing() as db:
        db.execute_sql(INSERT)
    other = Server(f"{postgres}?application_name=other&schema=billing")
    assert (count(database), count(other)) == (1, 0)
    with other.reading() as db:
        found = db.execute_sql("SELECT DISTINCT schemaname FROM pg_tables WHERE tablename = 'tokens' ORDER BY 1")
        assert found.fetchall() == [("billing_access",), ("duey_access",)]
        assert db.execute_sql("SHOW application_name").fetchone() == ("other",)
    other.close()


def test_webs_that_start_at_once_migrate_once(postgres: str, at_once: Any, databases: list[Any]) -> None:
    Server(postgres, migrations=MIGRATIONS[:-1]).prepare()

    def work(n: int) -> int:
        made = Server(postgres)
        databases.append(made)
        return count(made)

    assert at_once(work) == [0] * 16


def test_an_older_schema_is_walked_up_and_keeps_its_rows(database: Server, postgres: str) -> None:
    with database.writing() as db:
        db.execute_sql(INSERT)
    newer = Server(postgres, migrations=NEXT)
    with newer.reading() as db:
        assert db.execute_sql("SELECT mood FROM tokens").fetchall() == [("calm",)]
        assert db.execute_sql("SELECT version FROM access_schema").fetchall() == [(len(NEXT),)]
    newer.close()
    text = refusal(Server(postgres).prepare)
    assert f"has schema {len(NEXT)}, but this version knows schemas up to {len(MIGRATIONS)}" in text
    with pytest.raises(SchemaTooNew):
        Server(postgres).prepare()


def test_a_migration_that_fails_changes_nothing(database: Server, postgres: str) -> None:
    database.prepare()
    assert "lost its tables" in refusal(Server(postgres, (*NEXT, ("ALTER TABLE nothing ADD COLUMN a TEXT",))).prepare)
    with database.reading() as db:
        assert "mood" not in [column.name for column in db.get_columns("tokens")]


def test_a_fork_and_a_close_end_in_connections_of_their_own(database: Server) -> None:
    def backend() -> int:
        with database.reading() as db:
            return int(db.execute_sql("SELECT pg_backend_pid()").fetchone()[0])

    mine = backend()
    assert int(in_a_child(lambda: str(backend()))) != mine
    assert backend() == mine, "the parent's connection was not ended with the child"
    database.close()
    others: list[int] = []
    thread = threading.Thread(target=lambda: (others.append(backend()), database.close()))
    thread.start()
    thread.join(PATIENCE_S)
    assert others == [mine] == [backend()], "a closed connection is used again"


def test_one_writer_at_a_time_and_who_waits_too_long_hears_of_it(database: Server, postgres: str) -> None:
    hasty = Server(postgres, busy_timeout_s=0.05)
    with database.writing() as db:
        db.execute_sql(INSERT)

        def write() -> None:
            with hasty.writing():
                raise AssertionError("two writers at once")

        assert "was locked for 0.05 s" in refusal(write)
        assert count(hasty) == 0, "who reads is not held up"
    with hasty.writing() as db:
        db.execute_sql("UPDATE tokens SET name = 'u'")
    assert count(hasty) == 1
    hasty.close()


def test_a_write_that_may_be_lost_waits_for_nobody(database: Server, postgres: str) -> None:
    other = Server(postgres)
    touch = access_schema.TOKENS.update(last_used_at=1.0)
    with database.writing() as db:
        db.execute_sql(INSERT)
    with database.writing() as db:
        db.execute_sql("UPDATE tokens SET name = 'u'")  # and so holds the row
        other.write_if_free(touch)
    with other.reading() as db:
        assert db.execute_sql("SELECT name, last_used_at FROM tokens").fetchall() == [("u", None)]
        assert db.execute_sql("SHOW lock_timeout").fetchone() == ("5s",)
    other.write_if_free(touch)
    with database.reading() as db:
        assert db.execute_sql("SELECT last_used_at FROM tokens").fetchall() == [(1.0,)]
    other.close()


def test_the_one_of_several_servers_that_is_there_is_used(postgres: str) -> None:
    database = Server(postgres.replace("@", f"@127.0.0.1:{free_port()},") + "?target_session_attrs=read-write")
    database.prepare()
    database.close()


def test_a_server_with_a_certificate_of_ones_own_authority(postgres_server: PostgresServer, tmp_path: Path) -> None:
    authority, other = trustme.CA(), trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    for name, each in (("ca.pem", authority), ("other.pem", other)):
        each.cert_pem.write_to_path(str(tmp_path / name))
    with PostgresServer(postgres_server.binaries) as server:
        server.stop()
        chain = b"".join(each.bytes() for each in certificate.cert_chain_pems)
        key = certificate.private_key_pem.bytes()
        server.start(ssl="on", ssl_cert_file=server.own("cert.pem", chain), ssl_key_file=server.own("key.pem", key))
        url = f"{server.url(server.new_database())}?sslmode=verify-full&sslrootcert={tmp_path}"
        database = Server(f"{url}/ca.pem")
        with database.reading() as db:
            assert db.execute_sql("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone() == (True,)
        database.close()
        assert "cannot be reached by TLS (" in refusal(Server(f"{url}/other.pem").prepare)
        assert "cannot be reached by TLS (" in refusal(Server(f"{url}/none.pem").prepare)


# refused in words


def test_a_server_that_cannot_be_reached() -> None:
    url = f"postgresql://{USER}:pass%20word@127.0.0.1:{free_port()}/duey"
    assert "cannot be reached (Connection refused): start its server, or correct [auth] database" in refusal(
        Server(url).prepare
    )


def test_a_server_that_does_not_answer_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_database, "AGAIN_AFTER_S", PATIENCE_S)
    with socket.create_server(("127.0.0.1", 0), backlog=32) as silent:
        database = Server(f"postgresql://127.0.0.1:{silent.getsockname()[1]}/duey?connect_timeout=2&sslmode=disable")
        with ThreadPoolExecutor(8) as threads:
            for found in [threads.submit(refusal, database.prepare) for _ in range(8)]:
                assert "cannot be reached" in found.result(PATIENCE_S)
        silent.setblocking(False)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):  # a second one
            silent.accept()


def test_a_server_that_lets_wait_is_asked_again_after_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    now, asked = [100.0], []

    def connect(pool: object) -> None:
        asked.append(now[0])
        now[0] += 5.0
        raise psycopg.OperationalError("connection timeout expired")

    monkeypatch.setattr(postgres_database, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(postgres_database.PooledPostgresqlDatabase, "_connect", connect)
    database = Server("postgresql://127.0.0.1:1/duey")
    for passed_s in (0.0, 4.9, 0.2):
        now[0] += passed_s
        assert "connection timeout expired" in refusal(database.prepare)
    assert asked == pytest.approx([100.0, 110.1]), "not the second time"


def test_a_wrong_login_and_a_database_that_is_not_there(postgres_server: PostgresServer, postgres: str) -> None:
    name = postgres.rpartition("/")[2]
    wrong = Server(postgres_server.url(name, password="other"))
    assert "refuses the user or the password" in refusal(wrong.prepare)
    assert "refuses the user or the password" in refusal(Server(postgres_server.url(name, "nobody")).prepare)
    text = refusal(Server(postgres_server.url("nowhere")).prepare)
    assert 'does not exist: run CREATE DATABASE "nowhere" OWNER "duey", or correct [auth] database' in text


def test_a_user_without_the_right_to_make_tables(postgres_server: PostgresServer, postgres: str) -> None:
    name = postgres.rpartition("/")[2]
    postgres_server.sql(f"ALTER DATABASE {name} OWNER TO postgres")
    text = refusal(Server(postgres).prepare)
    assert f'GRANT CREATE ON DATABASE "{name}" TO "duey", or CREATE SCHEMA "duey_access" AUTHORIZATION "duey"' in text
    postgres_server.sql("CREATE SCHEMA duey_access AUTHORIZATION duey", name)
    Server(postgres).prepare()


def test_a_schema_of_another_program(postgres_server: PostgresServer, postgres: str) -> None:
    name = postgres.rpartition("/")[2]
    postgres_server.sql(f"CREATE SCHEMA duey_access AUTHORIZATION {USER}", name)
    postgres_server.sql("CREATE TABLE duey_access.recipes (id TEXT)", name)
    assert "holds other tables (recipes): add ?schema=NAME" in refusal(Server(postgres).prepare)


def test_a_database_that_is_set_up_otherwise(postgres_server: PostgresServer, postgres: str) -> None:
    name = postgres.rpartition("/")[2]
    for setting in ("default_transaction_isolation = serializable", "search_path = public", "synchronous_commit = off"):
        postgres_server.sql(f"ALTER DATABASE {name} SET {setting}")
    database = Server(postgres)
    with database.writing() as db:
        found = [db.execute_sql(f"SHOW {each}").fetchone()[0] for each in ("transaction_isolation", "search_path")]
        assert found == ["read committed", "duey_access"]
    database.close()
    postgres_server.sql("CREATE DATABASE ascii OWNER duey TEMPLATE template0 ENCODING 'SQL_ASCII'")
    assert "has the encoding SQL_ASCII: make one with" in refusal(Server(postgres_server.url("ascii")).prepare)
    postgres_server.drop_database("ascii")


def test_tables_that_vanish_are_not_made_anew(database: Server, postgres_server: PostgresServer, postgres: str) -> None:
    database.prepare()
    postgres_server.sql("DROP SCHEMA duey_access CASCADE", postgres.rpartition("/")[2])
    assert "has lost its tables" in refusal(lambda: count(database))


def test_an_option_that_libpq_does_not_know(postgres: str) -> None:
    assert "has an option that libpq refuses" in refusal(Server(f"{postgres}?sslmood=calm").prepare)


def test_without_psycopg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_database, "psycopg", None)
    text = refusal(Server("postgresql://127.0.0.1:1/duey").prepare)
    assert text.endswith("needs psycopg, which is not installed: run pip install 'duey[postgres]'")


def test_a_server_that_comes_back_is_used_again(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_database, "AGAIN_AFTER_S", 0)
    with PostgresServer(postgres_server.binaries) as server:
        database = Server(server.url(server.new_database()))
        with database.writing() as db:
            db.execute_sql(INSERT)
        server.stop()
        assert "is starting or stopping" in refusal(lambda: count(database))
        assert "cannot be reached" in refusal(lambda: count(database))
        server.start()

        def used_again() -> bool:
            try:
                return count(database) == 1
            except AccessUnavailable:
                return False

        wait_until(used_again, PATIENCE_S, "the database is used again")

        def lost_within() -> None:
            with database.writing() as db:
                db.execute_sql("DELETE FROM tokens")
                server.stop()
                db.execute_sql("SELECT 1")

        assert "is starting or stopping" in refusal(lost_within)
        server.start()
        wait_until(used_again, PATIENCE_S, "the transaction was rolled back")
        database.close()


def test_errors_of_values_are_not_renamed(database: Server) -> None:
    with database.writing() as db:
        db.execute_sql(INSERT)
    with pytest.raises(peewee.IntegrityError), database.writing() as db:
        db.execute_sql(INSERT)
    with pytest.raises(psycopg.errors.UniqueViolation), database.reading() as db:
        db.cursor().executemany(INSERT.replace("'t'", "%s"), [("t",)])
