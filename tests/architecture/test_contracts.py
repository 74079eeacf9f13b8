"""The contracts on the wire: fresh stubs, classified fields (SPEC, protos/README.md)."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.descriptor import Descriptor, FieldDescriptor

import jit_protos.v1
from jit_protos.v1 import classify_pb2

ROOT = Path(__file__).parents[2]


def test_the_stubs_are_what_the_proto_files_say() -> None:
    done = subprocess.run(
        [str(Path(sys.prefix) / "codegen" / "bin" / "python"), str(ROOT / "protos" / "generate.py"), "--check"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def fields() -> Iterator[FieldDescriptor]:
    for module in pkgutil.iter_modules(jit_protos.v1.__path__):
        if module.name.endswith("_pb2"):
            file = importlib.import_module(f"jit_protos.v1.{module.name}").DESCRIPTOR
            for message in file.message_types_by_name.values():
                yield from _fields_of(message)


def _fields_of(message: Descriptor) -> Iterator[FieldDescriptor]:
    if not message.GetOptions().map_entry:
        yield from message.fields
    for nested in message.nested_types:
        yield from _fields_of(nested)


def test_every_field_says_how_sensitive_it_is() -> None:
    unclassified = [f.full_name for f in fields() if not f.GetOptions().HasExtension(classify_pb2.sensitivity)]
    assert unclassified == []


def test_whatever_proves_identity_is_secret() -> None:
    secret = {
        f.name for f in fields() if f.GetOptions().Extensions[classify_pb2.sensitivity] == classify_pb2.CLASS_SECRET
    }
    assert {"otp", "password", "token", "mfa_token", "uri", "qr"} <= secret
    named = {f.name for f in fields()} & {"otp", "password", "token", "mfa_token", "secret", "private_key"}
    assert named <= secret
