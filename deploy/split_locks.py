"""Parts the locks that uv has written: `make lock` runs it.

torch and what only its CUDA build needs go into a file of their own, as an environment for CPUs has another build of
torch and none of that. What requirements.lock has already is left out of requirements-dev.lock.
"""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_REQUIREMENT = re.compile(r"^[A-Za-z0-9].*?(?=^[A-Za-z0-9]|\Z)", re.MULTILINE | re.DOTALL)
_OF_TORCH = re.compile(r"(torch|triton|nvidia-[a-z0-9-]+|cuda-[a-z0-9-]+)==")

HEADS = {
    "requirements.lock": "What the project needs, but for torch",
    "requirements-torch.lock": "torch of PyPI, on Linux with CUDA",
    "requirements-dev.lock": "What developers need besides",
    "requirements-serve.lock": "What the service needs by itself, to serve an export",
}


def main() -> None:
    """Rewrite what uv wrote, and write the lock of torch."""
    run, dev = (_requirements(name) for name in ("requirements.lock", "requirements-dev.lock"))
    _write("requirements-torch.lock", [one for one in run if _OF_TORCH.match(one)])
    _write("requirements-dev.lock", [one for one in dev if one not in run and not _OF_TORCH.match(one)])
    _write("requirements.lock", [one for one in run if not _OF_TORCH.match(one)])
    _write("requirements-serve.lock", _requirements("requirements-serve.lock"))


def _requirements(name: str) -> list[str]:
    """Each requirement with its hashes."""
    return [found[0].strip() for found in _REQUIREMENT.finditer((ROOT / name).read_text(encoding="utf-8"))]


def _write(name: str, requirements: list[str]) -> None:
    head = f"# Written by `make lock`. {HEADS[name]}: pip install --no-deps --require-hashes -r {name}"
    (ROOT / name).write_text("\n".join([head, *requirements]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
