"""Responses whose worth is known: anchors that somebody labelled, users' feedback, and what a verifier decides.

Users judge the production response, which is no candidate: it is scored beside the query's candidates, without a vote,
and its row in ``rewards`` has an id of its own, by which a later turn finds it again. An answer that they corrected
labels the candidates too: :mod:`.corrections`.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tao_ops import exam
from tao_ops.config import Flywheel, ScorerConfig
from tao_ops.lake import Lake
from tao_ops.records import Candidate, Prompt
from tao_ops.rewards import Scored
from tao_ops.rewards.calibration import Case, Source, read_anchors
from tao_ops.rewards.combine import decides, vetoed
from tao_ops.scoring.corrections import Said, comparison, said
from tao_ops.tables import PROMPTS, RESPONSES, REWARDS, TURNS
from tao_ops.turn import Turn

MOST = 20_000
"""Labels of earlier turns that are fitted to, the newest ones."""
LOOK_BACK = 30
"""Turns that are looked at for labels and for a calibrator, whatever ``calibration.history`` says."""
_LOGGED = ":@"
"""In a response's id between its query's and the digest of a production response; no strategy is named so."""


@dataclass(frozen=True)
class Labelled:
    """A response beside the turn's own, with its label.

    Attributes:
        response_id: of a production response, which is kept in ``rewards``; empty for an anchor.
    """

    candidate: Candidate
    label: float
    source: Source
    response_id: str = ""

    def case(self, scored: Scored) -> Case:
        """What calibration learns from it."""
        return Case(self.candidate.query_id, scored.scores, self.label, self.source)


def anchors(flywheel: Flywheel, task: str) -> list[Labelled]:
    """The labelled responses of the task's file, each query's a pool of its own; none where it has no file.

    Raises:
        ConfigError: the file cannot be read, or an anchor is an item of a benchmark.
    """
    file = flywheel.tasks[task].calibration.anchors
    if file is None:
        return []
    path = flywheel.file(file)
    found = read_anchors(path)
    exam.refuse_exam(flywheel, task, {f"{path}: anchor {n}": a.messages for n, a in enumerate(found, 1)})
    labelled = []
    for number, anchor in enumerate(found, 1):
        prompt = Prompt(f"anchor {number}", task, anchor.messages)
        for response in anchor.responses:
            candidate = Candidate(
                prompt.query_id, prompt.text, response.text, "", prompt.context, anchor.reference, votes=True
            )
            # One that was given three times counts three times, as it does where responses are scored.
            labelled += [Labelled(candidate, float(response.correct), "anchor")] * response.count
    return labelled


def feedback(
    lake: Lake, flywheel: Flywheel, turn: Turn, task: str, prompts: Mapping[str, Prompt]
) -> tuple[list[Labelled], dict[str, str]]:
    """What users of this turn have said of responses to these prompts.

    Args:
        prompts: of one task, by query.

    Returns:
        The production responses that they judged, of several verdicts the more frequent; and by query the right answer,
        where they corrected one.
    """
    told = said(lake, comparison(flywheel, task), turn.flywheel, [turn.key], task).get(turn.key, Said())
    found = []
    for (query_id, text), verdict in told.verdicts.items():
        if (prompt := prompts.get(query_id)) is not None:
            candidate = Candidate(query_id, prompt.text, text, "", prompt.context, votes=False)
            found.append(Labelled(candidate, verdict, "feedback", response_id(query_id, text)))
    return found, {query_id: text for query_id, text in told.right.items() if query_id in prompts}


def corrected(
    flywheel: Flywheel, task: str, candidates: Sequence[Candidate], right: Mapping[str, str]
) -> list[float | None]:
    """Of each candidate, whether it says what its query's corrected answer says; None where nothing tells.

    Args:
        right: the corrected answer by query.
    """
    places = [place for place, one in enumerate(candidates) if one.query_id in right]
    if not places:
        return [None] * len(candidates)
    batch = [replace(candidates[place], reference=right[candidates[place].query_id]) for place in places]
    found = dict(zip(places, comparison(flywheel, task)(batch), strict=True))
    return [found.get(place) for place in range(len(candidates))]


@dataclass(frozen=True)
class Known:
    """Labelled cases, and those among them that something vetoes: they are worth nothing, whatever is fitted."""

    labelled: Sequence[Case] = ()
    refused: Sequence[Case] = ()


def earlier(lake: Lake, flywheel: Flywheel, task: str, turns: Sequence[str]) -> Known:
    """Labelled cases of the turns before this one, by what users said and verifiers decide; the newest ones.

    Args:
        turns: of :func:`same_scorers`: a score by another rubric or rule is another score.
    """
    config = flywheel.tasks[task]
    if not config.calibration.history:
        return Known()
    turns = turns[-config.calibration.history :]
    told = said(lake, comparison(flywheel, task), flywheel.name, turns, task) if turns else {}
    if not told and not any(map(decides, config.scorers)):
        return Known()
    labelled: list[Case] = []
    out: list[Case] = []
    for key in reversed(turns):
        for case, out_of in _cases(lake, flywheel, key, task, told.get(key, Said())):
            (out if out_of else labelled).append(case)
        if len(labelled) + len(out) >= MOST:
            break
    return Known(labelled[:MOST], out[:MOST])


def scorers_digest(flywheel: Flywheel, task: str) -> str:
    """Sixteen hex digits of everything that a task's scores are made by, files among them but for databases."""
    sha = hashlib.sha256()
    for config in flywheel.tasks[task].scorers:
        sha.update(config.model_dump_json().encode())
        for key in ("file", "rubric", "template_file"):
            if (file := getattr(config, key, None)) is not None:
                sha.update(flywheel.file(file).read_bytes())
    if (schema := flywheel.tasks[task].json_schema) is not None:
        sha.update(flywheel.file(schema).read_bytes())
    return sha.hexdigest()[:16]


