"""The rules of the code that a machine can check, read from syntax trees."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.order import Status

ROOT = Path(__file__).parent.parent

FOLDERS = {"agent", "bench", "deploy", "server", "templates", "tests"}
MADE_BY_TOOLS = re.compile(r"\..*|build|__pycache__|.*\.egg-info")

PURE = [
    "agent/drivers/jura_frames.py",
    "agent/drivers/jura_profiles.py",
    "agent/machine.py",
    "agent/make.py",
    "agent/wire.py",
    "server/archiving.py",
    "server/attempts.py",
    "server/books.py",
    "server/custom.py",
    "server/fiscal.py",
    "server/key_life.py",
    "server/make.py",
    "server/networks.py",
    "server/order.py",
    "server/payments/tbank_api.py",
    "server/payments/tbank_codes.py",
    "server/payments/tbank_requests.py",
    "server/payments/yookassa_api.py",
    "server/texts.py",
    "server/vault.py",
]
IMPURE = {"asyncio", "logging", "os", "serial", "socket", "sqlite3", "threading", "time"}
IMPURE |= {"aiohttp", "aiosqlite", "structlog"}
WORDS_THAT_SAY_NOTHING = {"base", "common", "helper", "helpers", "manager", "misc", "util", "utils"}

# Written so that they do not find themselves.
LEFTOVERS = re.compile(r"\b(TO[D]O|FIX[M]E|X{3}|NotImplemented[E]rror)\b")
ONE_MACHINES_PATHS = re.compile(r"(?<![\w.:/])/(?:home|root|Users|work|workspace)/\w")
REGISTRIES = re.compile(r"py[p]i\.org|python[h]osted\.org|npm[j]s\.(?:org|com)|crates[.]io|proxy[.]golang")


def modules(*folders: str) -> list[Path]:
    """Return the Python files below `folders`, relative to the checkout."""
    found = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return sorted(path.relative_to(ROOT) for path in found)


def tree(module: Path | str) -> ast.Module:
    return ast.parse((ROOT / module).read_text())


def imports(module: Path | str) -> set[str]:
    """Return the dotted names that `module` imports, anywhere in it; of `from a import b` it is `a.b`."""
    found: set[str] = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{name.name}" for name in node.names}
    return found


def packages(module: Path | str) -> set[str]:
    """Return the top-level packages that `module` imports."""
    return {name.partition(".")[0] for name in imports(module)}


def reads_environment(module: Path) -> bool:
    """Say whether `module` names `environ` or `getenv` of anything."""
    attributes = {node.attr for node in ast.walk(tree(module)) if isinstance(node, ast.Attribute)}
    named = attributes | {name.removeprefix("os.") for name in imports(module)}
    return not named.isdisjoint({"environ", "environb", "getenv", "getenvb"})


def written_files() -> Iterator[Path]:
    """Yield every text file of the checkout that a person wrote."""
    tops = [top for top in ROOT.iterdir() if top.name == ".ci" or not MADE_BY_TOOLS.fullmatch(top.name)]
    for top in tops:
        for path in [top] if top.is_file() else top.rglob("*"):
            kept_by_tools = any(MADE_BY_TOOLS.fullmatch(part) for part in path.relative_to(top).parts[:-1])
            if path.is_file() and not kept_by_tools and b"\0" not in path.read_bytes():
                yield path


def found_in_files(pattern: re.Pattern[str], paths: Iterator[Path]) -> list[str]:
    """Return `path:line: text` for each line in which `pattern` is found."""
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in paths
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if pattern.search(line)
    ]


def test_the_agent_does_not_know_the_server():
    assert [module for module in modules("agent") if "server" in packages(module)] == []


def test_the_server_knows_of_the_agent_only_the_wire():
    names = {(str(module), name) for module in modules("server") for name in imports(module)}
    assert {pair for pair in names if re.match(r"agent\b(?!\.wire\b)", pair[1])} == set()


@pytest.mark.parametrize("module", PURE)
def test_a_pure_module_decides_and_does_nothing(module: str):
    assert packages(module) & IMPURE == set()


def test_only_the_port_knows_pyserial():
    users = [str(module) for module in modules("agent", "server") if "serial" in packages(module)]
    assert users == ["agent/drivers/port.py"]


def test_only_settings_read_the_environment():
    readers = [str(module) for module in modules("agent", "server") if reads_environment(module)]
    assert readers == ["agent/settings.py", "server/settings.py"]


def test_every_module_says_what_it_is():
    told = modules("agent", "server", "bench", "deploy")
    told += [module for module in modules("tests") if module.name != "__init__.py"]
    assert [str(module) for module in told if not ast.get_docstring(tree(module))] == []


def test_no_name_says_nothing():
    named = modules("agent", "server", "tests", "bench", "deploy")
    parts = {part.removesuffix(".py") for module in named for part in module.parts}
    assert parts & WORDS_THAT_SAY_NOTHING == set()


def test_the_folders_are_the_agreed_ones():
    folders = {path.name for path in ROOT.iterdir() if path.is_dir()}
    assert {name for name in folders - FOLDERS if not MADE_BY_TOOLS.fullmatch(name)} == set()


def test_nothing_is_left_unfinished():
    written = (path for path in written_files() if path.suffix == ".py")
    assert found_in_files(LEFTOVERS, written) == []


def test_no_file_names_a_path_of_one_machine():
    assert found_in_files(ONE_MACHINES_PATHS, written_files()) == []


def test_no_file_names_a_package_registry():
    assert found_in_files(REGISTRIES, written_files()) == []


def test_the_schema_lists_the_statuses_of_an_order():
    orders = re.search(r"CREATE TABLE orders \((.*?)\n\);", (ROOT / "schema.sql").read_text(), re.DOTALL)
    listed = orders and re.search(r"CHECK \(status IN \((.*?)\)", orders[1], re.DOTALL)
    assert listed
    assert set(re.findall(r"'(\w+)'", listed[1])) == set(Status)
