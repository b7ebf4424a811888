"""JSON Schema of the file format, with the docstrings of the fields as descriptions."""

import ast
import inspect
import json
import re
import textwrap
from functools import cache
from typing import Any, get_args

from pydantic.json_schema import GenerateJsonSchema

from snnrun.models import described, neurons
from snnrun.quantities import EXPRESSION, Frozen, Unit
from snnrun.spec import spec_with


@cache
def field_texts(model: type[Frozen]) -> dict[str, str]:
    """The docstring below each field of a model, its bases included.

    Read from the source only when a schema is wanted: collecting them at every import would take seconds.
    """
    texts: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if not (isinstance(base, type) and issubclass(base, Frozen)) or base is Frozen:
            continue
        if "part" in vars(base):  # made of a description, whose texts its fields have themselves
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

    def int_schema(self, schema: Any) -> dict[str, Any]:
        return {"anyOf": [super().int_schema(schema), {"type": "string", "pattern": EXPRESSION}]}

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def schema() -> dict[str, Any]:
    """The schema of a network file."""
    every = tuple(model for model in neurons.MODELS.values() if model.described)
    found = spec_with(every).model_json_schema(schema_generator=_Described)
    named = json.loads(re.sub(r"snnrun__models__(\w+?)__(\w+?)__Spec", r"\1-\2", json.dumps(found)))
    populations, own = named["properties"]["populations"], named["properties"]["models"]
    for name in ("additionalProperties", "patternProperties"):
        for pattern, known in (
            populations.get(name, {}).items() if name == "patternProperties" else [(None, populations.get(name))]
        ):
            if isinstance(known, dict):
                either = {"anyOf": [known, _OF_OWN_MODEL]}
                populations[name] = either if pattern is None else {**populations[name], pattern: either}
    own |= {"additionalProperties": _MODEL}
    own["patternProperties"] = {pattern: _MODEL for pattern in own.get("patternProperties", {})}
    _OF_OWN_MODEL["properties"]["model"]["anyOf"][0]["not"] = {"enum": list(neurons.MODELS)}
    named["properties"] |= {"sweep": _SWEEP, "fit": _FIT}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "snnrun network", **_shared(named)}


def _shared(tree: dict[str, Any]) -> dict[str, Any]:
    """The same schema, in which a kind of value that stands in several places is said once."""
    known: dict[str, str] = {}  # name by what it stands for

    def walked(part: Any, inside: bool) -> Any:
        """`inside`: of a choice or a list, and no field, which has a text of its own."""
        if isinstance(part, list):
            return [walked(one, inside) for one in part]
        if not isinstance(part, dict):
            return part
        if inside and "description" in part and ("pattern" in part or "pattern" in part.get("anyOf", [{}])[-1]):
            text = json.dumps(part)
            if text not in known:
                name = re.sub("[^a-z]+", "-", part["description"].partition(" (")[0].partition(",")[0].lower()).strip("-")
                known[text] = name if name not in known.values() else f"{name}-{len(known)}"
            return {"$ref": f"#/$defs/{known[text]}"}
        return {key: walked(value, key in ("anyOf", "oneOf", "items")) for key, value in part.items()}

    found = walked(tree, False)
    found["$defs"] |= {name: json.loads(text) for text, name in known.items()}
    return found


_TEXT = {"type": "string"}
_EXPRESSION = {"type": ["string", "number"], "description": "an expression, like -(V - V_rest) / tau"}


def _mapping(values: dict[str, Any], about: str) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": values, "description": about}


def _object(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False, **more}


