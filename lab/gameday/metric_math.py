"""Evaluates the metric math of the catalogue: arithmetic, comparisons, `FILL`, `IF` and `RATE` over time series.

Source: "Using math expressions with CloudWatch metrics". Python's own parser reads the expressions, since its grammar
covers them; nodes that are not named here are refused. A period without a datum stays without one in the result.
"""

import ast
import operator
from collections.abc import Callable, Mapping, Sequence

# Newest last; `None` where there is no datum.
Series = Sequence[float | None]
Value = float | list[float | None]

OPERATORS: dict[type[ast.AST], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


def evaluate(formula: str, inputs: Mapping[str, Series], *, period_s: float) -> list[float | None]:
    """Return the time series of a formula over inputs of equal length.

    Args:
        formula: such as `100 * connections / 200`.
        inputs: time series by id.
        period_s: seconds between two data points, for `RATE`.

    Raises:
        ValueError: the formula uses something that is not supported here.

    """
    (length,) = {len(series) for series in inputs.values()}
    result = _Evaluation(formula, inputs, period_s).of(ast.parse(formula, mode="eval").body)
    return result if isinstance(result, list) else [result] * length


class _Evaluation:
    def __init__(self, formula: str, inputs: Mapping[str, Series], period_s: float) -> None:
        self._formula = formula
        self._inputs = inputs
        self._period_s = period_s

    def of(self, node: ast.expr) -> Value:
        if isinstance(node, ast.Call):
            return self._call(node)
        match node:
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
                return float(value)
            case ast.Name(id=name) if name in self._inputs:
                return list(self._inputs[name])
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return _each(operator.sub, 0.0, self.of(operand))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
                return _each(OPERATORS[type(op)], self.of(left), self.of(right))
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in OPERATORS:
                return _each(OPERATORS[type(op)], self.of(left), self.of(right))
        raise self._unknown(node)

    def _call(self, node: ast.Call) -> Value:
        match node:
            case ast.Call(func=ast.Name(id="FILL"), args=[series, filler], keywords=[]):
                return _fill(self._series(series), self._scalar(filler))
            case ast.Call(func=ast.Name(id="IF"), args=[condition, then, otherwise], keywords=[]):
                return _choose(self.of(condition), self.of(then), self.of(otherwise))
            case ast.Call(func=ast.Name(id="RATE"), args=[series], keywords=[]):
                return _rate(self._series(series), self._period_s)
        raise self._unknown(node)

    def _unknown(self, node: ast.expr) -> ValueError:
        return ValueError(f"{ast.unparse(node)!r} of {self._formula!r} is not known here")

    def _series(self, node: ast.expr) -> list[float | None]:
        value = self.of(node)
        if not isinstance(value, list):
            raise ValueError(f"{ast.unparse(node)!r} of {self._formula!r} must be a time series")  # noqa: TRY004
        return value

    def _scalar(self, node: ast.expr) -> float:
        value = self.of(node)
        if isinstance(value, list):
            raise ValueError(f"{ast.unparse(node)!r} of {self._formula!r} must be a number")  # noqa: TRY004
        return value


def _each(function: Callable[[float, float], float], left: Value, right: Value) -> Value:
    """Apply a function to numbers, or to each datum of a time series; a missing datum stays missing."""

    def one(a: float | None, b: float | None) -> float | None:
        try:
            return None if a is None or b is None else float(function(a, b))
        except ZeroDivisionError:
            return None

    pairs = _aligned(left, right)
    if pairs is None:
        assert not isinstance(left, list)
        assert not isinstance(right, list)
        return float(function(left, right))
    return [one(a, b) for a, b in pairs]


def _choose(condition: Value, then: Value, otherwise: Value) -> Value:
    if not isinstance(condition, list):
        return then if condition else otherwise
    length = len(condition)
    branches = zip(condition, _long(then, length), _long(otherwise, length), strict=True)
    return [None if decides is None else (a if decides else b) for decides, a, b in branches]


def _fill(series: list[float | None], filler: float) -> list[float | None]:
    return [filler if value is None else value for value in series]


def _rate(series: list[float | None], period_s: float) -> list[float | None]:
    """Return each difference to the datum before, divided by the seconds between the two."""
    rates: list[float | None] = []
    before: tuple[int, float] | None = None
    for number, value in enumerate(series):
        known = value is not None and before is not None
        rates.append((value - before[1]) / (period_s * (number - before[0])) if known else None)  # type: ignore[operator, index] # both are known
        before = before if value is None else (number, value)
    return rates


def _aligned(left: Value, right: Value) -> list[tuple[float | None, float | None]] | None:
    lengths = {len(value) for value in (left, right) if isinstance(value, list)}
    if not lengths:
        return None
    (length,) = lengths
    return list(zip(_long(left, length), _long(right, length), strict=True))


def _long(value: Value, length: int) -> list[float | None]:
    return value if isinstance(value, list) else [value] * length
