"""A process that is quickly started, in place of a measuring one."""

from itertools import chain, repeat
from typing import Any

import pytest

from bench.process import supervisor
from bench.process.supervisor import Worker

# Stands in for bench.worker where a test needs no torch: it does what the request says.
SCRIPT = """
import json, os, signal, sys, time
print("a line of the log", file=sys.stderr, flush=True)
answers = os.fdopen(int(sys.argv[2]), "w")

def say(**line):
    print(json.dumps({"pid": os.getpid(), **line}), file=answers, flush=True)

def killed(request):
    if "folder" in request:
        before = len(os.listdir(request["folder"]))
        if before == request["times"]:
            return
        open(os.path.join(request["folder"], str(before)), "w").close()
    os.kill(os.getpid(), request["signal"])

def answer(request):
    if request["op"] == "exit":
        print("the last words", file=sys.stderr, flush=True)
        os._exit(request["code"])
    if request["op"] == "kill":
        killed(request)
    if request["op"] == "hang":
        signal.pause()
    if request["op"] == "compute":
        until = time.process_time() + request["seconds"]
        while time.process_time() < until:
            pass
    if request["op"] == "print":
        for _ in range(request["times"]):
            os.write(request["to"], request["text"].encode())
    if request["op"] == "fail":
        return {"status": "crashed", **request}
    wanted = {name: os.environ.get(name) for name in request.get("names", ())}
    who = {"pid": os.getpid(), "sid": os.getsid(0), "number": request.get("number")}
    return {"status": "done", **who, **wanted}

def serve(batch, place, request):
    if request["op"] == "garble":
        text = request["text"].replace("BATCH", str(batch)).replace("PID", str(os.getpid()))
        print(text.replace("PLACE", str(place)), file=answers, flush=True)
        return
    if request["op"] == "import":
        say(batch=batch, place=place, importing=request["spec"])
        answer(request["doing"])
        say(batch=batch, place=place, importing=None)
    if request["op"] == "say":
        say(batch=batch, place=place, answer=request["answer"])
        return
    say(batch=batch, place=place, answer=answer(request))
    if request["op"] == "answer_and_exit":
        os._exit(0)

say()
for line in sys.stdin:
    batch = json.loads(line)
    for place, request in enumerate(batch["requests"]):
        serve(batch["batch"], place, request)
"""
HELLO = {"op": "hello"}


def ask(worker: Worker, operation: str, limit_s: float = 60.0, **request: Any) -> dict[str, Any]:
    return worker.ask(operation, limit_s=limit_s, **request)


def numbered(*numbers: int) -> list[dict[str, Any]]:
    return [{"op": "hello", "number": number} for number in numbers]


def kills_told(monkeypatch: pytest.MonkeyPatch, *counts: int | None) -> None:
    """What the machine tells of its kills for memory, asked again and again; the last stays."""
    told = chain(counts, repeat(counts[-1]))
    monkeypatch.setattr(supervisor, "oom_kills", lambda: next(told))
