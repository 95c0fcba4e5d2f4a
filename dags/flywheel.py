"""One DAG per flywheel, made from `include/flywheels/*.yaml`.

A run is one **turn**:

- **ingest** the interval's query logs, and **validate** them;
- **explore**: sample many responses per query, and score them;
- **update** the model on what was found, and **evaluate** champion and candidate on the same items;
- let the **gate** decide, and **register** the candidate with its verdict;
- **approve**: where the flywheel's YAML says so, a promotion waits for a person, under Required Actions;
- **release** does what they say. Without a question, both are skipped.
- **canary**: where the YAML says so, a promotion answers a share of the users first; this waits for how they fare;
- **deployed** waits until every live server answers with the champion, and is skipped where none lives.

A turn may be run any number of times: its rows are replaced, never added to.
"""

from contextlib import suppress

from airflow.sdk import dag, task_group
from tao_airflow.dag import approval, serving, settings, stages

from tao_ops.config import Flywheel, flywheel_names, load_flywheel
from tao_ops.errors import ConfigError


def make(flywheel: Flywheel) -> None:
    """Make the DAG of one flywheel."""
    stage, model_stage = stages(flywheel)

    @dag(**settings(flywheel), doc_md=__doc__)
    def turn() -> None:
        @task_group
        def explore(shard: int) -> None:
            model_stage("generate", shard=shard) >> stage("score", shard=shard)

        validate = stage("validate")
        update = model_stage("update")
        stage("ingest") >> validate
        explore.expand(shard=validate.output) >> update
        approve, release = approval(flywheel)
        canary, deployed = serving(flywheel)
        update >> model_stage("evaluate") >> stage("gate") >> stage("register") >> approve >> release
        release >> canary >> deployed

    turn()


for name in flywheel_names():
    with suppress(ConfigError):  # shown by config_errors.py: an import error here would stop the others too
        make(load_flywheel(name))
