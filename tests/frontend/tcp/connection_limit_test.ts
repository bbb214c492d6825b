import { Listeners } from "../../../lib/frontend/listeners.ts";
import { ConnectionLimit, type EvictableConnection } from "../../../lib/frontend/tcp/connection_limit.ts";
import { AtomicSharedCount, sharedCounts } from "../../../lib/workers/shared_count.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { TcpClient } from "../../support/clients/plain_client.ts";
import { FakeResolver } from "../../support/fakes/resolver.ts";
import { answererFor, Clock, Events } from "../fixture.ts";
import { askOn } from "./tcp_fixture.ts";

/** A connection that is what the test says. */
class FakeGuest implements EvictableConnection {
  readonly closed: Promise<void>;
  readonly #close: () => void;
  isClosed = false;

  /** @param lastUse when it last asked, read an answer or, if `isOfUse` is false, came; undefined while it waits for us */
  constructor(public lastUse: number | undefined, public isOfUse = true) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.closed = promise;
    this.#close = resolve;
  }

  idleFor(now: number): number {
    return this.lastUse === undefined ? 0 : now - this.lastUse;
  }

  [Symbol.dispose](): void {
    this.isClosed = true;
    this.#close();
  }
}

/** Places that these have taken, each under its address. */
function taken(
  guests: readonly (readonly [FakeGuest, string])[],
  maxClientsPerAddress = 1000,
): ConnectionLimit {
  const places = new ConnectionLimit({ maxClients: guests.length, maxClientsPerAddress });
  for (const [guest, address] of guests) {
    assertEquals(places.refusal(address, 0), undefined);
    places.give(guest, address);
  }
  return places;
}

const NEWCOMER = "192.0.2.1";
const NOW = 10_000;

Deno.test("with all places taken, who never asked goes before who has, for however much shorter", () => {
  const silent = new FakeGuest(NOW - 100, false);
  const guests = [new FakeGuest(0), silent, new FakeGuest(1)];
  const places = taken(guests.map((guest, i) => [guest, `192.0.2.${10 + i}`]));
  assertEquals(places.refusal(NEWCOMER, NOW), undefined);
  assertEquals(guests.filter(({ isClosed }) => isClosed), [silent]);
});

Deno.test("of those who have asked, the one goes that has not for the longest", () => {
  const guests = [300, 100, 200].map((lastUse) => new FakeGuest(lastUse));
  const places = taken(guests.map((guest, i) => [guest, `192.0.2.${10 + i}`]));
  for (const count of [1, 2]) {
    assertEquals(places.refusal(NEWCOMER, NOW), undefined);
    places.give(new FakeGuest(undefined), NEWCOMER);
    assertEquals(guests.filter(({ isClosed }) => isClosed).length, count);
  }
  assertEquals(guests.map(({ isClosed }) => isClosed), [false, true, true]);
});

Deno.test("an address that has many connections gives way before one that has been idle for somewhat longer", () => {
  const many = Array.from({ length: 5 }, () => new FakeGuest(NOW - 1000));
  const few = new FakeGuest(NOW - 4000);
  const places = taken([[few, "192.0.2.10"], ...many.map((guest) => [guest, "192.0.2.11"] as const)]);
  assertEquals(places.refusal(NEWCOMER, NOW), undefined);
  assertEquals([few.isClosed, many.filter(({ isClosed }) => isClosed).length], [false, 1]);
});

Deno.test("a flood of newcomers pushes out nobody that waits for an answer, and nobody that has just come", () => {
  const guests = [undefined, NOW, NOW - 19, undefined].map((lastUse) => new FakeGuest(lastUse, false));
  const places = taken(guests.map((guest, i) => [guest, `192.0.2.${10 + i}`]));
  for (let i = 0; i < 100; i++) {
    assertEquals(places.refusal(NEWCOMER, NOW), "4 TCP clients are connected already");
  }
  assertEquals(guests.filter(({ isClosed }) => isClosed), []);
  assertEquals(places.refusal(NEWCOMER, NOW + 1), undefined, "20 ms are long enough for a query to come");
  assertEquals(guests.map(({ isClosed }) => isClosed), [false, false, true, false]);
});

Deno.test("one that can be spared is found among a thousand that cannot, a few at a time", () => {
  const guests = Array.from({ length: 1000 }, () => new FakeGuest(undefined));
  const places = taken(guests.map((guest, i) => [guest, `192.0.2.${i}`]));
  guests[999]!.lastUse = 0;
  let tries = 1;
  while (places.refusal(NEWCOMER, NOW) !== undefined) assert(tries++ < 1000);
  assert(tries > 1, "not all of them are looked at each time");
  assert(tries <= Math.ceil(1000 / 32), `${tries} newcomers`);
  assert(guests[999]!.isClosed);
});

Deno.test("ten thousand newcomers that do nothing leave the places to those who ask", async () => {
  const clients = Array.from({ length: 10 }, () => new FakeGuest(NOW));
  const idlers = Array.from({ length: 90 }, () => new FakeGuest(NOW, false));
  const places = taken([...clients, ...idlers].map((guest, i) => [guest, `192.0.2.${i}`]));
  for (let i = 0; i < 10_000; i++) {
    const now = NOW + i;
    for (const client of clients) if (now - client.lastUse! === 5000) client.lastUse = now;
    if (places.refusal(`198.51.100.${i}`, now) !== undefined) continue;
    places.give(new FakeGuest(now, false), `198.51.100.${i}`);
    await Promise.resolve();
  }
  assertEquals(clients.filter(({ isClosed }) => isClosed), []);
  assertEquals(idlers.filter(({ isClosed }) => !isClosed), []);
});

