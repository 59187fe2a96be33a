"""Small changes of Python source: which there are, and the source with one of them."""

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

_BINARY = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
}
_COMPARE = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_CALLS = [
    ("minimum", "maximum"),
    ("min", "max"),
    ("argmin", "argmax"),
    ("nanmin", "nanmax"),
    ("any", "all"),
    ("cos", "sin"),
    ("floor", "ceil"),
    ("mean", "sum"),
    ("mean", "median"),
    ("fft", "ifft"),
    ("logical_and", "logical_or"),
    ("zeros", "ones"),
    ("zeros_like", "ones_like"),
]
_SWAP = {a: b for pair in _CALLS for a, b in (pair, pair[::-1])}


_WIDTH = 80


@dataclass(frozen=True)
class Change:
    """The `number`-th change of a source: of what `kind`, at which (line, column), in which function, what it was and
    becomes, and of a number `within` what.
    """

    number: int
    kind: str
    place: tuple[int, int]
    function: str
    before: str
    after: str
    within: str = ""

    @property
    def line(self) -> int:
        return self.place[0]

    def __str__(self) -> str:
        return f"{self.before} -> {self.after}" + (f" in {self.within}" if self.within else "")


def _variants(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """(kind, what the node becomes)."""
    match node:
        case ast.BinOp(left, op, right) if type(op) in _BINARY:
            yield "operator", ast.BinOp(left, _BINARY[type(op)](), right)
        case ast.AugAssign(target, op, value) if type(op) in _BINARY:
            yield "assignment", ast.AugAssign(target, _BINARY[type(op)](), value)
        case ast.Compare(left, [op], right):
            yield "comparison", ast.Compare(left, [_COMPARE[type(op)]()], right)
        case ast.BoolOp(op, values):
            yield "and, or", ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
        case ast.UnaryOp(ast.Not() | ast.USub() | ast.Invert() as op, operand):
            yield "not" if isinstance(op, ast.Not | ast.Invert) else "sign", operand
        case ast.Constant(bool() as value):
            yield "truth", ast.Constant(not value)
        case ast.Constant(int() as value):
            yield "constant", ast.Constant(value + 1)
            if value > 0:
                yield "constant", ast.Constant(value - 1)
        case ast.Constant(float() as value):
            yield "constant", ast.Constant(float(f"{1.1 * value:.6g}") if value else 0.1)
        case ast.keyword("axis", ast.Constant(int() as value)):
            yield "axis", ast.keyword("axis", ast.Constant(value - 1 if value > 0 else value + 1))
        case ast.Call(ast.Attribute(of, name) as function, arguments, named) if name in _SWAP:
            yield "function", ast.Call(ast.Attribute(of, _SWAP[name], function.ctx), arguments, named)
        case ast.Call(ast.Name(name) as function, arguments, named) if name in _SWAP:
            yield "function", ast.Call(ast.Name(_SWAP[name], function.ctx), arguments, named)
        case ast.Slice(lower, upper, step) if lower or upper:
            yield "slice", ast.Slice(None, upper, step) if lower else ast.Slice(None, None, step)
        case ast.If() | ast.IfExp() if not (isinstance(node.test, ast.UnaryOp) and isinstance(node.test.op, ast.Not)):
            other = copy.copy(node)
            other.test = ast.UnaryOp(ast.Not(), node.test)
            yield "condition", other
        case ast.Return(ast.BinOp() as value):
            yield "return", ast.Return(ast.UnaryOp(ast.USub(), value))


# Types, decorators, words and what is said in an error are no behaviour.
_SKIPPED = {"annotation", "returns", "decorator_list", "type_params", "exc", "cause", "msg"}


def _sites(node: ast.AST, function: str = "") -> Iterator[tuple[ast.AST, str, int | None, str]]:
    """(parent, field, index in it, function) of every node that may change, always in the same order."""
    for field, value in ast.iter_fields(node):
        if field in _SKIPPED:
            continue
        for index, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if not isinstance(child, ast.AST) or isinstance(child, ast.JoinedStr | ast.Import | ast.ImportFrom):
                continue
            inner = f"{function}.{child.name}".lstrip(".") if isinstance(child, ast.FunctionDef | ast.ClassDef) else function
            yield node, field, index, inner
            yield from _sites(child, inner)


def _child(parent: ast.AST, field: str, index: int | None) -> ast.AST:
    value = getattr(parent, field)
    return value if index is None else value[index]


def _text(node: ast.AST) -> str:
    """A line of source, of a compound statement its first, and of a long one its two ends."""
    line = ast.unparse(ast.fix_missing_locations(copy.deepcopy(node))).splitlines()[0]
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH // 2]} ... {line[-_WIDTH // 2 :]}"


def changes(source: str) -> list[Change]:
    """All changes of a source."""
    out = []
    for parent, field, index, function in _sites(ast.parse(source)):
        node = _child(parent, field, index)
        for kind, after in _variants(node):
            within = _text(parent) if isinstance(node, ast.Constant) else ""
            out.append(Change(len(out), kind, (node.lineno, node.col_offset), function, _text(node), _text(after), within))
    return out


def changed(source: str, change: Change) -> str:
    """The source with a change made."""
    tree, number = ast.parse(source), 0
    for parent, field, index, _ in _sites(tree):
        for _, after in _variants(_child(parent, field, index)):
            if number == change.number:
                if index is None:
                    setattr(parent, field, after)
                else:
                    getattr(parent, field)[index] = after
                return ast.unparse(ast.fix_missing_locations(tree))
            number += 1
    raise ValueError(f"no change {change.number}")
