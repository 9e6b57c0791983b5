"""Random graphs: the topology computes what the vocabulary says, however layers are put together."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="computes graphs in PyTorch")

from pymodel.frontend.lower import lower  # noqa: E402
from pymodel.frontend.module import to_module  # noqa: E402
from tests.helpers.graphs import evaluate, random_graph  # noqa: E402


@pytest.mark.parametrize("part", range(8))
def test_the_topology_computes_what_the_graph_says(part: int) -> None:
    for seed in range(part * 50, part * 50 + 50):
        graph = random_graph(seed)
        found = lower(graph)
        module = to_module(found)
        generator = torch.Generator().manual_seed(seed)
        images = torch.randn(2, *graph.input_shape, generator=generator)
        with torch.no_grad():
            ours = module(images)
            expected = evaluate(graph, images)[0].flatten(1).float()
        scale = float(expected.abs().max()) + 1e-3
        assert ours.shape == expected.shape, graph.name
        assert float((ours - expected).abs().max()) < 1e-4 * scale, graph.name
