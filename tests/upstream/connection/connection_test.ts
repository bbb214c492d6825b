import { Connection } from "../../../lib/upstream/connection/connection.ts";
import type { Receiver } from "../../../lib/upstream/connection/channel.ts";
import { assert, assertEquals, assertThrows } from "../../support/assert.ts";
import { FakeChannel } from "../../support/fakes/channel.ts";
import { FakeTime, settled } from "../../support/fakes/time.ts";
import { frame } from "../../support/packets/frames.ts";
import { keepAlive, read, response } from "../../support/packets/packets.ts";
import { ask, connected, options } from "./connecting.ts";

const NAMES = ["name0.test.", "name1.test.", "name2.test.", "name3.test.", "name4.test."];

connected(
  "answers find their queries in whatever order they come (7858-5)",
  async ({ connection, channel }) => {
    const outcomes = ask(connection, 5);
    await settled();
    channel.answer(channel.queries.toReversed());
    await settled();
    assertEquals(outcomes, NAMES);
    assertEquals([connection.inFlight, connection.answered, connection.state], [0, 5, "open"]);
  },
);

connected("the queries of one turn leave in one write (7766-8)", async ({ connection, channel }) => {
  ask(connection, 100);
  await settled();
  assertEquals([channel.writes.length, channel.queries.length], [1, 100]);
});

connected("what comes together during a write leaves in the next one", async ({ connection, channel }) => {
  const release = channel.jam();
  ask(connection, 1);
  await settled();
  for (let i = 0; i < 50; i++) {
    ask(connection, 1);
    await settled();
  }
  release();
  await settled();
  assertEquals([channel.writes.length, channel.queries.length], [2, 51]);
});

connected(
  "a channel that takes little at a time gets all of it, in order",
  async ({ connection, channel }) => {
    channel.capacity = 7;
    ask(connection, 5);
    await settled();
    assertEquals(channel.queries.map((query) => `${read(query).question!.name}.`), NAMES);
  },
);

Deno.test("an answer reaches its query also where whoever counts it throws", async () => {
  using time = new FakeTime();
  const channel = new FakeChannel();
  let receiver: Receiver | undefined;
  channel.start = (given) => Promise.resolve(void (receiver = given));
  const onAnswer = () => {
    throw new Error("cannot count");
  };
  using connection = new Connection(() => Promise.resolve(channel), options(time, { onAnswer }));
  const outcomes = ask(connection, 1);
  await settled();
  assertThrows(() => receiver!.received(frame(response(channel.queries[0]!))), Error, "cannot count");
  assertEquals(outcomes, NAMES.slice(0, 1));
});

connected("an answer split anywhere is put together (7858-4)", async ({ connection, channel }) => {
  const outcomes = ask(connection, 5);
  await settled();
  for (const octet of frame(...channel.queries.map((query) => response(query)))) {
    channel.say(Uint8Array.of(octet));
    await settled();
  }
  assertEquals(outcomes, NAMES);
});

connected(
  "60,000 queries in flight have 60,000 IDs, none of those given up on (7766-2)",
  async ({ connection, channel, time }) => {
    const abandoned = ask(connection, 4_000, time.now() + 1);
    ask(connection, 1);
    await settled();
    channel.answer(channel.queries.slice(4_000));
    await time.pass(100);
    assertEquals(new Set(abandoned), new Set(["read: timed out"]));
    ask(connection, 60_000);
    await settled();
    const ids = channel.queries.map((query) => query[0]! << 8 | query[1]!);
    assertEquals(new Set([...ids.slice(0, 4_000), ...ids.slice(4_001)]).size, 64_000);
  },
);

connected(
  "the letters' case in an answer's question makes no difference",
  async ({ connection, channel }) => {
    const outcomes = ask(connection, 1);
    await settled();
    channel.answer(channel.queries, { question: { name: "NAME0.test", type: "A" } });
    await settled();
    assertEquals(outcomes, ["NAME0.test."]);
  },
);

connected("a refusal without its question is an answer", async ({ connection, channel }) => {
  ask(connection, 1);
  await settled();
  channel.answer(channel.queries, { question: false, rcode: 5 });
  await settled();
  assertEquals(connection.answered, 1);
});

