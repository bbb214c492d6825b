/** How connections begin and end. */
import { UpstreamError } from "../../../lib/core/errors.ts";
import type { Channel, DialOptions } from "../../../lib/upstream/connection/channel.ts";
import { Connection } from "../../../lib/upstream/connection/connection.ts";
import { assertEquals } from "../../support/assert.ts";
import { FakeChannel } from "../../support/fakes/channel.ts";
import { FakeTime, settled } from "../../support/fakes/time.ts";
import { frame } from "../../support/packets/frames.ts";
import { read, response } from "../../support/packets/packets.ts";
import { ask, connected, options } from "./connecting.ts";

/** A test with a connection whose dial is settled by the test. */
function connecting(
  name: string,
  body: (
    connection: Connection,
    dial: PromiseWithResolvers<Channel> & { options: DialOptions },
    time: FakeTime,
  ) => Promise<void>,
): void {
  Deno.test(name, async () => {
    using time = new FakeTime();
    const result = Promise.withResolvers<Channel>();
    let given: DialOptions | undefined;
    using connection = new Connection((options) => {
      given = options;
      return result.promise;
    }, options(time));
    await body(connection, { ...result, options: given! }, time);
  });
}

connecting("Connection sends waiting queries together when the dial succeeds", async (connection, dial) => {
  const outcomes = ask(connection, 100);
  await settled();
  assertEquals([connection.state, connection.inFlight], ["connecting", 100]);
  const channel = new FakeChannel();
  dial.resolve(channel);
  await settled();
  assertEquals([connection.state, channel.writes.length, channel.queries.length], ["open", 1, 100]);
  channel.answer(channel.queries);
  await settled();
  assertEquals(outcomes.filter((outcome) => outcome.startsWith("name")).length, 100);
});

connecting(
  "Connection rejects a query at its deadline during the dial with the phase, and never sends it",
  async (connection, dial, time) => {
    const outcomes = ask(connection, 1, time.now() + 500);
    dial.options.onPhase("TLS");
    await time.pass(600);
    assertEquals([outcomes, connection.state], [["TLS: timed out, not sent"], "connecting"]);
    const channel = new FakeChannel();
    dial.resolve(channel);
    await settled();
    assertEquals([connection.state, channel.queries], ["open", []]);
  },
);

connecting(
  "Connection rejects all waiting queries when the dial fails, with its error",
  async (connection, dial) => {
    const outcomes = ask(connection, 2);
    dial.reject(new UpstreamError("wrong name", { upstream: "server", phase: "authentication" }));
    await settled();
    assertEquals([outcomes, connection.state], [Array(2).fill("authentication: wrong name"), "closed"]);
  },
);

connecting(
  "dispose aborts the dial, and closes a channel that opens nevertheless",
  async (connection, dial, time) => {
    const outcomes = ask(connection, 1);
    connection[Symbol.dispose]();
    assertEquals(dial.options.signal.aborted, true);
    const channel = new FakeChannel();
    dial.resolve(channel);
    await settled();
    assertEquals([outcomes, channel.closed, time.waiting], [["read: closed"], true, 0]);
  },
);

connected(
  "Connection rejects unanswered queries when the server closes it (7766-6)",
  async ({ connection, channel, time }) => {
    const outcomes = ask(connection, 3);
    await settled();
    channel.answer([channel.queries[1]!]);
    channel.end();
    await settled();
    assertEquals(outcomes, ["read: closed", "name1.test.", "read: closed"]);
    assertEquals([connection.state, channel.closed, time.waiting], ["closed", true, 0]);
  },
);

connected("Connection rejects unanswered queries when it breaks", async ({ connection, channel }) => {
  const outcomes = ask(connection, 2);
  await settled();
  channel.fail(new Deno.errors.ConnectionReset("reset"));
  await settled();
  assertEquals([outcomes, channel.closed], [["read: closed", "read: closed"], true]);
});

connected("Connection delivers the answers before a failed write", async ({ connection, channel }) => {
  const outcomes = ask(connection, 1);
  await settled();
  channel.writeError = new Deno.errors.BrokenPipe("broken pipe");
  const others = ask(connection, 1);
  await settled();
  channel.answer(channel.queries);
  channel.end();
  await settled();
  assertEquals([outcomes, others], [["name0.test."], ["read: closed"]]);
});

/** The names that were asked for, "." for the root. */
function asked({ queries }: FakeChannel): string[] {
  return queries.map((query) => read(query).question!.name);
}

