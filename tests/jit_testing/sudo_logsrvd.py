"""Debian's own `sudo_sendlog` and `sudo_logsrvd`, the independent witnesses of sudo's log protocol."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

SENDLOG = Path("/usr/sbin/sudo_sendlog")
LOGSRVD = Path("/usr/sbin/sudo_logsrvd")
_LISTENS_S = 10.0


def config(port: int, folder: str, *, compress: bool = False) -> str:
    """sudo_logsrvd.conf(5) of a server on the loopback that keeps I/O logs here, and tells nobody else of them."""
    return (
        f"[server]\nlisten_address = 127.0.0.1:{port}\nserver_log = stderr\npid_file =\n"
        f"[iolog]\niolog_dir = {folder}\niolog_file = %{{seq}}\niolog_compress = {str(compress).lower()}\n"
        "[eventlog]\nlog_type = none\n"
    )


@dataclass(frozen=True, slots=True)
class LogServer:
    port: int
    folder: Path

    def logs(self) -> list[Path]:
        """A folder for each session, as sent; the sequence number is base 36: 00/00/01."""
        return sorted(timing.parent for timing in self.folder.glob("??/??/??/timing"))


@asynccontextmanager
async def log_server(directory: Path, port: int) -> AsyncIterator[LogServer]:
    """A running sudo_logsrvd that accepts connections."""
    if not LOGSRVD.exists():
        raise FileNotFoundError(f"{LOGSRVD}: install Debian's sudo package")
    directory.mkdir()
    file, folder = directory / "logsrvd.conf", directory / "sudo-io"
    file.write_text(config(port, str(folder)))
    with (directory / "said").open("wb") as said:
        process = await asyncio.create_subprocess_exec(str(LOGSRVD), "-n", "-f", str(file), stdout=said, stderr=said)
    try:
        async with asyncio.timeout(_LISTENS_S):
            while not _listens(port):
                if process.returncode is not None:
                    raise ChildProcessError(f"{LOGSRVD} ended: {(directory / 'said').read_text()}")
                await asyncio.sleep(0.01)
        yield LogServer(port, folder)
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def send(port: int, *words: str, within_s: float = 60) -> tuple[int | None, str]:
    """Run `sudo_sendlog WORDS` against a log server on the loopback; its exit status and what it said."""
    if not SENDLOG.exists():
        raise FileNotFoundError(f"{SENDLOG}: install Debian's sudo package")
    process = await asyncio.create_subprocess_exec(
        str(SENDLOG), "-h", "127.0.0.1", "-p", str(port), *words,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        output, _ = await asyncio.wait_for(process.communicate(), within_s)
    except TimeoutError:
        process.kill()
        await process.communicate()
        raise
    return process.returncode, output.decode(errors="replace")


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
