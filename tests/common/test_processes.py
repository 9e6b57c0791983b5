"""No child outlives its parent, however that ends; no tool sees foreign variables; one process at a time writes."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from openhls.system import children
from openhls.system.locks import InUse, locked

from scripts.hunt.processes import VARIABLE, left, running, signals_heard

ENDS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
PARENTS = {
    # A tool that starts others in the background and does not listen; its parent is at work itself.
    "a tool": """
with children.started(["sh", "-c", "trap '' INT TERM HUP; sleep 103 & sleep 104"]) as child:
    print("ready", flush=True)
    child.wait()
""",
    "workers and their tools": """
with pool(2) as executor:
    tools = [executor.submit(children.run, ["sleep", str(seconds)]) for seconds in (103, 104)]
    time.sleep(1.5)
    print("ready", flush=True)
    [tool.result() for tool in tools]
""",
    "workers that hold the interpreter": """
with pool(2) as executor:
    busy = [executor.submit(re.match, "(a*)*b", "a" * 40) for _ in range(2)]
    time.sleep(1.5)
    print("ready", flush=True)
    [each.result() for each in busy]
""",
}


def start(script: str, mark: str) -> subprocess.Popen:
    body = "\n".join(f"    {line}" for line in script.splitlines())
    text = (
        "import re, signal, sys, time\nfrom openhls.system import children\nfrom openhls.system.pool import pool\n"
        "from openhls.system.locks import locked\nfrom pathlib import Path\n"
        "if __name__ == '__main__':\n"
        "    for number in (signal.SIGTERM, signal.SIGHUP):\n"
        "        signal.signal(number, lambda number, _: sys.exit(128 + number))\n" + body
    )
    with signals_heard():
        return subprocess.Popen(
            [sys.executable, "-c", text],
            env=os.environ | {VARIABLE: mark},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are found in /proc")
@pytest.mark.parametrize("number", ENDS, ids=lambda number: number.name)
@pytest.mark.parametrize("parent", PARENTS)
def test_nothing_outlives_its_parent(parent, number, tmp_path):
    process = start(PARENTS[parent], str(tmp_path))
    assert process.stdout.readline() == "ready\n"
    until = time.monotonic() + 20  # a process that is ready may still be starting another
    while len(running(str(tmp_path))) < 3 and time.monotonic() < until:
        time.sleep(0.05)
    assert len(running(str(tmp_path))) >= 3
    process.send_signal(number)
    assert not left(str(tmp_path), 2.0)
    process.communicate()


def test_what_a_tool_leaves_in_the_background_ends_with_it(tmp_path):
    process = start(
        "children.run(['sh', '-c', 'sleep 103 >&- 2>&- &'])\nprint('done', flush=True)\ntime.sleep(9)", str(tmp_path)
    )
    assert process.stdout.readline() == "done\n"
    assert not left(str(tmp_path), 2.0, but=process.pid)
    assert list(running(str(tmp_path))) == [process.pid]
    process.kill()
    process.communicate()


def test_a_tool_sees_few_variables(monkeypatch):
    """Names of compilers' and makefiles' variables, and any other that nobody has thought of."""
    names = (
        "CPATH",
        "CPLUS_INCLUDE_PATH",
        "CFLAGS",
        "CXXFLAGS",
        "LDFLAGS",
        "OPT",
        "MAKEFLAGS",
        "VM_TRACE",
        "ANY_OTHER",
        "COCOTB_TEST",
        "SOURCE_DATE_EPOCH",
        "CCC_OVERRIDE_OPTIONS",
        "VERILATOR_ROOT",
    )
    for name in names:
        monkeypatch.setenv(name, "leaked")
    seen = dict(line.split("=", 1) for line in children.run(["env"], env={"GIVEN": "1"}).stdout.splitlines())
    assert not seen.keys() & set(names) and "leaked" not in seen.values()
    assert seen["GIVEN"] == "1" and seen["PATH"] == os.environ["PATH"] and seen["LC_ALL"] == "C"


def test_bytes_that_are_no_text_are_kept():
    printed = children.run(["printf", r"\377\303\244"]).stdout
    assert printed.encode("utf-8", "surrogateescape") == b"\xff\xc3\xa4"


def test_a_lock_says_who_holds_it_and_ends_with_its_holder(tmp_path):
    script = f"with locked(Path({str(tmp_path / 'out')!r})):\n    print('ready', flush=True)\n    time.sleep(99)"
    process = start(script, "")
    assert process.stdout.readline() == "ready\n"
    with pytest.raises(InUse) as refused, locked(tmp_path / "out"):
        pass
    assert refused.value.filename == str(tmp_path / "out")
    assert re.match(rf"in use by process {process.pid} \(.*-c.*\) since \d{{4}}-\d\d-\d\d ", refused.value.strerror)
    with locked(tmp_path / "out", "another"):
        assert (tmp_path / "out" / ".another.lock").exists()
    process.kill()
    process.communicate()
    with locked(tmp_path / "out"), pytest.raises(InUse, match=str(os.getpid())), locked(tmp_path / "out"):
        pass
    assert not list((tmp_path / "out").iterdir())  # nothing is left behind


def _add(file: Path, times: int) -> None:
    for _ in range(times):
        with locked(file.parent / "folder", wait=True):
            count = int(file.read_text())
            time.sleep(0.0005)
            file.write_text(str(count + 1))


def test_a_lock_is_held_by_one(tmp_path):
    """Although it is removed, and its folder, each time that it becomes free."""
    (tmp_path / "count").write_text("0")
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_add, args=(tmp_path / "count", 40)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert (tmp_path / "count").read_text() == "120"


def test_a_second_command_in_one_folder_is_refused(tmp_path, psconv):
    layer = {"in_channels": 1, "out_channels": 1, "height": 1, "width": 1}
    (tmp_path / "run.yaml").write_text(json.dumps({"psconv": 1, "layer": layer}))
    out = tmp_path / "out"
    with locked(out):
        for command in ("golden", "csim", "synth", "cosim", "run", "report"):
            code, _, err = psconv(command, str(tmp_path / "run.yaml"), "--out", str(out))
            assert code == 2 and f"{out}: in use by process {os.getpid()}" in err, command
        assert not (out / "config.json").exists()
    assert psconv("golden", str(tmp_path / "run.yaml"), "--out", str(out))[0] == 0
    code, _, _ = psconv("compare", str(out / "golden"), str(out / "golden"))
    assert code == 0 and not (out / ".lock").exists()
