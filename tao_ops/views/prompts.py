"""A turn's prompts with their candidates: the list, narrowed and page by page, and one of them whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tao_ops.errors import ConfigError, DataError
from tao_ops.lake import Lake
from tao_ops.tables import PROMPTS, RESPONSES, REWARDS
from tao_ops.views import paging
from tao_ops.views.history import check_turn
from tao_ops.views.records import RIGHT, Candidate, Choices, Message, Only, Page, PromptLine, PromptView

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

LONGEST_SEARCH = 200
"""Characters of a text that is searched for."""
_EXCERPT = 240
"""Characters of a prompt in the list."""


def choices(lake: Lake, flywheel: str, turn: str) -> Choices:
    """The tasks and strategies of a turn.

    Raises:
        DataError: the lake has no such turn.
    """
    tasks, strategies = (
        sorted(set(lake.read(table, columns=[name], flywheel=flywheel, turn=turn).column(name).unique().to_pylist()))
        for table, name in ((PROMPTS, "task"), (RESPONSES, "strategy"))
    )
    if not tasks:
        check_turn(lake, flywheel, turn)
    return Choices(tuple(tasks), tuple(strategies))


def prompts(
    lake: Lake,
    flywheel: str,
    turn: str,
    *,
    task: str | None = None,
    strategy: str | None = None,
    only: Only = Only.ALL,
    search: str = "",
    page: int = 1,
    size: int = 50,
) -> Page[PromptLine]:
    """One page of a turn's prompts.

    Args:
        strategy: prompts that it was tried on, and figures of its candidates alone.
        only: which prompts, and in which order.
        search: what one of the prompt's messages or of its candidates says, as it stands, in any case of letters.

    Raises:
        ConfigError: there can be no such page or search.
        DataError: the lake has no such turn.
    """
    paging.check(page, size)
    if len(search) > LONGEST_SEARCH:
        raise ConfigError(f"{len(search)} characters", where="search", mend=f"search for {LONGEST_SEARCH} at most")
    where: dict[str, Any] = {"flywheel": flywheel, "turn": turn}
    narrowed = where if task is None else {**where, "task": task}
    asked = lake.read(PROMPTS, columns=["query_id", "task", "split", "count", "messages"], **narrowed)
    if not asked.num_rows:
        check_turn(lake, flywheel, turn)
        return Page((), page, size, 0)
    pool = _pool(lake, where, asked, strategy, with_texts=bool(search))
    found = _ordered(asked, pool, only, only_tried=strategy is not None, search=search)
    return Page(tuple(_lines(asked, pool, paging.cut(found, page, size))), page, size, len(found))


def prompt(lake: Lake, flywheel: str, turn: str, query_id: str) -> PromptView:
    """One prompt with all of its candidates, the best first.

    Raises:
        DataError: the turn has no such prompt.
    """
    where: dict[str, Any] = {"flywheel": flywheel, "turn": turn, "query_id": query_id}
    asked = lake.read(PROMPTS, columns=["query_id", "task", "split", "cluster", "count", "messages"], **where)
    if not asked.num_rows:
        check_turn(lake, flywheel, turn)
        mend = "it may have been merged into a near one, or erased: see what the lineage of the query says"
        raise DataError(f"turn {turn} of {flywheel} has no prompt {query_id!r}", where=lake.root, mend=mend)
    one = asked.to_pylist()[0]
    candidates = _candidates(lake, where)
    return PromptView(
        turn=turn,
        query_id=query_id,
        **{name: one[name] for name in ("task", "split", "cluster", "count")},
        messages=tuple(Message(each["role"], each["content"]) for each in one["messages"]),
        scorers=tuple(sorted({name for each in candidates for name in (*each.scores, *each.undecided)})),
        candidates=tuple(candidates),
    )


@dataclass(frozen=True)
class _Pool:
    """A turn's candidates, by the place of their prompt.

    Attributes:
        responses: with ``text`` where texts are searched.
        at: each response's prompt, as its row.
        reward: NaN where there is none.
        flagged: whether a scorer left a flag.
    """

    responses: "pa.Table"
    at: "Ints"
    reward: "Floats"
    flagged: "NDArray[np.bool_]"
    prompts: int

    def count(self, mine: "NDArray[np.bool_] | None" = None) -> "Ints":
        """How many candidates each prompt has, of those of ``mine``."""
        import numpy as np

        return np.bincount(self.at if mine is None else self.at[mine], minlength=self.prompts)

    def extreme(self, pick: "np.ufunc", start: float) -> "Floats":
        """Each prompt's lowest or highest reward; NaN without one."""
        import numpy as np

        found = np.full(self.prompts, start)
        known = ~np.isnan(self.reward)
        pick.at(found, self.at[known], self.reward[known])
        return np.where(np.isinf(found), np.nan, found)

    def sums(self) -> "Floats":
        """The sum of each prompt's rewards."""
        import numpy as np

        return np.asarray(np.bincount(self.at, np.nan_to_num(self.reward), self.prompts), np.float64)


