import { connect } from "node:net";
import { assert, assertEquals } from "../../support/assert.ts";
import { type Address, TcpClient } from "../../support/clients/plain_client.ts";
import { addressed, atOnce, FakeResolver, HoldingResolver } from "../../support/fakes/resolver.ts";
import { frame, Unframer } from "../../support/packets/frames.ts";
import { query, record } from "../../support/packets/packets.ts";
import { within } from "../../support/within.ts";
import { askOn, IDLE_TIMEOUT, nameIn, tcpServer } from "./tcp_fixture.ts";

Deno.test("TcpFrontend closes a connection with FIN when no query arrives within the idle timeout (7766-5, 9210-2)", async () => {
  using server = tcpServer({ resolver: new FakeResolver() });
  await using client = await TcpClient.connect(server.address);
  assertEquals(await askOn(client, "example.com"), "example.com");
  server.clock.time += IDLE_TIMEOUT - 1;
  server.tick();
  assertEquals(await askOn(client, "in-time.example"), "in-time.example");
  server.clock.time += IDLE_TIMEOUT;
  server.tick();
  assertEquals(await client.closed(), "fin");
});

Deno.test("TcpFrontend restarts the idle timeout when a query is complete, not when a part of it arrives (7766-5)", async () => {
  using server = tcpServer({ resolver: new FakeResolver() });
  await using honest = await TcpClient.connect(server.address);
  await using dripping = await TcpClient.connect(server.address);
  assertEquals(await askOn(dripping, "example.com"), "example.com");
  const drips = frame(query("never-complete.example"));
  for (let i = 0; i < 10; i++) {
    server.clock.time += IDLE_TIMEOUT / 10;
    await dripping.sendRaw(drips.subarray(i, i + 1));
    assertEquals(await askOn(honest, `query-${i}.example`), `query-${i}.example`);
  }
  server.tick();
  await dripping.closed();
  assertEquals(await askOn(honest, "still.example"), "still.example");
});

Deno.test("TcpFrontend keeps a client that waits for a reply, however long", async () => {
  const resolver = new HoldingResolver();
  using server = tcpServer({ resolver });
  await using client = await TcpClient.connect(server.address);
  await client.send(query("slow.example"));
  await resolver.until(1);
  server.clock.time += 3 * IDLE_TIMEOUT;
  server.tick();
  resolver.release();
  assertEquals(nameIn(await client.receive()), "slow.example");
});

Deno.test("TcpFrontend limits connections per address, and reuses the slot of a closed one (7766-9, 9210-2)", async () => {
  using server = tcpServer({ resolver: new FakeResolver(), maxClientsPerAddress: 2 });
  await using first = await TcpClient.connect(server.address);
  await using second = await TcpClient.connect(server.address);
  for (const client of [first, second]) assertEquals(await askOn(client, "example.com"), "example.com");
  await using third = await TcpClient.connect(server.address);
  await third.closed();
  assertEquals(server.events.of("connection rejected"), [
    { kind: "connection rejected", address: "127.0.0.1", reason: "it has 2 TCP connections already" },
  ]);
  const { hostname, port } = server.address;
  assertEquals(await servedFrom("127.0.0.2", { hostname, port }), true, "another address has its own count");

  first.closeWrite();
  await first.closed();
  await using fourth = await TcpClient.connect(server.address);
  assertEquals(await askOn(fourth, "example.com"), "example.com");
});

/** Whether a connection from this local address gets an answer. */
async function servedFrom(localAddress: string, { hostname: host, port }: Address): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect({ host, port, localAddress }, () => socket.write(frame(query("example.com"))));
  socket.on("data", () => resolve(true)).on("error", () => resolve(false)).on("end", () => resolve(false));
  try {
    return await within(5_000, promise, "an answer or the end");
  } finally {
    const closed = Promise.withResolvers<void>();
    socket.on("close", () => closed.resolve()).destroy();
    await closed.promise;
  }
}

Deno.test("TcpFrontend limits the connections of all clients together (7766-9, 9210-2)", async () => {
  using server = tcpServer({ resolver: new FakeResolver(), maxClients: 2 });
  await using first = await TcpClient.connect(server.address);
  await using second = await TcpClient.connect(server.address);
  for (const client of [first, second]) assertEquals(await askOn(client, "example.com"), "example.com");
  assertEquals(await servedFrom("127.0.0.2", server.address), false);
  assertEquals(server.events.of("connection rejected").map(({ reason }) => reason), [
    "2 TCP clients are connected already",
  ]);
  assertEquals(await askOn(first, "still-served.example"), "still-served.example");
});

Deno.test("TcpFrontend frees the slot of a client that resets its connection", async () => {
  const resolver = new HoldingResolver();
  using server = tcpServer({ resolver, maxClientsPerAddress: 1 });
  const client = await TcpClient.connect(server.address);
  await client.send(query("example.com"));
  await resolver.until(1);
  client.abort();
  resolver.respond = atOnce;
  // The reset is noticed some time after it was sent; until then the next one is one too many.
  for (let tries = 1; !await servedFrom("127.0.0.1", server.address); tries++) assert(tries < 100);
});

