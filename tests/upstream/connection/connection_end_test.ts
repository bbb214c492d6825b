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

/** A test with a connection whose dial ends when the test says so. */
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

connecting("queries wait for the dial and then leave together", async (connection, dial) => {
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
  "a query that waits too long for the dial says for what, and is never sent",
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

connecting("a failed dial fails all that wait for it, with its reason", async (connection, dial) => {
  const outcomes = ask(connection, 2);
  dial.reject(new UpstreamError("wrong name", { upstream: "server", phase: "authentication" }));
  await settled();
  assertEquals([outcomes, connection.state], [Array(2).fill("authentication: wrong name"), "closed"]);
});

connecting(
  "dispose aborts the dial, and closes what it brings all the same",
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
  "a close by the server fails what it has not answered (7766-6)",
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

connected("a broken connection fails what it has not answered", async ({ connection, channel }) => {
  const outcomes = ask(connection, 2);
  await settled();
  channel.fail(new Deno.errors.ConnectionReset("reset"));
  await settled();
  assertEquals([outcomes, channel.closed], [["read: closed", "read: closed"], true]);
});

connected("answers that came before a write failed are not lost", async ({ connection, channel }) => {
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
  "any answer lifts the doubt, one that comes too late for its query, too",
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
  "a late answer counts as latency",
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
  "a probe that has no answer until its time is over drains the connection",
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
  "a connection on trial keeps queries back until it has answered a probe",
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
  "a connection on trial sends its queries all the same where the server does not answer the probe",
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
  "a window of one: each query is sent when the one before is answered",
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

/** Frames that are no messages: one shorter than a header, one that promises what is not there. */
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
  "a bad answer costs a connection its use only if it has had none",
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
  "bad answers in a row: a connection is probed after eight, and drained after 32",
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
  "a flood of messages that answer no query costs an upstream its connection, answers given twice do not",
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
  "a server that leaves one query unanswered but answers others is not silent",
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
  "a budget is kept to; what is beyond it goes elsewhere, unsent",
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
  "drain finishes what was sent, takes nothing more, and closes",
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

connected("a draining connection does not wait for ever", async ({ connection, channel, time }) => {
  const outcomes = ask(connection, 1, time.now() + 1_000);
  await settled();
  connection.drain();
  await time.pass(1_100);
  assertEquals([outcomes, connection.state, channel.closed], [["read: timed out"], "closed", true]);
});

connected(
  "a connection worn out by queries given up is closed, though its last ones are given up, too",
  async ({ connection, channel, time }) => {
    ask(connection, 5_000, time.now() + 500);
    ask(connection, 1, time.now() + 1_000);
    await time.pass(1_200);
    assertEquals([connection.inFlight, connection.state, channel.closed], [0, "closed", true]);
  },
);

connected("dispose fails everything at once, and may be repeated", async ({ connection, channel, time }) => {
  const outcomes = ask(connection, 2);
  await settled();
  connection[Symbol.dispose]();
  connection[Symbol.dispose]();
  await settled();
  assertEquals([outcomes, connection.inFlight], [["read: closed", "read: closed"], 0]);
  assertEquals([connection.state, channel.closed, time.waiting], ["closed", true, 0]);
});
