import { HedgeBudget } from "../../../lib/resolver/balance/balancer.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { BalancerFixture as Fixture } from "../../support/fakes/balancer_fixture.ts";
import { settled } from "../../support/fakes/time.ts";

const SERVFAIL = { rcode: 2 };
const WITHIN_BUDGET = { withoutBudget: false, isLate: false };
const WITHOUT_BUDGET = { withoutBudget: true, isLate: true };

/** Spends the budget, and returns the number of extra queries. */
function rest(budget: HedgeBudget): number {
  let count = 0;
  while (budget.spend()) count++;
  return count;
}

function earn(budget: HedgeBudget, queries: number): void {
  for (let i = 0; i < queries; i++) budget.earn();
}

Deno.test("a new budget has ten extra queries", () => {
  assertEquals(rest(new HedgeBudget()), 10);
});

Deno.test("twenty queries earn one extra query", () => {
  const budget = new HedgeBudget();
  rest(budget);
  for (let i = 0; i < 50; i++) {
    earn(budget, 20);
    budget.earn(); // makes up for rounding: twenty twentieths are less than 1
    assertEquals(budget.spend(), true);
  }
  assertEquals(rest(budget) <= 2, true);
});

Deno.test("saved extra queries are limited", () => {
  const budget = new HedgeBudget();
  earn(budget, 100_000);
  assertEquals(rest(budget), 100);
});

Deno.test("a slow query is hedged: the first good response wins, and later outcomes are ignored", async () => {
  for (const [winner, loser] of [[0, 1], [1, 0]] as const) {
    for (const end of ["answer", "fail"] as const) {
      const fixture = new Fixture(3);
      const fate = fixture.ask();
      fixture.all[0]!.attempt.trigger!.onSlow(WITHIN_BUDGET);
      assertEquals(fixture.asked, [1, 1, 0]);
      fixture.all[winner]!.attempt.answer();
      await settled();
      assertEquals(fate.outcome, `0 from ${"ab"[winner]}`);
      fixture.all[loser]!.attempt[end]();
      fixture.all[loser]!.attempt.trigger!.onSlow(WITHOUT_BUDGET);
      await settled();
      assertEquals([fixture.asked, fate.outcome], [[1, 1, 0], `0 from ${"ab"[winner]}`]);
    }
  }
});

Deno.test("a hedged query fails only after all upstreams have failed", async () => {
  const fixture = new Fixture(3);
  const fate = fixture.ask();
  fixture.all[0]!.attempt.trigger!.onSlow(WITHIN_BUDGET);
  fixture.all[0]!.attempt.fail("closed");
  await settled();
  assertEquals([fixture.asked, fate.outcome], [[1, 1, 1], "waiting"]);
  fixture.all[1]!.attempt.fail("silent");
  await settled();
  assertEquals(fate.outcome, "waiting");
  fixture.all[2]!.attempt.answer();
  await settled();
  assertEquals(fate.outcome, "0 from c");
});

Deno.test("two SERVFAIL responses do not settle the query while a third upstream is running", async () => {
  const fixture = new Fixture(3);
  const fate = fixture.ask();
  for (let i = 0; i < 2; i++) {
    fixture.all[0]!.attempt.answer(SERVFAIL);
    await settled();
  }
  fixture.all[1]!.attempt.trigger!.onSlow(WITHIN_BUDGET);
  fixture.all[1]!.attempt.answer(SERVFAIL);
  await settled();
  assertEquals([fixture.asked, fate.outcome], [[2, 1, 1], "waiting"]);
  fixture.all[2]!.attempt.answer();
  await settled();
  assertEquals(fate.outcome, "0 from c");
});

Deno.test("hedges are 5 % of all queries plus the saved ones, however many queries are slow", async () => {
  const fixture = new Fixture(2);
  for (let i = 0; i < 4_000; i++) {
    fixture.ask();
    const { attempt } = fixture.all[0]!;
    attempt.trigger!.onSlow(WITHIN_BUDGET);
    attempt.answer();
    await settled();
  }
  const hedges = fixture.asked[1]!;
  assert(hedges >= 200 && hedges <= 211, `${hedges} of 4000`);
});

Deno.test("an extra query without budget is not limited", () => {
  const fixture = new Fixture(2);
  for (let i = 0; i < 1_000; i++) {
    fixture.ask();
    fixture.all[0]!.attempt.trigger!.onSlow(WITHOUT_BUDGET);
  }
  assertEquals(fixture.asked, [1_000, 1_000]);
});

for (const name of ["sharded", "failover"] as const) {
  Deno.test(`${name}: a slow query goes to another upstream only after half of its time, also if it was not sent`, () => {
    const fixture = new Fixture(3, name);
    fixture.ask();
    const [first] = fixture.all.filter(({ attempts }) => attempts.length > 0);
    const trigger = first!.attempt.trigger!;
    trigger.onSlow(WITHIN_BUDGET);
    trigger.onSlow({ withoutBudget: true, isLate: false });
    assertEquals(fixture.asked.reduce((sum, count) => sum + count), 1);
    trigger.onSlow(WITHOUT_BUDGET);
    assertEquals(fixture.asked.reduce((sum, count) => sum + count), 2);
  });
}
