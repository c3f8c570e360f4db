"""Each kind of machine, in real processes: what came out, what the customer reads, whose money it is."""

from tests.processes.meanwhile import Scene, meanwhile
from tests.processes.site import until

LIMIT_S = 8.0
"""When a drink that takes a second is given up."""


@meanwhile
async def test_a_paid_drink_is_made_once(scene: Scene):
    bought = await scene.customer.buys(await scene.machine())
    bought.made()
    assert bought.payments == ["succeeded"]
    assert bought.statuses[-1] == "successful" and "make_pending" in bought.statuses


@meanwhile
async def test_a_machine_on_a_noisy_line_makes_the_drink_once(scene: Scene):
    (await scene.customer.buys(await scene.machine("--fail", "noise"))).made()


@meanwhile
async def test_a_drink_that_is_counted_late_is_made_once(scene: Scene):
    (await scene.customer.buys(await scene.machine("--fail", "late", "--late-s", "3"))).made()


@meanwhile
async def test_without_water_the_money_goes_back_and_the_refilled_machine_sells_again(scene: Scene):
    machine = await scene.machine("--fail", "no-water", "--recover-s", "8")
    (await scene.customer.buys(machine)).refunded("no_water")
    (await scene.customer.buys(machine)).made()


@meanwhile
async def test_a_machine_that_ignores_its_keys_gives_the_money_back(scene: Scene):
    (await scene.customer.buys(await scene.machine("--fail", "locked"))).refunded("machine_error")


@meanwhile
async def test_a_machine_that_says_nothing_gives_the_money_back(scene: Scene):
    (await scene.customer.buys(await scene.machine("--fail", "silent"))).refunded("serial_no_answer")


@meanwhile
async def test_a_drink_that_the_agent_does_not_know_is_refused(scene: Scene):
    bought = await scene.customer.buys(await scene.machine(), "tea")
    bought.refunded("drink_unknown")


@meanwhile
async def test_a_machine_that_is_not_there_sells_nothing(scene: Scene):
    machine = await scene.machine("--fail", "unplugged-before")
    await until(lambda: scene.site.machine_state(machine) == "offline", "the machine is known not to answer")
    assert await scene.customer.is_turned_away(machine)
    assert machine.poured == 0


@meanwhile
async def test_a_cable_that_comes_back_proves_the_drink(scene: Scene):
    machine = await scene.machine("--fail", "unplugged", "--back-s", "3")
    (await scene.customer.buys(machine)).made()


@meanwhile
async def test_a_cable_that_never_comes_back_is_a_doubt_until_the_money_goes_back(scene: Scene):
    bought = await scene.customer.buys(await scene.machine("--fail", "unplugged", make_limit_s=LIMIT_S))
    assert bought.doubts == {"timeout_no_result"}
    bought.refunded("timeout_no_result", poured=1)


@meanwhile
async def test_two_drinks_on_the_counter_are_a_doubt_until_the_money_goes_back(scene: Scene):
    bought = await scene.customer.buys(await scene.machine("--fail", "double"))
    assert bought.doubts == {"timeout_no_result"}
    bought.refunded("timeout_no_result", poured=1)


@meanwhile
async def test_a_drink_that_is_not_counted_is_a_doubt_until_the_money_goes_back(scene: Scene):
    bought = await scene.customer.buys(await scene.machine("--fail", "no-count", make_limit_s=LIMIT_S))
    assert bought.doubts == {"timeout_no_result"}
    bought.refunded("timeout_no_result", poured=1)


@meanwhile
async def test_a_machine_that_brews_without_beans_is_a_doubt_until_the_money_goes_back(scene: Scene):
    bought = await scene.customer.buys(await scene.machine("--fail", "no-beans", make_limit_s=LIMIT_S))
    assert bought.doubts == {"timeout_no_result"}
    bought.refunded("timeout_no_result")


@meanwhile
async def test_power_that_fails_in_the_middle_is_a_doubt_until_the_money_goes_back(scene: Scene):
    machine = await scene.machine(
        "--fail", "power-cut", "--recover-s", "3", "--brew-s", "2", make_limit_s=LIMIT_S
    )
    bought = await scene.customer.buys(machine)
    assert bought.doubts
    bought.refunded(bought.now["failure"]["code"])
