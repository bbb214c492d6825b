import { assert, assertEquals } from "../support/assert.ts";
import { settled } from "../support/fakes/time.ts";
import { keepAlive } from "../support/packets/packets.ts";
import { Fixture } from "./fixture.ts";

Deno.test("Upstream dials at the first query, and once for all queries (7766-4)", async () => {
  using fixture = new Fixture();
  await fixture.time.pass(1_000);
  assertEquals(fixture.dials, 0);
  await fixture.ask(500);
  await fixture.ask(500);
  assertEquals([fixture.dials, fixture.channel.queries.length], [1, 1_000]);
});

Deno.test("Upstream sends a query three times at most, then fails it (9520-1)", async () => {
  using fixture = new Fixture();
  const outcomes = await fixture.ask(1);
  for (const attempt of [1, 2, 3]) {
    assertEquals([fixture.sent("name0.test"), outcomes], [attempt, ["waiting"]]);
    fixture.channel.end();
    await settled();
  }
  assertEquals([fixture.sent("name0.test"), outcomes], [3, ["read: closed"]]);
});

Deno.test("Upstream changes only the ID of a query that it sends again", async () => {
  using fixture = new Fixture();
  const outcomes = await fixture.ask(1);
  fixture.channel.end();
  await settled();
  const [first, second] = fixture.channels.map(({ queries }) => queries[0]!.subarray(2));
  assertEquals(first, second);
  fixture.channel.answer(fixture.channel.queries);
  await settled();
  assertEquals(outcomes, ["name0.test."]);
});

Deno.test("Upstream limits the queries per connection when a server twice closes after the same number of answers", async () => {
  using fixture = new Fixture();
  const outcomes = await fixture.ask(20);
  for (const cut of [true, true, false, false]) {
    const { channel } = fixture;
    channel.answer(channel.queries.slice(0, 5));
    await settled();
    // From the third on the proxy closes, and has done so already.
    if (cut) channel.end();
    assertEquals(channel.closed, !cut);
    await settled();
  }
  assertEquals(fixture.channels.slice(0, 4).map(({ queries }) => queries.length), [20, 15, 5, 5]);
  assertEquals(outcomes.filter((outcome) => outcome.startsWith("name")).length, 20);
});

Deno.test("Upstream opens up to four connections when a server limits the queries per connection", async () => {
  using fixture = new Fixture();
  const learning = await fixture.ask(20);
  while (learning.includes("waiting")) {
    const { channel } = fixture;
    channel.answer(channel.queries.slice(0, 2));
    await settled();
    channel.end();
    await settled();
  }
  const before = fixture.channels.length;
  for (let i = 0; i < 6; i++) await fixture.ask(2);
  const since = fixture.channels.slice(before);
  assertEquals(since.map(({ queries }) => queries.length), [2, 2, 2, 2]);
});

Deno.test("Upstream sends queries over the next connection when the network changes while they wait", async () => {
  using fixture = new Fixture();
  const asking = fixture.ask(2);
  fixture.upstream.reset(); // before the first is open
  const outcomes = await asking;
  await settled();
  fixture.channel.answer(fixture.channel.queries);
  await settled();
  assertEquals([outcomes, fixture.dials], [["name0.test.", "name1.test."], 2]);
});

Deno.test("Upstream does not send a query again after its deadline", async () => {
  using fixture = new Fixture();
  const outcomes = await fixture.ask(1, 500);
  await fixture.time.pass(600);
  assertEquals([outcomes, fixture.sent("name0.test")], [["read: timed out"], 1]);
});

Deno.test("Upstream dials seldom while the server is unreachable, and only for a query", async () => {
  using fixture = new Fixture();
  fixture.refusing = true;
  const dials: number[] = [];
  for (const seconds of [1, 10, 100, 300]) {
    const before = fixture.dials;
    for (let passed = 0; passed < seconds * 1_000; passed += 100) {
      assertEquals(await fixture.ask(1), ["connect: refused"]);
      await fixture.time.pass(100);
    }
    dials.push(fixture.dials - before);
  }
  assertEquals(fixture.states, ["down"]);
  const [first, ...later] = dials as [number, number, number, number];
  assert(first >= 4 && first <= 15, `${dials}`);
  // With no other upstream to ask, it is tried once a second however long it has been away.
  for (const [index, seconds] of [10, 100, 300].entries()) assert(later[index]! <= seconds + 10, `${dials}`);
  const before = fixture.dials;
  await fixture.time.pass(300_000);
  assertEquals(fixture.dials, before);
  fixture.refusing = false;
  await fixture.ask(1);
  fixture.channel.answer(fixture.channel.queries);
  await settled();
  assertEquals([fixture.dials, fixture.states], [before + 1, ["down", "up"]]);
});

