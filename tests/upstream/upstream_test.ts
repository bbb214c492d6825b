import type { Event } from "../../lib/observe/event.ts";
import { type Failure, UpstreamError } from "../../lib/errors.ts";
import type { Trace } from "../../lib/resolver/resolver.ts";
import { Upstream } from "../../lib/upstream/upstream.ts";
import { assert, assertEquals } from "../support/assert.ts";
import { FakeChannel } from "../support/fake_channel.ts";
import { FakeTime, settled } from "../support/fake_time.ts";
import { keepAlive } from "../support/packets.ts";
import { message } from "./connecting.ts";

/** An upstream whose channels are the test's; while `refusing`, it cannot be reached. */
class Fixture implements Disposable {
  readonly time = new FakeTime();
  readonly channels: FakeChannel[] = [];
  readonly events: Event[] = [];
  dials = 0;
  refusing = false;
  failure: Failure = "refused";
  readonly upstream = new Upstream({
    label: "server",
    weight: 1,
    maxInFlight: 4096,
    idleTimeout: 30_000,
    silence: 2_000,
    now: this.time.now,
    observe: (event) => this.events.push(event),
    dial: () => {
      this.dials++;
      if (this.refusing) {
        return Promise.reject(new UpstreamError(this.failure, { upstream: "server", phase: "connect" }));
      }
      this.channels.push(new FakeChannel());
      return Promise.resolve(this.channels.at(-1)!);
    },
  });

  get channel(): FakeChannel {
    return this.channels.at(-1)!;
  }

  get states(): string[] {
    return this.events.flatMap((event) => event.kind === "upstream" ? [event.state] : []);
  }

  /** What becomes of `count` queries. */
  async ask(count: number, time = 4_000): Promise<string[]> {
    const outcomes = Array<string>(count).fill("waiting");
    const client = { transport: "udp", address: "127.0.0.1", port: 1 } as const;
    for (let index = 0; index < count; index++) {
      const trace: Trace = { source: "upstream", upstream: undefined, attempts: 0 };
      const query = {
        trace,
        message: message(`name${index}.test`),
        client,
        deadline: this.time.now() + time,
      };
      this.upstream.resolve(query).then(
        (answer) => outcomes[index] = answer.name,
        (error) => outcomes[index] = `${error.phase}: ${error.failure}`,
      );
    }
    await settled();
    return outcomes;
  }

  [Symbol.dispose](): void {
    this.upstream[Symbol.dispose]();
    this.time[Symbol.dispose]();
  }
}

Deno.test("nothing is dialled until something is asked, and then once for all (7766-4)", async () => {
  using fixture = new Fixture();
  await fixture.time.pass(1_000);
  assertEquals(fixture.dials, 0);
  await fixture.ask(500);
  await fixture.ask(500);
  assertEquals([fixture.dials, fixture.channel.queries.length], [1, 1_000]);
});

Deno.test("a query is sent on three connections at most, and then fails (9520-1)", async () => {
  using fixture = new Fixture();
  const outcomes = await fixture.ask(3);
  for (const attempt of [1, 2, 3]) {
    assertEquals([fixture.dials, fixture.channel.queries.length, outcomes], [
      attempt,
      3,
      Array(3).fill("waiting"),
    ]);
    fixture.channel.end();
    await settled();
  }
  assertEquals([fixture.dials, outcomes], [3, Array(3).fill("read: closed")]);
});

Deno.test("a query is sent again unchanged but for its ID", async () => {
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

Deno.test("a server that cuts connections off after the same number of answers twice is not given more than that", async () => {
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

Deno.test("queries beyond the number that a server takes go to another connection at once, up to four in all", async () => {
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

Deno.test("queries that wait for a connection when the network changes are asked over the next one", async () => {
  using fixture = new Fixture();
  const asking = fixture.ask(2);
  fixture.upstream.reset(); // before the first is open
  const outcomes = await asking;
  await settled();
  fixture.channel.answer(fixture.channel.queries);
  await settled();
  assertEquals([outcomes, fixture.dials], [["name0.test.", "name1.test."], 2]);
});

Deno.test("a query is not sent again after its deadline", async () => {
  using fixture = new Fixture();
  const outcomes = await fixture.ask(1, 500);
  await fixture.time.pass(600);
  assertEquals([outcomes, fixture.channels.flatMap(({ queries }) => queries).length], [
    ["read: timed out"],
    1,
  ]);
});

Deno.test("an upstream that cannot be reached is dialled seldom, by a query and never without", async () => {
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
  assertEquals([fixture.dials, fixture.states], [before + 1, ["down", "up"]]);
});

Deno.test("a server that closes every connection without an answer counts as away, told once", async () => {
  using fixture = new Fixture();
  for (const _ of [1, 2, 3, 4, 5, 6]) {
    await fixture.ask(1);
    for (const channel of fixture.channels) channel.end();
    await settled();
  }
  assertEquals(fixture.states, ["up", "down"]);
});

/** As many queries as make a connection want company. */
const SATURATED = 2_000;

for (const failure of ["refused", "pin mismatch"] as const) {
  Deno.test(`a saturated connection that cannot get company (${failure}) takes what comes, and answers (7766-4)`, async () => {
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

Deno.test("company that cannot be had is asked for once a second, and the upstream is there all the while", async () => {
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

Deno.test("company that cannot be had while the connection says nothing tells that the upstream is away", async () => {
  using fixture = new Fixture();
  await fixture.ask(SATURATED, 60_000);
  await fixture.time.pass(1_500);
  assertEquals(fixture.upstream.usable, false);
  fixture.refusing = true;
  await fixture.ask(1, 60_000);
  assertEquals([fixture.dials, fixture.states], [2, ["up", "down"]]);
});

Deno.test("a reason not to connect, met when a connection has been idle, is nobody's exception: it is closed", async () => {
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

Deno.test("dispose fails what is in flight, and nothing is dialled after it", async () => {
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
    assertEquals([outcomes, fixture.channels.length, fixture.channel.queries.length], [[outcome], 1, 1]);
  });
}
