"""`Code`: a class of the user's as text, with all that it refers to.

It is what a block of one's own is known by, and what is written where nasopt is not. The text is
that of the file, or the notebook's cell, in which the class stands; names are looked up where the
class finds them, so that a helper may be of another cell or of a neighbouring file.
"""

import ast
import builtins
import hashlib
import inspect
import linecache
import symtable
import sys
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from nasopt.errors import SpaceError

Definition = ast.ClassDef | ast.FunctionDef
LITERALS = (bool, int, float, complex, str, bytes, type(None))
STAND_IN = "NasoptLayer"  # for nasopt.Layer in the text; digests have it, so it stays
LIBRARIES = ("site-packages", "dist-packages")  # folders of what is installed
NEVER_OWN = {"nasopt", "torch", "torchvision", *sys.stdlib_module_names}


@dataclass(frozen=True)
class Code:
    """The text of a class: lines that import, and definitions in an order that can be run.

    `of_nasopt` are the names of nasopt's that it uses, which a file without nasopt lacks.
    """

    imports: tuple[str, ...]
    definitions: tuple[str, ...]
    of_nasopt: tuple[str, ...]

    @cached_property
    def digest(self) -> str:
        """A digest of 16 hexadecimal digits; comments, docstrings and layout are left aside."""
        plain = [ast.unparse(_without_docstrings(ast.parse(each))) for each in self.definitions]
        text = "\n".join([*self.imports, *sorted(plain)])
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def code_of(cls: type, base: type) -> Code:
    """Return the code of `cls`, a subclass of the dataclass `base`.

    The fields of such a class are left out, with their checks: their values are kept elsewhere.

    Raises SpaceError if a part of it is not to be found: then nothing tells two versions apart.
    """
    reader = _Reader(cls, base)
    reader.read(cls.__name__, cls)
    return Code(
        tuple(sorted(reader.imports)), tuple(reader.definitions), tuple(sorted(reader.of_nasopt))
    )


@dataclass
class _Place:
    """The text that a class or function stands in, and what names mean there."""

    tree: ast.Module
    names: Mapping[str, Any]

    @classmethod
    def of(cls, value: Any) -> Self | None:
        """Return the place of a class or function; None if its text is not to be found."""
        function = next(_functions(value), None)
        if function is not None:
            file, names = function.__code__.co_filename, function.__globals__
        else:  # a class without any: an enumeration, say
            module = sys.modules.get(value.__module__)
            file, names = getattr(module, "__file__", None) or "", vars(module) if module else {}
        linecache.checkcache(file)
        text = "".join(linecache.getlines(file, names))
        try:
            return cls(ast.parse(text), names) if text else None
        except SyntaxError:  # edited since
            return None

    def definition_of(self, value: Any) -> Definition | None:
        """Return the statement that defines a class or function; None if it is another by now."""
        lines = [function.__code__.co_firstlineno for function in _functions(value)]
        kind = ast.ClassDef if isinstance(value, type) else ast.FunctionDef
        for node in ast.walk(self.tree):
            if isinstance(node, kind) and node.name == value.__name__:
                first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
                if all(first <= line <= (node.end_lineno or 0) for line in lines):
                    return node
        return None

    def import_of(self, name: str) -> tuple[str, str] | None:
        """Return the statement that imports `name` from what is installed, and its module."""
        for node in self.tree.body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                for alias in node.names:
                    source = alias.name if isinstance(node, ast.Import) else node.module or ""
                    bound = alias.asname or alias.name
                    if isinstance(node, ast.Import) and alias.asname is None:
                        bound = alias.name.partition(".")[0]
                    relative = isinstance(node, ast.ImportFrom) and node.level
                    if bound == name and not relative and not _is_own(source):
                        one = type(node)(**{**vars(node), "names": [alias]})
                        return ast.unparse(one), source
        return None

    def assignment_of(self, name: str) -> ast.expr | None:
        """Return the value that is given to `name` last, at the top of the text."""
        for node in reversed(self.tree.body):
            targets = node.targets if isinstance(node, ast.Assign) else []
            if isinstance(node, ast.AnnAssign) and node.value is not None:
                targets = [node.target]
            if any(isinstance(each, ast.Name) and each.id == name for each in targets):
                return node.value  # type: ignore[attr-defined, no-any-return]
        return None