for (const [what, answers] of [["without", false], ["with", true]] as const) {
  const doubts: Connection[] = [];
  connected(
    `a stalled connection is probed, and ${answers ? "not " : ""}doubted ${what} an answer to that`,
    async ({ connection, channel, time }) => {
      const outcomes = ask(connection, 1, time.now() + 4_000);
      await time.pass(700);
      assertEquals([asked(channel), connection.state], [["name0.test"], "open"]);
      ask(connection, 1, time.now() + 4_000);
      await time.pass(100);
      assertEquals(asked(channel), ["name0.test", "name0.test", "."]);
      if (answers) channel.answer(channel.queries.slice(2));
      await time.pass(600);
      assertEquals([doubts.length, connection.isDoubted], answers ? [0, false] : [1, true]);
      assertEquals([outcomes, channel.closed], [["waiting"], false]);
    },
    { onDoubt: (connection) => doubts.push(connection) },
  );
}

connected(
  "Connection is not doubted after any answer, also a late one",
  async ({ connection, channel, time }) => {
    ask(connection, 1, time.now() + 1_000);
    await time.pass(2_000);
    assertEquals([connection.isDoubted, connection.isStalled], [true, true]);
    channel.answer([channel.queries[0]!]);
    await settled();
    assertEquals([connection.isDoubted, connection.isStalled, connection.answered], [false, false, 0]);
  },
);

connected(
  "Connection reports the latency of a late answer",
  async ({ channel, connection, time }) => {
    ask(connection, 1, time.now() + 1_000);
    await time.pass(1_500);
    channel.answer([channel.queries[0]!]);
    await settled();
    assertEquals(latencies, [1_500]);
  },
  { onAnswer: (latency) => latencies.push(latency) },
);
const latencies: number[] = [];

connected(
  "Connection drains when a probe is unanswered at its deadline",
  async ({ connection, channel, time }) => {
    const outcomes = ask(connection, 1);
    await time.pass(9_000);
    assertEquals([connection.state, outcomes, channel.closed], ["draining", ["waiting"], false]);
    channel.answer([channel.queries[0]!]);
    await settled();
    assertEquals([connection.state, outcomes, channel.closed], ["closed", ["name0.test."], true]);
    assertEquals((await connection.closed).error?.failure, "silent");
  },
);

connected(
  "Connection on trial holds queries back until the probe is answered",
  async ({ connection, channel, time }) => {
    const outcomes = ask(connection, 2);
    await time.pass(100);
    assertEquals([asked(channel), connection.state], [["."], "on trial"]);
    channel.answer(channel.queries);
    await settled();
    assertEquals([asked(channel), connection.state], [[".", "name0.test", "name1.test"], "open"]);
    channel.answer(channel.queries.slice(1));
    await settled();
    assertEquals(outcomes, ["name0.test.", "name1.test."]);
  },
  { onTrial: true },
);

connected(
  "Connection on trial sends its queries after 250 ms without an answer to the probe",
  async ({ connection, channel, time }) => {
    const outcomes = ask(connection, 1);
    await time.pass(300);
    assertEquals(asked(channel), [".", "name0.test"]);
    channel.answer(channel.queries.slice(1));
    await settled();
    assertEquals([outcomes, connection.state], [["name0.test."], "open"]);
  },
  { onTrial: true },
);

connected(
  "Connection sends each query after the answer to the one before when maxConcurrent is 1",
  async ({ connection, channel }) => {
    const outcomes = ask(connection, 3);
    for (const name of ["name0.test", "name1.test", "name2.test"]) {
      await settled();
      assertEquals(asked(channel).at(-1), name);
      channel.answer([channel.queries.at(-1)!]);
    }
    await settled();
    assertEquals(outcomes, ["name0.test.", "name1.test.", "name2.test."]);
  },
  { maxConcurrent: 1 },
);

/** Frames that are no messages: one shorter than a header, one with wrong record counts. */
const UNREADABLE = { "short frames": new Uint8Array(3), garbage: new Uint8Array(40).fill(0xfe) };

for (const [what, bytes] of Object.entries(UNREADABLE)) {
  connected(`${what}: as many of them as queries that wait fail those, and no fewer`, async (fixture) => {
    const { connection, channel } = fixture;
    const useful = ask(connection, 1);
    await settled();
    channel.answer(channel.queries);
    await settled();
    const outcomes = ask(connection, 2);
    await settled();
    channel.say(frame(bytes));
    await settled();
    assertEquals([useful, outcomes, connection.state], [["name0.test."], ["waiting", "waiting"], "open"]);
    channel.answer([channel.queries[2]!]);
    channel.say(frame(bytes));
    await settled();
    assertEquals([outcomes, connection.state], [["read: malformed", "name1.test."], "open"]);
  });
}

