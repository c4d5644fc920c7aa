"""Write the reference pages from the code; used by MkDocs as a hook (`mkdocs.yml`).

- `reference/cli.md`: every command with its arguments and options, from the typer app.
- `reference/params.md`: every key of `params.yaml`. Type and range come from the pydantic classes,
  the default and the meaning from `params.yaml` and its comments, so that both stand in one place.
- `reference/http.md`: every endpoint of the service, from its OpenAPI description; the requests
  and answers in it, `reference/http-examples.json`, are recorded by `python docs/http_examples.py`.
- `reference/api/`: a page for each public package, filled by mkdocstrings from the docstrings.

Pages may show the committed results: figures of `reports/figures/` are copied into the site, and
the ranking table replaces what stands between `<!-- ranking -->` and `<!-- /ranking -->`. In the
README stands the table itself: `python docs/generate.py` writes it there.
"""

import ast
import importlib
import json
import posixpath
import re
from collections.abc import Iterator
from enum import Enum
from html import unescape
from pathlib import Path
from typing import Any

import typer
from griffe import Docstring
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from ruamel.yaml import YAML
from typer.testing import CliRunner

import twinear.cli.commands  # noqa: F401  (adds every command to the app)
from twinear.base.files import write_text
from twinear.base.params import SECTIONS, Params
from twinear.cli.app import app
from twinear.serve.app import ERRORS, create_app
from twinear.serve.options import ServeOptions

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "twinear"
REPORTS = ROOT / "reports"
PARAMS = ROOT / "params.yaml"
PICTURES = "reports/figures"
HTTP_EXAMPLES = ROOT / "docs/reference/http-examples.json"
ADDRESS = "http://127.0.0.1:8000"
FORM = "application/x-www-form-urlencoded"
RANKING = re.compile(r"(?<=<!-- ranking -->\n).*?(?=\n<!-- /ranking -->)", re.DOTALL)

# Packages whose modules a user of the library meets, in the order of the data; the other packages
# are behind the command line.
PUBLIC = (
    "inference",
    "recommendation",
    "evaluation",
    "artists",
    "listens",
    "similarity",
    "clips",
    "spectrograms",
    "split",
    "model",
    "metrics",
    "training",
    "catalogue",
    "ranking",
    "base",
)

