import re

import pytest
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from tests.packaging.repository import ROOT
from voiceguard.v1 import monitor_pb2, review_pb2

PROTOS = sorted((ROOT / "proto").rglob("*.proto"))
FROZEN = ROOT / "tests/packaging/contract.txt"
TYPE_NAMES = {
    number: name.removeprefix("TYPE_").lower()
    for name, number in vars(FieldDescriptor).items()
    if name.startswith("TYPE_")
}
DECLARATION = re.compile(
    r"(message|enum|service|rpc)\s+\w+"
    r"|((repeated|optional)\s+)?[\w.<>, ]+\s+\w+\s*=\s*\d+;"
    r"|[A-Z0-9_]+\s*=\s*\d+;"
)


def enum_lines(enum: EnumDescriptor) -> list[str]:
    return [f"{enum.full_name}.{value.name} = {value.number}" for value in enum.values]


def field_line(field: FieldDescriptor) -> str:
    of_type = field.message_type or field.enum_type
    type_name = of_type.full_name if of_type else TYPE_NAMES[field.type]
    repeated = "repeated " if field.is_repeated else ""
    return f"{field.full_name} = {field.number} {repeated}{type_name}"


def message_lines(message: Descriptor) -> list[str]:
    return [
        *(field_line(field) for field in message.fields),
        *(line for enum in message.enum_types for line in enum_lines(enum)),
        *(line for nested in message.nested_types for line in message_lines(nested)),
    ]


def contract_lines() -> list[str]:
    lines = []
    for file in (monitor_pb2.DESCRIPTOR, review_pb2.DESCRIPTOR):
        for service in file.services_by_name.values():
            for method in service.methods:
                asks = "stream " * method.client_streaming + method.input_type.full_name
                gets = "stream " * method.server_streaming + method.output_type.full_name
                lines.append(f"{method.full_name} ({asks}) ({gets})")
        for enum in file.enum_types_by_name.values():
            lines += enum_lines(enum)
        for message in file.message_types_by_name.values():
            lines += message_lines(message)
    return sorted(lines)


def test_names_numbers_and_types_are_frozen():
    """Clients in the field depend on them: add lines to the list, never change or remove one."""
    assert contract_lines() == FROZEN.read_text(encoding="utf-8").splitlines()


def undocumented(text: str) -> list[str]:
    lines = [line.strip() for line in text.splitlines()]
    return [
        line
        for before, line in zip(["", *lines], lines, strict=False)
        if DECLARATION.match(line) and not before.startswith("//")
    ]


@pytest.mark.parametrize("proto", PROTOS, ids=lambda path: path.stem)
def test_everything_has_a_comment(proto):
    assert undocumented(proto.read_text(encoding="utf-8")) == []


def test_a_missing_comment_is_noticed():
    text = "// Said.\nmessage A {\n  // Said.\n  int32 a = 1;\n  int32 b = 2;\n}\nenum E {\n"
    assert undocumented(text) == ["int32 b = 2;", "enum E {"]


def test_parsed_declarations_are_all_there_are():
    """The pattern that finds declarations must miss none, or the test above shows nothing."""
    found = sum(
        bool(DECLARATION.match(line.strip()))
        for proto in PROTOS
        for line in proto.read_text(encoding="utf-8").splitlines()
    )
    files = (monitor_pb2.DESCRIPTOR, review_pb2.DESCRIPTOR)
    messages = [message for file in files for message in file.message_types_by_name.values()]
    enums = [enum for file in files for enum in file.enum_types_by_name.values()]
    enums += [enum for message in messages for enum in message.enum_types]
    services = [service for file in files for service in file.services_by_name.values()]
    assert found == (
        len(messages)
        + len(enums)
        + len(services)
        + sum(len(message.fields) for message in messages)
        + sum(len(enum.values) for enum in enums)
        + sum(len(service.methods) for service in services)
    )