connected(
  "Connection stays open after a bad answer if it had a useful one",
  async ({ connection, channel }) => {
    const outcomes = ask(connection, 3);
    await settled();
    channel.answer([channel.queries[0]!]);
    channel.answer([channel.queries[1]!], { question: { name: "other.test", type: "A" } });
    await settled();
    assertEquals([outcomes, connection.state], [["name0.test.", "read: wrong answer", "waiting"], "open"]);
  },
);

connected(
  "Connection is probed after eight bad answers in a row, and drains after 32",
  async ({ connection, channel }) => {
    ask(connection, 1);
    await settled();
    channel.answer(channel.queries);
    await settled();
    for (let count = 1; count <= 32; count++) {
      ask(connection, 1);
      await settled();
      const query = channel.queries.findLast((query) => read(query).question!.name !== ".")!;
      channel.answer([query], { question: { name: "other.test", type: "A" } });
      await settled();
      assertEquals(asked(channel).filter((name) => name === ".").length, count < 8 ? 0 : 1, `${count}`);
      assertEquals(connection.state, count < 32 ? "open" : "closed", `${count}`);
    }
  },
);

connected(
  "Connection closes after a flood of unsolicited messages, but not after repeated answers",
  async ({ connection, channel }) => {
    for (let i = 0; i < 300; i++) {
      ask(connection, 1);
      await settled();
      channel.answer([channel.queries.at(-1)!, channel.queries.at(-1)!]);
      await settled();
    }
    assertEquals([connection.state, connection.answered], ["open", 300]);
    const outcomes = ask(connection, 1);
    await settled();
    const unknown = response(channel.queries.at(-1)!, { id: 1 ^ read(channel.queries.at(-1)!).id });
    channel.say(frame(...Array<Uint8Array>(101).fill(unknown)));
    await settled();
    assertEquals([connection.state, channel.closed, outcomes], ["closed", true, ["read: unsolicited"]]);
  },
);

connected(
  "Connection stays open when one query is unanswered and others are answered",
  async ({ connection, channel, time }) => {
    const outcomes = ask(connection, 1);
    for (let passed = 0; passed < 10_000; passed += 500) {
      ask(connection, 1);
      await time.pass(500);
      channel.answer([channel.queries.at(-1)!]);
    }
    await settled();
    assertEquals([outcomes, connection.state], [["waiting"], "open"]);
  },
);

connected(
  "Connection rejects queries beyond maxQueries as not sent",
  async ({ connection, channel }) => {
    const outcomes = ask(connection, 4);
    await settled();
    assertEquals(channel.queries.length, 3);
    channel.answer(channel.queries);
    await settled();
    assertEquals(outcomes, ["name0.test.", "name1.test.", "name2.test.", "read: closed, not sent"]);
    assertEquals([connection.state, channel.closed], ["closed", true]);
  },
  { maxQueries: 3 },
);

connected(
  "drain takes no more queries, waits for the answers, then closes",
  async ({ connection, channel, time }) => {
    const outcomes = ask(connection, 2);
    await settled();
    connection.drain();
    connection.drain();
    const late = ask(connection, 1);
    await settled();
    assertEquals([connection.state, late], ["draining", ["read: closed, not sent"]]);
    channel.answer(channel.queries);
    await settled();
    assertEquals(outcomes, ["name0.test.", "name1.test."]);
    assertEquals([connection.state, channel.closed, time.waiting], ["closed", true, 0]);
  },
);

connected("drain closes at the deadlines of unanswered queries", async ({ connection, channel, time }) => {
  const outcomes = ask(connection, 1, time.now() + 1_000);
  await settled();
  connection.drain();
  await time.pass(1_100);
  assertEquals([outcomes, connection.state, channel.closed], [["read: timed out"], "closed", true]);
});

connected(
  "Connection closes after too many abandoned queries, also if the last ones are abandoned, too",
  async ({ connection, channel, time }) => {
    ask(connection, 5_000, time.now() + 500);
    ask(connection, 1, time.now() + 1_000);
    await time.pass(1_200);
    assertEquals([connection.inFlight, connection.state, channel.closed], [0, "closed", true]);
  },
);

connected(
  "dispose rejects all queries at once, and may be repeated",
  async ({ connection, channel, time }) => {
    const outcomes = ask(connection, 2);
    await settled();
    connection[Symbol.dispose]();
    connection[Symbol.dispose]();
    await settled();
    assertEquals([outcomes, connection.inFlight], [["read: closed", "read: closed"], 0]);
    assertEquals([connection.state, channel.closed, time.waiting], ["closed", true, 0]);
  },
);
