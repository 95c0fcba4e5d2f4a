"""``gsm8k`` and ``ifeval``: a question a line."""

from collections.abc import Iterator
from pathlib import Path

from tao_ops.benchmarks.item_sets import reading
from tao_ops.benchmarks.item_sets.item import Row
from tao_ops.errors import ConfigError

GSM8K_NAMES = ("test.jsonl",)
GSM8K_TEMPLATE = "$question"
IFEVAL_NAMES = ("input_data.jsonl",)
IFEVAL_TEMPLATE = "$prompt"


def gsm8k(path: Path, raw: bytes) -> Iterator[Row]:
    """The problems of GSM8K, named by their place: the file has no identifiers.

    Raises:
        ConfigError: a line lacks its question, or its answer the number after ``####``.
    """
    for number, (where, row) in enumerate(reading.json_lines(path, raw, "GSM8K's JSON lines"), start=1):
        reading.required(row, ("question", "answer"), where)
        if "####" not in str(row["answer"]):
            raise ConfigError("an 'answer' without '####'", where=where, mend="end it with #### and the number")
        yield Row(where, str(number), row, {"answer": str(row["answer"])})


def ifeval(path: Path, raw: bytes) -> Iterator[Row]:
    """The prompts of IFEval; the reference holds the constraints, each an ``id`` with its arguments.

    Raises:
        ConfigError: a line lacks a column, or has not as many ``kwargs`` as instructions.
    """
    for where, row in reading.json_lines(path, raw, "IFEval's JSON lines"):
        reading.required(row, ("key", "prompt", "instruction_id_list", "kwargs"), where)
        named, given = row["instruction_id_list"], row["kwargs"]
        if not isinstance(named, list) or not isinstance(given, list) or len(named) != len(given) or not named:
            raise ConfigError(
                "'instruction_id_list' and 'kwargs' are no two lists of one length",
                where=where,
                mend="write IFEval's layout",
            )
        if not all(isinstance(one, dict) for one in given):
            raise ConfigError("an entry of 'kwargs' is no object", where=where, mend="write IFEval's layout")
        constraints = [{**arguments, "id": name} for name, arguments in zip(named, given, strict=True)]
        yield Row(where, str(row["key"]), row, {"constraints": constraints})
