/** How connections begin and end. */
import { UpstreamError } from "../../lib/errors.ts";
import type { Channel, DialOptions } from "../../lib/upstream/channel.ts";
import { Connection } from "../../lib/upstream/connection.ts";
import { assertEquals } from "../support/assert.ts";
import { FakeChannel } from "../support/fake_channel.ts";
import { FakeTime, settled } from "../support/fake_time.ts";
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

connected(
  "silence is told by the oldest query, whatever is sent after it",
  async ({ connection, channel, time }) => {
    const outcomes = ask(connection, 1);
    for (let passed = 0; passed < 1_800; passed += 200) {
      await time.pass(200);
      ask(connection, 1);
    }
    assertEquals([outcomes, connection.state], [["waiting"], "open"]);
    await time.pass(300);
    assertEquals([outcomes, connection.state, channel.closed], [["read: silent"], "closed", true]);
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
  { budget: 3 },
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