Deno.test("an address with all of its places taken gives up one of its own", () => {
  const other = new FakeGuest(0, false);
  const own = [NOW - 100, NOW - 200].map((lastUse) => new FakeGuest(lastUse, false));
  const guests = [[other, "192.0.2.10"], ...own.map((guest) => [guest, NEWCOMER] as const)] as const;
  const places = taken(guests, 2);
  assertEquals(places.refusal(NEWCOMER, NOW), undefined);
  assertEquals([other, ...own].map(({ isClosed }) => isClosed), [false, false, true]);
  for (const guest of own) guest.lastUse = undefined;
  places.give(new FakeGuest(undefined), NEWCOMER);
  assertEquals(places.refusal(NEWCOMER, NOW), "it has 2 TCP connections already");
});

Deno.test("a place that is given back is there for another, and counts for its address no more", async () => {
  const guest = new FakeGuest(undefined);
  const places = taken([[guest, NEWCOMER]], 1);
  assertEquals(places.refusal(NEWCOMER, NOW), "it has 1 TCP connections already");
  assertEquals(places.refusal("192.0.2.2", NOW), "1 TCP clients are connected already");
  guest[Symbol.dispose]();
  await guest.closed;
  assertEquals(places.refusal(NEWCOMER, NOW), undefined);
});

Deno.test("limits that are made smaller send nobody away but two for each newcomer, until they are kept", () => {
  const guests = [0, 1, 2, 3].map((lastUse) => new FakeGuest(lastUse));
  const places = taken(guests.map((guest, i) => [guest, `192.0.2.${10 + i}`]));
  places.reconfigure({ maxClients: 2, maxClientsPerAddress: 2 });
  assertEquals(guests.filter(({ isClosed }) => isClosed), []);
  assertEquals(places.refusal(NEWCOMER, NOW), "2 TCP clients are connected already");
  assertEquals(guests.map(({ isClosed }) => isClosed), [true, true, false, false]);
  assertEquals(places.refusal(NEWCOMER, NOW), undefined);
  assertEquals(guests.map(({ isClosed }) => isClosed), [true, true, true, false]);
});

Deno.test("a thread has its part of the places, though others have taken all; these give theirs up as newcomers come", () => {
  const others = Array.from({ length: 10 }, (_, i) => new FakeGuest(i));
  const counts = sharedCounts(2);
  const limits = { maxClients: 10, maxClientsPerAddress: 10 };
  const [first, second] = [1, 2].map((thread) =>
    new ConnectionLimit(limits, new AtomicSharedCount(counts, thread))
  );
  for (const guest of others) first!.give(guest, "192.0.2.10");
  for (let i = 0; i < 5; i++) {
    assertEquals(second!.refusal(NEWCOMER, NOW), undefined);
    second!.give(new FakeGuest(NOW), NEWCOMER);
  }
  assertEquals(second!.refusal(NEWCOMER, NOW), "10 TCP clients are connected already");
  for (let i = 0; i < 4; i++) {
    if (first!.refusal(NEWCOMER, NOW) === undefined) first!.give(new FakeGuest(NOW), NEWCOMER);
  }
  assertEquals(others.filter(({ isClosed }) => isClosed).length > 5, true);
  assertEquals(counts[0]! + counts[1]!, 10);
});

Deno.test("what all clients leave unread is bounded, however many may connect", () => {
  const octets = (maxClients: number) =>
    new ConnectionLimit({ maxClients, maxClientsPerAddress: 1 }).bytesEach;
  assertEquals([1, 1000, 4096].map(octets), [65_536, 65_536, 16_384]);
  assertEquals(octets(50_000), 4096);
});

Deno.test("the places are those of all listeners together", async () => {
  const events = new Events();
  const { now } = new Clock();
  const addresses = ["127.0.53.2", "127.0.53.3"].map((hostname) => ({ hostname, port: 0, required: true }));
  using listeners = new Listeners(addresses, {
    answerer: answererFor({ resolver: new FakeResolver(), events }),
    observe: events.observe,
    maxClients: 1,
    maxClientsPerAddress: 10,
    library: undefined,
    limits: { idleTimeout: 10_000, maxPipelined: 10, now },
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

Deno.test("the addresses of an IPv6 /56 count as one, and those of two such networks as two (S20)", () => {
  const places = new ConnectionLimit({ maxClients: 100, maxClientsPerAddress: 2 });
  const addresses = ["2001:db8:0:ff::1", "2001:db8:0:1::2"];
  for (const address of addresses) places.give(new FakeGuest(undefined), address);
  assertEquals(places.refusal("2001:db8::3", NOW), "it has 2 TCP connections already");
  assertEquals(places.refusal("2001:db8:0:100::1", NOW), undefined);
  assertEquals(places.refusal("192.0.2.1", NOW), undefined);
});

Deno.test("idle places are given up on request, the most useless first and none that waits for us", () => {
  const [busy, idle, silent] = [new FakeGuest(undefined), new FakeGuest(0), new FakeGuest(NOW - 100, false)];
  const places = taken([busy, idle, silent].map((guest, i) => [guest, `192.0.2.${10 + i}`]));
  assertEquals(places.spare(1, NOW), 1);
  assertEquals([busy, idle, silent].map(({ isClosed }) => isClosed), [false, false, true]);
  assertEquals(places.spare(5, NOW), 1);
  assertEquals(busy.isClosed, false);
});
