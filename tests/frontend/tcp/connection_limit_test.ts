import { Listeners } from "../../../lib/frontend/listeners.ts";
import {
  ConnectionLimit,
  type EvictableConnection,
  type Rejection,
} from "../../../lib/frontend/tcp/connection_limit.ts";
import { AtomicSharedCount, sharedCounts } from "../../../lib/workers/shared_count.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { TcpClient } from "../../support/clients/plain_client.ts";
import { FakeResolver } from "../../support/fakes/resolver.ts";
import { answererFor, Clock, Events } from "../fixture.ts";
import { askOn } from "./tcp_fixture.ts";

/** A connection whose state the test sets. */
class FakeConnection implements EvictableConnection {
  readonly closed: Promise<void>;
  readonly #close: () => void;
  isClosed = false;

  /** @param lastUse time of the last query, reply read or, if not `isUseful`, of the connect; undefined while it waits */
  constructor(public lastUse: number | undefined, public isUseful = true) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.closed = promise;
    this.#close = resolve;
  }

  idleMs(now: number): number {
    return this.lastUse === undefined ? 0 : now - this.lastUse;
  }

  [Symbol.dispose](): void {
    this.isClosed = true;
    this.#close();
  }
}

/** A limit whose slots these connections have taken, each with its address. */
function limitWith(
  connections: readonly (readonly [FakeConnection, string])[],
  maxClientsPerAddress = 1000,
): ConnectionLimit {
  const limit = new ConnectionLimit({ maxClients: connections.length, maxClientsPerAddress });
  for (const [connection, address] of connections) {
    assertEquals(limit.admit(connection, address, 0), undefined);
  }
  return limit;
}

/** The same with another address for each connection. */
function limitWithEach(connections: readonly FakeConnection[]): ConnectionLimit {
  return limitWith(connections.map((connection, i) => [connection, `192.0.2.${10 + i}`]));
}

/** Admits a new connection that waits for a reply. */
function admit(limit: ConnectionLimit, address = NEW_ADDRESS, now = NOW): Rejection | undefined {
  return limit.admit(new FakeConnection(undefined), address, now);
}

const closed = (connections: readonly FakeConnection[]) => connections.map(({ isClosed }) => isClosed);
const NEW_ADDRESS = "192.0.2.1";
const NOW = 10_000;

Deno.test("ConnectionLimit closes a connection without a query first, however short its idle time", () => {
  const silent = new FakeConnection(NOW - 100, false);
  const connections = [new FakeConnection(0), silent, new FakeConnection(1)];
  const limit = limitWithEach(connections);
  assertEquals(admit(limit), undefined);
  assertEquals(connections.filter(({ isClosed }) => isClosed), [silent]);
});

Deno.test("ConnectionLimit closes the connection with the longest idle time if all have sent queries", () => {
  const connections = [300, 100, 200].map((lastUse) => new FakeConnection(lastUse));
  const limit = limitWithEach(connections);
  for (const count of [1, 2]) {
    assertEquals(admit(limit), undefined);
    assertEquals(connections.filter(({ isClosed }) => isClosed).length, count);
  }
  assertEquals(closed(connections), [false, true, true]);
});

Deno.test("ConnectionLimit prefers an address with many connections to one that is idle somewhat longer", () => {
  const many = Array.from({ length: 5 }, () => new FakeConnection(NOW - 1000));
  const few = new FakeConnection(NOW - 4000);
  const limit = limitWith([
    [few, "192.0.2.10"],
    ...many.map((connection) => [connection, "192.0.2.11"] as const),
  ]);
  assertEquals(admit(limit), undefined);
  assertEquals([few.isClosed, many.filter(({ isClosed }) => isClosed).length], [false, 1]);
});

Deno.test("ConnectionLimit closes no waiting and no new connection when a flood of connections arrives", () => {
  const connections = [undefined, NOW, NOW - 19, undefined].map((lastUse) =>
    new FakeConnection(lastUse, false)
  );
  const limit = limitWithEach(connections);
  for (let i = 0; i < 100; i++) {
    assertEquals(admit(limit), "4 TCP clients are connected already");
  }
  assertEquals(connections.filter(({ isClosed }) => isClosed), []);
  assertEquals(admit(limit, NEW_ADDRESS, NOW + 1), undefined, "a query arrives within 20 ms");
  assertEquals(closed(connections), [false, false, true, false]);
});

Deno.test("ConnectionLimit finds the one idle connection among a thousand, a few comparisons at a time", () => {
  const connections = Array.from({ length: 1000 }, () => new FakeConnection(undefined));
  const limit = limitWith(connections.map((connection, i) => [connection, `192.0.2.${i}`]));
  connections[999]!.lastUse = 0;
  let tries = 1;
  while (admit(limit) !== undefined) assert(tries++ < 1000);
  assert(tries > 1, "not all connections are compared each time");
  assert(tries <= Math.ceil(1000 / 32), `${tries} new connections`);
  assert(connections[999]!.isClosed);
});

Deno.test("ConnectionLimit keeps active clients when ten thousand idle connections arrive", async () => {
  const clients = Array.from({ length: 10 }, () => new FakeConnection(NOW));
  const idlers = Array.from({ length: 90 }, () => new FakeConnection(NOW, false));
  const limit = limitWith([...clients, ...idlers].map((connection, i) => [connection, `192.0.2.${i}`]));
  for (let i = 0; i < 10_000; i++) {
    const now = NOW + i;
    for (const client of clients) if (now - client.lastUse! === 5000) client.lastUse = now;
    if (limit.admit(new FakeConnection(now, false), `198.51.100.${i}`, now) === undefined) {
      await Promise.resolve();
    }
  }
  assertEquals(clients.filter(({ isClosed }) => isClosed), []);
  assertEquals(idlers.filter(({ isClosed }) => !isClosed), []);
});

