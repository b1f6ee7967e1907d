"""The figures of a chain: the layer that lacks most, beside a healthy one or beside later ones."""

import random
import time
from dataclasses import replace

from gradlint_rules._figures import ChainFigures, Layer
from gradlint_rules.thresholds import UNEVEN


def chain(feeds: list[float]) -> ChainFigures:
    layers = tuple(Layer(f"n{i}", f"w{i}", f"m{i}", feed, feed + 0.5) for i, feed in enumerate(feeds))
    return ChainFigures(tuple(layer.node for layer in layers), layers, (), is_trunk=True, batch=1, outputs=1)


def test_the_hungriest_layer_is_measured_by_what_comes_after_it() -> None:
    drawn = random.Random(3)
    for _ in range(50):
        figures = chain([drawn.gauss(0, 3) for _ in range(drawn.randint(1, 9))])
        lacks = [
            max(-layer.feed, max(other.shaken for other in figures.layers[i:]) - layer.feed - UNEVEN)
            for i, layer in enumerate(figures.layers)
        ]
        assert figures.starvation == max(lacks)
        assert figures.hungriest == figures.layers[lacks.index(max(lacks))]
    assert (chain([]).starvation, chain([]).hungriest, chain([]).richer) == (0.0, None, None)


def test_a_chain_of_many_layers_is_read_in_one_go() -> None:
    figures = chain([-0.001 * i for i in range(20_000)])
    begun = time.thread_time()
    assert figures.starvation > 0 and figures.hungriest is not None and figures.richer is None
    assert time.thread_time() - begun < 2.0


def test_what_stands_beside_the_trunk_counts_as_growth_only() -> None:
    beside = Layer("e", "e.weight", "e", 6.0, 6.0)
    figures = replace(chain([0.0, 0.0]), beside=(beside,))
    assert figures.growth == 6.0 and figures.loudest == beside
    assert figures.starvation == chain([0.0, 0.0]).starvation
    assert replace(figures, layers=()).growth == 6.0
