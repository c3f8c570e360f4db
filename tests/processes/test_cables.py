"""The network between agent and server: cut, and dead while both ends think it whole."""

import asyncio

from tests.processes.cable import Cable
from tests.processes.meanwhile import Scene, meanwhile

CUTS, CUT_EVERY_S = 5, 0.4


@meanwhile
async def test_a_cut_while_the_drink_is_made_loses_nothing(scene: Scene):
    async with Cable(scene.site.port) as cable:
        machine = await scene.machine("--brew-s", "2", agent_server=cable.url)
        bought = await scene.customer.pays(machine)
        await machine.hears("FA:")
        cable.cut()
        (await bought.over()).made()
        assert cable.connections > 1


@meanwhile
async def test_cuts_one_after_another_make_one_drink_or_none(scene: Scene):
    async with Cable(scene.site.port) as cable:
        machine = await scene.machine(agent_server=cable.url)
        bought = await scene.customer.pays(machine)
        for _ in range(CUTS):
            cable.cut()
            await asyncio.sleep(CUT_EVERY_S)  # the pace of the cuts, not a wait for something
        (await bought.over()).one_drink_or_money()


@meanwhile
async def test_a_command_sent_into_a_dead_cable_makes_one_drink_or_none(scene: Scene):
    async with Cable(scene.site.port) as cable:
        machine = await scene.machine(agent_server=cable.url)
        bought = await scene.customer.at_bank(machine)
        cable.go_dead()
        (await (await bought.pay()).over()).one_drink_or_money()
        assert cable.connections > 1


@meanwhile
async def test_a_result_told_into_a_dead_cable_is_told_again(scene: Scene):
    async with Cable(scene.site.port) as cable:
        machine = await scene.machine(agent_server=cable.url)
        bought = await scene.customer.pays(machine)
        await machine.hears("FA:")
        cable.go_dead()
        (await bought.over()).made()
        assert cable.connections > 1