Deno.test("ConnectionLimit closes a connection of the same address when that address has reached its limit", () => {
  const other = new FakeConnection(0, false);
  const own = [NOW - 100, NOW - 200].map((lastUse) => new FakeConnection(lastUse, false));
  const connections = [
    [other, "192.0.2.10"],
    ...own.map((connection) => [connection, NEW_ADDRESS] as const),
  ] as const;
  const limit = limitWith(connections, 2);
  assertEquals(admit(limit), undefined);
  assertEquals(closed([other, ...own]), [false, false, true]);
  for (const connection of own) connection.lastUse = undefined;
  assertEquals(admit(limit), "it has 2 TCP connections already");
});

Deno.test("ConnectionLimit reuses the slot of a closed connection, also for its address", async () => {
  const connection = new FakeConnection(undefined);
  const limit = limitWith([[connection, NEW_ADDRESS]], 1);
  assertEquals(admit(limit), "it has 1 TCP connections already");
  assertEquals(admit(limit, "192.0.2.2"), "1 TCP clients are connected already");
  connection[Symbol.dispose]();
  await connection.closed;
  assertEquals(admit(limit), undefined);
});

Deno.test("ConnectionLimit closes two connections per new one after its limits were lowered", () => {
  const connections = [0, 1, 2, 3].map((lastUse) => new FakeConnection(lastUse));
  const limit = limitWithEach(connections);
  limit.reconfigure({ maxClients: 2, maxClientsPerAddress: 2 });
  assertEquals(connections.filter(({ isClosed }) => isClosed), []);
  assertEquals(admit(limit), "2 TCP clients are connected already");
  assertEquals(closed(connections), [true, true, false, false]);
  assertEquals(admit(limit), undefined);
  assertEquals(closed(connections), [true, true, true, false]);
});

Deno.test("ConnectionLimit admits a thread's share although another thread has taken all slots, which then gives them up", () => {
  const others = Array.from({ length: 10 }, (_, i) => new FakeConnection(i));
  const counts = sharedCounts(2);
  const limits = { maxClients: 10, maxClientsPerAddress: 10 };
  const [first, second] = [1, 2].map((thread) =>
    new ConnectionLimit(limits, new AtomicSharedCount(counts, thread))
  );
  for (const connection of others) assertEquals(first!.admit(connection, "192.0.2.10", 0), undefined);
  for (let i = 0; i < 5; i++) {
    assertEquals(second!.admit(new FakeConnection(NOW), NEW_ADDRESS, NOW), undefined);
  }
  assertEquals(admit(second!), "10 TCP clients are connected already");
  for (let i = 0; i < 4; i++) first!.admit(new FakeConnection(NOW), NEW_ADDRESS, NOW);
  assertEquals(others.filter(({ isClosed }) => isClosed).length > 5, true);
  assertEquals(counts[0]! + counts[1]!, 10);
});

Deno.test("ConnectionLimit bounds the unread bytes of all clients, whatever the maximum of clients", () => {
  const bytes = (maxClients: number) =>
    new ConnectionLimit({ maxClients, maxClientsPerAddress: 1 }).maxUnreadBytes;
  assertEquals([1, 1000, 4096].map(bytes), [65_536, 65_536, 16_384]);
  assertEquals(bytes(50_000), 4096);
});

Deno.test("Listeners share one connection limit", async () => {
  const events = new Events();
  const { now } = new Clock();
  const addresses = ["127.0.53.2", "127.0.53.3"].map((hostname) => ({ hostname, port: 0, required: true }));
  using listeners = new Listeners(addresses, {
    answerer: answererFor({ resolver: new FakeResolver(), events }),
    observe: events.observe,
    maxClients: 1,
    maxClientsPerAddress: 10,
    library: undefined,
    limits: { idleTimeoutMs: 10_000, maxPipelined: 10, now },
  });
  const [one, other] = listeners.addresses;
  await using first = await TcpClient.connect(one!);
  assertEquals(await askOn(first, "example.com"), "example.com");
  await using second = await TcpClient.connect(other!);
  await second.closed();
  assertEquals(events.of("connection rejected").map(({ reason }) => reason), [
    "1 TCP clients are connected already",
  ]);
});

Deno.test("ConnectionLimit counts the addresses of an IPv6 /56 as one address", () => {
  const limit = new ConnectionLimit({ maxClients: 100, maxClientsPerAddress: 2 });
  for (const address of ["2001:db8:0:ff::1", "2001:db8:0:1::2"]) {
    assertEquals(admit(limit, address), undefined);
  }
  assertEquals(admit(limit, "2001:db8::3"), "it has 2 TCP connections already");
  assertEquals(admit(limit, "2001:db8:0:100::1"), undefined);
  assertEquals(admit(limit, "192.0.2.1"), undefined);
});

Deno.test("ConnectionLimit.closeIdle closes the least useful connections first, and none that waits for a reply", () => {
  const connections = [
    new FakeConnection(undefined),
    new FakeConnection(0),
    new FakeConnection(NOW - 100, false),
  ];
  const limit = limitWithEach(connections);
  assertEquals(limit.closeIdle(1, NOW), 1);
  assertEquals(closed(connections), [false, false, true]);
  assertEquals(limit.closeIdle(5, NOW), 1);
  assertEquals(closed(connections), [false, true, true]);
});
