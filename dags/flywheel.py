"""One DAG per flywheel, made from `include/flywheels/*.yaml`.

A run is one **turn**; its tasks stand in five groups, which fold:

- **data**: **ingest** the interval's query logs, and **validate** them;
- **explore**: sample many responses per query, and score them; once for each shard;
- **learn**: **update** the model on what was found, and **evaluate** champion and candidate on the same items;
- **decide**: the **gate** decides, and **register** records the candidate with its verdict. Where the YAML or the form
  says so, a promotion waits for a person, under Required Actions (**approve**), and **release** does what they say;
- **serve**: where the YAML says so, a promotion answers a share of the users first, and **canary** waits for how they
  fare; **deployed** waits until every live server answers with the champion.

A task that has nothing to do is skipped. A turn may be run any number of times: its rows are replaced, never added to.
"""

from contextlib import suppress

from airflow.sdk import dag
from tao_airflow.dag import approval, each_shard, group, serving, settings, stages
from tao_airflow.task_docs import RUNS

from tao_ops.config import Flywheel, flywheel_names, load_flywheel
from tao_ops.errors import ConfigError


def make(flywheel: Flywheel) -> None:
    """Make the DAG of one flywheel."""
    stage, model_stage = stages(flywheel)

    @dag(**settings(flywheel), doc_md=__doc__ + RUNS)
    def turn() -> None:
        @each_shard()
        def explore(shard: int) -> None:
            model_stage("generate", shard=shard) >> stage("score", shard=shard)

        with group("data", "The interval's query logs become clean prompts."):
            ingest, validate = stage("ingest"), stage("validate")
        explored = explore.expand(shard=validate.output)
        with group("learn", "A candidate, and how it compares with the champion."):
            update, evaluate = model_stage("update"), model_stage("evaluate")
        with group("decide", "Promote, reject or undecided, and what is done about it."):
            gate, register = stage("gate"), stage("register")
            approve, release = approval(flywheel)
        with group("serve", "The users' servers."):
            canary, deployed = serving(flywheel)
        ingest >> validate
        explored >> update >> evaluate >> gate >> register >> approve >> release >> canary >> deployed

    turn()


for name in flywheel_names():
    with suppress(ConfigError):  # shown by config_errors.py: an import error here would stop the others too
        make(load_flywheel(name))
