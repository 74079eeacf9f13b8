"""A new key and its certificate request (SPEC 1.3), as values or as a small program of its own.

`python -m jit_agent.keys` prints the key and the request, PEM, one after the other.  The daemon renews through it, so
that the cryptography package is not in its memory for the rest of its life.
"""

from __future__ import annotations

import asyncio
import sys

from jit_agent.errors import AgentError

_BOUNDARY = b"-----BEGIN CERTIFICATE REQUEST-----"
RUN_S = 30.0


def new_key_and_csr() -> tuple[bytes, bytes]:
    """(key, request), both PEM.  The request names nobody: the server decides who we are."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return key_pem, csr.public_bytes(serialization.Encoding.PEM)


async def in_own_process() -> tuple[bytes, bytes]:
    """`new_key_and_csr` in a child; raises `AgentError`."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-m", "jit_agent.keys", stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(RUN_S):
            output, _ = await child.communicate()
    except TimeoutError:
        child.kill()
        await child.wait()
        raise AgentError("making a new key took too long") from None
    key, found, request = output.partition(_BOUNDARY)
    if child.returncode or not found:
        raise AgentError(f"making a new key failed with status {child.returncode}")
    return key, found + request


if __name__ == "__main__":
    sys.stdout.buffer.write(b"".join(new_key_and_csr()))
