"""Which cells of a notebook an exercise needs, read off the names that they bind and use."""

import ast
import symtable
from dataclasses import dataclass, field
from typing import Iterator

from course_lib.teaching.exercises import parse

SHOWS = {"plots", "labs", "print", "display", "show_source"}  # calls of these change nothing
EVERYTHING = "*"  # what `from ... import *` binds, and magics such as %time: no one can read what that is
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
PERHAPS = (ast.If, ast.Try, ast.While, ast.Match)  # what they bind may have been bound before as well


@dataclass
class Effects:
    """Names, by what a cell does with them.

    now: it uses them when it runs, before it binds them; later: its functions use them when they are called; binds;
    settles: it binds them whatever was before; changes: it may change what they stand for; modules: it imports them.
    """

    now: set[str] = field(default_factory=set)
    later: set[str] = field(default_factory=set)
    binds: set[str] = field(default_factory=set)
    settles: set[str] = field(default_factory=set)
    changes: set[str] = field(default_factory=set)
    modules: set[str] = field(default_factory=set)


def effects(tree: ast.Module) -> Effects:
    """What a cell does with names."""
    found = Effects(now={EVERYTHING})
    for statement in tree.body:
        now, later = uses(statement)
        found.now |= now - found.settles
        found.later |= later
        for node in below(statement):
            note(node, found)
        if not isinstance(statement, PERHAPS):
            found.settles |= found.binds
    return found


def uses(statement: ast.stmt) -> tuple[set[str], set[str]]:
    """(names that a statement uses when it runs, names that its functions use when they are called)."""
    now, later = set(), set()

    def collect(table: symtable.SymbolTable, called: bool) -> None:
        outer = table.get_type() == "module"
        for symbol in table.get_symbols():
            if symbol.is_referenced() and (outer or symbol.is_global()):
                (later if called else now).add(symbol.get_name())
        for child in table.get_children():  # comprehensions are functions too, but they run at once
            collect(child, called or child.get_type() == "function" and child.get_name().isidentifier())

    collect(symtable.symtable(ast.unparse(statement), "cell", "exec"), False)
    if isinstance(statement, ast.AugAssign):
        now.add(root(statement.target))
    if isinstance(statement, ast.For):  # its variable is bound before its body uses it
        given = {node.id for node in ast.walk(statement.iter) if isinstance(node, ast.Name)}
        now -= {node.id for node in ast.walk(statement.target) if isinstance(node, ast.Name)} - given
    return now, later


def below(node: ast.AST) -> Iterator[ast.AST]:
    """A node and all below it that run when the cell runs: the bodies of functions do not."""
    yield node
    if not isinstance(node, (*FUNCTIONS, ast.Lambda)):
        for child in ast.iter_child_nodes(node):
            yield from below(child)


def note(node: ast.AST, found: Effects) -> None:
    """Add to `found` what a single node binds or may change."""
    if isinstance(node, FUNCTIONS):
        found.binds.add(node.name)
    elif isinstance(node, ast.Name) and isinstance(node.ctx, (ast.Store, ast.Del)):
        found.binds.add(node.id)
    elif isinstance(node, ast.alias):
        found.binds.add(name := (node.asname or node.name).partition(".")[0])
        found.modules.add(name)
    elif isinstance(node, ast.Attribute) and node.attr in ("run_line_magic", "run_cell_magic"):
        found.binds.add(EVERYTHING)
    elif isinstance(node, (ast.Attribute, ast.Subscript)) and isinstance(node.ctx, ast.Store):
        found.changes.add(root(node))
    elif isinstance(node, ast.Expr):
        found.changes |= touched(node.value)
    elif isinstance(node, ast.For):  # `for loss in fit(network, ...)` trains it
        found.changes |= touched(node.iter)


def root(node: ast.AST) -> str | None:
    """The name that an expression such as a.b[0].c begins with."""
    while isinstance(node, (ast.Attribute, ast.Subscript, ast.Call, ast.Starred)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else None


def touched(call: ast.AST) -> set[str]:
    """The names that a call might change: what it is a method of, and its arguments."""
    if not isinstance(call, ast.Call) or root(call) in SHOWS:
        return set()
    values = [call.func, *call.args, *(keyword.value for keyword in call.keywords)]
    return {name for name in map(root, values) if name}


def needed_cells(sources: list[str], wanted: set[int]) -> list[int]:
    """The cells to run, in order, so that the wanted ones find all that they use; they themselves are among them.

    A cell that is no proper Python binds nothing. Known to be missed: what a cell changes by handing it to a function
    in an assignment, or by way of another object.
    """
    cells = {}
    for place, source in enumerate(sources):
        try:
            cells[place] = effects(parse(source))
        except (SyntaxError, ValueError):  # the latter: a zero byte
            continue
    always: set[str] = set()  # what functions use, they may use at any time
    while True:
        kept = sweep(cells, wanted, always)
        more = set().union(*(cells[place].later for place in kept))
        if more <= always:
            return sorted(kept | wanted)
        always |= more


def sweep(cells: dict[int, Effects], wanted: set[int], always: set[str]) -> set[int]:
    """The cells that are kept when one goes back from the last wanted one and asks of each: does a later one use it?"""
    modules = set().union(*(cell.modules for cell in cells.values()))
    kept, live = set(), set()
    for place in sorted((place for place in cells if place <= max(wanted)), reverse=True):
        cell = cells[place]
        if place in wanted or (cell.binds | cell.changes - modules) & (live | always):
            kept.add(place)
            live = live - cell.settles | cell.now
    return kept
