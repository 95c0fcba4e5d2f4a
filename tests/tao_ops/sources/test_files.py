"""Log files are found by pattern and by date; what cannot be listed or opened is said, and nothing is passed over."""

import gzip
import importlib
import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from tao_ops.errors import DataError, SourceUnreachable
from tao_ops.sources import files
from tao_ops.sources.files import chunks, dated, find, opened
from tao_ops.sources.records import Window

DAY = datetime(2026, 11, 21, tzinfo=UTC)
WINDOW = Window(DAY, DAY + timedelta(days=1))


def _window(start: str, end: str) -> Window:
    return Window(datetime.fromisoformat(start), datetime.fromisoformat(end))


def _write(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}\n", encoding="utf-8")


def _names(pattern: str, folder: Path, window: Window = WINDOW, timezone: str = "UTC") -> list[str]:
    found, _ = find(f"{folder}/{pattern}", window, timezone)
    return [file.name.removeprefix(f"{folder}/") for file in found]


def _refused(pattern: str) -> DataError:
    with pytest.raises(DataError) as caught:
        find(pattern, WINDOW, "UTC")
    assert "\n" not in str(caught.value) and f"[{pattern}]" in str(caught.value) and " — " in str(caught.value)
    return caught.value


def test_a_date_is_replaced_by_each_day_of_the_window() -> None:
    three = _window("2026-11-19T00:00Z", "2026-11-22T00:00Z")
    assert dated("logs/{%Y-%m-%d}.jsonl", three, "UTC") == [f"logs/2026-11-{day}.jsonl" for day in (19, 20, 21, 22)]
    assert dated("logs/{%Y}/{%m}/{%d}/*", WINDOW, "UTC") == ["logs/2026/11/21/*", "logs/2026/11/22/*"]
    assert dated("logs/*.jsonl", three, "UTC") == ["logs/*.jsonl"]


def test_logs_may_be_named_by_either_clock() -> None:
    tokyo = _window("2026-11-20T15:00Z", "2026-11-21T15:00Z")
    assert sorted(dated("{%d}", tokyo, "Asia/Tokyo")) == ["20", "21", "22"]
    west = _window("2026-11-21T08:00Z", "2026-11-21T23:00Z")
    assert sorted(dated("{%d}", west, "America/Los_Angeles")) == ["21"]


def test_an_hour_is_replaced_by_each_hour_of_the_window() -> None:
    few = _window("2026-11-21T22:30Z", "2026-11-22T01:00Z")
    assert dated("{%d/%H}", few, "UTC") == ["21/22", "21/23", "22/00", "22/01"]
    assert len(dated("{%Y-%m-%dT%H}", WINDOW, "UTC")) == 25


def test_no_hour_is_left_out_where_the_clocks_change() -> None:
    autumn = _window("2026-10-24T22:00Z", "2026-10-25T23:00Z")
    local = dated("{%d-%H}", autumn, "Europe/Berlin")
    assert {f"25-{hour:02d}" for hour in range(24)} <= set(local)


