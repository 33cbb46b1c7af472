"""What our pages say, and what a catalogue says instead, read without gettext's programs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings
from django.utils.translation.template import templatize

APPS = ("accounts", "attendance_site", "checkin", "integrations", "recognition", "roster")
#: Where the message stands among the arguments, and whether a context stands before it.
CALLS = {
    **dict.fromkeys(("gettext", "gettext_lazy", "gettext_noop"), (0, False)),
    **dict.fromkeys(("ngettext", "ngettext_lazy"), (0, False)),
    **dict.fromkeys(("pgettext", "pgettext_lazy"), (1, True)),
    **dict.fromkeys(("npgettext", "npgettext_lazy"), (1, True)),
}
_LITERAL = r"""u?(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
#: As Django turns a template into a program: its calls stand among blotted out markup.
_IN_TEMPLATE = re.compile(rf"\b(n?p?gettext)\(\s*({_LITERAL}(?:\s*,\s*{_LITERAL})*)", re.DOTALL)

Message = tuple[str | None, str]


@dataclass
class Entry:
    """One block of a .po file."""

    fields: dict[str, str] = field(default_factory=dict)
    flags: str = ""

    @property
    def message(self) -> Message:
        return self.fields.get("msgctxt"), self.fields["msgid"]

    @property
    def translations(self) -> list[str]:
        return [text for name, text in self.fields.items() if name.startswith("msgstr")]


def entries(catalogue: Path) -> list[Entry]:
    """Everything in a .po file but its header and what is not used any more."""
    blocks = catalogue.read_text(encoding="utf-8").split("\n\n")
    found = [_entry(block) for block in blocks]
    return [entry for entry in found if entry.fields.get("msgid")]


def _entry(block: str) -> Entry:
    entry, name = Entry(), ""
    for line in block.splitlines():
        if line.startswith("#,"):
            entry.flags += line
        if line.startswith("#"):
            continue
        keyword, _space, text = line.partition(" ")
        if not line.startswith('"'):
            name = keyword
            entry.fields[name] = ""
        else:
            text = line
        entry.fields[name] += ast.literal_eval(text)
    return entry


def messages() -> Iterator[tuple[Path, Message]]:
    """What our programs and templates ask a translation for."""
    folders = [Path(settings.BASE_DIR) / name for name in (*APPS, "templates")]
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.suffix == ".py" and "migrations" not in path.parts:
                yield from ((path, message) for message in _of_program(path))
            elif path.suffix in (".html", ".txt") and "static" not in path.parts:
                yield from ((path, message) for message in _of_template(path))


def _of_program(path: Path) -> Iterator[Message]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {
        alias.asname or alias.name: alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "django.utils.translation"
        for alias in node.names
    }
    for node in ast.walk(tree):
        call = CALLS.get(names.get(_called(node), ""))
        # What is translated by a variable is marked elsewhere, with gettext_noop.
        if call is not None and not isinstance(node.args[call[0]], ast.Name | ast.Attribute):
            texts = [one.value if isinstance(one, ast.Constant) else None for one in node.args]
            yield _message(texts, call, f"{path}:{node.lineno}")


def _called(node: ast.AST) -> str:
    return node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""


def _of_template(path: Path) -> Iterator[Message]:
    for call, arguments in _IN_TEMPLATE.findall(templatize(path.read_text(encoding="utf-8"))):
        texts = list(ast.literal_eval(f"({arguments},)"))
        yield _message(texts, CALLS[call], str(path))


def _message(texts: list[object], call: tuple[int, bool], where: str) -> Message:
    at, has_context = call
    message, context = texts[at], texts[0] if has_context else None
    assert isinstance(message, str), f"{where}: what is translated is not a plain text"
    return (str(context) if has_context else None), message
