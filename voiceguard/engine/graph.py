"""What an ONNX file holds, read without the ``onnx`` package.

Only what has to be judged before the file is run: which operators of which sets it uses, and
whether anything of it lies outside the file.  Field numbers are those of onnx.proto3 (ONNX IR).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from voiceguard.core.errors import ModelError

__all__ = ["GraphContents", "check_contents", "read_contents"]

_QUANTIZATION_DOMAIN: Final = "com.microsoft"

_QUANTIZATION_OPERATORS: Final = frozenset(
    {
        "DequantizeLinear",
        "DynamicQuantizeLSTM",
        "DynamicQuantizeMatMul",
        "MatMulIntegerToFloat",
        "MulInteger",
        "QGemm",
        "QLinearAdd",
        "QLinearAveragePool",
        "QLinearConcat",
        "QLinearConv",
        "QLinearGlobalAveragePool",
        "QLinearLeakyRelu",
        "QLinearMul",
        "QLinearReduceMean",
        "QLinearSigmoid",
        "QLinearSoftmax",
        "QLinearWhere",
        "QuantizeLinear",
    }
)
"""Of onnxruntime's own set (its ContribOperators.md), those that quantization makes."""

_RANDOM_OPERATORS: Final = frozenset(
    {
        "Bernoulli",
        "Multinomial",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
    }
)
"""The same audio must give the same scores."""

_FIELDS: Final[Mapping[str, Mapping[str, tuple[int, str]]]] = {
    "Model": {"graph": (7, "Graph"), "opset_import": (8, "Opset*"), "functions": (25, "Nothing*")},
    "Opset": {"domain": (1, "string"), "version": (2, "int64")},
    "Graph": {
        "node": (1, "Node*"),
        "initializer": (5, "Tensor*"),
        "sparse_initializer": (15, "Sparse*"),
    },
    "Node": {"op_type": (4, "string"), "attribute": (5, "Attribute*"), "domain": (7, "string")},
    "Attribute": {
        "t": (5, "Tensor"),
        "g": (6, "Graph"),
        "tensors": (10, "Tensor*"),
        "graphs": (11, "Graph*"),
        "sparse_tensor": (22, "Sparse"),
        "sparse_tensors": (23, "Sparse*"),
    },
    "Sparse": {"values": (1, "Tensor"), "indices": (2, "Tensor")},
    "Tensor": {
        "dims": (1, "int64*"),
        "name": (8, "string"),
        "external_data": (13, "Nothing*"),
        "data_location": (14, "int32"),
    },
    "Nothing": {},
}
"""The part of the format that is read: message, field, number, type ("*": repeated)."""


@dataclass(frozen=True, slots=True)
class GraphContents:
    """What is in an ONNX file."""

    opsets: Mapping[str, int]
    """Version of each operator set that it imports, by domain."""
    operators: frozenset[tuple[str, str]]
    """Domain and name of each operator that it uses, in subgraphs too."""
    external_tensors: tuple[str, ...]
    """Names of tensors whose data are in another file."""
    functions: int
    """How many operators it defines itself."""
    parameters: int
    """How many numbers its initializers hold."""


def read_contents(content: bytes) -> GraphContents:
    """Read what an ONNX file holds.

    Args:
        content: the bytes of the file.

    Raises:
        ModelError: they are not an ONNX model.

    """
    model = _MODEL_CLASS()
    try:
        model.ParseFromString(content)
    except DecodeError as error:
        message = f"the model file is not an ONNX model: {error}"
        raise ModelError(message) from error
    if not model.graph.node:
        raise ModelError("the model file is not an ONNX model: it has no graph")
    graphs = list(_graphs(model.graph))
    nodes = [node for graph in graphs for node in graph.node]
    tensors = [tensor for graph in graphs for tensor in _tensors(graph)]
    return GraphContents(
        opsets={_domain(opset.domain): opset.version for opset in model.opset_import},
        operators=frozenset((_domain(node.domain), node.op_type) for node in nodes),
        external_tensors=tuple(t.name for t in tensors if t.data_location or t.external_data),
        functions=len(model.functions),
        parameters=sum(_size(t.dims) for graph in graphs for t in graph.initializer),
    )


def check_contents(contents: GraphContents) -> None:
    """Refuse a graph that does what a model for calls has no need to.

    Raises:
        ModelError: it uses operators other than ONNX's own and those of quantization, defines
            operators itself, draws random numbers, or has data outside the file.

    """
    if contents.external_tensors:
        names = ", ".join(sorted(set(contents.external_tensors))[:3])
        message = f"the model keeps data outside its file ({names}); save it as one file"
        raise ModelError(message)
    if contents.functions:
        raise ModelError("the model defines operators of its own; inline them before saving it")
    refused = sorted(f"{domain}.{name}" for domain, name in contents.operators - _allowed(contents))
    if refused:
        message = (
            f"the model uses operators that are refused: {', '.join(refused)}; "
            "allowed are those of ai.onnx that draw no random numbers, "
            f"and of {_QUANTIZATION_DOMAIN} those of quantization"
        )
        raise ModelError(message)


def _allowed(contents: GraphContents) -> frozenset[tuple[str, str]]:
    def is_allowed(domain: str, name: str) -> bool:
        if domain == "ai.onnx":
            return name not in _RANDOM_OPERATORS
        return domain == _QUANTIZATION_DOMAIN and name in _QUANTIZATION_OPERATORS

    return frozenset(operator for operator in contents.operators if is_allowed(*operator))


def _domain(domain: str) -> str:
    """Return the name of an operator set; the empty one is ONNX's own."""
    return domain or "ai.onnx"


def _size(dims: Iterable[int]) -> int:
    size = 1
    for dim in dims:
        size *= dim
    return size


def _graphs(graph: Any) -> Iterator[Any]:  # noqa: ANN401 (a message class made at run time)
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _graphs(attribute.g)
            for subgraph in attribute.graphs:
                yield from _graphs(subgraph)


def _tensors(graph: Any) -> Iterator[Any]:  # noqa: ANN401 (the same)
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for attribute in (attribute for node in graph.node for attribute in node.attribute):
        yield from (attribute.t, *attribute.tensors)
        for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
            yield from (sparse.values, sparse.indices)


def _model_class() -> Any:  # noqa: ANN401 (the same)
    """Return a protobuf class that reads the fields above and skips all others."""
    proto = descriptor_pb2.FieldDescriptorProto
    scalars = {"string": proto.TYPE_STRING, "int64": proto.TYPE_INT64, "int32": proto.TYPE_INT32}
    package = "voiceguard.onnx"
    file = descriptor_pb2.FileDescriptorProto(
        name="voiceguard/onnx.proto", package=package, syntax="proto2"
    )
    for message, members in _FIELDS.items():
        descriptor = file.message_type.add(name=message)
        for name, (number, kind) in members.items():
            repeated, base = kind.endswith("*"), kind.rstrip("*")
            field = descriptor.field.add(name=name, number=number)
            field.label = proto.LABEL_REPEATED if repeated else proto.LABEL_OPTIONAL
            field.type = scalars.get(base, proto.TYPE_MESSAGE)
            if base not in scalars:
                field.type_name = f".{package}.{base}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.Model"))


_MODEL_CLASS: Final = _model_class()
