"""ports.json and schedule.json (docs/reference/interfaces.md), and the table the command line prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from openhls.backend.emit import Pipeline, port_signals
from openhls.backend.schedule import Schedule
from openhls.common.errors import Location
from openhls.graph.nodes import Stream


def _source(loc: Location | None) -> str | None:
    return None if loc is None else f"{loc.file.rsplit('/', 1)[-1]}:{loc.line}"


def ports(top: str, streams: Mapping[str, Stream]) -> dict:
    """What ports.json holds."""
    found = []
    for stream in streams.values():
        if stream.producer is None or stream.consumer is None:
            signals = {s: {"name": n, "width": w} for s, (n, w) in port_signals(stream).items()}
            direction = "in" if stream.producer is None else "out"
            found.append({"name": stream.name, "direction": direction, "signals": signals})
    return {"top": top, "clock": "ap_clk", "reset": {"name": "ap_rst_n", "active_low": True}, "streams": found}


def process(plan: Schedule, iterations: int | None, pipeline: Pipeline) -> dict:
    """A process's entry in schedule.json."""
    graph = plan.process
    memories = []
    for load in [e for e in graph.effects if e.op == "load"]:
        memory, shape = graph.memories[load.attrs["memory"]], plan.memories[load.attrs["memory"]]
        memories.append(
            {
                "name": memory.name,
                "kind": shape.kind,
                "style": shape.style,
                "depth": memory.depth,
                "width": memory.width,
                "read_latency": shape.read_latency,
                "distance": shape.distance,
                "forwarding": shape.forwarding,
                "source": _source(memory.loc),
            }
        )
    products = Counter((m.a_bits, m.b_bits, m.p_bits, _source(loc)) for m, loc in pipeline.multipliers)
    return {
        "name": graph.name,
        "source": _source(graph.loc),
        "stages": plan.stages,
        "issue_stages": plan.issue_stages,
        "ii": 1,
        "iterations": iterations,
        "reads": [{"stream": e.attrs["stream"], "stage": plan.stage[e]} for e in graph.effects if e.op == "read"],
        "writes": [{"stream": e.attrs["stream"], "stage": plan.stage[e]} for e in graph.effects if e.op == "write"],
        "register_bits": pipeline.register_bits,
        "longest_stage_ns": round(plan.longest_ns, 3),
        "memories": memories,
        "multipliers": [
            {"a_bits": a, "b_bits": b, "p_bits": p, "count": n, "source": source}
            for (a, b, p, source), n in products.items()
        ],
    }


def schedule(
    top: str,
    streams: Mapping[str, Stream],
    processes: Sequence[dict],
    depths: Mapping[str, int],
    target: str,
    clock_ns: float,
    notes: Sequence[str],
    seconds: Mapping[str, float],
) -> dict:
    """What schedule.json holds.

    Args:
        processes: their entries, of `process`; depths: of the streams that have a FIFO; notes: to the programmer.
    """
    return {
        "top": top,
        "target": target,
        "clock_ns": clock_ns,
        "processes": list(processes),
        "streams": [
            {
                "name": s.name,
                "width": s.width,
                "depth": depths.get(s.name),
                "producer": s.producer,
                "consumer": s.consumer,
            }
            for s in streams.values()
        ],
        "notes": list(dict.fromkeys(notes)),
        "seconds": {k: round(v, 3) for k, v in seconds.items()},
    }


def table(report: dict) -> str:
    """A schedule.json as a short table for a terminal."""
    rows = [("process", "source", "stages", "iterations", "reads", "writes", "registers", "multipliers", "memories")]
    for p in report["processes"]:
        rows.append(
            (
                p["name"],
                p["source"] or "",
                str(p["stages"]),
                str(p["iterations"] or "?"),
                " ".join(f"{r['stream']}@{r['stage']}" for r in p["reads"]),
                " ".join(f"{w['stream']}@{w['stage']}" for w in p["writes"]),
                str(p["register_bits"]),
                str(sum(m["count"] for m in p["multipliers"])),
                " ".join(f"{m['name']}:{m['depth']}x{m['width']}" for m in p["memories"]),
            )
        )
    widths = [max(len(r[k]) for r in rows) for k in range(len(rows[0]))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in rows]
    total = sum(report["seconds"].values())
    return "\n".join([*lines, f"{report['top']}: {report['target']} at {report['clock_ns']} ns, {total:.1f} s"])
