"""``python -m benchmarks [NAME …]``: run the benchmarks of the given names, or all of them."""

import importlib
import pkgutil
import sys

import benchmarks

NAMES = sorted(m.name for m in pkgutil.iter_modules(benchmarks.__path__) if m.name not in ("__main__", "report"))


def main(names: list[str]) -> int:
    """Run each, print its table, write its result."""
    if unknown := set(names) - set(NAMES):
        print(f"error: no benchmark {', '.join(sorted(unknown))} — one of {', '.join(NAMES)}", file=sys.stderr)
        return 1
    for name in names or NAMES:
        importlib.import_module(f"benchmarks.{name}").run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
