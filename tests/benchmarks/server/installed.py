"""The peers, installed into a folder of their own under `build/`."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

__all__ = ["PEERS", "node_peers", "python_peers"]

PEERS: Final = Path(__file__).parent / "peers"
_BUILD: Final = Path(__file__).parents[3] / "build" / "server-benchmark"


def python_peers() -> Path:
    """The Python of an environment with FastAPI and its like; made at the first call."""
    folder = _folder("python", "requirements.txt")
    python = folder / "bin" / "python"
    if not _is_complete(folder):
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        wanted = ["-r", str(folder.parent / f"{folder.name}.requirements.txt")]
        shutil.copy(PEERS / "requirements.txt", wanted[1])
        subprocess.run([python, "-m", "pip", "install", "-qq", *wanted], check=True)
        _complete(folder)
    return python


def node_peers() -> Path:
    """A folder with the programs for Node and what they need; made at the first call."""
    folder = _folder("node", "package.json")
    if not _is_complete(folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        shutil.copy(PEERS / "package.json", folder)
        command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--silent"]
        subprocess.run(command, cwd=folder, check=True)
        _complete(folder)
    for program in PEERS.glob("*.js"):
        shutil.copy(program, folder)
    return folder


def _folder(kind: str, wanted: str) -> Path:
    """Another one for other versions."""
    return _BUILD / f"{kind}-{hashlib.sha256((PEERS / wanted).read_bytes()).hexdigest()[:12]}"


def _is_complete(folder: Path) -> bool:
    return (folder / "complete").exists()


def _complete(folder: Path) -> None:
    (folder / "complete").touch()
