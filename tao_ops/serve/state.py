"""What a server keeps on its disk, to serve again where the database cannot be asked: the version it served last."""

import json
from dataclasses import asdict
from pathlib import Path

from tao_ops.files import write_json
from tao_ops.serve.lanes import Served

_NAME = "served.json"


def server_folder(home: Path, server: str) -> Path:
    """The folder of a server below ``$TAO_HOME``: its state, and its engines' logs."""
    return home / "serve" / server


def keep(folder: Path, served: Served) -> None:
    """Write down that ``served`` answers now; whole, or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / _NAME, asdict(served))


def kept(folder: Path) -> Served | None:
    """What was written down last; None where nothing was, or it cannot be read."""
    try:
        told = json.loads((folder / _NAME).read_text(encoding="utf-8"))
        return Served(int(told["version"]), str(told["model_version"]), str(told["path"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