def _pool(lake: Lake, where: Mapping[str, Any], asked: "pa.Table", strategy: str | None, *, with_texts: bool) -> _Pool:
    """The turn's candidates; of a reward that an earlier run left behind nothing is taken."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = ["response_id", "query_id", "run_id", "strategy", "answer", *(["text"] if with_texts else [])]
    narrowed = where if strategy is None else {**where, "strategy": strategy}
    responses = lake.read(RESPONSES, columns=columns, **narrowed)
    at = pc.index_in(responses["query_id"], value_set=asked["query_id"].combine_chunks())
    known = pc.is_valid(at)
    responses, at = responses.filter(known), at.filter(known)
    rewards = lake.read(REWARDS, columns=["response_id", "run_id", "reward", "flags"], **where)
    of = pc.index_in(responses["response_id"], value_set=rewards["response_id"].combine_chunks())
    judged = rewards.take(of)
    same = pc.fill_null(pc.equal(judged["run_id"], responses["run_id"]), False)
    reward = pc.if_else(same, judged["reward"], pa.scalar(None, pa.float64()))
    flags = pc.if_else(same, pc.fill_null(pc.list_value_length(judged["flags"]), 0), 0)
    return _Pool(
        responses,
        at.to_numpy().astype(np.int64),
        reward.to_numpy().astype(np.float64),
        flags.to_numpy() > 0,
        asked.num_rows,
    )


def _ordered(asked: "pa.Table", pool: _Pool, only: Only, *, only_tried: bool, search: str) -> list[int]:
    """The rows of the prompts that are wanted, in their order; equal ones by their ids."""
    import numpy as np
    import pyarrow.compute as pc

    lowest, best = pool.extreme(np.minimum, np.inf), pool.extreme(np.maximum, -np.inf)
    flagged, tried = pool.count(pool.flagged), pool.count()
    keep, first = {
        Only.ALL: (np.ones(pool.prompts, bool), -asked["count"].to_numpy()),
        Only.DISAGREEMENT: ((lowest < RIGHT) & (best >= RIGHT), lowest - best),
        Only.FAILURE: (best < RIGHT, best),
        Only.FLAGGED: (flagged > 0, -flagged),
    }[only]
    if only_tried:
        keep &= tried > 0
    if search:
        keep &= _says(asked, pool, search)
    by_id = pc.sort_indices(asked["query_id"]).to_numpy()
    order = by_id[np.argsort(first[by_id], kind="stable")]
    return list(order[keep[order]].tolist())


def _says(asked: "pa.Table", pool: _Pool, search: str) -> "NDArray[np.bool_]":
    """Which prompts say so, in a message or in a candidate's text."""
    import numpy as np
    import pyarrow.compute as pc

    found = np.zeros(pool.prompts, bool)
    messages = asked["messages"].combine_chunks()
    said = pc.match_substring(pc.list_flatten(messages).field("content"), search, ignore_case=True)
    found[pc.list_parent_indices(messages).filter(said).to_numpy()] = True
    answered = pc.match_substring(pool.responses["text"], search, ignore_case=True)
    found[pool.at[answered.to_numpy()]] = True
    return found


def _lines(asked: "pa.Table", pool: _Pool, chosen: Sequence[int]) -> list[PromptLine]:
    import numpy as np
    import pyarrow as pa

    known = ~np.isnan(pool.reward)
    rewarded, right = pool.count(known), pool.count(pool.reward >= RIGHT)
    candidates, flagged, sums = pool.count(), pool.count(pool.flagged), pool.sums()
    lowest, best = pool.extreme(np.minimum, np.inf), pool.extreme(np.maximum, -np.inf)
    mine = np.isin(pool.at, chosen)
    answers: dict[int, set[str]] = {}
    for row, answer in zip(pool.at[mine], pool.responses["answer"].filter(pa.array(mine)).to_pylist(), strict=True):
        answers.setdefault(int(row), set()).add(answer)
    return [
        PromptLine(
            query_id=one["query_id"],
            task=one["task"],
            split=one["split"],
            text=one["messages"][-1]["content"][:_EXCERPT],
            count=one["count"],
            candidates=int(candidates[row]),
            rewarded=int(rewarded[row]),
            right=int(right[row]),
            answers=len(answers.get(row, ())),
            flagged=int(flagged[row]),
            lowest=float(lowest[row]) if rewarded[row] else None,
            mean=float(sums[row] / rewarded[row]) if rewarded[row] else None,
            best=float(best[row]) if rewarded[row] else None,
        )
        for row, one in zip(chosen, asked.take(pa.array(chosen, pa.int64())).to_pylist(), strict=True)
    ]


_SHOWN = ("strategy", "strategy_version", "sample", "round", "temperature", "text", "answer", "finish_reason", "tokens")


def _candidates(lake: Lake, where: Mapping[str, Any]) -> list[Candidate]:
    columns = ["response_id", "run_id", "model_version", *_SHOWN]
    judged = {
        (row["response_id"], row["run_id"]): row
        for row in lake.read(
            REWARDS,
            columns=["response_id", "run_id", "scores", "undecided", "reward", "flags", "calibrator_version"],
            **where,
        ).to_pylist()
    }
    found = []
    for row in lake.read(RESPONSES, columns=columns, **where).to_pylist():
        of = judged.get((row["response_id"], row["run_id"]), {})
        found.append(
            Candidate(
                response_id=row["response_id"],
                model_version=row["model_version"],
                **{name: row[name] for name in _SHOWN},
                reward=of.get("reward"),
                scores=dict(of.get("scores") or ()),
                undecided=dict(of.get("undecided") or ()),
                flags=tuple(of.get("flags") or ()),
                calibrator_version=of.get("calibrator_version"),
            )
        )
    return sorted(found, key=lambda one: (one.reward is None, -(one.reward or 0.0), one.strategy, one.sample))