_RANGE = {"low": {}, "high": {}, "scale": {"enum": ["linear", "log"]}}
_SWEEP = _object(
    {
        "grid": _mapping(
            {"anyOf": [{"type": "array", "minItems": 1}, _object({**_RANGE, "points": {"type": "integer", "minimum": 2}})]},
            "values of paths, combined in all ways",
        ),
        "zip": _mapping({"type": "array", "minItems": 1}, "values that go together"),
        "list": {"type": "array", "items": {"type": "object"}, "minItems": 1, "description": "points, one by one"},
        "random": _mapping(_object(_RANGE), "bounds of values that are drawn"),
        "samples": {"type": "integer", "minimum": 1, "description": "how many are drawn"},
        "seeds": {
            "anyOf": [{"type": "integer", "minimum": 1}, {"type": "array", "items": {"type": "integer"}, "minItems": 1}],
            "description": "how many seeds each point has, or which",
        },
    },
    description="What snnrun sweep varies.",
)
_FILE = _object({"file": _TEXT}, required=["file"])
_TERM = _object(
    {
        "model": _TEXT, "of": _TEXT, "target": {"anyOf": [_EXPRESSION, _FILE]}, "tolerance": _EXPRESSION,
        "quantity": _TEXT, "data": _FILE, "tau": _TEXT, "band": {"type": "array", "items": _TEXT},
    },
    required=["model", "of", "tolerance"],
)  # fmt: skip
_WHOLE = {"type": "integer", "minimum": 1}
_FIT = _object(
    {
        "free": _mapping(
            {"anyOf": [
                _object({**_RANGE, "start": {}}, required=["low", "high"]), _object({"equal": _TEXT}, required=["equal"]),
            ]},
            "bounds of the values that are looked for, by path",
        ),
        "objective": _mapping(_TERM, "what is wanted"),
        "seeds": {"anyOf": [_WHOLE, {"type": "array", "items": {"type": "integer"}}], "description": "seeds of each candidate"},
        "fresh": {"type": "boolean", "description": "whether each generation has seeds of its own"},
        "limits": _object({"rate": _TEXT}, description="a run that goes beyond is stopped"),
        "search": _object({
            "method": {"enum": ["cma", "random", "grid"]}, "evaluations": _WHOLE, "population": _WHOLE, "seed": _WHOLE,
            "sigma": {"type": "number"}, "stop": {"type": "number"}, "points": _WHOLE,
        }),
    },
    description="What snnrun fit looks for.",
)  # fmt: skip

_PARAMETER = {
    "anyOf": [
        _EXPRESSION | {"description": "the default, with its unit"},
        _object({
            "default": _EXPRESSION | {"description": "a number with its unit"}, "unit": _TEXT, "about": _TEXT,
            "where": {"anyOf": [_EXPRESSION, {"type": "array", "items": _EXPRESSION}]},
            "gives": _mapping(_EXPRESSION, "the parameter that it stands in for"),
        }),
    ]
}  # fmt: skip
_STATE = {"anyOf": [_EXPRESSION, _object({"init": _EXPRESSION, "unit": _TEXT, "about": _TEXT})]}
_MODEL = _object(
    {
        **dict.fromkeys(("about", "source", "checked"), _TEXT),
        "parameters": _mapping(_PARAMETER, "what a population gives"),
        "sets": _mapping(_mapping(_EXPRESSION, "values of parameters"), "named parameters"),
        "state": _mapping(_STATE, "variables, and what they start at"),
        "equations": _mapping(_EXPRESSION, "dX/dt of every variable, and abbreviations"),
        "threshold": {"anyOf": [_EXPRESSION, _object({"rising": _EXPRESSION}), _object({"rate": _EXPRESSION})]},
        "reset": _mapping(_EXPRESSION, "what a spike sets"),
        "refractory": _object({"time": _EXPRESSION, "hold": {"type": "array", "items": _TEXT}}, required=["time", "hold"]),
        "noise": _mapping(_EXPRESSION, "B of dX = f dt + B dW"),
        "solver": {"enum": list(described.SOLVERS)},
        "substeps": {"type": "integer", "minimum": 1, "maximum": described.MOST_SUBSTEPS},
    },
    required=["state", "equations"],
)
_FILE = _object({"file": _TEXT, "name": _TEXT}, required=["file"])
_OF_OWN_MODEL: dict[str, Any] = {
    "type": "object",
    "properties": {"model": {"anyOf": [{"type": "string"}, _FILE]}, "size": {"type": "integer", "minimum": 1}},
    "required": ["model", "size"],
    "description": "Neurons of an own model: its parameters are those of its description.",
}
