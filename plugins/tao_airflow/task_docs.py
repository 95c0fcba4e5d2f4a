"""What Airflow's UI shows of each task, and of the runs of a flywheel's DAG, to who knows Airflow alone.

Text in a module, and not in files: nothing is read while the DAG is made.
"""

RUNS = """
## Runs

**Trigger** opens a form; left as it comes, the YAML of the flywheel counts. What is filled in counts for that run
alone, is checked as the YAML is, and stands in the configuration's digest that the turn is recorded with.

| field | changes | |
| --- | --- | --- |
| Turn | which interval | by its start; empty: the run's own, or the last complete one |
| Budget | `generate.budget.tokens` | the most tokens that are sampled |
| Method | `update.method` | how the update learns |
| Approval | `gate.approval` | whether a promotion waits for a person |
| Dry run | `dry_run` | verdict and version are recorded; the champion stays, nobody is asked |

**Backfill**, in the same dialog, makes a run for each day of a range: missing, failed, or all of them; one by one, or
several at once.

- **Pinned**: the data. Each run takes the queries of its own interval, whenever it runs; late ones stay with the turn
  that took them.
- **Not pinned**: the champion. Generate samples from the champion *of now*, and the gate compares with it, not with
  that of the day.
- **Not pinned**: YAML and code, which are those of now. Leave the field Turn empty: each run has a day of its own.

Several at once judge against the same champion: the first to be promoted wins, and the others are judged again against
it before they are registered.

**Clear** a task and it runs again, with all that depends on it. Each task replaces what it wrote of its turn, so
nothing doubles: rows, versions, promotions. A version that was promoted or rejected once stays so.

**Retries**: a task is tried up to three times, after 30 seconds and then longer, where that can help: its engine died,
it was killed, it ran out of time, a server did not answer. A wrong YAML, a missing input or an answer of "no" fails at
once.
"""

_AGAIN = "Mend what the last line of the log says, then **Clear** this task: the run goes on from here."

_TASKS = {
    "ingest": (
        "Takes the interval's query logs, redacted, each query once.",
        "the logs that `sources` in the YAML name",
        "the tables `queries` and `quarantine` (lines that could not be read, with the reason); an event of the "
        "asset `NAME/queries`",
        "*no query was logged in the interval*: wait for the logs. *cannot be read*: mend the path or the access. "
        f"{_AGAIN}",
    ),
    "validate": (
        "Makes clean prompts of the queries: checked by Great Expectations, each once, none of them a benchmark item, "
        "a part held out.",
        "`queries`; the suite that `expectations` names",
        "the table `prompts`; Data Docs, by the button of this task; how many shards follow",
        "*expectation failed*: the button **Data Docs** shows which, with its numbers. Mend the logs of that day or "
        "the suite, then clear `ingest` or this task. No table was changed.",
    ),
    "generate": (
        "Samples many responses to each prompt of a shard from the champion, by every strategy, within the budget.",
        "`prompts`; the champion's weights, or the server that `generate.server` names",
        "the table `responses`; a picture of what each strategy cost and found, by the button **Pictures**",
        "An engine that died is tried again. Out of memory: free some, or lower `engine.gpu_memory`, "
        "`engine.cpu_cache_gib` or `engine.batch`. A shard that is finished is not sampled twice. "
        f"{_AGAIN}",
    ),
    "score": (
        "Gives every response of a shard a reward in [0, 1], without labels, and says how far it is to be trusted.",
        "`responses`, `prompts`, the corrections and labels there are; the judges that `scorers` name",
        "the table `rewards`; pictures of the rewards' calibration, by the button **Pictures**",
        f"A judge that does not answer is asked again. A monitor over its limit says which. {_AGAIN}",
    ),
    "update": (
        "Trains a candidate, from the champion, on what was found.",
        "`prompts`, `responses` and `rewards` of the last turns (`update.window`)",
        "the candidate's folder among the run's artifacts; its curves, in MLflow while it trains and by the button "
        "**Pictures**",
        "Killed or out of time: the retry goes on from the last checkpoint. Out of memory: lower `update.batch_size`. "
        "*only n of m queries have …*: widen `update.window`, or choose another method in the form. "
        f"{_AGAIN}",
    ),
    "evaluate": (
        "Lets champion, control and candidate answer the same benchmark items.",
        "the benchmarks that the YAML names; the models of the run",
        "the table `evaluations`; `report.json` of the run",
        f"An engine that died is tried again; answers that are stored are not asked for twice. {_AGAIN}",
    ),
    "gate": (
        "Decides: promote, reject, or undecided, with the reasons in words. A no is no failure.",
        "`report.json` and the stored evaluations",
        "`verdict.json` and `report.md` of the run; an event of the asset `NAME/report`",
        "It fails where there is no verdict to give: the reports cannot be compared, or the reward rises without the "
        "benchmark. The log says which; clear `evaluate` where the report is missing.",
    ),
    "register": (
        "Gives the candidate its version, whatever the verdict; moves the champion where the gate may.",
        "candidate, report and verdict of the run; the champion of now",
        "a version in MLflow with its card; the champion, where it moves, and then an event of the asset `NAME/model`. "
        "In a dry run the version alone",
        "The champion stays where it is. *scores of model … run evaluate again*: the champion has moved meanwhile; "
        f"clear `evaluate`. {_AGAIN}",
    ),
    "approve": (
        "Asks a person whether the version becomes the champion, under **Required Actions**; holds no worker while it "
        "waits. Skipped where nothing waits.",
        "what `register` returned; `report.md` of the run",
        "the answer, for `release`; after `gate.approval_limit` it is Reject",
        "*there is no report.md*: clear `gate`. Where the question is gone, clear this task: it is put again.",
    ),
    "release": (
        "Does what the person said: promotes or rejects the version. Skipped with `approve`.",
        "the answer of `approve`",
        "the champion, or the rejection, in the registry's history with name and reason; an event of the asset "
        "`NAME/model` where the champion moved",
        "The champion has moved since the verdict, and the gate says no now: nothing is left to do, the next turn has "
        "a new candidate. Clearing it does nothing twice.",
    ),
    "canary": (
        "Waits while the candidate answers a share of the users, until it has grown or is taken back. Holds no worker. "
        "Skipped where there is no canary.",
        "counts of both arms, as the servers (`tao serve`) write them",
        "nothing itself; a canary that has grown is the champion, with an event of the asset `NAME/model`",
        "The candidate broke a limit, or was asked too little: the champion stays, and the log has the figures. There "
        "is nothing to clear; the next turn has a new candidate.",
    ),
    "deployed": (
        "Waits until every live server answers with the champion. Holds no worker. Skipped where no server lives.",
        "what the servers say of themselves",
        "nothing",
        "The log names each server that is behind, and what keeps it. Mend that server, then clear this task; the "
        "champion has moved all the same.",
    ),
}


def of_task(task: str) -> str:
    """The Markdown of one task: what it does, reads and writes, and what to do when it fails."""
    does, reads, writes, fails = _TASKS[task]
    return f"{does}\n\n- **Reads**: {reads}.\n- **Writes**: {writes}.\n- **When it fails**: {fails}\n"
