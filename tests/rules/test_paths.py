"""What lies in series, what is bypassed, and how long the shortest way is, on graphs drawn by hand."""

from gradlint.api import GraphView, OpNode
from gradlint_rules._paths import before_pooling, by_constants, skeleton, weights_of


def graph(*edges: str, outputs: str, parameters: str = "") -> GraphView:
    """`"a:linear x"` is a node `a` of operator `linear` that reads `x`; parameters are given as `"w"`."""
    nodes = {"x": OpNode("x", "input", (), (4, 8), "float32")}
    for name in parameters.split():
        nodes[name] = OpNode(name, "parameter", (), (8, 8), "float32", target=f"{name}.weight", requires_grad=True)
    for edge in edges:
        head, *inputs = edge.split()
        name, _, op = head.partition(":")
        nodes[name] = OpNode(name, op, tuple(inputs), (4, 8), "float32", requires_grad=op != "detach")
    return GraphView(nodes, (), ("x",), tuple(outputs.split()))


def linears(view: GraphView) -> int:
    return skeleton(view).shortest(lambda node: node.op == "linear")


def test_a_plain_stack_is_all_trunk() -> None:
    view = graph("a:linear x u", "b:relu a", "c:linear b v", outputs="c", parameters="u v")
    assert skeleton(view).trunk == ("a", "b", "c")
    assert linears(view) == 2


def test_a_residual_branch_is_not_on_the_trunk() -> None:
    view = graph(
        "a:linear x u", "b:linear a v", "r:relu b", "c:linear r w", "s:add a c", outputs="s", parameters="u v w"
    )
    bones = skeleton(view)
    assert bones.trunk == ("a", "s")
    assert linears(view) == 1
    assert ("b", "r", "c") in bones.chains
    assert bones.between("a", "s") == {"a", "b", "r", "c", "s"}


def test_a_gate_is_bypassed() -> None:
    view = graph("a:linear x u", "g:linear a v", "q:sigmoid g", "m:mul a q", outputs="m", parameters="u v")
    assert skeleton(view).trunk == ("a", "m")


def test_two_towers_have_no_trunk_but_chains_of_their_own() -> None:
    view = graph("a:linear x u", "b:relu a", "c:linear x v", "d:tanh c", "e:add b d", outputs="e", parameters="u v")
    bones = skeleton(view)
    assert bones.trunk == ("e",)
    assert set(bones.chains[1:]) == {("a", "b"), ("c", "d")}


def test_an_auxiliary_head_leaves_only_the_common_part() -> None:
    view = graph("a:linear x u", "h:linear a v", "b:relu a", "c:linear b w", outputs="h c", parameters="u v w")
    assert skeleton(view).trunk == ("a",)


def test_what_is_detached_does_not_carry() -> None:
    view = graph("a:linear x u", "d:detach a", "b:linear d v", outputs="b", parameters="u v")
    assert skeleton(view).trunk == ("b",)


def test_the_trunk_ends_where_positions_are_pooled() -> None:
    view = graph("a:linear x u", "b:relu a", "m:mean b", "c:linear m v", outputs="c", parameters="u v")
    assert before_pooling(skeleton(view)) == ("a", "b")


def test_weights_are_found_behind_reshapes_and_constant_factors() -> None:
    nodes = {
        "x": OpNode("x", "input", (), (4, 8), "float32"),
        "k": OpNode("k", "constant", (), (), "float32"),
        "p": OpNode("p", "parameter", (), (8, 8), "float32", target="fc.weight"),
        "b": OpNode("b", "parameter", (), (8,), "float32", target="fc.bias"),
        "s": OpNode("s", "mul", ("p", "k"), (8, 8), "float32"),
        "t": OpNode("t", "t", ("s",), (8, 8), "float32"),
        "y": OpNode("y", "linear", ("x", "t", "b"), (4, 8), "float32"),
        "z": OpNode("z", "matmul", ("y", "x"), (4, 4), "float32"),
        "f": OpNode("f", "mul", ("z", "k"), (4, 4), "float32"),
        "g": OpNode("g", "mul", ("z", "y"), (4, 4), "float32"),
    }
    view = GraphView(nodes, (), ("x",), ("f",))
    assert weights_of(view, nodes["y"]) == ("fc.weight",)
    assert weights_of(view, nodes["z"]) == ()
    assert by_constants(view, nodes["f"]) and not by_constants(view, nodes["g"])
