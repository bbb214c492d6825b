/** Connections to a server that is the test itself. */
import { Message } from "../../../lib/dns/message.ts";
import { UpstreamError } from "../../../lib/core/errors.ts";
import { Connection, type ConnectionOptions } from "../../../lib/upstream/connection/connection.ts";
import { Latency } from "../../../lib/upstream/health/latency.ts";
import type { PendingQuery } from "../../../lib/upstream/connection/pending_queries.ts";
import { assertInstanceOf } from "../../support/assert.ts";
import { FakeChannel } from "../../support/fakes/channel.ts";
import { FakeTime, settled } from "../../support/fakes/time.ts";
import { query } from "../../support/packets/packets.ts";

export interface Fixture {
  readonly connection: Connection;
  readonly channel: FakeChannel;
  readonly time: FakeTime;
}

export function options(time: FakeTime, fields: Partial<ConnectionOptions> = {}): ConnectionOptions {
  return {
    upstream: "server",
    maxQueries: Infinity,
    maxConcurrent: Infinity,
    onTrial: false,
    idleTimeoutMs: 30_000,
    probeTimeoutMs: 4_000,
    latency: new Latency(),
    now: time.now,
    onAnswer: () => {},
    onDoubt: () => {},
    onProbed: () => {},
    onIdle: (connection) => connection.drain(),
    onKeepAlive: () => {},
    ...fields,
  };
}

/** A test with an open connection, in fake time. */
export function connected(
  name: string,
  body: (fixture: Fixture) => Promise<void>,
  fields: Partial<ConnectionOptions> = {},
): void {
  Deno.test(name, async () => {
    using time = new FakeTime();
    const channel = new FakeChannel();
    using connection = new Connection(() => Promise.resolve(channel), options(time, fields));
    await settled();
    await body({ connection, channel, time });
  });
}

export function message(name: string): Message {
  return Message.parse(query(name));
}

/** A pending query with defaults for all fields that a test does not set. */
export function pending(
  fields: Pick<PendingQuery, "message" | "deadline" | "resolve" | "reject"> & Partial<PendingQuery>,
): PendingQuery {
  return { trigger: undefined, slowAt: 0, lateAt: 0, sentAt: 0, ...fields };
}

/** Sends queries for different names. The result has their outcomes so far: a name, a failure, or "waiting". */
export function ask(connection: Connection, count: number, deadline = Infinity): string[] {
  const outcomes = Array<string>(count).fill("waiting");
  for (let index = 0; index < count; index++) {
    connection.send(
      pending({
        message: message(`name${index}.test`),
        deadline,
        resolve: (answer) => outcomes[index] = answer.name,
        reject: (error) => {
          assertInstanceOf(error, UpstreamError);
          outcomes[index] = `${error.phase}: ${error.failure}${error.sent ? "" : ", not sent"}`;
        },
      }),
    );
  }
  return outcomes;
}
