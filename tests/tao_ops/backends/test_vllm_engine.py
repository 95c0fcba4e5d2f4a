"""The engine on the embedded model. It lives as long as its process, so what it does is observed in a process of its
own, started once; each test looks at a part of what was seen there."""

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tao_ops.backends import vllm_engine
from tao_ops.backends.next_word import word_logprobs
from tao_ops.backends.vllm_loop import is_out_of_memory
from tao_ops.config.stages import EngineConfig
from tao_ops.errors import EngineError, ModelError
from tao_ops.files import write_json
from tao_ops.records import Completion, Message, ModelRef, Sampling, Structure
from tao_ops.settings import PROJECT

SMALL = EngineConfig(context=512, cpu_cache_gib=1, batch=32)
GREEDY = Sampling(max_tokens=8)
SCHEMA = {
    "type": "object",
    "properties": {"city": {"enum": ["Oslo", "Rome"]}, "count": {"type": "integer", "minimum": 7, "maximum": 9}},
    "required": ["city", "count"],
}
WORDS = ("Yes", "No")
GRAMMAR = 'root ::= "yes " [0-9] | "no"'


def _conversations() -> list[list[Message]]:
    texts = [f"Name a {what} that begins with {letter}." for what in ("city", "tree") for letter in "ABCD"]
    return [[Message(role="user", content=text)] for text in texts]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the process saw."""
    folder = tmp_path_factory.mktemp("engine")
    env = os.environ | {"TAO_CACHE": os.environ.get("TAO_CACHE") or str(PROJECT / ".tao" / "cache")}
    env.pop("VLLM_CPU_KVCACHE_SPACE", None)
    env["OMP_NUM_THREADS"] = "1"  # two threads that wait for each other are slow where other tests run beside them
    command = [sys.executable, __file__, str(folder)]
    done = subprocess.run(command, env=env, cwd=PROJECT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told: dict[str, Any] = json.loads((folder / "seen.json").read_text(encoding="utf-8"))
    return told | {"printed": done.stdout + done.stderr}


def test_the_same_seed_gives_the_same_responses(seen: dict[str, Any]) -> None:
    assert seen["seeded"] == seen["seeded_again"]
    assert len({one["text"] for one in seen["seeded"][0]}) > 1


def test_a_registered_versions_folder_is_served_as_the_model_that_it_holds(seen: dict[str, Any]) -> None:
    assert {"MLmodel", "README.md", "manifest.json", "components"} <= set(seen["version_files"])
    assert seen["seeded_again"] == seen["seeded"]


def test_greedy_responses_are_the_same_twice(seen: dict[str, Any]) -> None:
    assert seen["greedy"] == seen["greedy_again"]


def test_responses_come_in_the_order_of_their_conversations(seen: dict[str, Any]) -> None:
    assert [_texts(each) for each in reversed(seen["backwards"])] == [_texts(each) for each in seen["greedy"]]


def test_the_text_is_the_one_that_vllm_makes_token_by_token(seen: dict[str, Any]) -> None:
    assert [_texts(each)[0] for each in seen["greedy"]] == seen["texts_of_vllm"]


def test_log_probabilities_belong_to_their_tokens(seen: dict[str, Any]) -> None:
    for [one], expected in zip(seen["greedy"], seen["prompt_logprobs"], strict=True):
        assert one["tokens"] == len(one["token_ids"]) == len(one["logprobs"]) > 0
        assert one["logprobs"] == pytest.approx(expected, abs=0.15)


def test_a_response_ends_or_is_cut(seen: dict[str, Any]) -> None:
    every = [one for each in seen["seeded"] for one in each]
    assert {one["finish_reason"] for one in every} <= {"stop", "length"}
    assert all((one["tokens"] == 16) for one in every if one["finish_reason"] == "length")


def test_a_conversation_that_does_not_fit_gets_no_response(seen: dict[str, Any]) -> None:
    assert [len(each) for each in seen["long"]] == [2, 0, 2]


def test_no_conversation_is_no_work(seen: dict[str, Any]) -> None:
    assert seen["none"] == []


def test_a_structure_is_kept(seen: dict[str, Any]) -> None:
    for [one] in seen["schema"]:
        told = json.loads(one["text"])
        assert set(told) == {"city", "count"} and told["city"] in ("Oslo", "Rome") and told["count"] in (7, 8, 9)
    assert all(one["text"] == "no" or one["text"][:4] == "yes " for [one] in seen["grammar"])


def test_how_likely_an_answer_begins_with_a_word_is_what_the_model_says(seen: dict[str, Any]) -> None:
    *short, long = seen["next_word"]
    assert long == "too long for the judge"
    for found, expected in zip(short, seen["next_word_expected"], strict=True):
        assert found == pytest.approx(expected, abs=0.15)
        assert {"Yes", "No"} <= set(found) and sum(map(math.exp, found.values())) <= 1.0 + 1e-6


def test_asking_for_a_word_changes_no_response(seen: dict[str, Any]) -> None:
    assert seen["after_next_word"] == seen["greedy"]


def test_how_likely_a_given_answer_is_agrees_with_what_is_sampled(seen: dict[str, Any]) -> None:
    *given, other, none, long = seen["continuations"]
    assert long is None and none == [0.0, True]
    for (logprob, _), expected in zip(given, seen["continuations_expected"], strict=True):
        assert logprob == pytest.approx(expected, abs=0.5)
    assert any(greedy for _, greedy in given) and not other[1] and other[0] < min(logprob for logprob, _ in given)


def test_a_template_that_refuses_a_conversation_is_told(seen: dict[str, Any]) -> None:
    assert seen["refused"].startswith("the chat template refuses a conversation: no system, please [")


@pytest.mark.parametrize("where", ["step", "model"])
def test_where_memory_runs_out_it_goes_on_with_fewer_at_once(seen: dict[str, Any], where: str) -> None:
    assert seen[f"short_of_memory_{where}"] == seen["greedy"]
    assert seen[f"short_of_memory_{where}_said"] == ["out of memory with 8 responses at once: going on with 4"]


def test_where_not_even_one_response_fits_it_stops(seen: dict[str, Any]) -> None:
    assert "out of memory while sampling a single response" in seen["no_memory"]
    assert "engine.cpu_cache_gib" in seen["no_memory"]
    assert seen["after_no_memory"] == seen["one_by_one"]  # alone, numbers are rounded in another way than in a batch


def test_another_failure_is_named_and_leaves_nothing_behind(seen: dict[str, Any]) -> None:
    assert seen["failure"] == "vLLM failed while sampling: the sky fell"
    assert seen["after_failure"] == seen["greedy"]


def test_another_models_weights_take_the_place(seen: dict[str, Any]) -> None:
    assert seen["other_weights"] != seen["greedy"]
    assert seen["other_weights"] == seen["other_weights_uncached"]  # none of the old weights' keys and values
    assert seen["back_again"] == seen["greedy"]


def test_an_adapter_changes_what_is_sampled(seen: dict[str, Any]) -> None:
    assert seen["adapter"] != seen["greedy"]
    assert "keeps its model" in seen["adapter_reload"]


def test_progress_is_told_in_plain_lines(seen: dict[str, Any]) -> None:
    assert seen["said"][-1].startswith("8/8 responses, 8/8 prompts, ")
    assert seen["said"][-1].endswith(" tokens/s")
    assert seen["ticking"].startswith("0/32 responses, 0/8 prompts, 32 tokens, ")


def test_too_large_a_cache_says_what_to_set(seen: dict[str, Any]) -> None:
    assert "engine.cpu_cache_gib lower" in seen["large_cache"] and "\n" not in seen["large_cache"]


def test_vllm_says_nothing_of_its_own(seen: dict[str, Any]) -> None:
    assert "Error" not in seen["printed"] and "WARNING" not in seen["printed"]


def _texts(each: Sequence[dict[str, Any]]) -> list[str]:
    return [one["text"] for one in each]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"max_position_embeddings": 1024}, "the model's context is 1024 tokens, and 2048 are asked for"),
        ({"text_config": {"max_position_embeddings": 512}}, "set engine.context to 512 or less"),
        ({"n_positions": 1024}, "set engine.context to 1024 or less"),
    ],
)
def test_a_model_with_a_shorter_context_is_refused(tmp_path: Path, config: dict[str, Any], message: str) -> None:
    write_json(tmp_path / "config.json", config)
    with pytest.raises(ModelError, match=message):
        vllm_engine.VllmEngine(ModelRef(str(tmp_path), "x"), seed=1)


def test_a_stretched_context_is_left_to_vllm(tmp_path: Path) -> None:
    write_json(tmp_path / "config.json", {"max_position_embeddings": 64, "rope_scaling": {"factor": 64.0}})
    vllm_engine._check_context(ModelRef(str(tmp_path), "x"), 2048)


def test_a_folder_that_is_no_adapter_is_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "config.json", {})
    (adapter := tmp_path / "adapter").mkdir()
    told = {}
    for told in ({}, {"r": "many"}, {"r": 4096}, {"r": 4}):
        if told:
            write_json(adapter / "adapter_config.json", told)
        with pytest.raises(ModelError, match="adapter"):
            vllm_engine.VllmEngine(ModelRef(str(tmp_path), "x"), seed=1, adapter=str(adapter))


def test_an_adapters_rank_is_rounded_up(tmp_path: Path) -> None:
    (tmp_path / "adapter_model.safetensors").touch()
    for rank, room in ((1, 8), (8, 8), (9, 16), (512, 512)):
        write_json(tmp_path / "adapter_config.json", {"r": rank})
        assert vllm_engine._adapter_rank(tmp_path) == room
    write_json(tmp_path / "adapter_config.json", {"r": 4, "rank_pattern": {"q_proj": 40}})
    assert vllm_engine._adapter_rank(tmp_path) == 64


def test_what_to_set_depends_on_what_was_short() -> None:
    small = ValueError("6 GiB KV cache is needed, which is larger than the available KV cache memory (1 GiB).")
    assert vllm_engine._advice(small, cpu=True) == "set engine.cpu_cache_gib higher, or engine.context lower"
    startup = ValueError("Free memory on device (10/80 GiB) on startup is less than desired GPU memory utilization")
    assert str(vllm_engine._advice(startup, cpu=False)).startswith("set engine.gpu_memory lower")
    assert vllm_engine._advice(ValueError("no such architecture"), cpu=True) is None


def test_errors_that_mean_a_lack_of_memory() -> None:
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"))
    assert is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate"))
    assert not is_out_of_memory(RuntimeError("shape mismatch"))


class _Observed:
    """The process: what its engines did."""

    def __init__(self, folder: Path) -> None:
        from tao_ops.backends import embedded_model
        from tao_ops.settings import Settings

        self.folder, self.seen, self.said = folder, dict[str, Any](), list[str]()
        self.model = embedded_model.prepare(Settings.from_env().cache, lambda line: None)
        self.asked = _conversations()

    def engine(self, **how: Any) -> vllm_engine.VllmEngine:
        config, folder = how.pop("config", SMALL), how.pop("folder", self.model)
        return vllm_engine.VllmEngine(ModelRef(str(folder), "x"), seed=3, config=config, say=self.said.append, **how)

    def version(self) -> Path:
        """The model as ``register`` leaves it, with all that lies beside the weights then."""
        from tao_ops.mlflow_layout import write_layout
        from tao_ops.models import model_facts, model_ref

        folder = shutil.copytree(self.model, self.folder / "version")
        write_layout(folder, model_facts(model_ref(folder)).as_dict())
        (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n\n# A card\n", encoding="utf-8")
        write_json(folder / "manifest.json", {"model_version": "x"})
        (folder / "recipe").mkdir()
        self.seen["version_files"] = sorted(path.name for path in folder.iterdir())
        return folder

    def all(self) -> dict[str, Any]:
        hot = Sampling(4, 1.0, 0.95, 16)
        engine = self.engine()
        self.keep("seeded", engine.generate(self.asked, hot))
        del engine
        engine = self.engine(folder=self.version())
        self.keep("seeded_again", engine.generate(self.asked, hot))
        self.answers(engine)
        self.words(engine)
        self.continuations(engine)
        self.shortages(engine)
        self.weights(engine)
        self.seen["large_cache"] = self.error(lambda: self.engine(config=EngineConfig(context=512, cpu_cache_gib=9999)))
        del engine
        self.adapter()
        return self.seen

    def keep(self, name: str, sampled: list[list[Completion]]) -> None:
        self.seen[name] = [[vars(one) for one in each] for each in sampled]

    def error(self, what: Callable[[], object]) -> str:
        try:
            what()
        except (EngineError, ModelError) as error:
            return str(error)
        return "no error"

    def answers(self, engine: vllm_engine.VllmEngine) -> None:
        from vllm import SamplingParams, TokensPrompt

        self.keep("greedy", engine.generate(self.asked, GREEDY))
        self.seen["said"] = list(self.said)
        self.keep("greedy_again", engine.generate(self.asked, GREEDY))
        self.keep("backwards", engine.generate(self.asked[::-1], [GREEDY] * len(self.asked)))
        self.seen["none"] = engine.generate([], GREEDY)
        long = [Message(role="user", content="a word " * 600)]
        self.keep("long", engine.generate([self.asked[0], long, self.asked[1]], Sampling(2, 1.0, 1.0, 4)))
        held = Sampling(1, 1.0, 1.0, 100, Structure(json_schema=json.dumps(SCHEMA)))
        chosen = Sampling(1, 1.0, 1.0, 8, Structure(grammar=GRAMMAR))
        both = engine.generate(self.asked[:4], [held, held, chosen, chosen])
        self.keep("schema", both[:2])
        self.keep("grammar", both[2:])
        ids = engine._token_ids(self.asked)
        own = SamplingParams(temperature=0, max_tokens=GREEDY.max_tokens)
        outputs = engine._llm.generate([TokensPrompt(prompt_token_ids=one) for one in ids], own, use_tqdm=False)
        self.seen["texts_of_vllm"] = [output.outputs[0].text for output in outputs]
        self.seen["prompt_logprobs"] = [
            _logprobs(engine, before, one["token_ids"]) for before, [one] in zip(ids, self.seen["greedy"], strict=True)
        ]

    def words(self, engine: vllm_engine.VllmEngine) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        asked = [f"Is {city} in France? Answer Yes or No." for city in ("Paris", "Oslo", "Lyon")]
        questions = [[Message(role="user", content=text)] for text in [*asked, "a word " * 600]]
        self.seen["next_word"] = engine.next_word(questions, WORDS)
        self.keep("after_next_word", engine.generate(self.asked, GREEDY))
        model, tokenizer = AutoModelForCausalLM.from_pretrained(self.model), engine._llm.get_tokenizer()
        strict = AutoTokenizer.from_pretrained(self.model)
        strict.chat_template = "{{ raise_exception('no system, please') }}"
        engine._llm.get_tokenizer = lambda: strict
        self.seen["refused"] = self.error(lambda: engine.next_word([[Message(role="user", content="new")]], WORDS))
        del engine._llm.get_tokenizer
        self.seen["next_word_expected"] = []
        for question in questions[:-1]:
            ids = tokenizer.apply_chat_template([question], add_generation_prompt=True, return_dict=False)
            with torch.no_grad():
                told = model(torch.tensor(ids)).logits[0, -1].float().log_softmax(-1).topk(20)
            tokens = [(tokenizer.decode([one]), float(p)) for p, one in zip(*told, strict=True)]
            self.seen["next_word_expected"].append(word_logprobs(tokens, WORDS))

    def continuations(self, engine: vllm_engine.VllmEngine) -> None:
        encode = engine._llm.get_tokenizer().encode
        pairs, expected = [], []
        for question, [one] in zip(self.asked, self.seen["greedy"], strict=True):
            ids = one["token_ids"][: len(one["token_ids"]) - (one["finish_reason"] == "stop")]
            if encode(one["text"], add_special_tokens=False) == ids:
                pairs.append((question, one["text"]))
                expected.append(sum(one["logprobs"][: len(ids)]))
        further = ["Xq zv kj wp 77 ;; Zr qk", "", "a word " * 600]
        self.seen["continuations_expected"] = expected
        self.seen["continuations"] = engine.continuation_logprobs(
            [*pairs, *((self.asked[0], answer) for answer in further)]
        )

    def shortages(self, engine: vllm_engine.VllmEngine) -> None:
        import torch

        inner = engine._llm.llm_engine
        executor = inner.engine_core.engine_core.model_executor
        memory = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        # The model's first call is the one whose keys and values, never computed, are already counted as cached.
        cases = {"step": (inner, "step", 2), "model": (executor, "execute_model", 0)}
        for where, (owner, method, call) in cases.items():
            engine._loop._at_once = 2 * SMALL.batch
            engine._loop.drop_cache()
            del self.said[:]
            with _Failing(owner, method, [call], memory):
                self.keep(f"short_of_memory_{where}", engine.generate(self.asked, GREEDY))
            self.seen[f"short_of_memory_{where}_said"] = self.said[:-1]
        engine._loop._at_once = 1
        self.keep("one_by_one", engine.generate(self.asked, GREEDY))
        with _Failing(inner, "step", range(99), memory):
            self.seen["no_memory"] = self.error(lambda: engine.generate(self.asked, GREEDY))
        self.keep("after_no_memory", engine.generate(self.asked, GREEDY))
        engine._loop._at_once = 2 * SMALL.batch
        with _Failing(executor, "execute_model", [3], RuntimeError("the sky fell")):
            self.seen["failure"] = self.error(lambda: engine.generate(self.asked, GREEDY))
        self.keep("after_failure", engine.generate(self.asked, GREEDY))
        self.seen["ticking"] = self.first_tick(engine)

    def first_tick(self, engine: vllm_engine.VllmEngine) -> str:
        from tao_ops.backends import vllm_loop

        vllm_loop._REPORT_EVERY, kept = 0.0, vllm_loop._REPORT_EVERY
        del self.said[:]
        engine.generate(self.asked, Sampling(4, 1.0, 1.0, 3))
        vllm_loop._REPORT_EVERY = kept
        return self.said[0]

    def weights(self, engine: vllm_engine.VllmEngine) -> None:
        from safetensors.torch import load_file, save_file

        other = self.folder / "other"
        shutil.copytree(self.model, other)
        tensors = load_file(other / "model.safetensors")
        name = "model.layers.3.self_attn.v_proj.weight"
        save_file(tensors | {name: -tensors[name]}, other / "model.safetensors", {"format": "pt"})
        engine.reload(ModelRef(str(other), "y"))
        self.keep("other_weights", engine.generate(self.asked, GREEDY))
        engine._loop.drop_cache()
        self.keep("other_weights_uncached", engine.generate(self.asked, GREEDY))
        engine.reload(ModelRef(str(self.model), "x"))
        self.keep("back_again", engine.generate(self.asked, GREEDY))

    def adapter(self) -> None:
        from peft import LoraConfig, get_peft_model
        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained(self.model)
        how = LoraConfig(r=4, lora_alpha=64, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
        get_peft_model(model, how).save_pretrained(self.folder / "adapter")
        engine = self.engine(adapter=str(self.folder / "adapter"))
        self.keep("adapter", engine.generate(self.asked, GREEDY))
        self.seen["adapter_reload"] = self.error(lambda: engine.reload(ModelRef(str(self.model), "x")))


class _Failing:
    """While it holds, the calls of these numbers fail, from 0; for a step, what was begun in it is lost."""

    def __init__(self, owner: Any, method: str, calls: Sequence[int], error: Exception) -> None:
        self._owner, self._method, self._calls, self._error = owner, method, calls, error
        self._count = 0

    def __enter__(self) -> None:
        self._real = getattr(self._owner, self._method)
        setattr(self._owner, self._method, self._call)

    def __exit__(self, *_: object) -> None:
        delattr(self._owner, self._method)

    def _call(self, *args: Any, **kwargs: Any) -> Any:
        self._count += 1
        if self._count - 1 in self._calls:
            raise self._error
        return self._real(*args, **kwargs)


def _logprobs(engine: vllm_engine.VllmEngine, before: list[int], ids: list[int]) -> list[float]:
    """What the engine gives for these tokens where they are the prompt's."""
    from vllm import SamplingParams, TokensPrompt

    whole = SamplingParams(temperature=0, max_tokens=1, prompt_logprobs=0)
    [output] = engine._llm.generate([TokensPrompt(prompt_token_ids=before + ids)], whole, use_tqdm=False)
    told = output.prompt_logprobs[len(before) :]
    return [step[token].logprob for step, token in zip(told, ids, strict=True)]


if __name__ == "__main__":
    from tao_ops.telemetry import quiet

    quiet()
    target = Path(sys.argv[1])
    write_json(target / "seen.json", _Observed(target).all())
