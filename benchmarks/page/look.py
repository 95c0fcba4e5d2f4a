"""One process of ``page``: every view, one after the other, as often as asked; prints the seconds of each look.

Use: ``python -m benchmarks.page.look ours|peer LAKE DATABASE_URL WARM``.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping

from benchmarks.page import IMPORTS, data


def main(side: str, lake: str, url: str, warm: int) -> None:
    """Look at each view ``1 + warm`` times."""
    started = time.perf_counter()
    views = {"ours": _ours, "peer": _peer}[side](lake, url)
    took = {IMPORTS: [time.perf_counter() - started]}
    for name, view in views.items():
        seconds = []
        for _ in range(1 + warm):
            started = time.perf_counter()
            view()
            seconds.append(time.perf_counter() - started)
        took[name] = seconds
    print(json.dumps(took), flush=True)
    # Arrow's threads may abort a process at its end; all is said by now.
    os._exit(0)


def _ours(root: str, url: str) -> Mapping[str, Callable[[], object]]:
    from tao_ops.lake import Lake
    from tao_ops.views import items, lineage, overview, prompts, turn
    from tao_ops.views.records import Only

    lake, of, key = Lake(root), data.FLYWHEEL, data.turn(data.LARGE)
    narrowed = {"only": Only.DISAGREEMENT, "strategy": "plain"}
    return {
        "overview of 30 turns": lambda: overview.overview(lake, url, of),
        "list of turns": lambda: overview.turns(lake, of, page=3),
        "turn": lambda: turn.turn_view(lake, url, of, key),
        "prompts": lambda: prompts.prompts(lake, of, key),
        "prompts, narrowed": lambda: prompts.prompts(lake, of, key, **narrowed),  # type: ignore[arg-type]
        "prompts, searched": lambda: prompts.prompts(lake, of, key, search="kettle lamp"),
        "one prompt": lambda: prompts.prompt(lake, of, key, data.query_id(data.LARGE, 7)),
        "changed items": lambda: items.changed_items(lake, of, key, "exam"),
        "lineage, backward": lambda: lineage.backward(lake, url, of, data.LARGE + 1),
        "lineage, forward": lambda: lineage.forward(lake, url, of, data.query_id(500, 7)),
        "lineage, forward by request": lambda: lineage.forward(lake, url, of, data.request_id(500, 7)),
    }


def _peer(root: str, url: str) -> Mapping[str, Callable[[], object]]:
    import duckdb

    base = duckdb.connect()

    def files(table: str, folders: str) -> str:
        place = f"{root}/{table}/flywheel={data.FLYWHEEL}/{folders}/*.parquet"
        return f"read_parquet('{place}', hive_partitioning=true) as {table}"

    def ask(*statements: str) -> object:
        return [base.execute(statement).fetchall() for statement in statements]

    large = f"turn={data.turn(data.LARGE).replace(':', '-')}"
    turns, sharded = files("turns", "*/*/*"), "shard=*"
    since = data.turn(data.TURNS_IN_ALL - 30).replace(":", "-")
    joined = (
        "select query_id, task, split, count, messages, count(*), count(reward), min(reward), avg(reward), max(reward),"
        " count(distinct answer), count(*) filter (where len(flags) > 0) "
        f"from {files('prompts', large)} join {files('responses', f'{large}/{sharded}')} using (query_id) "
        f"join (select response_id, reward, flags from {files('rewards', f'{large}/{sharded}')}) using (response_id)"
    )
    grouped = "group by query_id, task, split, count, messages"
    said = "(contains(lower(text), 'kettle lamp') or contains(lower(messages[-1].content), 'kettle lamp'))"
    query = data.query_id(500, 7)
    return {
        "overview of 30 turns": lambda: ask(f"select * from {turns} where turn >= '{since}'"),
        "list of turns": lambda: ask(
            f"select turn, run_id, max(finished_at) from {turns} group by all order by turn desc limit 50 offset 100"
        ),
        "turn": lambda: ask(
            f"select * from {files('turns', f'{large}/*/*')}",
            f"select task, floor(reward * 20), count(*) from {files('rewards', f'{large}/{sharded}')} "
            f"join (select query_id, task from {files('prompts', large)}) using (query_id) group by all",
            f"select reason, count(*) from {files('quarantine', f'{large}/*')} group by all",
            f"select benchmark, arm, item_id, score from {files('evaluations', large)}",
        ),
        "prompts": lambda: ask(f"{joined} {grouped} order by count desc, query_id limit 50"),
        "prompts, narrowed": lambda: ask(
            f"{joined} where strategy = 'plain' {grouped} having min(reward) < 0.5 and max(reward) >= 0.5 "
            "order by max(reward) - min(reward) desc, query_id limit 50"
        ),
        "prompts, searched": lambda: ask(
            f"{joined} {grouped} having bool_or({said}) order by count desc, query_id limit 50"
        ),
        "one prompt": lambda: ask(
            *(
                f"select * from {files(table, folders)} where query_id = '{data.query_id(data.LARGE, 7)}'"
                for table, folders in (
                    ("prompts", large),
                    ("responses", f"{large}/{sharded}"),
                    ("rewards", f"{large}/{sharded}"),
                )
            )
        ),
        "changed items": lambda: ask(
            f"pivot (from {files('evaluations', large)} select item_id, arm, score where benchmark = 'exam') "
            "on arm using first(score)"
        ),
        "lineage, forward": lambda: ask(
            *(
                f"select * from {files(table, '*')} where query_id = '{query}'"
                for table in ("queries", "prompts", "clusters")
            )
        ),
        "lineage, forward by request": lambda: ask(
            f"select * from {files('queries', '*')} where request_id = '{data.request_id(500, 7)}'",
            *(f"select * from {files(table, '*')} where query_id = '{query}'" for table in ("prompts", "clusters")),
        ),
    }


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
