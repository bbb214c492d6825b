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
  "Connection matches answers in any order (7858-5)",
  async ({ connection, channel }) => {
    const outcomes = ask(connection, 5);
    await settled();
    channel.answer(channel.queries.toReversed());
    await settled();
    assertEquals(outcomes, NAMES);
    assertEquals([connection.inFlight, connection.answered, connection.state], [0, 5, "open"]);
  },
);

connected(
  "Connection sends the queries of one turn in one write (7766-8)",
  async ({ connection, channel }) => {
    ask(connection, 100);
    await settled();
    assertEquals([channel.writes.length, channel.queries.length], [1, 100]);
  },
);

connected(
  "Connection sends the queries that arrive during a write in the next one",
  async ({ connection, channel }) => {
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
  },
);

connected(
  "Connection writes everything in order when the channel accepts few bytes at a time",
  async ({ connection, channel }) => {
    channel.capacity = 7;
    ask(connection, 5);
    await settled();
    assertEquals(channel.queries.map((query) => `${read(query).question!.name}.`), NAMES);
  },
);

Deno.test("Connection completes a query also when onAnswer throws", async () => {
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

connected(
  "Connection joins an answer that arrives byte by byte (7858-4)",
  async ({ connection, channel }) => {
    const outcomes = ask(connection, 5);
    await settled();
    for (const byte of frame(...channel.queries.map((query) => response(query)))) {
      channel.say(Uint8Array.of(byte));
      await settled();
    }
    assertEquals(outcomes, NAMES);
  },
);

connected(
  "Connection gives 60,000 queries different IDs, none of abandoned queries (7766-2)",
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
  "Connection ignores case when it compares questions",
  async ({ connection, channel }) => {
    const outcomes = ask(connection, 1);
    await settled();
    channel.answer(channel.queries, { question: { name: "NAME0.test", type: "A" } });
    await settled();
    assertEquals(outcomes, ["NAME0.test."]);
  },
);

connected("Connection accepts a REFUSED response without a question", async ({ connection, channel }) => {
  ask(connection, 1);
  await settled();
  channel.answer(channel.queries, { question: false, rcode: 5 });
  await settled();
  assertEquals(connection.answered, 1);
});

connected(
  "Connection ignores answers without a query and repeated answers (7766-7)",
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

connected(
  "Connection rejects a query that is reflected as its own answer",
  async ({ connection, channel }) => {
    const outcomes = ask(connection, 1);
    await settled();
    channel.say(frame(...channel.queries));
    await settled();
    assertEquals(outcomes, ["read: wrong answer"]);
  },
);

connected(
  "Connection rejects only the query whose answer has malformed records",
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
  "Connection rejects a query at its deadline, and ignores the late answer",
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

connected("Connection sets one timer for a thousand queries", async ({ connection, channel, time }) => {
  const before = time.set;
  ask(connection, 1_000);
  await settled();
  channel.answer(channel.queries);
  await settled();
  assert(time.set - before <= 1, `${time.set - before} timers`);
});

connected(
  "Connection closes when its idle time is over (7766-5)",
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
  "Connection drains after a TIMEOUT of 0 (7828-2)",
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

connected(
  "Connection ignores a keep-alive option without a TIMEOUT (7828-2)",
  async ({ connection, channel }) => {
    ask(connection, 1);
    await settled();
    channel.answer(channel.queries, { edns: { options: [keepAlive()] } });
    await settled();
    assertEquals(connection.state, "open");
  },
);