@dataclass
class _Reader:
    """Reads a class and all that it refers to, depth first, each thing once."""

    cls: type
    base: type
    imports: set[str] = field(default_factory=set)
    definitions: list[str] = field(default_factory=list)
    of_nasopt: set[str] = field(default_factory=set)
    known: dict[str, Any] = field(default_factory=dict)

    def read(self, name: str, value: Any, beside: _Place | None = None) -> None:
        """Take in what `name` stands for; `beside` is where it is used."""
        if name in self.known:
            if self.known[name] is not value and not _is_literal(value):
                raise self._error(f"it uses two things of the name {name}", "rename one of them")
            return
        self.known[name] = value
        imported = None if beside is None else beside.import_of(name)
        if imported is not None:
            self._import(name, *imported)
        elif isinstance(value, types.ModuleType):
            module = value.__name__
            self._import(name, f"import {module} as {name}", module)
        elif isinstance(value, type | types.FunctionType) and _is_own(value.__module__):
            self._define(name, value, beside)
        elif _is_literal(value):
            self.definitions.append(f"{name} = {value!r}")
        elif (installed := _module_with(value)) is not None:
            self._import(name, f"from {installed} import {value.__name__} as {name}", installed)
        else:
            self._assign(name, beside)

    def _import(self, name: str, statement: str, module: str) -> None:
        if module.partition(".")[0] == "nasopt":
            self.of_nasopt.add(name)
        elif _is_own(module):
            raise self._error(
                f"it uses the module {module}", f"import what it needs by name: from {module} ..."
            )
        self.imports.add(statement)

    def _define(self, name: str, value: Any, beside: _Place | None) -> None:
        place = _Place.of(value) or beside  # a class without functions may be of the same cell
        node = None if place is None else place.definition_of(value)
        if place is None or node is None:
            self._assign(name, beside)
            return
        if isinstance(node, ast.ClassDef) and issubclass(value, self.base):
            node = self._without_fields(value, node)
        self._refer(node, place)
        self.definitions.append(ast.unparse(node))
        if name != node.name:
            self.definitions.append(f"{name} = {node.name}")

    def _assign(self, name: str, beside: _Place | None) -> None:
        value = None if beside is None else beside.assignment_of(name)
        if beside is None or value is None:
            raise self._error(
                f"the code of {name} is not to be found",
                "write it into the file, or the notebook's cell, of the class",
            )
        self._refer(value, beside)
        self.definitions.append(f"{name} = {ast.unparse(value)}")

    def _without_fields(self, cls: type, node: ast.ClassDef) -> ast.ClassDef:
        names = {each.name for each in fields(cls)}

        def stays(part: ast.stmt) -> bool:
            if isinstance(part, ast.AnnAssign):
                return not (isinstance(part.target, ast.Name) and part.target.id in names)
            return not (isinstance(part, ast.FunctionDef) and part.name == "__post_init__")

        bases: list[ast.expr] = [
            ast.Name(STAND_IN, ast.Load()) if base is self.base else written
            for base, written in zip(cls.__bases__, node.bases, strict=True)
        ]
        plain = ast.parse(f"class {node.name}: pass").body[0]
        assert isinstance(plain, ast.ClassDef)
        plain.bases, plain.body = bases, [*filter(stays, node.body)] or plain.body
        return plain

    def _refer(self, node: ast.AST, place: _Place) -> None:
        """Read what a piece of text refers to."""
        for name in sorted(_global_names(node) - {STAND_IN}):
            if name in place.names:
                self.read(name, place.names[name], place)
            elif not hasattr(builtins, name) and name != getattr(node, "name", None):
                raise self._error(
                    f"it uses {name}, which is not at the top of its file", "define it there"
                )
        for statement, module in _imports_within(node):
            if module.partition(".")[0] == "nasopt":
                self.of_nasopt.add(statement)

    def _error(self, what: str, remedy: str) -> SpaceError:
        return SpaceError(f"{self.cls.__name__}: {what}; {remedy}")


def _functions(value: Any) -> Iterator[types.FunctionType]:
    """Yield the functions that are written in the text of a class, or the function itself."""
    if not isinstance(value, type):
        yield inspect.unwrap(value)
        return
    for each in vars(value).values():
        each = getattr(each, "fget", None) or getattr(each, "__func__", each)
        each = inspect.unwrap(each) if callable(each) and not isinstance(each, type) else each
        of_class = getattr(each, "__qualname__", "").startswith(f"{value.__qualname__}.")
        generated = getattr(each, "__code__", None) and each.__code__.co_filename == "<string>"
        if isinstance(each, types.FunctionType) and of_class and not generated:
            yield each


def _is_own(module: str) -> bool:
    """Return whether a module is the user's: neither installed nor of Python or nasopt."""
    top = module.partition(".")[0]
    if top == "__main__" or top in NEVER_OWN:
        return top == "__main__"
    found = sys.modules.get(top)
    files = [getattr(found, "__file__", None), *getattr(found, "__path__", ())]
    return not any(name in Path(file).parts for file in files if file for name in LIBRARIES)


def _is_literal(value: Any) -> bool:
    """Return whether the value is numbers, texts, or tuples, lists and dicts of them."""
    if isinstance(value, float) and value - value != 0:  # inf and nan have no literal
        return False
    if type(value) in (tuple, list):
        return all(map(_is_literal, value))
    if type(value) is dict:
        return all(map(_is_literal, [*value, *value.values()]))
    return type(value) in LITERALS


def _module_with(value: Any) -> str | None:
    """Return the module in which a class or function is found under its own name."""
    name = getattr(value, "__name__", None)
    for module in (getattr(value, "__module__", None), "torch", "torch.nn.functional"):
        found = getattr(sys.modules.get(str(module)), str(name), None)
        if found is not None and found is value and not _is_own(str(module)):
            return str(module)
    return None


class _Plain(ast.NodeTransformer):
    """Removes annotations, which need not be there when the text is run."""

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if node.value is None:
            return ast.Pass()
        return ast.Assign([node.target], self.visit(node.value), lineno=node.lineno)


def _global_names(node: ast.AST) -> set[str]:
    """Return the names that a piece of text takes from where it stands."""
    plain = _Plain().visit(ast.parse(ast.unparse(node)))
    todo = [symtable.symtable(ast.unparse(plain), "<code>", "exec")]
    names = set()
    for table in todo:
        todo += table.get_children()
        names |= {s.get_name() for s in table.get_symbols() if s.is_referenced() and s.is_global()}
    return names


def _imports_within(node: ast.AST) -> Iterator[tuple[str, str]]:
    for each in ast.walk(node):
        if isinstance(each, ast.Import):
            yield from ((ast.unparse(each), alias.name) for alias in each.names)
        elif isinstance(each, ast.ImportFrom):
            yield ast.unparse(each), each.module or ""


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return tree
