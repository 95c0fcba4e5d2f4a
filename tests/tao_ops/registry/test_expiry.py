"""Weights of old versions go, and none of those that somebody may still need."""

import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tao_ops.errors import ModelError
from tao_ops.files import write_json
from tao_ops.registry import EventKind, Registry, Submission
from tao_ops.registry.answers import see_files
from tao_ops.registry.expiry import Expired, expire, kept
from tao_ops.registry.record import TIME_LIMIT, ChampionEvent
from tao_ops.submissions import Registered


def _version(version: int, base: int = 0) -> Registered:
    told = dict.fromkeys(("turn", "run_id", "verdict", "model_version", "method", "benchmark", "score", "delta"))
    return Registered(version, f"/m/{version}", datetime.now(UTC), base_version=base, expired=False, **told)  # type: ignore[arg-type]


def _event(kind: EventKind, old: int, new: int, version: int) -> ChampionEvent:
    return ChampionEvent(kind, datetime.now(UTC), "", "", old, new, version)


def test_the_champion_the_one_before_the_pending_and_what_they_began_at_are_kept() -> None:
    # 2 began at 1, 4 at 2, 6 at the base model.
    versions = [_version(1), _version(2, 1), _version(3), _version(4, 2), _version(5), _version(6), _version(7, 5)]
    history = [
        _event(EventKind.PROMOTE, 0, 1, 1),
        _event(EventKind.PROMOTE, 1, 3, 3),
        _event(EventKind.PROMOTE, 3, 4, 4),
        _event(EventKind.PENDING, 4, 4, 5),
    ]
    assert kept(versions, history, 4, newest=1) == {1, 2, 3, 4, 5, 7}
    assert kept(versions, history, 4, newest=2) == {1, 2, 3, 4, 5, 6, 7}
    assert kept([*versions, _version(8)], history, 4, newest=1, overdue={5}) == {1, 2, 3, 4, 8}
    answered = [*history, _event(EventKind.REJECT, 4, 4, 5)]
    assert 5 in kept(versions, answered, 4, newest=1)  # the newest one began there
    assert kept([*versions, _version(8)], answered, 4, newest=1) == {1, 2, 3, 4, 8}


def test_an_expired_version_loses_its_weights_and_keeps_what_tells_of_it(database_url: str, tmp_path: Path) -> None:
    name, registry = f"tickets_{secrets.token_hex(4)}", Registry(database_url, tmp_path / "artifacts")
    folders = [_registered(registry, name, tmp_path, f"r{n}") for n in range(4)]
    registry.promote(name, 1, expected_champion=0, who="t", why="w")
    (folders[2] / "manifest.json").unlink()  # whose folder it is nobody can tell: it is left alone
    said: list[str] = []
    assert expire(name, 1, registry, say=said.append, dry_run=True).versions == [2]
    assert all((folder / "model.safetensors").is_file() for folder in folders)
    done = expire(name, 1, registry, say=said.append)
    assert (done.versions, done.files) == ([2], 3)
    assert sorted(path.name for path in folders[1].iterdir()) == [
        "README.md",
        "config.json",
        "manifest.json",
        "training_rows.parquet",
    ]
    assert [(folders[n] / "model.safetensors").is_file() for n in (0, 2, 3)] == [True, True, True]
    assert [one.expired for one in registry.versions(name)] == [False, True, False, False]
    assert [e.version for e in registry.events(name) if e.kind is EventKind.EXPIRED] == [2]
    with pytest.raises(ModelError, match=r"weights of version 2 are deleted: .*retention\.versions"):
        see_files(registry, name, registry.versions(name)[1])
    # Done again it finds nothing, and finishes what a kill had left.
    assert expire(name, 1, registry, say=said.append) == Expired([], 0, 0)
    (folders[1] / "model.safetensors").write_bytes(b"left")
    assert expire(name, 1, registry, say=said.append).versions == [2]
    assert not (folders[1] / "model.safetensors").exists()
    assert len([e for e in registry.events(name) if e.kind is EventKind.EXPIRED]) == 1


def test_what_waited_for_too_long_is_rejected_and_goes(database_url: str, tmp_path: Path) -> None:
    name, registry = f"tickets_{secrets.token_hex(4)}", Registry(database_url, tmp_path / "artifacts")
    folders = [_registered(registry, name, tmp_path, f"r{n}", pending=n == 0) for n in range(2)]

    def weights() -> list[bool]:
        return [(folder / "model.safetensors").is_file() for folder in folders]

    def expired(limit: timedelta, *, dry_run: bool = False) -> list[int]:
        return list(expire(name, 1, registry, say=said.append, dry_run=dry_run, approval_limit=limit).versions)

    said: list[str] = []
    assert expired(timedelta(hours=20)) == [] and weights() == [True, True]
    before = registry.events(name)
    assert expired(timedelta(0), dry_run=True) == [1]
    assert registry.events(name) == before and weights() == [True, True]
    assert expired(timedelta(0)) == [1] and weights() == [False, True]
    rejected, gone = registry.events(name)[len(before) :]
    assert (rejected.kind, rejected.version, rejected.who) == (EventKind.REJECT, 1, TIME_LIMIT)
    assert (gone.kind, gone.version) == (EventKind.EXPIRED, 1)
    assert "version 1 of" in said[-2] and "nobody answered within 0:00:00" in said[-2]


def test_a_version_whose_weights_came_back_is_expired_no_more(database_url: str, tmp_path: Path) -> None:
    name, registry = f"tickets_{secrets.token_hex(4)}", Registry(database_url, tmp_path / "artifacts")
    for n in range(2):
        _registered(registry, name, tmp_path, f"r{n}")
    expire(name, 1, registry, say=lambda line: None)
    assert [one.expired for one in registry.versions(name)] == [True, False]
    _submit(registry, name, tmp_path / "r0")  # without its weights it is still expired
    assert [one.expired for one in registry.versions(name)] == [True, False]
    _registered(registry, name, tmp_path, "r0")
    assert [one.expired for one in registry.versions(name)] == [False, False]


def _registered(registry: Registry, name: str, tmp_path: Path, run_id: str, *, pending: bool = False) -> Path:
    folder = tmp_path / run_id
    (folder / "components" / "tokenizer").mkdir(parents=True, exist_ok=True)
    for file in ("config.json", "README.md", "training_rows.parquet", "model.safetensors", "tokenizer.json"):
        (folder / file).write_text(run_id, encoding="utf-8")
    (folder / "components" / "tokenizer" / "tokenizer.json").write_text("{}", encoding="utf-8")
    _submit(registry, name, folder, pending=pending)
    return folder


def _submit(registry: Registry, name: str, folder: Path, *, pending: bool = False) -> None:
    candidate = {
        "model_version": f"m-{folder.name}",
        "path": str(folder),
        "architecture": "Tiny",
        "parameters": 1,
        "dtype": "BF16",
        "base": {"version": 0, "model_version": "b"},
    }
    write_json(folder / "manifest.json", candidate)
    verdict = {"decision": "promote" if pending else "undecided", "reasons": []}
    lineage = str(folder / "manifest.json")
    made = Submission(name, "2026-11-21T00:00Z", folder.name, candidate, {}, verdict, lineage)
    registry.register(made, pending=pending)
