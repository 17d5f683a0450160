"""A newcomer's path, from README.md's own text: clone, two commands, own CSV files, a report, a recommendation.

The clone is real; the commands are README's, in its order, as processes of their own. Three things differ from a
newcomer's machine. The environment that runs the tests counts as installed, so that the make targets fetch no package:
`.ci/run`, which starts from a fresh clone and a package index, is the test of that. `make test` runs a handful of the
clone's tests, as the whole suite runs this one. And the dashboard, whose port may be taken, is asked for a free one.
"""

import datetime as dt
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest
from documented import ROOT, blocks, console, write_prices

pytestmark = pytest.mark.slow
STAMPS = (".torch", ".installed-demo", ".installed-dev")
NOT_THE_SOURCE = shutil.ignore_patterns(".*", "__pycache__", "alfred-home")
SOME_TESTS = "tests/core/test_settings.py tests/core/test_calendar.py"
PATIENCE_S = 180.0
ABSOLUTE = 0.02
"""Most by which a figure may differ from README's: another processor rounds otherwise, and training follows."""


def cloned(folder: Path) -> Path:
    """A clone with the changes that are not committed yet; outside a checkout, a copy of what one would hold."""
    done = subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], capture_output=True, check=False)
    if done.returncode:
        shutil.copytree(ROOT, folder, ignore=NOT_THE_SOURCE, dirs_exist_ok=True)
        return folder
    changed = subprocess.run(
        ["git", "ls-files", "--modified", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    for name in changed:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
        else:
            (folder / name).unlink(missing_ok=True)
    return folder


@dataclass(frozen=True)
class Newcomer:
    """Somebody in a fresh clone, at a console."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """Of a console in which the environment is active; the clone's code comes before the one it was made from."""
        foreign = ("ALFRED_", "PYTEST_", "MAKE", "MFLAGS")  # these tests may run under `make slow` themselves
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        path = os.pathsep.join([str(Path(sys.prefix) / "bin"), kept.get("PATH", "")])
        nowhere = "http://127.0.0.1:9"
        return kept | {
            "PATH": path, "PYTHONPATH": str(self.folder / "src"), "PYTEST_ADDOPTS": SOME_TESTS,
            "HTTP_PROXY": nowhere, "HTTPS_PROXY": nowhere, "NO_PROXY": "127.0.0.1,localhost",
        }  # fmt: skip

    def types(self, line: str) -> str:
        """What a command prints; it has to succeed."""
        words = shlex.split(line)
        if words[0] == "make":
            installed = [word for stamp in STAMPS for word in ("-o", f"{sys.prefix}/{stamp}")]
            words = [*words, f"VENV={sys.prefix}", *installed]
        done = subprocess.run(
            words, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False, timeout=900
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stdout

    def looks_at_the_dashboard(self, line: str) -> None:
        """Start it, open its first page, and end it by Ctrl-C."""
        process = subprocess.Popen(
            [*shlex.split(line), "--port", "0"],
            cwd=self.folder,
            env=self.environment | {"PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            address = re.search(r"http://\S+", process.stdout.readline())
            assert address is not None
            # Not by a proxy that this machine's environment names.
            direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with direct.open(address.group(), timeout=PATIENCE_S) as answer:
                assert "demo" in answer.read().decode()
            process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
        assert process.returncode in {0, 130}, said
        assert "Traceback" not in "".join(said)


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Newcomer:
    return Newcomer(cloned(tmp_path_factory.mktemp("newcomer") / "alfred"))


def same(shown: str, printed: str) -> bool:
    """Whether a line is README's: word by word, numbers nearly, and anything where README has three dots."""
    wanted, got = shown.split(), printed.split()
    if any("..." in word for word in wanted):
        parts = (re.escape(part) for part in " ".join(wanted).split("..."))
        return re.fullmatch(".*".join(parts), " ".join(got)) is not None
    return len(wanted) == len(got) and all(map(_same_word, wanted, got))


def _same_word(wanted: str, got: str) -> bool:
    number = re.compile(r"-?\d+(?:\.\d+)?")
    if number.sub("#", wanted) != number.sub("#", got):
        return False
    scale = 100 if "%" in wanted else 1
    pairs = zip(number.findall(wanted), number.findall(got), strict=True)
    return all(abs(float(one) - float(other)) <= (ABSOLUTE * scale if "." in one else 0) for one, other in pairs)


def test_a_line_is_the_same_where_its_words_are() -> None:
    assert same(" ridge  0.014 [-0.074, 0.102]  61.7%", "ridge 0.015 [-0.070, 0.110] 61.0%")
    assert not same("ridge 0.014 [-0.074, 0.102] 61.7%", "ridge 0.044 [-0.074, 0.102] 61.7%")
    assert not same("ridge 0.014", "lasso 0.014")
    assert not same("4 trials", "5 trials")
    assert same("Report: .../demo-.../report.html", "Report: /x/y/demo-12/report.html")
    assert not same("No skill shown: ...", "Skill shown: in all")


def test_from_clone_to_recommendation(newcomer: Newcomer) -> None:
    readme = newcomer.folder / "README.md"
    first, activate, *others = console(readme)[:2], *console(readme)[2:]
    assert first == ["make demo", "make test"]
    assert activate == ". .venv/bin/activate"  # what `Newcomer.environment` does

    printed = newcomer.types("make demo")
    lines = printed.splitlines()
    for shown in blocks(readme, "text")[0].splitlines():
        assert any(same(shown, line) for line in lines), f"README shows {shown!r}, which is not in\n{printed}"
    assert Path(lines[-1].removeprefix("Report: ")).stat().st_size > 100_000
    assert re.search(r"\d+ passed", newcomer.types("make test"))
    where = newcomer.types("python -c 'import alfred; print(alfred.__file__)'")
    assert Path(where.strip()).is_relative_to(newcomer.folder)

    write_prices(newcomer.folder / "prices", None, dt.date(1990, 1, 2), dt.date(2022, 12, 28))
    for line in others:
        if line == "alfred ui":
            newcomer.looks_at_the_dashboard(line)
        else:
            printed = newcomer.types(line)
    made = newcomer.folder / "alfred-home"
    assert next(made.glob("runs/own-*/report.html")).stat().st_size > 100_000
    entries = (made / "recommendations" / "ledger.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(entry)["run"].partition("-")[0] for entry in entries] == ["study", "own"]
    assert "Expected until" in printed

    (code,) = blocks(readme, "python")
    before = set(made.glob("runs/*"))
    newcomer.types(f"python -c {shlex.quote(code)}")
    assert set(made.glob("runs/*")) == before
