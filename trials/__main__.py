"""``python -m trials [NAME …]``: run the trials of the given names, or all of them."""

import importlib
import pkgutil
import sys

import trials

NAMES = sorted(m.name for m in pkgutil.iter_modules(trials.__path__) if m.name not in ("__main__", "record"))


def main(names: list[str]) -> int:
    """Run each; a trial that does not show what it should fails."""
    if unknown := set(names) - set(NAMES):
        print(f"error: no trial {', '.join(sorted(unknown))} — one of {', '.join(NAMES)}", file=sys.stderr)
        return 1
    held = [importlib.import_module(f"trials.{name}").run() for name in names or NAMES]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