Deno.test("Upstream is down, reported once, when the server closes each connection without an answer", async () => {
  using fixture = new Fixture();
  for (const _ of [1, 2, 3, 4, 5, 6]) {
    await fixture.ask(1);
    for (const channel of fixture.channels) channel.end();
    await settled();
  }
  assertEquals(fixture.states, ["down"]);
});

/** As many queries as make a connection want company. */
const SATURATED = 2_000;

for (const failure of ["refused", "pin mismatch"] as const) {
  Deno.test(`Upstream keeps using a saturated connection when a second one fails: ${failure} (7766-4)`, async () => {
    using fixture = new Fixture();
    const outcomes = [await fixture.ask(SATURATED)];
    Object.assign(fixture, { refusing: true, failure });
    for (let i = 0; i < 3; i++) {
      outcomes.push(await fixture.ask(10));
      await fixture.time.pass(10);
    }
    assertEquals([fixture.dials, fixture.channels.length], [2, 1]);
    fixture.channel.answer(fixture.channel.queries);
    await settled();
    assertEquals(outcomes.flat().filter((outcome) => !outcome.startsWith("name")), []);
  });
}

Deno.test("Upstream stays up and dials once a second when an additional connection cannot be opened", async () => {
  using fixture = new Fixture();
  await fixture.ask(SATURATED, 60_000);
  fixture.refusing = true;
  for (let i = 0; i < 50; i++) {
    await fixture.ask(1, 60_000);
    assertEquals(fixture.upstream.usable, true);
    fixture.channel.answer(fixture.channel.queries.slice(i, i + 1)); // it answers, if slowly
    await fixture.time.pass(100);
  }
  assertEquals([fixture.dials, fixture.states], [1 + 5, ["up"]]);
  fixture.refusing = false;
  await fixture.time.pass(100);
  await fixture.ask(1, 60_000);
  assertEquals([fixture.dials, fixture.channels.length], [1 + 6, 2]);
});

Deno.test("Upstream is down when its connection is stalled and an additional one cannot be opened", async () => {
  using fixture = new Fixture();
  await fixture.ask(SATURATED, 60_000);
  fixture.refusing = true;
  await fixture.time.pass(1_500);
  assertEquals(fixture.upstream.usable, false);
  assertEquals([fixture.dials, fixture.states], [2, ["down"]]);
});

Deno.test("Upstream closes an idle connection when its successor cannot be opened, without an exception", async () => {
  using fixture = new Fixture();
  await fixture.ask(SATURATED);
  Object.assign(fixture, { refusing: true, failure: "pin mismatch" });
  await fixture.ask(1);
  assertEquals(fixture.dials, 2);
  // Idle for less than a second from now on, and asked often enough to be renewed.
  fixture.channel.answer(fixture.channel.queries, { edns: { options: [keepAlive(10)] } });
  await fixture.time.pass(1_000);
  assertEquals([fixture.channel.closed, fixture.dials], [true, 2]);
});

Deno.test("dispose fails the queries in flight, and no query dials afterwards", async () => {
  using fixture = new Fixture();
  const outcomes = await fixture.ask(5);
  fixture.upstream[Symbol.dispose]();
  await settled();
  assertEquals([outcomes.map((outcome) => outcome.split(": ")[1]), fixture.dials], [
    Array(5).fill("closed"),
    1,
  ]);
  assertEquals(fixture.channels.map(({ closed }) => closed), [true]);
});

for (
  const [what, fields, outcome] of [
    ["BADVERS", { rcode: 16, edns: {} }, "read: no EDNS"],
    ["FORMERR without EDNS", { rcode: 1, edns: false }, "read: no EDNS"],
    ["FORMERR without EDNS and question", { rcode: 1, edns: false, question: false }, "read: no EDNS"],
    ["FORMERR with EDNS, which is about the question,", { rcode: 1, edns: {} }, "name0.test."],
    ["an answer without EDNS", { edns: false }, "name0.test."],
    ["NOTIMP without EDNS", { rcode: 4, edns: false }, "name0.test."],
  ] as const
) {
  const is = outcome === "read: no EDNS" ? "a failure of the upstream, and no answer" : "an answer";
  Deno.test(`${what} is ${is} (6891-4)`, async () => {
    using fixture = new Fixture();
    const outcomes = await fixture.ask(1);
    fixture.channel.answer(fixture.channel.queries, fields);
    await settled();
    assertEquals([outcomes, fixture.sent("name0.test")], [[outcome], 1]);
  });
}
