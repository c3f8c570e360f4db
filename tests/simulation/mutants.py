"""`python -m tests.simulation.mutants`: break one protection at a time and see that the simulation finds it.

Each mutant is a change of the program's text, applied in a process of its own before anything is imported.
Exit codes: 0 each was found within the seeds of `make test`, 1 one was not.
"""

import importlib.util
import multiprocessing
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

FIRST, SEEDS = 1, 2000
"""The seeds of `make test`."""


@dataclass(frozen=True)
class Edit:
    """In `file`, `old` (which stands there once) becomes `new`."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutant:
    """A protection that is missing."""

    name: str
    edits: tuple[Edit, ...]


MUTANTS = (
    Mutant(
        "the journal is not synced (no fsync)",
        (Edit("agent/journal.py", '"PRAGMA synchronous = FULL"', '"PRAGMA synchronous = OFF"'),),
    ),
    Mutant(
        "no tombstone after not_seen",
        (Edit("agent/records.py", "return await self._first(self._journal.bury, record)", "return True"),),
    ),
    Mutant(
        "no epoch check, on either side",
        (
            Edit("server/store/devices.py", "device_uuid = $1 AND epoch = $2", "device_uuid = $1 AND $2 > 0"),
            Edit(
                "server/make_progress.py",
                "if not (yield from devices.reported(device_uuid, epoch, report.seq)):",
                "if (yield from devices.reported(device_uuid, epoch, report.seq)) is None:",
            ),
            Edit("server/agents.py", "is not connection:", "is None:"),
            Edit("agent/session.py", "if message.epoch != epoch:", "if False:"),
        ),
    ),
    Mutant(
        "started is written after the first byte",
        (
            Edit("agent/maker.py", "            await self._write_start(started)\n", ""),
            Edit(
                "agent/maker.py",
                "            outcome, cause, said = await self._make(after)\n",
                "            outcome, cause, said = await self._make(after)\n"
                "            try:\n"
                "                await self._write_start(after)\n"
                "            except JournalError:\n"
                "                pass\n",
            ),
        ),
    ),
    Mutant(
        "a denial is believed of any journal",
        (
            Edit(
                "server/make_progress.py",
                "same_journal, was_received = make.journal_id == journal_id, make.received_at is not None",
                "same_journal, was_received = True, False",
            ),
        ),
    ),
    Mutant(
        "an unknown outcome is refunded at once",
        (
            Edit(
                "server/make.py",
                "return Step(state, Event.OUTCOME_UNKNOWN, report.code or Code.TIMEOUT_NO_RESULT)",
                "return Step(state, Event.NOT_MADE, report.code or Code.TIMEOUT_NO_RESULT)",
            ),
        ),
    ),
    Mutant(
        "a result after the deadline is thrown away",
        (Edit("server/make.py", "_S.OVERDUE: {**_ENDS, _D.NOT_SEEN: _S.EXPIRED},", "_S.OVERDUE: {},"),),
    ),
    Mutant(
        "a report is forgotten when it is sent",
        (
            Edit(
                "agent/session.py",
                "            self._on_the_way.add(sent)\n",
                "            self._on_the_way.add(sent)\n            self._stored.add(sent)\n",
            ),
        ),
    ),
    Mutant(
        "a refund is repeated with another key",
        (
            Edit(
                "server/refunds.py",
                "provider.create_refund(refund.body, refund.idempotence_key)",
                'provider.create_refund(refund.body, f"{refund.idempotence_key}-{refund.tries}")',
            ),
        ),
    ),
    Mutant(
        "a second payment of an order is kept",
        (
            Edit(
                "server/settlement.py",
                "    yield from add_refund(rules, payment, now, EXTRA_PAYMENT)\n",
                "",
            ),
        ),
    ),
)


def mutated(mutant: Mutant) -> dict[str, str]:
    """Return the text of each file as the mutant has it. Raises ValueError when the program has changed."""
    texts: dict[str, str] = {}
    for edit in mutant.edits:
        text = texts.get(edit.file) or (ROOT / edit.file).read_text(encoding="utf-8")
        if text.count(edit.old) != 1:
            raise ValueError(f"{mutant.name}: {edit.file} has {text.count(edit.old)} times {edit.old!r}")
        texts[edit.file] = text.replace(edit.old, edit.new)
    return texts


def apply(mutant: Mutant) -> None:
    """Import the mutated modules in place of the real ones."""
    for file, text in mutated(mutant).items():
        _import_as(file.removesuffix(".py").replace("/", "."), file, text)


def _import_as(name: str, file: str, text: str) -> None:
    if name in sys.modules:
        raise ValueError(f"{name} is imported already")
    spec = importlib.util.find_spec(name)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    parent, _, child = name.rpartition(".")
    exec(compile(text, file, "exec"), module.__dict__)
    setattr(sys.modules[parent], child, module)


def hunt(mutant: Mutant) -> tuple[str, int, int | None, str]:
    """Run towns until one shows the mutant; return its name, the seeds run, the seed, and what was broken."""
    apply(mutant)
    from tests.simulation.campaign import run_towns

    tally = run_towns(range(FIRST, FIRST + SEEDS), stop_at_failure=True)
    for seed, wrong in tally.failures.items():
        return mutant.name, tally.seeds, seed, wrong[0]
    return mutant.name, tally.seeds, None, ""


def main() -> int:
    """Hunt every mutant, print the table, and return the exit code."""
    escaped = 0
    print(f"| {'what is missing':<46} | {'found by seed':>13} | what is seen |")
    print("|---|---|---|")
    # each in a new process: what one has mutated must not be there for the next
    with multiprocessing.get_context("spawn").Pool(maxtasksperchild=1) as pool:
        for name, seeds, seed, wrong in pool.imap(hunt, MUTANTS, chunksize=1):
            found = str(seed) if seed is not None else f"not in {seeds}"
            escaped += seed is None
            print(f"| {name:<46} | {found:>13} | {wrong[:90]} |", flush=True)
    return 1 if escaped else 0


if __name__ == "__main__":
    sys.exit(main())
