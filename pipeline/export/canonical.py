"""ONNX graphs in a canonical form: equal graphs become equal bytes.

Keras' converter gives nodes, tensors and constants names and an order that differ between processes, because it iterates over sets of
strings. Here nodes are in the order in which the outputs need them, names are counted, and what is computed or stored twice is shared.
"""

from typing import Any

import onnx

PRODUCER = "keypoints"


def canonical(model: onnx.ModelProto, metadata: dict[str, str]) -> onnx.ModelProto:
    """The model in canonical form with the metadata in place of its own. Raises ValueError if its graph contains other graphs."""
    graph = model.graph
    values = _Values(graph)
    for value in graph.output:
        values.visit(value.name)
    outputs = [onnx.helper.make_node("Identity", [values.known[value.name]], [value.name]) for value in graph.output]
    given, result = ([onnx.ValueInfoProto(name=value.name, type=value.type) for value in ends] for ends in (graph.input, graph.output))
    made = onnx.helper.make_graph([*values.nodes, *outputs], PRODUCER, given, result, values.constants)
    opsets = [onnx.helper.make_opsetid(domain, values.opset(model, domain)) for domain in sorted({node.domain for node in values.nodes})]
    result = onnx.helper.make_model(made, producer_name=PRODUCER, opset_imports=opsets, ir_version=model.ir_version)
    onnx.helper.set_model_props(result, dict(sorted(metadata.items())))
    return result


class _Values:
    """The values of a graph by their old names, in the order in which they are needed. known: old name -> new name."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.makers = {name: node for node in graph.node for name in node.output if name}
        self.stored = {tensor.name: tensor for tensor in graph.initializer}
        self.known = {"": "", **{value.name: value.name for value in graph.input}}
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._same: dict[Any, list[str]] = {}

    def opset(self, model: onnx.ModelProto, domain: str) -> int:
        """The version of the operators of a domain."""
        return next(entry.version for entry in model.opset_import if entry.domain == domain)

    def visit(self, wanted: str) -> None:
        """Takes over a value and all that it is computed from."""
        pending = [wanted]
        while pending:
            name = pending[-1]
            if name in self.known:
                pending.pop()
            elif name in self.stored:
                self._store(name)
            elif missing := [given for given in self.makers[name].input if given not in self.known]:
                pending.extend(reversed(missing))
            else:
                self._compute(self.makers[name])

    def _store(self, name: str) -> None:
        tensor = onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(self.stored[name]))
        key = tensor.SerializeToString(deterministic=True)
        if key not in self._same:
            tensor.name = f"c{len(self.constants)}"
            self.constants.append(tensor)
            self._same[key] = [tensor.name]
        self.known[name] = self._same[key][0]

    def _compute(self, node: onnx.NodeProto) -> None:
        copy = onnx.NodeProto(op_type=node.op_type, domain=node.domain, input=[self.known[name] for name in node.input])
        copy.attribute.extend(sorted(node.attribute, key=lambda attribute: attribute.name))
        if any(attribute.HasField("g") or attribute.graphs for attribute in copy.attribute):
            raise ValueError(f"a node {node.op_type} of the graph contains another graph")
        key = copy.SerializeToString(deterministic=True), len(node.output)
        if key not in self._same:
            names = [f"v{len(self.nodes)}_{number}" if name else "" for number, name in enumerate(node.output)]
            copy.output.extend(names)
            self.nodes.append(copy)
            self._same[key] = names
        self.known.update(zip(node.output, self._same[key], strict=True))
