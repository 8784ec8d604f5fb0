"""What the JSON schema of a parameter says, for a form and for help on the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]
_LIMITS = {
    "minimum": "at least {}", "exclusiveMinimum": "above {}", "maximum": "at most {}", "exclusiveMaximum": "below {}",
    "multipleOf": "a multiple of {}", "minLength": "at least {} characters", "maxLength": "at most {} characters",
    "minItems": "at least {} items", "maxItems": "at most {} items", "pattern": "like {}",
}  # fmt: skip
_EXAMPLES = {"date-time": "such as 2030-01-31T14:00:00Z", "duration": "such as PT1H30M, or seconds"}


def alternatives(schema: Schema) -> Iterator[Schema]:
    """The schemas of which a value must fit one, without null."""
    waiting, left = [schema], dict(schema.get("$defs", {}))
    while waiting:
        each = waiting.pop(0)
        if "$ref" in each:  # followed once: it may lead back to itself
            waiting += filter(None, [left.pop(each["$ref"].rpartition("/")[2], None)])
        elif "anyOf" in each or "oneOf" in each:
            waiting += each.get("anyOf") or each["oneOf"]
        elif each.get("type") != "null":
            yield each


def choices(schema: Schema) -> list[Any]:
    """The values of which one must be chosen; empty where any other value fits too."""
    found: list[Any] = []
    for each in alternatives(schema):
        values = [False, True] if each.get("type") == "boolean" else each.get("enum", [])
        values = [each["const"]] if "const" in each else values
        if not values:
            return []
        for value in values:
            if value is not None and value not in found:
                found.append(value)
    return found


def takes_only_text(schema: Schema) -> bool:
    """Whether every value is a text. A duration may be a number as well."""
    found = list(alternatives(schema))
    return bool(found) and all(
        each.get("type") == "string" and each.get("format") != "duration" and "enum" not in each for each in found
    )


def is_typed_as_text(schema: Schema) -> bool:
    """Whether what a person types is the value itself: where only text fits, and for a decimal, whose digits a number
    of JSON would lose."""
    return takes_only_text(schema) or any(each.get("format") == "decimal" for each in alternatives(schema))


def is_date(schema: Schema) -> bool:
    """Whether every value is a day of the calendar."""
    found = list(alternatives(schema))
    return bool(found) and all(each.get("format") == "date" for each in found)


def takes_null(schema: Schema) -> bool:
    """Whether null is a value."""
    return any(each.get("type") == "null" for each in (schema, *schema.get("anyOf", ())))


def takes_text(schema: Schema) -> bool:
    """Whether a value may be a text."""
    return any(each.get("type", "string") == "string" for each in alternatives(schema))


def takes_collection(schema: Schema) -> bool:
    """Whether a value may be a list or an object, for which a longer field is shown."""
    return any(each.get("type", "object") in ("array", "object") for each in alternatives(schema))


def limits(schema: Schema) -> str:
    """What is accepted beyond the type, such as `at least 1, at most 5`; empty if nothing is."""
    values = choices(schema)
    if values and values != [False, True]:
        return f"one of {', '.join(json.dumps(value, ensure_ascii=False) for value in values)}"
    found = [text.format(each[name]) for each in alternatives(schema) for name, text in _LIMITS.items() if name in each]
    examples = [_EXAMPLES[each["format"]] for each in alternatives(schema) if each.get("format") in _EXAMPLES]
    return ", ".join([*found, *examples])
