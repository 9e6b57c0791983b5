"""The steps of the flow: golden model, C simulation, HLS, co-simulation, resources.

A step reads what the steps before it wrote into the user's folder, writes its own result there, and is left out when
nothing that it depends on has changed. The golden model runs once for all designs, the others for each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from openhls import fingerprint

from psconv.common.fresh import Work, content_key, step, unless_fresh, versions
from psconv.common.places import CSIM, ENGINE, INCLUDE
from psconv.common.sources import code
from psconv.flow import csim
from psconv.flow.bench import Disturbance, Summary, beats_of, run_bench, simulator, summary, synthesised
from psconv.flow.design import Design
from psconv.flow.hls import PORTS, SCHEDULE, Synthesised, compile_top
from psconv.flow.inputs import Inputs
from psconv.flow.settings import HLS_PACKAGES, SYNTHESIS_PACKAGES, Settings
from psconv.flow.vectors import load_vectors, output_keys, save_vectors
from psconv.synthesis.place_route import place_and_route
from psconv.synthesis.resources import seen_by_yosys, synthesise, synthesise_modules, trace_operands
from pymodel.common.files import write_text
from pymodel.common.records import write_json, write_npz
from pymodel.golden import model
from pymodel.top import cycles
from rtl_tb.progress import Progress


@step
def golden_step(designs: Sequence[Design], settings: Settings, inputs: Inputs) -> Work:
    """Writes what goes into each design and must come out of it, by the golden model."""
    layout, bundle = settings.layout, inputs.bundle
    results = [layout.golden(design.name) for design in designs]

    def make() -> None:
        outputs = model.run(bundle, inputs.images)
        for design in designs:
            save_vectors(layout, design, design.vectors(outputs))

    key = content_key(
        code("pymodel.golden.model", "psconv.flow.vectors"),
        bundle.network.model_dump(mode="json"),
        {name: [form.bits, form.frac] for name, form in bundle.formats.items()},
        {name: bundle.shift(name) for name in bundle.weights},
        *(array for arrays in (bundle.weights, bundle.biases, bundle.scales) for array in arrays.values()),
        inputs.images,
        [(design.name, list(design.probes)) for design in designs],
    )
    outdated = tuple(path(design.name) for design in designs for path in (layout.csim, layout.cosim))
    return Work(results[0], key, make, tuple(results[1:]), outdated)


@step
def csim_step(design: Design, settings: Settings) -> Work:
    """C++ compiled as a program, on the same images; compiled again only where the C++ has changed."""
    layout, dataflow = settings.layout, design.dataflow
    result, folder = layout.csim(design.name), layout.build(design.name) / "csim"
    key = content_key(ENGINE, INCLUDE, CSIM, code("psconv.flow.csim"), design.sources, versions("ziglang"))
    program, x = csim.program(folder), load_vectors(layout, design).x

    def compiled() -> None:
        for file, text in design.sources.items():
            write_text(folder / file, text)
        csim.build(folder)

    def make() -> None:
        unless_fresh(program, key, compiled)
        if design.weights is None:
            weights = list(design.streamed.values())
            sinks = [sink.words for sink in design.sinks.values()]
            found = csim.run_all(program, x, dataflow.source.words, sinks, weights)
        else:
            found = [design.outputs(design.layer, csim.run_packets(program, design.packets(x), dataflow))]
        write_npz(result, **dict(zip(output_keys(design).values(), found, strict=True)))

    return Work(result, content_key(key, x, design.weights, *design.streamed.values()), make)


@step
def synth_step(design: Design, settings: Settings, done: Callable[[int, int], None] = lambda now, all: None) -> Work:
    """C++ to SystemVerilog through the open flow; `done` is told how many of how many processes there are."""
    folder = settings.layout.synth(design.name)
    key = content_key(
        ENGINE,
        INCLUDE,
        fingerprint(),
        design.sources,
        settings.target.openhls,
        settings.clock_ns,
        versions(*HLS_PACKAGES),
    )

    def make() -> None:
        made = compile_top(
            design.dataflow,
            folder,
            design.sources,
            target=settings.target.openhls,
            clock_ns=settings.clock_ns,
            cache=settings.process_cache,
            done=done,
        )
        cycles.check(design.dataflow, made.schedule)

    more = (folder / "rtl", folder / SCHEDULE, *(folder / file for file in design.sources))
    return Work(folder / PORTS, key, make, more)


@step
def cosim_step(design: Design, settings: Settings, progress: Callable[[Progress], None] | None = None) -> Work:
    """The RTL in Verilator: once without a stall on all images, once with random stalls on the first few."""
    layout, stalls = settings.layout, settings.stalls
    folder, result, figures = layout.synth(design.name), layout.cosim(design.name), layout.simulation(design.name)
    vectors = load_vectors(layout, design)
    key = content_key(
        simulator(),
        folder / "rtl",
        folder / PORTS,
        vectors.x,
        design.weights,
        *design.streamed.values(),
        *vectors.outputs.values(),
        settings.seed,
        stalls.model_dump(),
        settings.waves,
    )

    keys = output_keys(design)

    def make() -> None:
        rtl, scratch = synthesised(folder, design), layout.build(design.name)
        free = run_bench(design, vectors, rtl, settings, scratch / "free", progress=progress)
        record: dict[str, Summary] = {"free": summary(free)}
        if images := min(stalls.images, len(vectors.x)):
            disturbed = Disturbance(stalls.input, stalls.output)
            few = vectors.first(images)
            stalled = run_bench(design, few, rtl, settings, scratch / "stalled", disturbed, progress)
            record["stalled"] = {**summary(stalled), "images": images, "input": stalls.input, "output": stalls.output}
        write_json(figures, record)
        write_npz(result, **{key: design.outputs(layer, beats_of(design, free, layer)) for layer, key in keys.items()})

    return Work(result, key, make, (figures,))


@step
def resources_step(
    design: Design, settings: Settings, done: Callable[[int, int], None] = lambda now, all: None
) -> Work:
    """LUT, FF, DSP, BRAM after yosys; with `pnr` the ECP5's Fmax.

    An engine by itself is synthesised as a whole, which also shows what stands between its ring and its multipliers; a
    network, for which yosys would take hours, module by module: `done` is told how many of how many there are.
    """
    result, target, top = settings.layout.resources(design.name), settings.target, design.dataflow.top
    rtl = Synthesised(settings.layout.synth(design.name)).rtl
    key = content_key(
        seen_by_yosys(rtl),
        target.model_dump(),
        settings.pnr and settings.clock_ns,
        code("psconv.synthesis.resources", "psconv.synthesis.place_route"),
        versions(*SYNTHESIS_PACKAGES),
    )

    def make() -> None:
        if design.engine:
            record = synthesise(rtl, top, target)
            record["operands"] = trace_operands(rtl, top, f"{design.engine.name}_pe")
        else:
            record = synthesise_modules(rtl, top, target, settings.module_cache, done)
        if settings.pnr:
            record["pnr"] = place_and_route(rtl, top, target, settings.clock_ns)
        record["target"] = target.name
        write_json(result, record)

    return Work(result, key, make)