connected(
  "answers to nothing are ignored, and so are repeated ones (7766-7)",
  async ({ connection, channel }) => {
    const outcomes = ask(connection, 1);
    await settled();
    const [query] = channel.queries;
    const unknown = response(query!, { id: (query![0]! << 8 | query![1]!) ^ 1 });
    channel.say(frame(unknown, response(query!), response(query!), unknown));
    await settled();
    assertEquals([outcomes, connection.answered, connection.state], [["name0.test."], 1, "open"]);
  },
);

connected("a query comes back to nobody as its own answer", async ({ connection, channel }) => {
  const outcomes = ask(connection, 1);
  await settled();
  channel.say(frame(...channel.queries));
  await settled();
  assertEquals(outcomes, ["read: wrong answer"]);
});

connected(
  "an answer whose records are malformed fails its own query only",
  async ({ connection, channel }) => {
    const outcomes = ask(connection, 2);
    await settled();
    const [first, second] = channel.queries.map((query) => response(query));
    channel.say(frame(first!.subarray(0, -1), second!));
    await settled();
    assertEquals(outcomes, ["read: malformed", "name1.test."]);
  },
);

connected(
  "a query is given up at its deadline; a late answer harms nothing",
  async ({ connection, channel, time }) => {
    const outcomes = ask(connection, 2, time.now() + 500);
    await time.pass(400);
    channel.answer([channel.queries[0]!]);
    await time.pass(200);
    assertEquals([outcomes, connection.inFlight], [["name0.test.", "read: timed out"], 0]);
    channel.answer([channel.queries[1]!]);
    const others = ask(connection, 1);
    await settled();
    channel.answer(channel.queries.slice(2));
    await settled();
    assertEquals([others, outcomes[1]], [["name0.test."], "read: timed out"]);
  },
);

connected("a thousand queries set no more timers than one", async ({ connection, channel, time }) => {
  const before = time.set;
  ask(connection, 1_000);
  await settled();
  channel.answer(channel.queries);
  await settled();
  assert(time.set - before <= 1, `${time.set - before} timers`);
});

connected(
  "a connection without queries is closed when its time is over (7766-5)",
  async ({ connection, channel, time }) => {
    ask(connection, 1);
    await settled();
    channel.answer(channel.queries);
    await time.pass(29_900);
    assertEquals(connection.state, "open");
    await time.pass(300);
    assertEquals([connection.state, channel.closed, time.waiting], ["closed", true, 0]);
  },
);

for (const [timeout, least, most] of [[20, 1_000, 2_000], [600, 55_000, 60_000]] as const) {
  connected(
    `TIMEOUT ${timeout} is what counts, and it is not used up (7828-2)`,
    async ({ connection, channel, time }) => {
      ask(connection, 1);
      await settled();
      channel.answer(channel.queries, { edns: { options: [keepAlive(timeout)] } });
      await time.pass(least);
      assertEquals(connection.state, "open");
      await time.pass(most - least - 1);
      assertEquals(connection.state, "closed");
    },
  );
}

connected(
  "TIMEOUT 0: no more queries, and the end after the last answer (7828-2)",
  async ({ connection, channel }) => {
    const outcomes = ask(connection, 3);
    await settled();
    channel.answer([channel.queries[0]!], { edns: { options: [keepAlive(0)] } });
    await settled();
    assertEquals([connection.state, ...ask(connection, 0)], ["draining"]);
    const late = ask(connection, 1);
    await settled();
    assertEquals(late, ["read: closed, not sent"]);
    channel.answer(channel.queries.slice(1));
    await settled();
    assertEquals([outcomes, connection.state, channel.closed], [NAMES.slice(0, 3), "closed", true]);
  },
);

connected("a keep-alive option without a TIMEOUT says nothing (7828-2)", async ({ connection, channel }) => {
  ask(connection, 1);
  await settled();
  channel.answer(channel.queries, { edns: { options: [keepAlive()] } });
  await settled();
  assertEquals(connection.state, "open");
});
