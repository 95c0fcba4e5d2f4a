"""What an update reads is this turn's and the newest before it; the holdout is asked as it is served."""

from typing import Any

import pytest

from tao_ops.errors import MissingInput
from tao_ops.stages import generate, ingest, score, validate
from tao_ops.tables import PROMPTS, REWARDS
from tao_ops.updating import window

Shop = Any


@pytest.fixture
def shop(shop: Shop) -> Shop:
    """Two turns with rewards, of the 20th and the 21st, with the same queries."""
    shop.change("validate.holdout", 0.3)
    shop.change("update.window", 2)
    for day in (20, 21):
        shop.log(day=day)
        for stage in (ingest, validate, generate, score):
            stage.run(shop.run(day))
    return shop


def test_the_window_is_read_with_rewards_and_the_holdout_under_the_production_prompt(shop: Shop) -> None:
    run = shop.run()
    where = (run.lake, run.flywheel, run.turn)
    earlier, this = turns = window.turns(*where)
    assert this == run.turn.key and earlier < this
    scored, kept_away = window.scored(*where, turns)
    assert scored and not kept_away
    assert {row["turn"] for row in scored} == {this} and all(row["reward"] is not None for row in scored)
    assert {row["prompt"]["split"] for row in scored} == {"train"}
    held = {row["query_id"] for row in run.lake.read(PROMPTS, split="holdout").to_pylist()}
    questions = window.holdout(*where)
    assert held and {one.query_id for one in questions} == held and len(questions) == len(held)
    assert not held & {row["query_id"] for row in scored}
    for one in questions:
        assert one.messages[0] == {"role": "system", "content": "Read the message."}
        assert one.task == "tickets" and one.max_tokens == run.flywheel.tasks["tickets"].max_tokens
    run.lake.delete(REWARDS, turn=run.turn)
    assert window.turns(run.lake, run.flywheel, shop.run(20).turn) == [earlier]
    with pytest.raises(MissingInput, match=r"no rewards of this turn .* run score first"):
        window.turns(*where)
