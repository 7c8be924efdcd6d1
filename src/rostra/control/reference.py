"""The API's reference as one page, made from its own schema: it needs no script, no other host and no further package."""

from typing import Any

from jinja2 import Environment

_PAGE = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string("""\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ info.title }}</title>
<style>
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }
body { max-width: 50rem; margin: 0 auto; padding: 1rem }
h2 { margin-top: 2.5rem; border-bottom: 1px solid }
h3 { margin: 2rem 0 0 } code, h3 { font-family: ui-monospace, monospace } h3 { font-size: 1rem }
table { border-collapse: collapse; width: 100% } td, th { text-align: left; vertical-align: top; padding: .15rem .8rem .15rem 0 }
td:first-child { width: 12rem } nav a { margin-right: 1rem }
</style>
<h1>{{ info.title }}</h1>
<p>{{ info.description }}</p>
<p>For programs: <a href="openapi.json">openapi.json</a>.</p>
<nav>{% for tag in tags %}<a href="#{{ tag.id }}">{{ tag.name }}</a>{% endfor %}<a href="#shapes">Shapes</a></nav>
{% for tag in tags %}
<h2 id="{{ tag.id }}">{{ tag.name }}</h2>
{% for one in tag.calls %}
<section>
<h3>{{ one.method }} {{ one.path }}</h3>
<p>{{ one.description }}</p>
<table>
{% for field in one.parameters %}<tr><td><code>{{ field.name }}</code><td>{{ field.place }}, {{ field.kind }}{% endfor %}

{% if one.takes %}<tr><td>takes<td><a href="#shape-{{ one.takes }}">{{ one.takes }}</a>{% endif %}

{% for answer in one.answers %}
<tr><td>{{ answer.status }}<td>{% if answer.shape %}<a href="#shape-{{ answer.shape }}">{{ answer.shape }}</a>{% else %}{{ answer.said }}{% endif %}

{% endfor %}
</table>
</section>
{% endfor %}
{% endfor %}
<h2 id="shapes">Shapes</h2>
{% for shape in shapes %}
<section id="shape-{{ shape.name }}">
<h3>{{ shape.name }}</h3>
<p>{{ shape.description }}</p>
<table>
{% for field in shape.fields %}
<tr><td><code>{{ field.name }}</code><td>{{ field.kind }}{% if not field.required %}, may be left out{% endif %}<td>{{ field.description }}
{% endfor %}
</table>
</section>
{% endfor %}
</html>
""")


def render(schema: dict[str, Any]) -> bytes:
    """`schema`: an OpenAPI 3.1 document."""
    tags: dict[str, list[dict[str, Any]]] = {}
    for path, methods in schema["paths"].items():
        for method, call in methods.items():
            tags.setdefault(call.get("tags", ["Other"])[0], []).append(_call(path, method, call))
    shapes = schema.get("components", {}).get("schemas", {})
    page = _PAGE.render(
        info=schema["info"],
        tags=[{"name": name, "id": name.lower().replace(" ", "-"), "calls": calls} for name, calls in tags.items()],
        shapes=[_shape(name, shape) for name, shape in sorted(shapes.items())],
    )
    return page.encode()


def _call(path: str, method: str, call: dict[str, Any]) -> dict[str, Any]:
    return {
        "path": path,
        "method": method.upper(),
        "description": call.get("description", call.get("summary", "")),
        "parameters": [
            {"name": one["name"], "place": f"in the {one['in']}", "kind": _kind(one["schema"])}
            for one in call.get("parameters", [])
        ],
        "takes": _named(_json(call.get("requestBody", {}))),
        "answers": [
            {"status": status, "said": answer["description"], "shape": _named(_json(answer))}
            for status, answer in sorted(call["responses"].items())
        ],
    }


def _shape(name: str, shape: dict[str, Any]) -> dict[str, Any]:
    required = shape.get("required", [])
    return {
        "name": name,
        "description": shape.get("description", ""),
        "fields": [
            {
                "name": field,
                "kind": _kind(about),
                "required": field in required,
                "description": about.get("description", ""),
            }
            for field, about in shape.get("properties", {}).items()
        ],
    }


def _json(carrier: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = carrier.get("content", {}).get("application/json", {}).get("schema", {})
    return found


def _named(schema: dict[str, Any]) -> str:
    choices = [schema, *schema.get("anyOf", [])]
    return next((str(one["$ref"]).rpartition("/")[2] for one in choices if "$ref" in one), "")


def _kind(schema: dict[str, Any]) -> str:
    if name := _named(schema):
        return name
    if "enum" in schema:
        return " or ".join(str(one) for one in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    return str(schema.get("const", schema.get("type", "anything")))
