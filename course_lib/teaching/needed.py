"""Which cells of a notebook an exercise needs, read off the names that they bind and use."""

import ast
from typing import Iterator

from course_lib.teaching.exercises import parse

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
SHOWS = {"plots", "labs", "print", "display", "show_source"}  # calls of these change nothing
EVERYTHING = "*"  # what `from ... import *` binds


def statements_of(node: ast.AST) -> Iterator[ast.AST]:
    """A node and all below it that run when the cell runs: the bodies of functions do not."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, FUNCTIONS):
            yield from statements_of(child)
        elif not isinstance(child, ast.Lambda):
            yield ast.Name(child.name, ast.Store())


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


def effects(tree: ast.Module) -> tuple[set[str], set[str]]:
    """(names that a cell binds, names of things that it may change without binding them anew)."""
    binds, changes = set(), set()
    for node in statements_of(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, (ast.Store, ast.Del)):
            binds.add(node.id)
        elif isinstance(node, ast.alias):
            binds.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, (ast.Attribute, ast.Subscript)) and isinstance(node.ctx, ast.Store):
            changes.add(root(node))
        elif isinstance(node, ast.Expr):
            changes |= touched(node.value)
        elif isinstance(node, ast.For):  # `for loss in fit(network, ...)` trains it
            changes |= touched(node.iter)
    return binds, changes


def imported(tree: ast.Module) -> set[str]:
    return {(node.asname or node.name).partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.alias)}


def needed_cells(sources: list[str], wanted: set[int]) -> list[int]:
    """The cells to run, in order, so that the wanted ones find all that they use; they themselves are among them.

    A cell that is no proper Python binds nothing. Known to be missed: what a cell changes by handing it to a function
    in an assignment or from inside another object.
    """
    trees = {}
    for place, source in enumerate(sources):
        try:
            trees[place] = parse(source)
        except SyntaxError:
            continue
    modules = set().union(*map(imported, trees.values()))
    kept, waiting = set(wanted), sorted(wanted)
    while waiting:
        place = waiting.pop()
        if place not in trees:
            continue
        uses = {node.id for node in ast.walk(trees[place]) if isinstance(node, ast.Name)} | {EVERYTHING}
        for before in range(place):
            if before in trees and before not in kept:
                binds, changes = effects(trees[before])
                if binds & uses or (changes - modules) & uses:
                    kept.add(before)
                    waiting.append(before)
    return sorted(kept)
