"""Write the protobuf stubs beside their .proto files, or check that they are fresh.

The generator's version is a floor: stubs written by one version refuse to load
under an older runtime.  It is therefore pinned apart from the runtime, in
codegen-requirements.txt, and the pin moves only on purpose.
"""

from __future__ import annotations

import argparse
import filecmp
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGE = "jit_protos"


def generate(out: Path) -> None:
    protos = sorted((HERE / PACKAGE).rglob("*.proto"))
    services = [p for p in protos if "\nservice " in p.read_text(encoding="utf-8")]
    _protoc(out, ("python_out", "mypy_out"), protos)
    _protoc(out, ("grpc_python_out", "mypy_grpc_out"), services)


def _protoc(out: Path, kinds: tuple[str, ...], protos: list[Path]) -> None:
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{HERE}"]
    command += [f"--{kind}={out}" for kind in kinds]
    command += [str(p.relative_to(HERE)) for p in protos]
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)])
    subprocess.run(command, cwd=HERE, check=True, env={**os.environ, "PATH": path})


def stubs(root: Path) -> set[Path]:
    return {p.relative_to(root) for p in (root / PACKAGE).rglob("*_pb2*.py*") if p.suffix in {".py", ".pyi"}}


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the protobuf stubs, or check them.")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if a stub is stale")
    check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        generate(fresh)
        new, old = stubs(fresh), stubs(HERE)
        stale = (new ^ old) | {n for n in new & old if not filecmp.cmp(fresh / n, HERE / n, shallow=False)}
        for name in sorted(stale):
            if check:
                print(f"{name}: stale; run 'make protos'", file=sys.stderr)
            elif name in new:
                shutil.copyfile(fresh / name, HERE / name)
            else:
                (HERE / name).unlink()
    return 1 if check and stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
