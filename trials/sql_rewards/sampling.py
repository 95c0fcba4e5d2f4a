"""What the embedded model answers: sampled once, and kept beside the results."""

import json
import random
from collections.abc import Sequence

from tao_ops.files import write_json
from tao_ops.records import Message, Sampling
from tao_ops.settings import Settings
from trials.record import RESULTS
from trials.sql_rewards.questions import Question, open_database, schema_of

PATH = RESULTS / "sql_rewards_samples.json"
_QUESTIONS, _SAMPLES, _SEED = 60, 8, 1
_SAMPLING = Sampling(samples=_SAMPLES, temperature=0.8, top_p=0.95, max_tokens=80)
_SHOP = "orders(id, customer_id, city, price)\ncustomers(id, name, country)"
_EXAMPLES = (
    ("How many orders came from Oslo?", "SELECT COUNT(*) FROM orders WHERE city = 'Oslo'"),
    (
        "Which customers spent most? Return the name and the sum, the largest first.",
        "SELECT c.name, SUM(o.price) AS total FROM customers AS c JOIN orders AS o ON o.customer_id = c.id "
        "GROUP BY c.name ORDER BY total DESC",
    ),
)


def sampled(questions: Sequence[Question]) -> dict[int, list[str]]:
    """Eight responses to each of sixty questions, by the question's number; sampled if they aren't there yet.

    Raises:
        ModelError: they have to be sampled, and the embedded model is not installed.
    """
    if not PATH.is_file():
        _sample(random.Random(_SEED).sample(list(questions), _QUESTIONS))
    kept = json.loads(PATH.read_text(encoding="utf-8"))
    return {int(number): texts for number, texts in kept["samples"].items()}


def _sample(questions: Sequence[Question]) -> None:
    from tao_ops.backends import embedded_model, start_engine
    from tao_ops.models import model_ref

    model = model_ref(embedded_model.prepare(Settings.from_env().cache))
    engine = start_engine(model, seed=_SEED, say=print)
    answers = engine.generate([_conversation(question) for question in questions], _SAMPLING)
    kept = {
        "model": embedded_model.NAME,
        "model_version": model.model_version,
        "engine": engine.name,
        "seed": _SEED,
        "temperature": _SAMPLING.temperature,
        "samples": {
            str(question.number): [one.text for one in several]
            for question, several in zip(questions, answers, strict=True)
            if several
        },
    }
    RESULTS.mkdir(exist_ok=True)
    write_json(PATH, kept)


def _conversation(question: Question) -> list[Message]:
    tables = schema_of(open_database(question))
    schema = "\n".join(f"{name}({', '.join(columns)})" for name, columns in tables.items())
    turns: list[Message] = [{"role": "system", "content": "Answer with one SQLite SELECT and nothing else."}]
    for asked, answer in _EXAMPLES:
        turns += [
            {"role": "user", "content": f"Tables:\n{_SHOP}\n\n{asked}"},
            {"role": "assistant", "content": answer},
        ]
    return [*turns, {"role": "user", "content": f"Tables:\n{schema}\n\n{question.text}"}]