# Unit of a key by its whole name or by the end of it.
UNITS = {
    "sr": "Hz",
    "fmin": "Hz",
    "fmax": "Hz",
    "n_fft": "samples",
    "hop_length": "samples",
    "seconds": "s",
    "duration_drift": "s",
    "db": "dB",
    "dbfs": "dB below full scale",
    "minutes": "min",
    "epochs": "epochs",
    "patience": "epochs",
    "selection_window": "epochs",
    "popularity_drift": "powers of ten",
}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add a page for each public package to the navigation, under "Python"."""
    reference = next(entry["Reference"] for entry in config.nav or [] if "Reference" in entry)
    python = next(entry["Python"] for entry in reference if "Python" in entry)
    python += [{f"twinear.{name}": f"reference/api/{name}.md"} for name in PUBLIC]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages and the figures of the report to the files of the site."""
    pages = {"reference/cli.md": cli_page(), "reference/params.md": params_page()}
    pages["reference/http.md"] = http_page()
    pages |= dict(api_pages())
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    for picture in sorted((ROOT / PICTURES).glob("*.png")):
        target = f"{PICTURES}/{picture.name}"
        files.append(File.generated(config, target, abs_src_path=str(picture)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Show the committed ranking, and take the figures from their place in the site.

    In the repository a page names a figure by its path there (`../reports/figures/map.png`), one
    folder above its path in the site, so that the picture is seen on both.
    """
    here = posixpath.dirname(page.file.src_uri)
    up = "../" * (len(Path(here).parts) + 1)
    markdown = markdown.replace(f"]({up}{PICTURES}/", f"]({up.removeprefix('../')}{PICTURES}/")
    return RANKING.sub(lambda _: ranking_block(), markdown)


def on_page_content(html: str, **_: object) -> str:
    """Turn formulas into MathML, which browsers draw without a script."""
    formula = re.compile(r'(<(?:span|div) class="arithmatex">)\s*\\([(\[])(.*?)\\[)\]]', re.DOTALL)

    def mathml(found: re.Match[str]) -> str:
        tag, bracket, latex = found.groups()
        return tag + convert(unescape(latex), display="block" if bracket == "[" else "inline")

    return formula.sub(mathml, html)


def ranking_block() -> str:
    """Format the committed ranking as `twinear ranking` prints it."""
    shown = CliRunner().invoke(app, ["ranking", "--reports", str(REPORTS)])
    return f"```text\n{shown.stdout}```"


def cli_page() -> str:
    """Describe every command of the typer app."""
    lines = [
        "# Commands",
        "",
        "This page is made from the command line itself, as `twinear COMMAND --help` shows it.",
        "",
        "- Results go to standard output; progress and errors go to standard error.",
        "- `--json` prints the result for machines, and nothing else, to standard output.",
        "- Every flag has an opposite, so that it can be turned off where a script turned it on.",
        "- Exit status: 0 success; 1 an error of the user, told in one line, or a check that "
        "failed; 2 a wrong option; 130 interrupted.",
        "",
    ]
    for words, command in _commands(typer.main.get_command(app), ()):
        lines += _command_section(words, command)
    return "\n".join(lines) + "\n"


def _commands(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, child in sorted(command.commands.items()):
        if hasattr(child, "commands"):
            yield from _commands(child, (*words, name))
        else:
            yield (*words, name), child


def _command_section(words: tuple[str, ...], command: Any) -> list[str]:
    name = " ".join(("twinear", *words))
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option"]
    shown = [p.name.upper() if p.required else f"[{p.name.upper()}]" for p in arguments]
    usage = " ".join([name, *shown, *(["[OPTIONS]"] if options else [])])
    lines = [f"## `{name}`", "", _paragraphs(command.help), "", "```text", usage, "```", ""]
    if arguments:
        lines += ["| Argument | Default | Meaning |", "|---|---|---|"]
        lines += [f"| `{p.name.upper()}` | {_default(p)} | {_cell(p.help)} |" for p in arguments]
        lines += [""]
    lines += ["| Option | Value | Default | Meaning |", "|---|---|---|---|"]
    for option in options:
        names = ", ".join(f"`{each}`" for each in (*option.opts, *option.secondary_opts))
        meaning = _cell(option.help)
        if option.envvar:
            meaning += f" Environment variable: `{option.envvar}`."
        lines.append(f"| {names} | {_value(option)} | {_default(option)} | {meaning} |")
    return [*lines, ""]


def _value(option: Any) -> str:
    if option.is_bool_flag:
        return "flag"
    annotation = option.type_descriptor.annotation
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return ", ".join(f"`{each.value}`" for each in annotation)
    text = {"str": "text", "int": "integer", "float": "number", "Path": "path"}.get(
        getattr(annotation, "__name__", ""), "text"
    )
    if option.min is not None:
        text += f" ≥ {option.min:g}"
    return text + (", repeatable" if option.multiple else "")


def _default(parameter: Any) -> str:
    value = parameter.default
    if parameter.required:
        return "required"
    if isinstance(value, Enum):
        value = value.value
    if getattr(parameter, "is_bool_flag", False):
        chosen = parameter.opts if value else parameter.secondary_opts
        return f"`{chosen[0]}`" if chosen else "–"
    return "–" if value in (None, "", ()) else f"`{value}`"


def params_page() -> str:
    """Describe every key of `params.yaml`."""
    text = PARAMS.read_text(encoding="utf-8")
    values = YAML(typ="rt").load(text)
    lines = [
        "# Params",
        "",
        "`params.yaml` holds every number that can change a result. This page is made from the "
        "file, its comments, and the pydantic classes that check it. Every key is required; an "
        "unknown key, a value of another type or one out of range stops the run with one line. "
        "*Original* is the value of the 2019 poster, where it had the choice "
        "(see [the original](../explanation/original.md)).",
        "",
        "Try another value with `dvc exp run -S section.key=value`, or lay several over the file "
        "with a [recipe](../how-to/cross-validate.md).",
        "",
    ]
    for section in SECTIONS:
        kind = _params_class(section)
        schema = kind.model_json_schema(by_alias=True)
        lines += [f"## `{section}`", "", _paragraphs(_summary(kind)), ""]
        lines += ["| Key | Default | Original | Values | Meaning |", "|---|---|---|---|---|"]
        lines += _param_rows(values[section], schema, schema, text.splitlines(), "")
        lines += [""]
    return "\n".join(lines) + "\n"


def _params_class(section: str) -> type[Params]:
    """Find the class of a section by its name: `SplitParams` for `split`."""
    name = f"{section.title()}Params"
    for path in sorted(SOURCE.rglob("*.py")):
        if f"\nclass {name}(" in path.read_text(encoding="utf-8"):
            module = ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts)
            found: type[Params] = getattr(importlib.import_module(module), name)
            return found
    raise PluginError(f"params.yaml: {section}: no class {name} in {SOURCE}")


def _summary(kind: type[Params]) -> str:
    return (kind.__doc__ or "").split("\n\n")[0]


def _param_rows(
    values: Any, schema: dict[str, Any], root: dict[str, Any], lines: list[str], prefix: str
) -> list[str]:
    rows = []
    for key, value in values.items():
        field = _resolved(schema["properties"][key], root)
        line = values.lc.key(key)[0]
        meaning, original = _comment(lines, line)
        if field.get("properties"):
            rows += _param_rows(value, field, root, lines, f"{prefix}{key}.")
            continue
        unit = _unit(key)
        kind = _values(field, root) + (f"; {unit}" if unit else "")
        cells = (f"`{prefix}{key}`", _plain(value), _cell(original) or "–", kind, _cell(meaning))
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def _resolved(field: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    name = field.get("$ref", "").removeprefix("#/$defs/")
    resolved: dict[str, Any] = root["$defs"][name] if name else field
    return resolved


def _comment(lines: list[str], line: int) -> tuple[str, str]:
    """Split the comment of a key into its meaning and the original's value.

    The comment stands behind the value, or on the lines above where there is no room.
    """
    match = re.search(r"\s#\s*(.*)$", lines[line])
    comment = match[1] if match else ""
    above = line - 1
    while not match and re.match(r"\s+#", lines[above]):
        comment = f"{lines[above].strip('# ')} {comment}"
        above -= 1
    meaning, _, original = comment.strip().partition("original:")
    meaning = re.sub(r"[:;]? ?\b\w+( \| \w+)+", "", meaning)  # the choices have a column
    return meaning.strip("; "), original.strip()


def _unit(key: str) -> str:
    for end, unit in UNITS.items():
        if key == end or key.endswith(f"_{end}"):
            return unit
    return ""


def _values(field: dict[str, Any], root: dict[str, Any]) -> str:
    """Put the JSON schema of a field into words: its type and range."""
    field = _resolved(field, root)
    if "anyOf" in field:
        return ", ".join(_values(each, root) for each in field["anyOf"])
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return ", ".join(f"`{each}`" for each in field["enum"])
    if field.get("type") == "array":
        if "prefixItems" in field:
            items = field["prefixItems"]
            return f"list of {len(items)}: {_values(items[0], root)}"
        return f"list: {_values(field['items'], root)}"
    names = {"boolean": "`true`, `false`", "string": "text", "object": "mapping"}
    text = names.get(field["type"], field["type"])
    signs = {"exclusiveMinimum": ">", "minimum": "≥", "exclusiveMaximum": "<", "maximum": "≤"}
    limits = [f"{sign} {_number(field[name])}" for name, sign in signs.items() if name in field]
    if "multipleOf" in field:
        limits.append(f"a multiple of {field['multipleOf']}")
    return " ".join([text, ", ".join(limits)]).strip()


def _number(value: float) -> str:
    power = int(value).bit_length() - 1
    if value >= 2**20 and value == 2**power:
        return f"2^{power}"
    return f"{value:,}" if isinstance(value, int) and value >= 10**6 else f"{value:g}"


def _plain(value: Any) -> str:
    """Show a value as params.yaml writes it."""
    if isinstance(value, dict):
        return "see the file"
    if isinstance(value, list):
        return f"`{json.dumps(list(value), ensure_ascii=False)}`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float):
        return f"`{float(value):g}`"
    if len(str(value)) > 40:
        return _cell(value)  # a sentence may be broken into lines, code is not
    return f"`{value}`" if value != "" else '`""`'


def http_page() -> str:
    """Describe every endpoint of the service."""
    api = create_app(ServeOptions()).openapi()
    examples = json.loads(HTTP_EXAMPLES.read_text(encoding="utf-8"))
    tags: dict[str, list[str]] = {}
    for path, operations in api["paths"].items():
        for method, operation in operations.items():
            if FORM in operation.get("requestBody", {}).get("content", {}):
                continue  # the same as GET, whose section says so
            section = _operation_section(path, method, operation, operations, examples)
            tags.setdefault(operation["tags"][0], []).extend(section)
    lines = [
        "# HTTP API",
        "",
        "This page is made from the service's own description, `/openapi.json`; "
        "[how to serve](../how-to/serve.md) has the rest. The service is at "
        f"`{ADDRESS}` unless it was told otherwise, and its own page `/docs/` has a form for "
        "each endpoint. The examples are of the bundled sample; their lists are cut to two.",
        "",
        "Where the service has a token, send `Authorization: Bearer TOKEN`. An error is always a "
        "JSON object [`Error`](#schema-Error):",
        "",
        "| Status | Meaning |",
        "|---|---|",
        *(f"| {status} | {_cell(meaning)} |" for status, meaning in ERRORS.items()),
        "",
    ]
    for tag, sections in tags.items():
        lines += [f"## {tag[0].upper()}{tag[1:]}", "", *sections]
    lines += ["## Objects", ""]
    for name, schema in sorted(api["components"]["schemas"].items()):
        lines += _schema_section(name, schema)
    return "\n".join(lines) + "\n"


def _operation_section(
    path: str,
    method: str,
    operation: dict[str, Any],
    siblings: dict[str, Any],
    examples: dict[str, Any],
) -> list[str]:
    lines = [f"### `{method.upper()} {path}`", "", _paragraphs(operation["description"]), ""]
    if method == "get" and FORM in siblings.get("post", {}).get("requestBody", {}).get(
        "content", ""
    ):
        lines += ["`POST` takes the same parameters as a form.", ""]
    rows = [
        (each["name"], each["schema"], each.get("required", False), each.get("description", ""))
        for each in operation.get("parameters", ())
    ]
    if rows:
        lines += ["| Parameter | Value | Default | Meaning |", "|---|---|---|---|"]
        lines += [_field_row(*row) for row in rows]
        lines += [""]
    for content in operation.get("requestBody", {}).get("content", {}).values():
        lines += [f"Body: {_json_type(content['schema'])}.", ""]
    answer = operation["responses"]["200"].get("content", {})
    kinds = [
        _json_type(each["schema"]) if kind == "application/json" else f"`{kind}`"
        for kind, each in answer.items()
    ]
    if kinds:
        lines += [f"Answer: {' or '.join(kinds)}.", ""]
    example = examples[f"{method.upper()} {path}"]
    lines += ["```console", f"$ {example['command']}", "```", ""]
    text, kind = example["answer"], "text"
    if not isinstance(text, str):
        text, kind = json.dumps(text, indent=1, ensure_ascii=False), "json"
    return [*lines, f"```{kind}", text, "```", ""]


def _schema_section(name: str, schema: dict[str, Any]) -> list[str]:
    docstring = Docstring(schema.get("description", "")).parse("numpy")
    summary = "\n\n".join(part.value for part in docstring if part.kind.value == "text")
    attributes = [part.value for part in docstring if part.kind.value == "attributes"]
    meanings = {
        key: each.description
        for part in attributes
        for each in part
        for key in each.name.split(", ")
    }
    lines = [f"### `{name}` {{#schema-{name}}}", "", _paragraphs(summary), ""]
    required = schema.get("required", ())
    lines += ["| Field | Value | Default | Meaning |", "|---|---|---|---|"]
    for key, field in schema.get("properties", {}).items():
        meaning = field.get("description") or meanings.get(key, "")
        lines.append(_field_row(key, field, key in required, meaning))
    return [*lines, ""]


def _field_row(name: str, schema: dict[str, Any], required: bool, meaning: str) -> str:
    default = schema.get("default")
    shown = "–" if default is None else _plain(default)
    meaning = meaning or schema.get("description", "")
    cells = (f"`{name}`", _json_type(schema), "required" if required else shown, _cell(meaning))
    return f"| {' | '.join(cells)} |"


def _json_type(schema: dict[str, Any]) -> str:
    """Put the JSON schema of a value into words; objects are links."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[`{name}`](#schema-{name})"
    if "anyOf" in schema:
        return " or ".join(map(_json_type, schema["anyOf"]))
    if schema.get("type") == "array":
        items = schema.get("items") or {"anyOf": schema.get("prefixItems", [])}
        return f"list of {_json_type(items)}"
    if schema.get("type") == "object" and "additionalProperties" in schema:
        values = schema["additionalProperties"]
        return "object" if values is True else f"object of {_json_type(values)}"
    if schema.get("type") == "null":
        return "null"
    return _values({"type": "object", **schema}, {}).replace("mapping", "object")


def api_pages() -> Iterator[tuple[str, str]]:
    """Write a page for each public package, a section for each of its modules."""
    index = [
        "# Python",
        "",
        "The functions most users need are exported by `twinear` itself; see "
        "[Use the library](../../how-to/python.md). The pages below are made from the docstrings "
        "of the packages, in the order of the data.",
        "",
        "| Package | What it is for |",
        "|---|---|",
    ]
    for name in PUBLIC:
        package = SOURCE / name
        paths = sorted(package.rglob("*.py")) if package.is_dir() else [package.with_suffix(".py")]
        modules = [path for path in paths if _public_names(path)]
        summary = _docstring(package / "__init__.py" if package.is_dir() else paths[0])
        index.append(f"| [`twinear.{name}`]({name}.md) | {_cell(summary.split(chr(10) * 2)[0])} |")
        if package.is_dir():
            page = [f"# `twinear.{name}`", "", summary, ""]
            for path in modules:
                module = ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts)
                page += [f"::: {module.removesuffix('.__init__')}", ""]
        else:
            page = [f"::: twinear.{name}", "    options:", "      heading_level: 1"]
        yield f"reference/api/{name}.md", "\n".join(page)
    yield "reference/api/index.md", "\n".join([*index, ""])


def _public_names(path: Path) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    defined = (ast.ClassDef, ast.FunctionDef)
    return [n.name for n in tree.body if isinstance(n, defined) and not n.name.startswith("_")]


def _docstring(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def _paragraphs(text: str | None) -> str:
    return re.sub(r"[ \t]+", " ", (text or "").strip())


def _cell(text: str | None) -> str:
    """Make a text fit into one cell of a Markdown table."""
    escaped = " ".join((text or "").split()).replace("|", "\\|")
    return re.sub(r"<([^>]*)>", r"&lt;\1&gt;", escaped)


if __name__ == "__main__":
    readme = ROOT / "README.md"
    text = RANKING.sub(lambda _: ranking_block(), readme.read_text(encoding="utf-8"))
    write_text(readme, text)
