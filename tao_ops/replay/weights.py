"""How far the weights of two models are apart, read tensor by tensor from their files."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tao_ops.errors import ModelError

_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_AT_ONCE = 1 << 24
"""Numbers that are compared at once."""


def difference(one: Path, other: Path) -> float | None:
    """The largest absolute difference of two weights of the same place; None where the models have other tensors.

    Args:
        one: folder with ``*.safetensors``.
        other: another one.

    Raises:
        ModelError: a file is not in the format.
    """
    mine, its = dict(_tensors(one)), dict(_tensors(other))
    shapes = [{name: (found[1], found[2]) for name, found in each.items()} for each in (mine, its)]
    if not mine or shapes[0] != shapes[1]:
        return None
    return max(_apart(mine[name], its[name]) for name in mine)


_Tensor = tuple[Path, str, tuple[int, ...], int]
"""File, type, shape, and where in the file it begins."""


def _tensors(folder: Path) -> Iterator[tuple[str, _Tensor]]:
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            length = struct.unpack("<Q", file.read(8))[0]
            try:
                header: dict[str, Any] = json.loads(file.read(length))
            except ValueError as error:
                raise ModelError(f"not a file of weights: {error}", where=path) from None
        for name, told in header.items():
            if name != "__metadata__" and told["dtype"] in _TYPES:
                yield name, (path, told["dtype"], tuple(told["shape"]), 8 + length + told["data_offsets"][0])


def _apart(one: _Tensor, other: _Tensor) -> float:
    size, most = int(np.prod(one[2], dtype=np.int64)), 0.0
    for start in range(0, size, _AT_ONCE):
        count = min(_AT_ONCE, size - start)
        apart = np.abs(_numbers(one, start, count) - _numbers(other, start, count))
        most = max(most, float(apart.max()))
    return most


def _numbers(tensor: _Tensor, start: int, count: int) -> NDArray[np.float32]:
    path, kind, _, offset = tensor
    dtype = np.dtype(_TYPES[kind])
    raw = np.fromfile(path, dtype, count, offset=offset + start * dtype.itemsize)
    if kind == "BF16":  # the upper half of a 32-bit float
        return (raw.astype(np.uint32) << 16).view(np.float32)
    return raw.astype(np.float32)
