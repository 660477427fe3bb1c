from google.protobuf import descriptor_pb2 as _descriptor_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor

class Output(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTPUT_UNSPECIFIED: _ClassVar[Output]
    OUTPUT_RECORDED: _ClassVar[Output]
    OUTPUT_LIVE: _ClassVar[Output]
OUTPUT_UNSPECIFIED: Output
OUTPUT_RECORDED: Output
OUTPUT_LIVE: Output
OUTPUT_FIELD_NUMBER: _ClassVar[int]
output: _descriptor.FieldDescriptor
