"""Data is never run: no source of this project loads what could carry code, and YAML stays data."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tao_ops.config import overrides
from tao_ops.errors import ConfigError

PROJECT = Path(__file__).resolve().parents[2]
SOURCES = sorted(path for folder in ("tao_ops", "plugins", "dags") for path in (PROJECT / folder).rglob("*.py"))
MODULES = {"cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"}
BUILTINS = {"compile", "eval", "exec"}
CALLS = {"os.popen", "os.system", "yaml.full_load", "yaml.unsafe_load"}
SWITCHES = {"trust_remote_code": False, "weights_only": True, "allow_pickle": False, "shell": False}
"""What a keyword must say wherever it is given."""
SAFE = {"Once", "SafeLoader"}


def carriers(source: str) -> Iterator[str]:
    """Whatever in a source would run code that came with data."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.partition(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in MODULES:
            yield str(node.module)
        elif isinstance(node, ast.Call):
            yield from _of_call(node)


def _of_call(node: ast.Call) -> Iterator[str]:
    name = ast.unparse(node.func)
    given = {one.arg: one.value for one in node.keywords}
    if name in CALLS or name in BUILTINS:
        yield name
    if name == "yaml.load":
        loader = given.get("Loader") or (node.args[1] if len(node.args) > 1 else None)
        if loader is None or ast.unparse(loader).rpartition(".")[2] not in SAFE:
            yield name
    if name == "torch.load" and "weights_only" not in given:
        yield name
    for switch, safe in SWITCHES.items():
        if switch in given and not (isinstance(given[switch], ast.Constant) and given[switch].value is safe):
            yield f"{name}({switch}=…)"


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "eval(text)",
        "yaml.load(text, yaml.Loader)",
        "yaml.load(text)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "AutoModel.from_pretrained(path, trust_remote_code=True)",
        "AutoModel.from_pretrained(path, trust_remote_code=config.trust)",
        "np.load(path, allow_pickle=True)",
        "subprocess.run(text, shell=True)",
        "os.system(text)",
    ],
)
def test_what_would_run_code_is_known(source: str) -> None:
    assert list(carriers(source))


@pytest.mark.parametrize(
    "source",
    ["model.eval()", "re.compile(text)", "yaml.load(text, Once)", "torch.load(f, weights_only=True)"],
)
def test_what_runs_none_is_let_be(source: str) -> None:
    assert not list(carriers(source))


def test_no_source_loads_what_could_carry_code() -> None:
    found = {str(path.relative_to(PROJECT)): said for path in SOURCES if (said := list(carriers(path.read_text())))}

    assert len(SOURCES) > 200 and found == {}


def test_yaml_makes_values_and_nothing_else(tmp_path: Path) -> None:
    text = f"name: !!python/object/apply:os.mkdir ['{tmp_path / 'made'}']"

    assert issubclass(overrides.Once, yaml.SafeLoader)
    with pytest.raises(yaml.YAMLError):
        yaml.load(text, overrides.Once)
    with pytest.raises(ConfigError):
        overrides.parse([text.replace(": ", "=", 1)])
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("template", ["{{ ''.__class__.__mro__ }}", "{{ messages.append(1) }}"])
def test_a_chat_template_reaches_no_python(template: str) -> None:
    """Models bring a template of their own; Transformers, and so vLLM, runs it in Jinja's sandbox."""
    from jinja2.exceptions import SecurityError
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(WordLevel({"a": 0}, unk_token="a")))

    with pytest.raises(SecurityError):
        tokenizer.apply_chat_template([{"role": "user", "content": "a"}], chat_template=template, tokenize=False)