def same_scorers(lake: Lake, flywheel: Flywheel, turn: Turn, task: str) -> list[str]:
    """The turns before this one that were scored by the task's scorers as they are now, oldest first."""
    where: dict[str, Any] = {"flywheel": turn.flywheel, "stage": "score"}
    have = lake.read(TURNS, columns=["turn"], **where).column("turn").unique().to_pylist()
    newest = sorted(key for key in have if key < turn.key)[-LOOK_BACK:]
    if not newest:
        return []
    digest = scorers_digest(flywheel, task)
    rows = lake.read(TURNS, columns=["turn", "metrics"], **where, turn=newest).to_pylist()
    return sorted({row["turn"] for row in rows if json.loads(row["metrics"]).get("scorers", {}).get(task) == digest})


def verified(configs: Sequence[ScorerConfig], query_id: str, scored: Mapping[str, float]) -> Case | None:
    """A case that a verifier which decides has labelled, without that verifier's own score; None where none has."""
    deciders = {one.name for one in configs if decides(one)}
    values = [scored[name] for name in deciders if name in scored]
    rest = {name: value for name, value in scored.items() if name not in deciders}
    return Case(query_id, rest, float(min(values) >= 0.5), "verified") if values and rest else None


def refused(configs: Sequence[ScorerConfig], scores: Mapping[str, float], flags: Sequence[str]) -> bool:
    """Whether something else than the verifiers that decide vetoes a response: their own verdict is its label."""
    return vetoed([one for one in configs if not decides(one)], scores, flags)


def query_ids(lake: Lake, task: str, where: Mapping[str, Any]) -> set[str]:
    """The queries of a task's prompts in the turn that ``where`` names."""
    return set(lake.read(PROMPTS, columns=["query_id"], task=task, **where).column("query_id").to_pylist())


def response_id(query_id: str, text: str) -> str:
    """Of a production response: the same text has the same one in every turn."""
    return f"{query_id}{_LOGGED}{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:12]}"


def is_logged(identity: str) -> bool:
    """Whether a row of ``rewards`` is a production response's."""
    return _LOGGED in identity


def _cases(lake: Lake, flywheel: Flywheel, key: str, task: str, told: Said) -> list[tuple[Case, bool]]:
    """Cases of one turn, each with whether something vetoes it."""
    where: dict[str, Any] = {"flywheel": flywheel.name, "turn": key}
    mine = query_ids(lake, task, where)
    configs = flywheel.tasks[task].scorers
    labels = {response_id(query_id, text): label for (query_id, text), label in told.verdicts.items()}
    alike = _alike(lake, flywheel, where, task, told.right)
    rows = lake.read(REWARDS, columns=["response_id", "query_id", "scores", "flags"], **where).to_pylist()
    cases: list[tuple[Case, bool]] = []
    for row in sorted(rows, key=lambda row: str(row["response_id"])):
        scores = dict(row["scores"])
        if row["query_id"] not in mine or not scores:
            continue
        if (label := labels.get(row["response_id"])) is not None:
            cases.append((Case(row["query_id"], scores, label, "feedback"), vetoed(configs, scores, row["flags"])))
        elif is_logged(row["response_id"]):
            continue
        elif (case := verified(configs, row["query_id"], scores)) is not None:
            cases.append((case, refused(configs, case.scores, row["flags"])))
        elif (label := alike.get(row["response_id"])) is not None:
            cases.append((Case(row["query_id"], scores, label, "corrected"), vetoed(configs, scores, row["flags"])))
    return cases


def _alike(
    lake: Lake, flywheel: Flywheel, where: Mapping[str, Any], task: str, right: Mapping[str, str]
) -> dict[str, float]:
    """By response of a turn, whether it says what its query's corrected answer says, where that can be told."""
    if not right:
        return {}
    asked = lake.read(PROMPTS, columns=["query_id", "messages"], **where, query_id=list(right)).to_pylist()
    prompts = {row["query_id"]: Prompt(row["query_id"], task, tuple(row["messages"])) for row in asked}
    columns = ["response_id", "query_id", "answer"]
    rows = lake.read(RESPONSES, columns=columns, **where, query_id=list(prompts)).to_pylist() if prompts else []
    batch = [
        Candidate(one.query_id, one.text, row["answer"] or "", "", one.context)
        for row in rows
        if (one := prompts[row["query_id"]])
    ]
    found = zip(rows, corrected(flywheel, task, batch, right), strict=True)
    return {row["response_id"]: label for row, label in found if label is not None}