Deno.test("TcpFrontend limits pending queries per connection, and reads the rest later (7766-9)", async () => {
  const resolver = new HoldingResolver();
  using server = tcpServer({ resolver, maxPipelined: 10 });
  await using client = await TcpClient.connect(server.address);
  await using other = await TcpClient.connect(server.address);
  const names = Array.from({ length: 35 }, (_, i) => `query-${i}.example`);
  await client.send(...names.map((name) => query(name)));
  await resolver.until(10);
  await other.send(query("other.example"));
  await resolver.until(11);
  assertEquals(resolver.names.at(-1), "other.example");
  resolver.respond = atOnce;
  resolver.release();
  for (const name of names) assertEquals(nameIn(await client.receive()), name);
  assertEquals(nameIn(await other.receive()), "other.example");
});

/** How many answers of 65 KB the kernel's buffers of one connection may hold, with much to spare (32 MB). */
const IN_BUFFERS = 500;
const GREED = 3 * IN_BUFFERS;

/** A client that has asked a lot and reads nothing, when no more is read from it; and one that behaves. */
async function withGreedyClient(
  test: (greedy: Deno.TcpConn, taken: number, server: ReturnType<typeof tcpServer>) => Promise<void>,
): Promise<void> {
  const answers = [record("bulky.example", 65_280, new Uint8Array(65_000))];
  const resolver = new FakeResolver((asked) =>
    asked.message.type === 1 ? atOnce(asked) : addressed(asked, { answers })
  );
  using server = tcpServer({ resolver, maxPipelined: 16 });
  using greedy = await Deno.connect(server.address);
  await using other = await TcpClient.connect(server.address);
  await greedy.write(frame(...Array.from({ length: GREED }, () => query("bulky.example", 65_280))));
  const taken = () => resolver.names.filter((name) => name === "bulky.example").length;
  for (let before = -1, same = 0; same < 50; same = taken() === before ? same + 1 : 0) {
    before = taken();
    assertEquals(await askOn(other, "other.example"), "other.example");
  }
  await test(greedy, taken(), server);
}

/** How many answers come until there are `count` or the connection ends. */
async function answersOn(socket: Deno.TcpConn, count: number): Promise<number> {
  const unframer = new Unframer();
  const buffer = new Uint8Array(1 << 20);
  let got = 0;
  while (got < count) {
    const bytes = await within(5_000, socket.read(buffer).catch(() => null), "answers or the end");
    if (bytes === null) break;
    got += unframer.push(buffer.subarray(0, bytes)).length;
  }
  return got;
}

Deno.test("TcpFrontend stops reading from a client that does not read, and serves others", async () => {
  await withGreedyClient(async (greedy, taken) => {
    assert(taken < 16 + IN_BUFFERS, `${taken} queries were read`);
    assertEquals(await answersOn(greedy, GREED), GREED, "once it reads, it gets all of its answers");
  });
});

Deno.test("TcpFrontend closes a client that does not read after the idle timeout (7766-5)", async () => {
  await withGreedyClient(async (greedy, taken, server) => {
    server.clock.time += IDLE_TIMEOUT;
    server.tick();
    assert(await answersOn(greedy, GREED) <= taken, "what was in the buffers, then the end");
  });
});

Deno.test("TcpFrontend closes a client that does not read after the idle timeout, also while it stops", async () => {
  await withGreedyClient(async (greedy, taken, server) => {
    const { clearInterval } = globalThis;
    using stack = new DisposableStack();
    stack.defer(() => globalThis.clearInterval = clearInterval);
    const cleared: unknown[] = [];
    globalThis.clearInterval = (timer) => void cleared.push(timer);
    const stopped = server.frontend.stop();
    assertEquals(cleared, [], "it goes on looking for idle ones");
    server.clock.time += IDLE_TIMEOUT;
    server.tick();
    await within(5_000, stopped, "the end of the listener");
    assertEquals(cleared.length, 1);
    assert(await answersOn(greedy, GREED) <= taken, "what was in the buffers, then the end");
  });
});

Deno.test("TcpFrontend evicts a client with half a message, and no waiting client, when all slots are taken (7766-5)", async () => {
  const resolver = new HoldingResolver();
  using server = tcpServer({ resolver, maxClients: 2 });
  await using waiting = await TcpClient.connect(server.address);
  await waiting.send(query("slow.example"));
  await resolver.until(1);
  await using idle = await TcpClient.connect(server.address);
  await idle.sendRaw(Uint8Array.of(0, 12, 1)); // half a message
  assertEquals(await servedFrom("127.0.0.2", server.address), false);
  server.clock.time += 20;
  resolver.respond = atOnce;
  assertEquals(await servedFrom("127.0.0.2", server.address), true);
  await idle.closed();
  resolver.release();
  assertEquals(nameIn(await waiting.receive()), "slow.example");
});
