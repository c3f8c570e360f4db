"""The driver of Jura machines on their service port: checks, presses a key once, watches the counters.

    TY: -> ty:EF533M V01.18      once for each connection; the profile must fit
    IC: -> ic:1400               inputs: tray, tank, busy
    RT:0000 -> rt:0011...        16 counters; the drink's own word is the proof
    FA:04 -> ok:                 a key press; `ok:` says only that the key was taken

Verified against the published vectors and the simulated machine, not on hardware.
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import replace

import msgspec
import structlog

from agent.drivers.jura_dialogue import Dialogue, Timing
from agent.drivers.jura_frames import parse_counters, parse_inputs
from agent.drivers.jura_profiles import PROFILES, Profile, profile_for_type
from agent.drivers.jura_verdict import Before, Key, Limits, Watch
from agent.machine import MachineError, Outcome, Request
from agent.wire import Actuated, Code, MachineReport, MachineState, MakeState

log = structlog.get_logger()

Products = Mapping[str, Mapping[str, str]]
"""drink_no -> size -> what the machine calls it (`FA:04`)."""

AUTO = "auto"
"""The profile's name that means: by the machine's answer to `TY:`."""

_PRODUCT = re.compile(r"FA:([0-9A-F]{2})")
_SIZES = ("small", "medium", "large")
_REPORTED = frozenset({Code.SERIAL_OPEN_FAILED, Code.SERIAL_NO_ANSWER, Code.SERIAL_BAD_ANSWER})


class JuraMachine:
    """Implements `agent.machine.Machine`. Opens the port when first needed, and again after it was lost.

    Raises ValueError, naming the key, for a profile or product that cannot be.
    """

    def __init__(
        self,
        port_url: str,
        profile_name: str = AUTO,
        products: Products | None = None,
        timing: Timing | None = None,
    ) -> None:
        self._named = _named_profile(profile_name)
        self._keys = _keys(products or {})
        self._timing = timing or Timing()
        self._dialogue = Dialogue(port_url, self._timing)
        self._log = log.bind(port=port_url)
        self._complained: Code | None = None

    async def inspect(self) -> MachineReport:
        """Read type, inputs and counters. A machine that is silent, absent or strange is a state."""
        self._dialogue.begin_trace()
        try:
            profile = await self._profile()
            inputs = await self._inputs(profile)
            await self._counters()
        except MachineError as error:
            self._complain(error)
            state = MachineState.OFFLINE if error.code in _REPORTED else MachineState.ERROR
            return self._report(state, error.code, error.said)
        self._complained = None
        fault = profile.fault(inputs)
        if profile.is_busy(inputs):
            return self._report(MachineState.BUSY)
        return self._report(MachineState.ERROR if fault else MachineState.READY, fault)

    async def prepare(self, request: Request) -> str:
        """Return the evidence before the make as JSON (`Before`): type, key, counters, inputs."""
        self._dialogue.begin_trace()
        profile = await self._profile()
        key, word = self._key(request, profile)
        inputs = await self._inputs(profile)
        if profile.is_busy(inputs):
            raise MachineError(Code.AGENT_REJECTED_BUSY, f"the machine is busy; {self._dialogue.trace()}")
        if fault := profile.fault(inputs):
            raise MachineError(fault, f"the machine reports {fault}; {self._dialogue.trace()}")
        counters = await self._counters()
        if await self._counters() != counters:
            raise MachineError(
                Code.AGENT_REJECTED_BUSY, f"a counter moved while it was read; {self._dialogue.trace()}"
            )
        machine_type = await self._dialogue.identify()
        before = Before(machine_type, key, word, counters[word], counters, inputs.hex().upper())
        return msgspec.json.encode(before).decode()

    async def make(self, request: Request, before: str) -> Outcome:
        """Press the drink's key once, then watch until the counter decides or the profile's time is up."""
        self._dialogue.begin_trace()
        evidence = _evidence(before)
        try:
            profile = await self._same_machine(evidence)
            key = await self._dialogue.press(evidence.key)
        except MachineError as error:
            return self._ended(request, Outcome(MakeState.FAILED, error.code, said=error.said))
        self._log.info("key pressed", key=evidence.key, answer=key.name)
        return await self._watch(request, evidence, profile, key)

    async def reconcile(self, request: Request, before: str) -> Outcome:
        """Watch as `make` does, without pressing a key: the counters decide what an earlier press became."""
        self._dialogue.begin_trace()
        evidence = _evidence(before)
        profile = self._named or profile_for_type(evidence.type)
        if profile is None:
            return self._ended(request, _no_profile(evidence.type))
        return await self._watch(request, evidence, profile, Key.UNTOLD)

    async def close(self) -> None:
        """Release the serial line. May be called twice."""
        await self._dialogue.close()

    async def _watch(self, request: Request, before: Before, profile: Profile, key: Key) -> Outcome:
        loop = asyncio.get_running_loop()
        watch = Watch(profile, before, key, loop.time(), self._limits(profile, key))
        while True:
            try:
                inputs = await self._inputs(profile)
                counters = await self._counters()
                self._check_same(before)
                watch.saw(counters, inputs, loop.time())
            except MachineError as error:
                self._complain(error)
                watch.missed(error)
            if watch.key is not Key.UNTOLD and self._dialogue.accepted:
                watch.key = Key.ACCEPTED
            if outcome := watch.verdict(loop.time()):
                return self._ended(request, outcome)
            await asyncio.sleep(self._timing.poll_s)

    async def _profile(self) -> Profile:
        machine_type = await self._dialogue.identify()
        profile = self._named or profile_for_type(machine_type)
        if profile is None:
            raise MachineError(
                Code.DRINK_UNKNOWN,
                f"machine type {machine_type!r} is in no profile: name one in machine.profile "
                f"({', '.join(PROFILES)})",
            )
        if not profile.fits(machine_type):
            raise MachineError(
                Code.MACHINE_ERROR,
                f"the machine says {machine_type!r}, but machine.profile {profile.name!r} is for "
                f"{', '.join(profile.types)}: correct machine.profile or machine.port",
            )
        return profile

    async def _same_machine(self, before: Before) -> Profile:
        profile = await self._profile()
        self._check_same(before)
        return profile

    def _check_same(self, before: Before) -> None:
        if self._dialogue.machine_type != before.type:
            raise MachineError(
                Code.SERIAL_BAD_ANSWER,
                f"the machine was {before.type!r} and is now {self._dialogue.machine_type!r}: exchanged?",
            )

    async def _inputs(self, profile: Profile) -> bytes:
        return await self._dialogue.ask(
            "IC:", lambda line: inputs if (inputs := parse_inputs(line)) and profile.reads(inputs) else None
        )

    async def _counters(self) -> tuple[int, ...]:
        return await self._dialogue.ask("RT:0000", parse_counters)

    def _key(self, request: Request, profile: Profile) -> tuple[str, int]:
        key = self._keys.get((request.drink_no, request.size))
        where = f"machine.products.{request.drink_no}.{request.size}"
        if key is None:
            raise MachineError(Code.DRINK_UNKNOWN, f"{where} is not in the agent's config")
        if key not in profile.keys:
            raise MachineError(
                Code.DRINK_UNKNOWN,
                f"{where} is FA:{key}, whose counter is not known for profile {profile.name!r}: the drink "
                f"could not be proved (known: {', '.join('FA:' + known for known in profile.keys)})",
            )
        return key, profile.keys[key]

    def _complain(self, error: MachineError) -> None:
        """Log what is wrong once, not at every reading."""
        if error.code is not self._complained:
            self._log.warning("machine cannot be read", code=error.code, said=error.said)
        self._complained = error.code

    def _limits(self, profile: Profile, key: Key) -> Limits:
        limit_s = self._timing.brew_limit_s or profile.brew_limit_s
        if key is Key.UNTOLD:  # to prove by stillness that nothing was made takes `reconcile_s`
            limit_s = max(limit_s, 2 * self._timing.reconcile_s)
        return Limits(self._timing.settle_s, self._timing.reconcile_s, limit_s)

    def _report(self, state: MachineState, code: Code | None = None, why: str = "") -> MachineReport:
        said = "; ".join(part for part in (why, self._dialogue.trace()) if part)
        return MachineReport(state, self._dialogue.machine_type, code, said)

    def _ended(self, request: Request, outcome: Outcome) -> Outcome:
        said = "; ".join(part for part in (outcome.said, self._dialogue.trace()) if part)
        self._log.info(
            "make ended", drink=request.drink_no, state=outcome.state, code=outcome.code, said=outcome.said
        )
        return replace(outcome, said=said)


def _named_profile(name: str) -> Profile | None:
    if name != AUTO and name not in PROFILES:
        raise ValueError(f"machine.profile: {name!r} is not one of {AUTO}, {', '.join(PROFILES)}")
    return PROFILES.get(name)


def _keys(products: Products) -> dict[tuple[str, str], str]:
    keys = {}
    for drink_no, sizes in products.items():
        for size, product in sizes.items():
            match = _PRODUCT.fullmatch(product)
            if size not in _SIZES:
                raise ValueError(f"machine.products.{drink_no}.{size}: a size is one of {', '.join(_SIZES)}")
            if match is None:
                raise ValueError(f"machine.products.{drink_no}.{size}: {product!r} is not a key like 'FA:04'")
            keys[drink_no, size] = match[1]
    return keys


def _evidence(text: str) -> Before:
    return msgspec.json.decode(text, type=Before)


def _no_profile(machine_type: str) -> Outcome:
    said = f"machine type {machine_type!r} is in no profile any more: its counters cannot be read"
    return Outcome(MakeState.UNKNOWN, Code.DRINK_UNKNOWN, Actuated.UNKNOWN, "none", said)
