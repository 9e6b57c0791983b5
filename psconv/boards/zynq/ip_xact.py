"""component.xml: the IP as IP-XACT (IEEE 1685-2009), the form that Vivado's packager reads and writes.

The elements stand in the order of the standard's schema. Vivado's own extensions name families and what is displayed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.etree import ElementTree

from psconv.boards.zynq.registers import ADDRESS_BITS, REGISTER_BYTES, REGISTERS, WHOLE, Access, Field
from psconv.boards.zynq.wrapper import Wrapper

SPIRIT = "http://www.spiritconsortium.org/XMLSchema/SPIRIT/1685-2009"
XILINX = "http://www.xilinx.com"
VENDOR, LIBRARY, REVISION = "psconv", "psconv", "1.0"
LITE = {
    "in": (
        "AWADDR",
        "AWPROT",
        "AWVALID",
        "WDATA",
        "WSTRB",
        "WVALID",
        "BREADY",
        "ARADDR",
        "ARPROT",
        "ARVALID",
        "RREADY",
    ),
    "out": ("AWREADY", "WREADY", "BRESP", "BVALID", "ARREADY", "RDATA", "RRESP", "RVALID"),
}
STREAM = ("TDATA", "TKEEP", "TLAST", "TVALID")
_ACCESS = {
    Access.READ: "read-only",
    Access.WRITE: "read-write",
    Access.PULSE: "write-only",
    Access.STICKY: "read-write",
}
_TYPES = {"v": "verilogSource", "sv": "systemVerilogSource"}
_VIEWS = {
    "xilinx_anylanguagesynthesis": ("Synthesis", ":vivado.xilinx.com:synthesis"),
    "xilinx_anylanguagebehavioralsimulation": ("Simulation", ":vivado.xilinx.com:simulation"),
}


def name_of(wrapper: Wrapper) -> str:
    """Vendor, library, name and version, as block designs call the IP."""
    return f"{VENDOR}:{LIBRARY}:{wrapper.module}:{REVISION}"


def pins(wrapper: Wrapper) -> Iterator[tuple[str, str, int]]:
    """Name, direction and bits of each port of the top; 0 bits: a single one that is no vector."""
    yield "aclk", "in", 0
    yield "aresetn", "in", 0
    yield "interrupt", "out", 0
    vectors = {"ADDR": ADDRESS_BITS, "PROT": 3, "WDATA": 32, "RDATA": 32, "WSTRB": 4, "RESP": 2}
    for direction, names in LITE.items():
        for name in names:
            bits = next((bits for ending, bits in vectors.items() if name.endswith(ending)), 0)
            yield f"s_axi_{name.lower()}", direction, bits
    for prefix, forth, back, width in (
        ("s_axis", "in", "out", wrapper.in_bytes),
        ("m_axis", "out", "in", wrapper.out_bytes),
    ):
        for name in STREAM:
            yield f"{prefix}_{name.lower()}", forth, {"TDATA": 8 * width, "TKEEP": width}.get(name, 0)
        yield f"{prefix}_tready", back, 0


def component(wrapper: Wrapper, files: Sequence[str], family: str) -> str:
    """The text of component.xml. files: paths of the RTL in the folder of the IP."""
    root = ElementTree.Element(_tag("component"), {"xmlns:xilinx": XILINX, "xmlns:spirit": SPIRIT})
    for name, text in (("vendor", VENDOR), ("library", LIBRARY), ("name", wrapper.module), ("version", REVISION)):
        _add(root, name, text)
    _bus_interfaces(_add(root, "busInterfaces"), wrapper)
    _memory_map(_add(_add(root, "memoryMaps"), "memoryMap"))
    _model(_add(root, "model"), wrapper)
    sets = _add(root, "fileSets")
    for view in _VIEWS:
        of = _add(sets, "fileSet")
        _add(of, "name", f"{view}_view_fileset")
        for path in files:
            file = _add(of, "file")
            _add(file, "name", path)
            _add(file, "fileType", _TYPES[path.rpartition(".")[2]])
    _add(root, "description", f"{wrapper.design.what}, written by psconv")
    parameters = _add(root, "parameters")
    _parameter(parameters, "Component_Name", f"{wrapper.module}_v1_0")
    core = ElementTree.SubElement(_add(root, "vendorExtensions"), "xilinx:coreExtensions")
    families = ElementTree.SubElement(core, "xilinx:supportedFamilies")
    ElementTree.SubElement(families, "xilinx:family", {"xilinx:lifeCycle": "Production"}).text = family
    taxonomies = ElementTree.SubElement(core, "xilinx:taxonomies")
    ElementTree.SubElement(taxonomies, "xilinx:taxonomy").text = "/UserIP"
    ElementTree.SubElement(core, "xilinx:displayName").text = f"psconv {wrapper.design.name}"
    ElementTree.SubElement(core, "xilinx:coreRevision").text = "1"
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def _bus_interfaces(parent: ElementTree.Element, wrapper: Wrapper) -> None:
    for name, mode, width in (("s_axis", "slave", wrapper.in_bytes), ("m_axis", "master", wrapper.out_bytes)):
        ports = {signal: f"{name}_{signal.lower()}" for signal in (*STREAM, "TREADY")}
        facts = {"TDATA_NUM_BYTES": str(width), "HAS_TLAST": "1", "HAS_TKEEP": "1", "HAS_TREADY": "1"}
        _bus_interface(parent, name, "interface", "axis", mode, ports, facts)
    ports = {signal: f"s_axi_{signal.lower()}" for signals in LITE.values() for signal in signals}
    _bus_interface(parent, "s_axi", "interface", "aximm", "slave", ports, {"PROTOCOL": "AXI4LITE"})
    _bus_interface(parent, "aresetn", "signal", "reset", "slave", {"RST": "aresetn"}, {"POLARITY": "ACTIVE_LOW"})
    associated = {"ASSOCIATED_BUSIF": "s_axi:s_axis:m_axis", "ASSOCIATED_RESET": "aresetn"}
    _bus_interface(parent, "aclk", "signal", "clock", "slave", {"CLK": "aclk"}, associated)
    events = {"SENSITIVITY": "LEVEL_HIGH"}
    _bus_interface(parent, "interrupt", "signal", "interrupt", "master", {"INTERRUPT": "interrupt"}, events)


def _bus_interface(
    parent: ElementTree.Element,
    name: str,
    library: str,
    kind: str,
    mode: str,
    ports: dict[str, str],
    parameters: dict[str, str],
) -> None:
    bus = _add(parent, "busInterface")
    _add(bus, "name", name)
    for element, what in (("busType", kind), ("abstractionType", f"{kind}_rtl")):
        _add(bus, element, None, vendor="xilinx.com", library=library, name=what, version="1.0")
    side = _add(bus, mode)
    if kind == "aximm":
        _add(side, "memoryMapRef", None, memoryMapRef=name)
    maps = _add(bus, "portMaps")
    for logical, physical in ports.items():
        port = _add(maps, "portMap")
        _add(_add(port, "logicalPort"), "name", logical)
        _add(_add(port, "physicalPort"), "name", physical)
    facts = _add(bus, "parameters")
    for key, value in parameters.items():
        _parameter(facts, key, value, f"BUSIFPARAM_VALUE.{name.upper()}.{key}")


def _memory_map(parent: ElementTree.Element) -> None:
    _add(parent, "name", "s_axi")
    block = _add(parent, "addressBlock")
    _add(block, "name", "reg0")
    _add(block, "baseAddress", "0")
    _add(block, "range", str(1 << max(ADDRESS_BITS, 12)))  # what Vivado assigns at least
    _add(block, "width", "32")
    _add(block, "usage", "register")
    for register in REGISTERS:
        element = _add(block, "register")
        _add(element, "name", register.name)
        _add(element, "description", register.meaning or register.fields[0].meaning)
        _add(element, "addressOffset", f"{register.offset:#x}")
        _add(element, "size", str(8 * REGISTER_BYTES))
        _add(element, "volatile", "true")
        for field in register.fields:
            _field(_add(element, "field"), field)


def _field(parent: ElementTree.Element, field: Field) -> None:
    _add(parent, "name", WHOLE if field.name == WHOLE else field.name)
    _add(parent, "description", field.meaning)
    _add(parent, "bitOffset", str(field.low))
    _add(parent, "bitWidth", str(field.bits))
    _add(parent, "access", _ACCESS[field.access])
    if field.access is Access.STICKY:
        _add(parent, "modifiedWriteValue", "oneToClear")


def _model(parent: ElementTree.Element, wrapper: Wrapper) -> None:
    views = _add(parent, "views")
    for name, (title, identifier) in _VIEWS.items():
        view = _add(views, "view")
        _add(view, "name", name)
        _add(view, "displayName", title)
        _add(view, "envIdentifier", identifier)
        _add(view, "language", "Verilog")
        _add(view, "modelName", wrapper.module)
        _add(_add(view, "fileSetRef"), "localName", f"{name}_view_fileset")
    ports = _add(parent, "ports")
    for pin, direction, bits in pins(wrapper):
        port = _add(ports, "port")
        _add(port, "name", pin)
        wire = _add(port, "wire")
        _add(wire, "direction", direction)
        if bits:
            vector = _add(wire, "vector")
            _add(vector, "left", str(bits - 1))
            _add(vector, "right", "0")
        types = _add(wire, "wireTypeDefs")
        kind = _add(types, "wireTypeDef")
        _add(kind, "typeName", "wire")
        for view_name in _VIEWS:
            _add(kind, "viewNameRef", view_name)


def _parameter(parent: ElementTree.Element, name: str, value: str, identifier: str | None = None) -> None:
    parameter = _add(parent, "parameter")
    _add(parameter, "name", name)
    _add(parameter, "value", value, id=identifier or f"PARAM_VALUE.{name}")


def _add(parent: ElementTree.Element, name: str, text: str | None = None, /, **attributes: str) -> ElementTree.Element:
    element = ElementTree.SubElement(parent, _tag(name), {_tag(key): value for key, value in attributes.items()})
    element.text = text
    return element


def _tag(name: str) -> str:
    return f"spirit:{name}"
