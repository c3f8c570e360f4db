"""A server that is killed and started again: every order goes on where it was, every refund is sent once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.processes.customer import Customer
from tests.processes.meanwhile import Scene, meanwhile
from tests.processes.site import Site

KILLED_AFTER_S = (0.0, 0.3, 1.0)
"""Moments after the payment; a purchase takes about three seconds."""


@asynccontextmanager
async def own_scene(scene: Scene, name: str) -> AsyncIterator[Scene]:
    """A site of one's own, whose server may be killed."""
    async with Site(scene.site.folder.parent / name, places=7) as site, Customer(site) as customer:
        own = Scene(site, customer)
        try:
            yield own
        except Exception as error:
            error.add_note(site.logs(own.machines))
            raise


async def restart(site: Site) -> None:
    """Kill the server and start it again."""
    site.server.kill()
    site.server.start()
    await site.ready()


@meanwhile
async def test_orders_go_on_where_they_were_when_the_server_was_killed(scene: Scene):
    async with own_scene(scene, "killed") as own:
        machines = await asyncio.gather(*(own.machine("--brew-s", "2") for _ in range(5)))
        buys = own.customer
        created = await buys.chooses(machines[0])
        at_bank = await buys.at_bank(machines[1])
        waits = await buys.at_bank(machines[2])
        machines[2].agent.kill()
        await waits.pay()
        being_made = await buys.pays(machines[3])
        await machines[3].hears("FA:")
        just_paid = await (await buys.at_bank(machines[4])).pay()
        await restart(own.site)
        machines[2].agent.start()
        await (await created.go_to_bank()).pay()
        await at_bank.pay()
        for bought in (created, at_bank, waits, being_made, just_paid):
            (await bought.over()).made()


@meanwhile
async def test_a_refund_is_sent_once_though_the_server_was_killed(scene: Scene):
    async with own_scene(scene, "refunds") as own:
        machine = await own.machine()
        for _ in range(2):
            bought = await (await own.customer.pays(machine, "tea")).becomes("make_failed")
            await restart(own.site)
            (await bought.over()).refunded("drink_unknown")


@meanwhile
async def test_a_server_killed_at_any_moment_takes_no_money_for_nothing(scene: Scene):
    async with own_scene(scene, "moments") as own:
        machine = await own.machine()
        for count, moment_s in enumerate(KILLED_AFTER_S, 1):
            bought = await own.customer.pays(machine)
            await asyncio.sleep(moment_s)  # the moment itself, not a wait for something
            await restart(own.site)
            (await bought.over()).made(poured=count)
