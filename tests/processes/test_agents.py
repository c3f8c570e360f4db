"""An agent that is killed, stopped or away, at each moment of a purchase: never two drinks, never silence."""

import asyncio

from tests.processes.customer import Purchase
from tests.processes.meanwhile import Scene, meanwhile
from tests.processes.site import until

KILLED_AFTER_S = (0.1, 0.6, 1.2)
"""Moments after the payment; a purchase takes about three seconds."""


@meanwhile
async def test_without_its_agent_a_paid_order_gets_its_money_back(scene: Scene):
    machine = await scene.machine()
    bought = await scene.customer.at_bank(machine)
    machine.agent.kill()
    await (await bought.pay()).over()
    bought.refunded("agent_offline")
    assert "paid" in bought.statuses


@meanwhile
async def test_an_agent_that_comes_back_in_time_makes_the_drink(scene: Scene):
    machine = await scene.machine()
    bought = await scene.customer.at_bank(machine)
    machine.agent.kill()
    await (await bought.pay()).becomes("paid")
    machine.agent.start()
    (await bought.over()).made()


@meanwhile
async def test_an_agent_killed_before_the_start_does_not_make_the_drink_later(scene: Scene):
    machine = await scene.machine("--slow-every", "2", "--slow-reply-s", "2")
    bought = await (await scene.customer.pays(machine)).becomes("make_pending")
    machine.agent.kill()
    assert machine.heard("FA:") == 0
    machine.agent.start()
    (await bought.over()).refunded("agent_restarted")
    assert machine.heard("FA:") == 0


@meanwhile
async def test_an_agent_killed_after_the_start_proves_the_drink_and_makes_no_other(scene: Scene):
    machine = await scene.machine("--brew-s", "3")
    bought = await scene.customer.pays(machine)
    await machine.hears("FA:")
    machine.agent.kill()
    machine.agent.start()
    (await bought.over()).made()
    assert machine.heard("FA:") == 1


@meanwhile
async def test_an_agent_killed_when_the_drink_has_come_out_still_tells_of_it(scene: Scene):
    machine = await scene.machine()
    bought = await scene.customer.pays(machine)
    await until(lambda: machine.poured == 1, "the drink comes out")
    machine.agent.kill()
    machine.agent.start()
    (await bought.over()).made()


@meanwhile
async def test_an_agent_killed_at_any_moment_makes_each_drink_at_most_once(scene: Scene):
    machine = await scene.machine()
    purchases: list[Purchase] = []
    for moment_s in KILLED_AFTER_S:
        purchases.append(await scene.customer.pays(machine))
        await asyncio.sleep(moment_s)  # the moment itself, not a wait for something
        machine.agent.kill()
        machine.agent.start()
        await purchases[-1].over()
    successes = sum(bought.now["status"] == "successful" for bought in purchases)
    assert machine.poured == successes
    assert sum(bought.refunds == ["succeeded"] for bought in purchases) == len(purchases) - successes


@meanwhile
async def test_a_drink_told_of_after_its_refund_is_a_case_for_a_person(scene: Scene):
    machine = await scene.machine()
    bought = await scene.customer.pays(machine)
    await machine.hears("FA:")
    machine.agent.kill()
    await bought.over()
    assert bought.doubts == {"timeout_no_result"}
    bought.refunded("timeout_no_result", poured=1)
    machine.agent.start()
    await until(
        lambda: scene.site.open_cases(bought.order_id) == ["delivered_and_refunded"], "a person is told"
    )
    bought.refunded("timeout_no_result", poured=1)


@meanwhile
async def test_an_agent_that_is_stopped_finishes_the_drink_and_tells(scene: Scene):
    machine = await scene.machine("--brew-s", "2")
    bought = await scene.customer.pays(machine)
    await machine.hears("FA:")
    machine.agent.ask_to_end()
    (await bought.over()).made()
    await until(machine.agent.has_ended, "the agent ends")
    assert machine.agent.exit_code == 0


@meanwhile
async def test_a_machine_that_restarts_while_it_brews_gives_the_money_back(scene: Scene):
    machine = await scene.machine("--brew-s", "3", make_limit_s=10.0)
    bought = await scene.customer.pays(machine)
    await machine.hears("FA:")
    machine.simulator.kill()
    machine.simulator.start()
    await bought.over()
    bought.refunded(bought.now["failure"]["code"])


@meanwhile
async def test_a_machine_that_is_unplugged_before_the_start_gives_the_money_back(scene: Scene):
    machine = await scene.machine()
    bought = await scene.customer.at_bank(machine)
    machine.simulator.kill()
    await (await bought.pay()).over()
    bought.refunded("serial_open_failed")
