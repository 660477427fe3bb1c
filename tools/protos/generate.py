"""Generates the Python stubs from protos/ with the pinned protoc of grpcio-tools.

Writes `*_pb2.py` and `*_pb2.pyi` for every file and `*_pb2_grpc.py` for the public contract (the
internal records have no services). Stubs of proto files that are gone are removed. The output is
committed, so that users need no protoc; `tools/protos/check.py` fails when it is stale.

Beside the stubs lies `descriptors.binpb`: the public contract with its comments, which the stubs
drop. The gateway makes the OpenAPI document's texts of it.
"""

from __future__ import annotations

import argparse
import sys
from importlib.resources import files
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parents[2]
PROTOS = ROOT / "protos"
PUBLIC = "quorate/v1"
INTERNAL = "quorate/internal/v1"
# A contract of others that the scheduler serves.
KEDA = "quorate/externalscaler"
DESCRIPTORS = Path(PUBLIC) / "descriptors.binpb"


def include_dirs(protos: Path = PROTOS) -> list[str]:
    """Where imports are found: ours, google/api (googleapis-common-protos), google/protobuf."""
    import google.api

    (google_api,) = google.api.__path__
    return [
        f"-I{protos}",
        f"-I{Path(google_api).parent.parent}",
        f"-I{files(grpc_tools).joinpath('_proto')}",
    ]


def proto_files(package: str = "quorate", protos: Path = PROTOS) -> list[str]:
    """The proto files below a folder of `protos`, relative to it, sorted."""
    return sorted(str(path.relative_to(protos)) for path in (protos / package).rglob("*.proto"))


def run_protoc(*arguments: str) -> None:
    """Run protoc in this process. Raises SystemExit with protoc's code; it printed the reason."""
    code = protoc.main(["protoc", *arguments])
    if code:
        raise SystemExit(code)


def stubs_below(out: Path) -> list[Path]:
    """The generated files, relative to `out`, sorted."""
    return sorted(
        path.relative_to(out)
        for package in (PUBLIC, INTERNAL, KEDA)
        for pattern in ("*_pb2*.py*", "*.binpb")
        for path in (out / package).glob(pattern)
    )


def generate(out: Path) -> None:
    """Write all stubs below `out`."""
    for package, plugins in (
        (PUBLIC, ["python", "pyi", "grpc_python"]),
        (INTERNAL, ["python", "pyi"]),
        (KEDA, ["python", "pyi"]),
    ):
        (out / package).mkdir(parents=True, exist_ok=True)
        run_protoc(
            *include_dirs(), *(f"--{plugin}_out={out}" for plugin in plugins), *proto_files(package)
        )
    run_protoc(
        *include_dirs(),
        "--include_source_info",
        f"--descriptor_set_out={out / DESCRIPTORS}",
        *proto_files(PUBLIC),
    )
    wanted = {DESCRIPTORS} | {
        Path(name.removesuffix(".proto") + ending)
        for package in (PUBLIC, INTERNAL, KEDA)
        for name in proto_files(package)
        for ending in ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py")
    }
    for stale in set(stubs_below(out)) - wanted:
        (out / stale).unlink()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT, help="folder to write below")
    out = parser.parse_args().out.resolve()
    generate(out)
    print(f"{len(stubs_below(out))} generated files written below {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
