"""``tao``: what a person types, reads and gets back."""

import json
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tao_ops import lease
from tao_ops.cli import app
from tao_ops.stages import Stage
from tao_ops.tables import TABLES

Shop = Any
DAY = ("shop", "--turn", "2026-11-21")
STAGES = tuple(stage.value for stage in Stage)


@pytest.fixture(autouse=True)
def _same_signals() -> Iterator[None]:
    """``tao turn`` takes SIGTERM over, as a process of its own may."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def _tao(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})


def _error(result: Result, code: int = 1) -> str:
    """The one line on standard error."""
    assert result.exit_code == code, result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    return line


def _until(stage: Stage) -> None:
    for each in list(Stage)[: list(Stage).index(stage) + 1]:
        result = _tao(each.value, *DAY)
        assert result.exit_code == 0, result.output


def test_help_names_the_commands_and_the_stages_in_their_order() -> None:
    said = _tao("--help").stdout
    assert "tune a language model from nothing but the queries its users send" in said
    places = [said.index(f" {stage} ") for stage in STAGES]
    assert places == sorted(places) and "Stages, in their order" in said
    for command in ("turn", "config", "model", "doctor"):
        assert f" {command} " in said


@pytest.mark.parametrize("stage", STAGES)
def test_help_of_a_stage_says_what_it_does_and_takes(stage: str) -> None:
    result = _tao(stage, "--help")
    assert result.exit_code == 0
    for words in ("a file of include/flywheels/", "--turn", "default: the last", "--run-id", "--report", "--keep-turn"):
        assert words in " ".join(result.stdout.split()), words
    assert ("--shard" in result.stdout) is (stage in ("generate", "score"))


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("turn",), "Run a turn (tao turn NAME), list turns, show one."),
        (("turn", "run"), "Exit: 0 promoted, 3 not promoted, 1 an error."),
        (("turn", "list"), "The turns there were, oldest first."),
        (("turn", "show"), "What one turn did"),
        (("turn", "release"), "hold on its turn"),
        (("config", "check"), "say what is wrong, or that nothing is"),
        (("model", "prepare"), "Convert the embedded model once"),
        (("doctor",), "What this machine has and what it lacks"),
        (("local",), "Airflow and PostgreSQL on this machine"),
    ],
)
def test_help_of_every_other_command_is_worth_reading(command: tuple[str, ...], words: str) -> None:
    result = _tao(*command, "--help")
    assert result.exit_code == 0 and words in " ".join(result.stdout.split())


def test_config_check_says_that_all_is_right_or_what_is_not(shop: Shop) -> None:
    assert _tao("config", "check").stdout == f"shop: all right (digest {shop.run().flywheel.digest[:12]})\n"
    (shop.settings.include / "examples.jsonl").write_text("{}\n", encoding="utf-8")
    assert "examples.jsonl:1" in _error(_tao("config", "check", "shop"))
    shop.change("speed", 3)
    assert "unknown key" in _error(_tao("config", "check"))
    assert "there is no flywheel 'shap'" in _error(_tao("config", "check", "shap"))


def test_a_stage_says_what_it_does_and_writes_its_report(shop: Shop, tmp_path: Any) -> None:
    shop.log()
    result = _tao("ingest", *DAY, "--report", str(tmp_path / "report.json"))
    assert result.exit_code == 0 and result.stderr == ""
    assert "ingest: shop, turn 2026-11-21T00:00Z, run manual__" in result.stdout
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert (report["stage"], report["rows_out"], report["metrics"]["users"]) == ("ingest", 12, 1)


def test_later_stages_take_the_run_of_the_newest_ingest_and_a_new_ingest_is_a_new_run(shop: Shop) -> None:
    shop.log()
    _until(Stage.VALIDATE)
    _tao("ingest", *DAY)
    runs = {
        name: set(shop.run().lake.read(TABLES[name]).column("run_id").to_pylist()) for name in ("queries", "prompts")
    }
    assert len(runs["queries"]) == len(runs["prompts"]) == 1 and runs["queries"] != runs["prompts"]
    _tao("validate", *DAY)
    assert set(shop.run().lake.read(TABLES["prompts"]).column("run_id").to_pylist()) == runs["queries"]


def test_a_turn_is_shown_as_json_with_exactly_the_interfaces_keys(shop: Shop) -> None:
    shop.log()
    _until(Stage.GATE)
    shown = json.loads(_tao("turn", "show", *DAY, "--json").stdout)
    promised = "flywheel turn stages exploration rewards update report verdict release"
    assert set(shown) == set(promised.split())
    assert (shown["flywheel"], shown["turn"]) == ("shop", "2026-11-21T00:00Z")
    assert tuple(shown["stages"]) == STAGES[:-1]
    for stage in shown["stages"].values():
        assert set(stage) == {"rows_in", "rows_out", "seconds", "metrics"}
    assert set(shown["report"]) == {"benchmarks"}
    (line,) = shown["report"]["benchmarks"]
    of_line = "name metric n champion control candidate delta ci_low ci_high p_value primary"
    assert set(of_line.split()) <= set(line)
    assert set(shown["verdict"]) == {"decision", "reasons", "findings", "test", "level", "approval"}
    assert shown["verdict"]["decision"] == "promote" and shown["verdict"]["approval"] == "auto"
    assert shown["release"] is None


def test_a_turn_is_shown_and_listed_in_words(shop: Shop) -> None:
    shop.log()
    _until(Stage.GATE)
    said = _tao("turn", "show", *DAY).stdout
    for words in ("shop, turn 2026-11-21T00:00Z", "generate", "exam (exact_json, n = 6)", "verdict: promote"):
        assert words in said, words
    assert "tickets/demonstrations" in said
    picture = shop.settings.home / "exploration.png"
    assert _tao("turn", "show", *DAY, "--picture", str(picture)).exit_code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    listed = _tao("turn", "list", "shop").stdout
    assert "2026-11-21T00:00Z" in listed and "7/8" in listed and "promote" in listed
    (row,) = json.loads(_tao("turn", "list", "shop", "--json").stdout)
    assert (row["turn"], row["stages"], row["decision"], row["version"]) == ("2026-11-21T00:00Z", 7, "promote", None)


def test_a_turn_that_never_ran_is_no_error(shop: Shop) -> None:
    result = _tao("turn", "show", *DAY)
    assert (result.exit_code, result.stdout) == (0, "nothing has run of turn 2026-11-21T00:00Z of shop\n")
    empty = json.loads(_tao("turn", "show", *DAY, "--json").stdout)
    assert empty["stages"] == {} and empty["verdict"] is None and empty["release"] is None
    assert "no turn of shop yet" in _tao("turn", "list", "shop").stdout
    assert json.loads(_tao("turn", "list", "shop", "--json").stdout) == []
    assert not (shop.settings.home / "lake").exists(), "looking writes nothing"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("ingest", "shap"), "there is no flywheel 'shap'"),
        (("ingest", "shop", "--turn", "yesterday"), "'yesterday' is not a date or an instant"),
        (("ingest", "shop", "--turn", "2026-11-21T06:00Z"), "the one before it is 2026-11-21T00:00Z"),
        (("ingest", *DAY), "no query log matches"),
        (("validate", *DAY), "run ingest first"),
        (("update", *DAY), "run score first"),
        (("gate", *DAY), "run evaluate first"),
        (("turn", "show", "shap"), "there is no flywheel 'shap'"),
        (("turn", "list", "shap", "--json"), "there is no flywheel 'shap'"),
        (("turn", "shop", "--set", "update.method=magic"), "[--set update.method]"),
    ],
)
def test_an_error_is_one_line_on_standard_error(shop: Shop, arguments: tuple[str, ...], said: str) -> None:
    assert said in _error(_tao(*arguments))
    assert set(shop.versions().values()) == {None}


def test_what_a_retry_may_mend_has_an_exit_code_of_its_own(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.log()
    monkeypatch.setenv("TAO_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/tao")
    assert "127.0.0.1" in _error(_tao("ingest", *DAY), code=75)


def test_a_second_run_of_a_turn_ends_at_once_and_names_the_first(shop: Shop) -> None:
    shop.log()
    run = shop.run()
    with lease.hold(run.database_url, run.turn, "manual__first", "turn", keep_between=False):
        for command in (("ingest", *DAY), ("turn", *DAY), ("turn", "run", *DAY)):
            assert "turn 2026-11-21T00:00Z of shop is held by run manual__first" in _error(_tao(*command))
    assert set(shop.versions().values()) == {None}


def test_a_turn_given_back_can_be_taken_at_once(shop: Shop) -> None:
    shop.log()
    assert _tao("ingest", *DAY, "--run-id", "r1", "--keep-turn").exit_code == 0
    assert "held by run r1" in _error(_tao("ingest", *DAY, "--run-id", "r2"))
    assert _tao("turn", "release", *DAY, "--run-id", "r1").exit_code == 0
    assert _tao("ingest", *DAY, "--run-id", "r2").exit_code == 0


def test_a_whole_turn_stops_at_the_stage_that_fails_and_repeats_its_error(shop: Shop) -> None:
    shop.log(day=20)
    result = _tao("turn", *DAY)
    assert result.exit_code == 1
    assert "stage ingest ended with 1: no query was logged in the interval" in result.stderr.splitlines()[-1]
    assert "validate:" not in result.stdout
    assert set(shop.versions().values()) == {None}
