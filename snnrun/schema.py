"""JSON Schema of the file format, with the docstrings of the fields as descriptions."""

import ast
import inspect
import json
import re
import textwrap
from functools import cache
from typing import Any, get_args

from pydantic.json_schema import GenerateJsonSchema

from snnrun.quantities import Frozen, Unit
from snnrun.spec import Spec


@cache
def field_texts(model: type[Frozen]) -> dict[str, str]:
    """The docstring below each field of a model, its bases included.

    Read from the source only when a schema is wanted: collecting them at every import would take seconds.
    """
    texts: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if not (isinstance(base, type) and issubclass(base, Frozen)) or base is Frozen:
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, after in zip(body.body, body.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                assert isinstance(field.target, ast.Name)
                texts[field.target.id] = inspect.cleandoc(str(after.value.value))
    return texts


def _unit_of(annotation: Any) -> Unit | None:
    """The unit in a field's type, however deep it stands."""
    for part in getattr(annotation, "__metadata__", ()):
        if isinstance(part, Unit):
            return part
    return next((unit for part in get_args(annotation) if (unit := _unit_of(part)) is not None), None)


class _Described(GenerateJsonSchema):
    """Field docstrings become descriptions, and defaults are written with their units."""

    def model_schema(self, schema: Any) -> dict[str, Any]:
        described = super().model_schema(schema)
        described.pop("title", None)
        texts = field_texts(schema["cls"])
        for name, info in schema["cls"].model_fields.items():
            field = described.get("properties", {}).get(name)
            if field is None:
                continue
            if name in texts:
                field["description"] = f"{texts[name]} ({field['description']})" if "description" in field else texts[name]
            unit = next((part for part in info.metadata if isinstance(part, Unit)), None) or _unit_of(info.annotation)
            if isinstance(field.get("default"), float) and unit is not None:
                field["default"] = unit.write(field["default"])
        return described

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def schema() -> dict[str, Any]:
    """The schema of a network file."""
    found = Spec.model_json_schema(schema_generator=_Described)
    named = re.sub(r"snnrun__models__(\w+?)__(\w+?)__Spec", r"\1-\2", json.dumps(found))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "snnrun network", **json.loads(named)}
