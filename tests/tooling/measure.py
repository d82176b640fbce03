"""How a code base is built, in figures: `python -m tests.tooling.measure [NAME=]FOLDER…`

Prints a table with a column a folder (this project when none is given), so that another code base
can stand beside ours. Read from the syntax alone: nothing is imported or run. Migrations and
generated files are left out; tests are counted apart.

- *lines* are those with code on them: no blank line, comment or docstring.
- a *module* that is empty but for its docstring does not count.
- a *function* goes from its `def` to its last line, nested ones included in the one around them
  and counted by themselves.
- *hinted* has an annotation for the result and for each parameter but self and cls.
- a *broad except* names nothing, `Exception` or `BaseException`.
"""

from __future__ import annotations

import argparse
import ast
import io
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

LEFT_OUT = frozenset({"migrations", "node_modules", "venv", ".venv", ".git", "docs", "build"})
LONG_FUNCTION = 50
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class House:
    """What was counted below one folder."""

    modules: dict[str, int] = field(default_factory=dict)
    functions: dict[str, int] = field(default_factory=dict)
    hinted: int = 0
    broad_excepts: int = 0
    inner_imports: int = 0
    test_lines: int = 0
    tests: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("folders", nargs="*", metavar="[NAME=]FOLDER")
    asked = parser.parse_args().folders or [f"here={Path(__file__).parents[2]}"]
    named = [item.rpartition("=") for item in asked]
    houses = {name or Path(folder).resolve().name: measured(folder) for name, _, folder in named}
    print(table(houses))


def measured(folder: str) -> House:
    """Counts all Python below `folder`. A file Python cannot parse is left out."""
    house = House()
    root = Path(folder)
    for path in sorted(root.rglob("*.py")):
        place = path.relative_to(root)
        if LEFT_OUT.isdisjoint(place.parts):
            try:
                count_module(house, str(place), path.read_text(encoding="utf-8"))
            except (SyntaxError, UnicodeDecodeError):
                continue
    return house


def count_module(house: House, place: str, source: str) -> None:
    tree = ast.parse(source)
    lines = len(lines_with_code(source) - docstring_lines(tree))
    parts = Path(place).parts
    if "tests" in parts or parts[-1].startswith(("test_", "tests")) or parts[-1] == "conftest.py":
        house.test_lines += lines
        house.tests += sum(1 for f in functions_of(tree) if f.name.startswith("test"))
        return
    if not lines:
        return
    house.modules[place] = lines
    for function in functions_of(tree):
        length = (function.end_lineno or function.lineno) - function.lineno + 1
        house.functions[f"{place}:{function.lineno} {function.name}"] = length
        house.hinted += is_hinted(function)
        house.inner_imports += sum(
            isinstance(node, ast.Import | ast.ImportFrom) for node in ast.walk(function)
        )
    handlers = [node for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler)]
    house.broad_excepts += sum(map(is_broad, handlers))


def lines_with_code(source: str) -> set[int]:
    layout = {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
        tokenize.ENCODING,
    }
    return {
        line
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type not in layout
        for line in range(token.start[0], token.end[0] + 1)
    }


def docstring_lines(tree: ast.Module) -> set[int]:
    lines: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                lines.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return lines


def functions_of(tree: ast.Module) -> Iterator[Function]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def is_hinted(function: Function) -> bool:
    given = function.args
    positional = [*given.posonlyargs, *given.args]
    if positional and positional[0].arg in {"self", "cls", "mcs"}:
        positional = positional[1:]
    everything = [*positional, *given.kwonlyargs, given.vararg, given.kwarg]
    parameters = [parameter for parameter in everything if parameter is not None]
    if function.returns is None and (function.name != "__init__" or not parameters):
        return False
    return all(parameter.annotation for parameter in parameters)


def is_broad(handler: ast.ExceptHandler) -> bool:
    named = handler.type
    kinds = named.elts if isinstance(named, ast.Tuple) else [named]
    return named is None or any(
        isinstance(kind, ast.Name) and kind.id in {"Exception", "BaseException"} for kind in kinds
    )


def share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "–"


FIGURES: dict[str, Callable[[House], str]] = {
    "modules": lambda h: f"{len(h.modules):,}",
    "lines": lambda h: f"{sum(h.modules.values()):,}",
    "lines a module, median": lambda h: f"{median(h.modules.values()):.0f}",
    "largest module": lambda h: f"{max(h.modules.values()):,}",
    "functions": lambda h: f"{len(h.functions):,}",
    "lines a function, median": lambda h: f"{median(h.functions.values()):.0f}",
    "longest function": lambda h: f"{max(h.functions.values()):,}",
    "functions over 50 lines": lambda h: share(
        sum(length > LONG_FUNCTION for length in h.functions.values()), len(h.functions)
    ),
    "hinted functions": lambda h: share(h.hinted, len(h.functions)),
    "broad excepts a 1,000 lines": lambda h: (
        f"{1000 * h.broad_excepts / sum(h.modules.values()):.2f}"
    ),
    "imports inside functions": lambda h: f"{h.inner_imports:,}",
    "tests": lambda h: f"{h.tests:,}",
    "test to code ratio": lambda h: f"{h.test_lines / sum(h.modules.values()):.2f}",
}


def table(houses: dict[str, House]) -> str:
    lines = [
        f"| | {' | '.join(houses)} |",
        f"|---|{'---:|' * len(houses)}",
        *(
            f"| {name} | {' | '.join(figure(house) for house in houses.values())} |"
            for name, figure in FIGURES.items()
        ),
    ]
    for name, house in houses.items():
        module = max(house.modules, key=lambda place: house.modules[place])
        function = max(house.functions, key=lambda place: house.functions[place])
        lines.append(f"\n{name}: largest module {module}; longest function {function}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
