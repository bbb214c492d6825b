import { assertEquals } from "../../support/assert.ts";
import { BalancerFixture as Fixture } from "../../support/fakes/balancer_fixture.ts";
import { asking } from "../../support/fakes/candidate.ts";
import { settled } from "../../support/fakes/time.ts";
import type { ResponseFields } from "../../support/packets/packets.ts";

const SERVFAIL: ResponseFields = { rcode: 2 };
const NXDOMAIN: ResponseFields = { rcode: 3 };
const REFUSED: ResponseFields = { rcode: 5 };
const WITHOUT_BUDGET = { withoutBudget: true, isLate: true };

/** The first upstream fails the query, and again with CD set: validation is not the reason. */
async function failed(fixture: Fixture, fields: ResponseFields): Promise<void> {
  for (let i = 0; i < 2; i++) {
    fixture.all[0]!.attempt.answer(fields);
    await settled();
  }
}

function extendedError(code: number): ResponseFields {
  return { rcode: 2, edns: { options: [{ code: 15, value: Uint8Array.of(0, code) }] } };
}

Deno.test("a response is passed on unchanged, and no other upstream gets the query", async () => {
  const fixture = new Fixture(3);
  const query = asking("name.test", 4_000);
  const fate = fixture.ask(query);
  fixture.all[0]!.attempt.answer();
  await settled();
  assertEquals([fixture.asked, fate.outcome, fate.response?.name], [[1, 0, 0], "0 from a", "name.test."]);
  assertEquals(fixture.all[0]!.attempt.query, query);
});

for (const [what, poor] of Object.entries({ SERVFAIL, REFUSED, "SERVFAIL with EDE 22": extendedError(22) })) {
  Deno.test(`${what} is retried at one other upstream, whose response counts`, async () => {
    const fixture = new Fixture(3);
    const fate = fixture.ask();
    await failed(fixture, poor);
    assertEquals([fixture.asked, fate.outcome], [[2, 1, 0], "waiting"]);
    fixture.all[1]!.attempt.answer();
    await settled();
    assertEquals([fixture.asked, fate.outcome], [[2, 1, 0], "0 from b"]);
  });

  Deno.test(`${what} from two upstreams is the response, and a third gets no query`, async () => {
    const fixture = new Fixture(3);
    const fate = fixture.ask();
    await failed(fixture, poor);
    fixture.all[1]!.attempt.answer(poor);
    await settled();
    assertEquals([fixture.asked, fate.outcome.split(" ")[2]], [[2, 1, 0], "a"]);
  });
}

Deno.test("NXDOMAIN is never retried, neither from the first upstream nor from the second", async () => {
  const fixture = new Fixture(3);
  const [one, other] = [fixture.ask(), fixture.ask()];
  const { all: [a, b] } = fixture;
  a!.attempts[0]!.answer(NXDOMAIN);
  a!.attempts[1]!.answer(SERVFAIL);
  await settled();
  a!.attempt.answer(SERVFAIL);
  await settled();
  b!.attempt.answer(NXDOMAIN);
  await settled();
  assertEquals([fixture.asked, one.outcome, other.outcome], [[3, 1, 0], "3 from a", "3 from b"]);
});

for (const code of [6, 7, 8, 9, 10, 11, 12]) {
  Deno.test(`SERVFAIL with EDE ${code} for failed validation is not retried (8914 §4.7 to §4.13)`, async () => {
    const fixture = new Fixture(3);
    const fate = fixture.ask();
    fixture.all[0]!.attempt.answer(extendedError(code));
    await settled();
    assertEquals([fixture.asked, fate.outcome], [[1, 0, 0], "2 from a"]);
  });
}

for (const code of [0, 3, 5, 13, 14, 22, 23]) {
  Deno.test(`SERVFAIL with EDE ${code} is retried`, async () => {
    const fixture = new Fixture(2);
    fixture.ask();
    await failed(fixture, extendedError(code));
    assertEquals(fixture.asked, [2, 1]);
  });
}

Deno.test("SERVFAIL or REFUSED counts if all other upstreams fail", async () => {
  const fixture = new Fixture(3);
  const fate = fixture.ask();
  await failed(fixture, REFUSED);
  for (const each of fixture.all.slice(1)) {
    each.attempt.fail();
    await settled();
  }
  assertEquals([fixture.asked, fate.outcome], [[2, 1, 1], "5 from a"]);
});

Deno.test("after a failure the next upstream gets the query, each once, and the last failure counts", async () => {
  const fixture = new Fixture(3);
  const fate = fixture.ask();
  for (const [i, failure] of (["refused", "closed", "silent"] as const).entries()) {
    assertEquals(fate.outcome, "waiting");
    fixture.all[i]!.attempt.fail(failure);
    await settled();
  }
  assertEquals([fixture.asked, fate.outcome], [[1, 1, 1], "silent at c"]);
});

Deno.test("no upstream gets the query after the deadline", async () => {
  const fixture = new Fixture(3);
  const fate = fixture.ask();
  fixture.now = 4_000;
  fixture.all[0]!.attempt.fail("timed out");
  await settled();
  assertEquals([fixture.asked, fate.outcome], [[1, 0, 0], "timed out at a"]);
});

Deno.test("an exception other than UpstreamError is passed on at once", async () => {
  const fixture = new Fixture(3);
  const fate = fixture.ask();
  fixture.all[0]!.attempt.failWith(new RangeError("a defect"));
  await settled();
  assertEquals([fixture.asked, fate.outcome], [[1, 0, 0], "RangeError: a defect"]);
});

Deno.test("retries after a failure cost no budget", async () => {
  const fixture = new Fixture(2);
  for (let i = 0; i < 1_000; i++) {
    fixture.ask();
    fixture.all[0]!.attempt.fail();
  }
  await settled();
  assertEquals(fixture.asked, [1_000, 1_000]);
});

Deno.test("an unusable upstream gets no hedge, but is tried after all others have failed", async () => {
  const fixture = new Fixture(2);
  fixture.all[1]!.usable = false;
  const fate = fixture.ask();
  fixture.all[0]!.attempt.trigger!.onSlow(WITHOUT_BUDGET);
  assertEquals(fixture.asked, [1, 0]);
  fixture.all[0]!.attempt.fail();
  await settled();
  fixture.all[1]!.attempt.answer();
  await settled();
  assertEquals([fixture.asked, fate.outcome], [[1, 1], "0 from b"]);
});

Deno.test("race: two upstreams get the query at once without budget, and the first good response wins", async () => {
  const fixture = new Fixture(3, "race");
  for (let i = 0; i < 1_000; i++) fixture.ask();
  assertEquals(fixture.asked, [1_000, 1_000, 0]);
  const fate = fixture.ask();
  await failed(fixture, SERVFAIL);
  assertEquals([fixture.asked[2], fate.outcome], [0, "waiting"]);
  fixture.all[1]!.attempt.answer();
  await settled();
  assertEquals(fate.outcome, "0 from b");
});

Deno.test("a single upstream gets no hedge trigger, whatever the selection policy", async () => {
  for (const name of ["fastest", "race"] as const) {
    const fixture = new Fixture(1, name);
    const fate = fixture.ask();
    assertEquals([fixture.asked, fixture.all[0]!.attempt.trigger], [[1], undefined]);
    fixture.all[0]!.attempt.answer(SERVFAIL);
    await settled();
    assertEquals(fate.outcome, "2 from a");
  }
});
