"""JSON Schemas (2020-12) of messages, exactly what `jsonread` takes and `jsonwrite` makes.

A `Schemas` collects the components that the document refers to, by name without the package.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from gateway.http.jsonread import is_map, map_fields
from gateway.http.scalars import BASE64, BITS, DURATION, INTEGER, NUMBER
from gateway.rest.openapi.comments import comment

F = FieldDescriptor
Schema = dict[str, Any]

_FORMATS: Final = {
    F.CPPTYPE_INT32: "int32",
    F.CPPTYPE_UINT32: "uint32",
    F.CPPTYPE_INT64: "int64",
    F.CPPTYPE_UINT64: "uint64",
}
_WELL_KNOWN: Final[dict[str, Schema]] = {
    "google.protobuf.Timestamp": {
        "type": "string",
        "format": "date-time",
        "examples": ["2026-01-31T12:00:00Z"],
    },
    "google.protobuf.Duration": {
        "type": "string",
        "pattern": f"^{DURATION}$",
        "examples": ["1.5s"],
    },
    "google.protobuf.FieldMask": {"type": "string", "examples": ["name,labels"]},
    "google.protobuf.Struct": {"type": "object"},
    "google.protobuf.Value": {},
    "google.protobuf.ListValue": {"type": "array"},
    "google.protobuf.Empty": {"type": "object"},
    "google.protobuf.Any": {"type": "object", "required": ["@type"]},
}


def scalar(field: FieldDescriptor, *, text: bool) -> Schema:
    """The schema of a scalar; `text`: as it stands in a path or a query."""
    kind = field.cpp_type
    if kind in BITS:
        least, most = BITS[kind]
        schema: Schema = {"format": _FORMATS[kind], "minimum": least, "maximum": most}
        if text:
            return {"type": "integer", **schema}
        wide = kind in (F.CPPTYPE_INT64, F.CPPTYPE_UINT64)
        types = ["string", "integer"] if wide else ["integer", "string"]
        return {"type": types, **schema, "pattern": f"^{INTEGER}$"}
    if kind in (F.CPPTYPE_DOUBLE, F.CPPTYPE_FLOAT):
        form = "double" if kind == F.CPPTYPE_DOUBLE else "float"
        if text:
            return {"type": "number", "format": form}
        pattern = f"^(NaN|-?Infinity|{NUMBER})$"
        return {"type": ["number", "string"], "format": form, "pattern": pattern}
    if kind == F.CPPTYPE_BOOL:
        return {"type": "boolean"}
    if field.type == F.TYPE_BYTES:
        return {"type": "string", "contentEncoding": "base64", "pattern": f"^{BASE64}$"}
    return {"type": "string"}


class Schemas:
    """The component schemas of one document."""

    def __init__(self) -> None:
        self.components: dict[str, Schema] = {}

    def message(self, descriptor: Descriptor) -> Schema:
        """A reference to a message's schema, which is made when first asked for."""
        known = _WELL_KNOWN.get(descriptor.full_name)
        if known is not None:
            return dict(known)
        name = _component(descriptor)
        if name not in self.components:
            # Before its fields are looked at: a message may hold its own type.
            self.components[name] = {}
            self.components[name].update(self.object(descriptor))
        return _ref(name)

    def object(self, descriptor: Descriptor, without: frozenset[str] = frozenset()) -> Schema:
        """A message's schema itself, without the fields of some (proto) names."""
        schema: Schema = {"type": "object"}
        if text := comment(descriptor.full_name):
            schema["description"] = text
        fields = [field for field in descriptor.fields if field.name not in without]
        schema["properties"] = {field.json_name: self.field(field) for field in fields}
        schema["additionalProperties"] = False
        pairs = [
            {"not": {"required": [one.json_name, other.json_name]}}
            for oneof in descriptor.oneofs
            for one, other in combinations(oneof.fields, 2)
            if one in fields and other in fields
        ]
        if pairs:
            schema["allOf"] = pairs
        return schema

    def field(self, field: FieldDescriptor) -> Schema:
        """A property: null means that it is not set."""
        if is_map(field):
            schema: Schema = {
                "type": ["object", "null"],
                "additionalProperties": self._one(map_fields(field)[1]),
            }
        elif field.is_repeated:
            schema = {"type": ["array", "null"], "items": self._one(field)}
        else:
            schema = _nullable(self._one(field))
        if text := comment(field.full_name):
            schema["description"] = text
        return schema

    def parameter(self, field: FieldDescriptor) -> Schema:
        """A field as it stands in a path or a query."""
        one = self._one(field, text=True)
        return {"type": "array", "items": one} if field.is_repeated else one

    def _one(self, field: FieldDescriptor, *, text: bool = False) -> Schema:
        if field.message_type is not None:
            return self.message(field.message_type)
        if field.enum_type is not None:
            return self._enum(field.enum_type)
        return scalar(field, text=text)

    def _enum(self, enum: EnumDescriptor) -> Schema:
        name = _component(enum)
        if name not in self.components:
            lines = [comment(enum.full_name), ""]
            for value in enum.values:
                text = comment(f"{enum.full_name}.{value.name}")
                lines.append(f"* `{value.name}` ({value.number})" + (f": {text}" if text else ""))
            self.components[name] = {
                "type": ["string", "integer"],
                "enum": [
                    *(value.name for value in enum.values),
                    *dict.fromkeys(value.number for value in enum.values),
                ],
                "description": "\n".join(lines).strip(),
            }
        return _ref(name)


def _nullable(schema: Schema) -> Schema:
    kind = schema.get("type")
    if kind is None:
        return {"anyOf": [schema, {"type": "null"}]} if schema else {}
    return {**schema, "type": [*([kind] if isinstance(kind, str) else kind), "null"]}


def _component(descriptor: Descriptor | EnumDescriptor) -> str:
    package = descriptor.file.package
    name = descriptor.full_name
    return name.removeprefix(f"{package}.") if package.startswith("quorate.") else name


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}