@pytest.mark.parametrize("days", [1, 2, 3, 10])
@pytest.mark.parametrize("timezone", ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Europe/Berlin"])
def test_every_instant_of_the_window_has_its_file(days: int, timezone: str) -> None:
    window = Window(DAY + timedelta(hours=7), DAY + timedelta(hours=7, days=days))
    patterns = set(dated("{%Y-%m-%d}", window, timezone))
    for hours in range(24 * days):
        at = window.start + timedelta(hours=hours)
        assert {f"{at:%Y-%m-%d}", f"{at.astimezone(files.ZoneInfo(timezone)):%Y-%m-%d}"} <= patterns


def test_files_come_in_the_order_of_their_names_each_once(tmp_path: Path) -> None:
    _write(tmp_path, "b.jsonl", "a.jsonl", "2026-11-21.jsonl", "c.txt", "sub/d.jsonl")
    assert _names("*.jsonl", tmp_path) == ["2026-11-21.jsonl", "a.jsonl", "b.jsonl"]
    assert _names("[ab].jsonl", tmp_path) == ["a.jsonl", "b.jsonl"]
    assert _names("?.jsonl", tmp_path) == ["a.jsonl", "b.jsonl"]
    assert _names("a.jsonl", tmp_path) == ["a.jsonl"]
    assert _names("*{%Y}*", tmp_path) == ["2026-11-21.jsonl"]


def test_two_stars_reach_every_depth(tmp_path: Path) -> None:
    every = ["a.jsonl", "x/b.jsonl", "x/y/c.jsonl", "x/y/z/.hidden.jsonl"]
    _write(tmp_path, *every, "x/d.txt")
    assert _names("**/*.jsonl", tmp_path) == sorted(every)
    assert _names("**/y/*.jsonl", tmp_path) == ["x/y/c.jsonl"]
    assert _names("x/**/*.jsonl", tmp_path) == sorted(every[1:])
    assert _names("*/*/*.jsonl", tmp_path) == ["x/y/c.jsonl"]
    assert _refused(f"{tmp_path}/a**/*.jsonl").retryable is False


def test_a_folder_is_no_log(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").mkdir()
    _write(tmp_path, "b.jsonl")
    assert _names("*.jsonl", tmp_path) == ["b.jsonl"]


def test_a_url_of_files_is_a_path_too(tmp_path: Path) -> None:
    _write(tmp_path, "a.jsonl")
    assert [file.name for file in find(f"file://{tmp_path}/*.jsonl", WINDOW, "UTC")[0]] == [f"{tmp_path}/a.jsonl"]


@pytest.mark.parametrize("pattern", ["*.jsonl", "nowhere/*.jsonl", "nowhere/**/*.jsonl", "a.txt/*.jsonl", "b.jsonl"])
def test_nothing_that_matches_names_the_pattern(tmp_path: Path, pattern: str) -> None:
    _write(tmp_path, "a.txt")
    error = _refused(f"{tmp_path}/{pattern}")
    assert "no query log matches" in str(error) and "mend the pattern" in str(error) and not error.retryable


def test_files_that_were_written_last_before_the_window_are_left_out_and_counted(tmp_path: Path) -> None:
    _write(tmp_path, "old.jsonl", "edge.jsonl", "new.jsonl")
    for name, at in (("old", DAY - timedelta(days=1, seconds=1)), ("edge", DAY - timedelta(days=1))):
        os.utime(tmp_path / f"{name}.jsonl", (at.timestamp(), at.timestamp()))
    found, old = find(f"{tmp_path}/*.jsonl", WINDOW, "UTC")
    assert [Path(file.name).name for file in found] == ["edge.jsonl", "new.jsonl"] and old == 1
    assert all(file.modified is not None and file.modified.tzinfo for file in found)


def test_old_files_alone_are_no_mistake(tmp_path: Path) -> None:
    _write(tmp_path, "old.jsonl")
    os.utime(tmp_path / "old.jsonl", (86_400, 86_400))
    assert find(f"{tmp_path}/*.jsonl", WINDOW, "UTC") == ([], 1)


def test_a_files_date_is_the_beginning_of_its_name(tmp_path: Path) -> None:
    _write(tmp_path, "2026-11-21-web.jsonl", "web.jsonl")
    assert [file.date for file in find(f"{tmp_path}/*", WINDOW, "UTC")[0]] == ["2026-11-21", "web.jsonl"]


class _Guarded(MemoryFileSystem):  # type: ignore[misc]
    """Refuses what is called closed; fails where something is called broken."""

    protocol = "guarded"
    store: dict[str, Any] = {}  # noqa: RUF012
    pseudo_dirs = [""]  # noqa: RUF012

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(MemoryFileSystem._strip_protocol(path.replace("guarded://", "/")))

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> Any:
        self._check(path)
        return super().ls(path, detail=detail, **kwargs)

    def _open(self, path: str, mode: str = "rb", **kwargs: Any) -> Any:
        if "r" in mode:
            self._check(path)
        return super()._open(path, mode, **kwargs)

    def _check(self, path: str) -> None:
        if path.endswith(("closed", "closed.jsonl")):
            raise PermissionError(13, "not for you", path)
        if path.endswith(("broken", "broken.jsonl")):
            raise OSError(5, "Input/output error")


@pytest.fixture
def guarded() -> Iterator[_Guarded]:
    fsspec.register_implementation("guarded", _Guarded, clobber=True)
    filesystem = _Guarded()
    yield filesystem
    _Guarded.store.clear()
    _Guarded.pseudo_dirs[:] = [""]


def test_a_folder_that_may_not_be_listed_is_not_passed_over(guarded: _Guarded) -> None:
    for name in ("/logs/open/a.jsonl", "/logs/closed/b.jsonl"):
        guarded.pipe(name, b"{}\n")
    for pattern in ("guarded://logs/closed/*.jsonl", "guarded://logs/*/*.jsonl", "guarded://logs/**/*.jsonl"):
        error = _refused(pattern)
        assert "access is denied" in str(error) and "not for you" in str(error) and not error.retryable
    assert len(find("guarded://logs/o*/*.jsonl", WINDOW, "UTC")[0]) == 1, "where no match can be, nobody looks"


def test_a_folder_that_cannot_be_listed_is_worth_another_try(guarded: _Guarded) -> None:
    guarded.pipe("/logs/broken/b.jsonl", b"{}\n")
    error = _refused("guarded://logs/**/*.jsonl")
    assert isinstance(error, SourceUnreachable) and error.retryable and "Input/output error" in str(error)


@pytest.mark.parametrize(("name", "said"), [("closed", "access is denied"), ("broken", "Input/output error")])
def test_a_file_that_cannot_be_opened_is_named(guarded: _Guarded, name: str, said: str) -> None:
    guarded.pipe(f"/logs/{name}.jsonl", b"{}\n")
    (file,), _ = find("guarded://logs/*.jsonl", WINDOW, "UTC")
    with pytest.raises(DataError, match=f"{said}.*/logs/{name}.jsonl\\]") as caught, opened(file):
        pass
    assert caught.value.retryable == (name == "broken")


def test_a_file_that_vanishes_between_listing_and_reading_is_worth_another_try(tmp_path: Path) -> None:
    _write(tmp_path, "a.jsonl")
    (file,), _ = find(f"{tmp_path}/*.jsonl", WINDOW, "UTC")
    (tmp_path / "a.jsonl").rename(tmp_path / "a.jsonl.1")
    with pytest.raises(SourceUnreachable, match=f"is gone since it was listed .{tmp_path}/a.jsonl. — run it again"):
        list(chunks(file))


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_disk_that_fails_while_a_file_is_read_is_no_damaged_file(
    guarded: _Guarded, monkeypatch: pytest.MonkeyPatch, pack: Any
) -> None:
    guarded.pipe("/logs/a.jsonl", pack(b"{}\n" * 100_000))
    (file,), _ = find("guarded://logs/*.jsonl", WINDOW, "UTC")
    open_file = _Guarded._open

    def half(self: _Guarded, path: str, mode: str = "rb", **kwargs: Any) -> Any:
        raw = open_file(self, path, mode, **kwargs)
        read, left = raw.read, [2]

        def failing(size: int = -1) -> Any:
            left[0] -= 1
            if not left[0]:
                raise OSError(5, "Input/output error")
            return read(size)

        monkeypatch.setattr(raw, "read", failing)
        return raw

    monkeypatch.setattr(_Guarded, "_open", half)
    with pytest.raises(SourceUnreachable, match="Input/output error .*/logs/a.jsonl"):
        list(chunks(file))


def test_a_missing_package_is_named_by_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {
        "s3": {"class": "no_such_module_of_tao.S3", "err": "Install s3fs to access S3"},
        "gcs": {"class": "no_such_module_of_tao.GCS", "err": "Install gcsfs to access GCS"},
        "abfs": {"class": "no_such_module_of_tao.ABFS", "err": "Install adlfs"},
    }
    registry = importlib.import_module("fsspec.registry")
    monkeypatch.setattr(registry, "known_implementations", known)
    monkeypatch.setattr(registry, "_registry", {})
    assert "Install s3fs to access S3" in str(_refused("s3://logs/*.jsonl"))
    assert "install tao-flywheel[s3]" in str(_refused("s3://logs/*.jsonl"))
    assert "install tao-flywheel[gs]" in str(_refused("gcs://logs/*.jsonl"))
    assert "install what fsspec needs for abfs://" in str(_refused("abfs://logs/*.jsonl"))


def test_a_scheme_that_nobody_knows_is_named() -> None:
    assert "Protocol not known: s4" in str(_refused("s4://logs/*.jsonl"))


def test_a_pipe_or_socket_is_no_log(tmp_path: Path) -> None:
    _write(tmp_path, "a.jsonl")
    os.mkfifo(tmp_path / "b.jsonl")
    assert stat.S_ISFIFO((tmp_path / "b.jsonl").stat().st_mode)
    assert _names("*.jsonl", tmp_path) == ["a.jsonl"]


def test_chunks_are_the_files_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "CHUNK", 100_000)
    content = os.urandom(1_000_000)
    (tmp_path / "a").write_bytes(content)
    (tmp_path / "b").write_bytes(gzip.compress(content))
    for file in find(f"{tmp_path}/*", WINDOW, "UTC")[0]:
        got = list(chunks(file))
        assert b"".join(got) == content and max(map(len, got)) < 200_000
