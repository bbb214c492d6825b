import { hasAddress, isLeftOut } from "../left_out.ts";
import { once } from "node:events";
import { connect as connectTls } from "node:tls";
import { assert, assertEquals, assertNotEquals, assertRejects } from "../assert.ts";
import { Authority } from "./certificates.ts";
import { DotClient } from "../clients/dot_client.ts";
import {
  addressed,
  addressOf,
  answering,
  answeringAfterClientEnd,
  answeringInClear,
  type Behavior,
  byteByByte,
  closing,
  coalesced,
  delayed,
  DotServer,
  type DotServerOptions,
  duplicated,
  empty,
  endingAfter,
  endingInsteadOfAnswering,
  endingWhenIdle,
  endingWithinFrame,
  garbage,
  Hold,
  ignoring,
  resetting,
  resettingWithinFrame,
  reversed,
  servfail,
  shuffled,
  silent,
  stallingInHandshake,
  withoutQuestion,
  wrongId,
  wrongQuestion,
} from "./dot_server.ts";
import { keepAlive, query, read } from "../packets/packets.ts";
import { within } from "../within.ts";

const AUTHORITY = await Authority.create();
const CERTIFICATE = await AUTHORITY.issue({ names: ["dot.test"], addresses: ["127.0.0.1", "::1"] });
const TRUST = { trusted: AUTHORITY.pem };

/** A server that behaves like this, and a client that is connected to it. */
function exchange(
  name: string,
  behavior: Behavior,
  body: (client: DotClient, server: DotServer) => Promise<void>,
  options: Partial<DotServerOptions> = {},
): void {
  Deno.test(name, async () => {
    await using server = await DotServer.start({ certificate: CERTIFICATE, behavior, ...options });
    using client = await DotClient.connect(server.address, TRUST);
    await body(client, server);
  });
}

/** Queries with the IDs 0 to `count` - 1 for names of their own. */
function queries(count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, id) => query(`name${id}.test`, "A", { id }));
}

async function receiveIds(client: DotClient, count: number): Promise<number[]> {
  const ids: number[] = [];
  for (let left = count; left > 0; left--) ids.push(read((await client.receive())!).id);
  return ids;
}

for (const hostname of ["127.0.0.1", "::1"] as const) {
  if (isLeftOut(hasAddress(hostname))) continue;
  exchange(`a server on ${hostname} answers each name with its own address`, answering(), async (client) => {
    await client.send(...queries(3));
    for (const id of [0, 1, 2]) {
      const message = read((await client.receive())!);
      assertEquals(message.id, id);
      assertEquals(message.question?.name, `name${id}.test`);
      assertEquals(message.answers.map(({ text }) => text), [addressOf(`name${id}.test`)]);
    }
    assertNotEquals(addressOf("name0.test"), addressOf("name1.test"));
    assertEquals(addressOf("NAME0.test"), addressOf("name0.test"));
  }, { hostname });
}

exchange("the handshake's facts and all queries are kept", answering(), async (client, server) => {
  const [first, second] = queries(2);
  await client.send(first!, second!, first!);
  await receiveIds(client, 3);
  const [connection] = server.connections;
  assertEquals(client.alpn, "dot");
  assertEquals([connection!.alpn, connection!.version, connection!.serverName], [
    "dot",
    "TLSv1.3",
    "dot.test",
  ]);
  assertEquals([server.accepted, server.handshakes, server.open, server.received], [1, 1, 1, 3]);
  assertEquals([server.receivedFor("NAME0.test"), server.receivedFor("name1.test")], [2, 1]);
  assertEquals(server.queries, [first!, second!, first!]);
  assertEquals(connection!.reads, [3]);
});

exchange("frames that come one by one are counted one by one", answering(), async (client, server) => {
  for (const message of queries(3)) {
    await client.send(message);
    await client.receive();
  }
  assertEquals(server.connections[0]!.reads, [1, 1, 1]);
});

exchange("answers come in reverse order", reversed(100), async (client) => {
  await client.send(...queries(100));
  assertEquals(await receiveIds(client, 100), Array.from({ length: 100 }, (_, index) => 99 - index));
});

exchange(
  "answers come in an order that is random and the same in every run",
  shuffled(8, 1),
  async (client) => {
    await client.send(...queries(8));
    const ids = await receiveIds(client, 8);
    assertNotEquals(ids, [0, 1, 2, 3, 4, 5, 6, 7]);
    assertEquals(ids.toSorted(), [0, 1, 2, 3, 4, 5, 6, 7]);
  },
);

exchange("answers come after a delay, none waiting for another", delayed(100), async (client) => {
  const start = performance.now();
  await client.send(...queries(10));
  await receiveIds(client, 10);
  const passed = performance.now() - start;
  assert(passed >= 99 && passed < 900, `${passed} ms`);
});

exchange("a silent server receives and does not answer", silent, async (client, server) => {
  await client.send(...queries(2));
  await server.until(({ received }) => received === 2);
  await assertRejects(() => client.receive({ timeout: 20 }), DOMException);
});

exchange("another behavior may be assigned while a connection is open", silent, async (client, server) => {
  const [first, second] = queries(2);
  await client.send(first!);
  await server.until(({ received }) => received === 1);
  server.behavior = answering();
  await client.send(second!);
  assertEquals(await receiveIds(client, 1), [1]);
});

const hold = new Hold();
exchange("answers are held until the test lets them go", hold.behavior, async (client, server) => {
  await client.send(...queries(3));
  await server.until(({ received }) => received === 3);
  await hold.release(1);
  assertEquals(await receiveIds(client, 1), [0]);
  await hold.release();
  assertEquals(await receiveIds(client, 2), [1, 2]);
});

exchange("an answer may come in single octets", byteByByte(), async (client) => {
  await client.send(...queries(2));
  assertEquals(await receiveIds(client, 2), [0, 1]);
});

exchange("answers may come together", coalesced(5), async (client) => {
  await client.send(...queries(5));
  assertEquals(await receiveIds(client, 5), [0, 1, 2, 3, 4]);
});

exchange("answers may come twice", duplicated(), async (client) => {
  await client.send(...queries(2));
  assertEquals(await receiveIds(client, 4), [0, 0, 1, 1]);
});

exchange("the server ends after every two answers", endingAfter(2), async (client, server) => {
  await client.send(...queries(3));
  assertEquals(await receiveIds(client, 2), [0, 1]);
  assertEquals(await client.receive(), undefined);
  await client.closeWrite();
  await server.until(({ open }) => open === 0);
  assertEquals(server.connections[0]!.ending, "server end");
});

exchange(
  "the server cuts the connection without close_notify",
  endingAfter(1, "cut"),
  async (client, server) => {
    await client.send(...queries(1));
    await client.receive();
    await assertRejects(() => client.receive(), Deno.errors.UnexpectedEof);
    assertEquals(server.connections[0]!.ending, "server cut");
  },
);

exchange("the server resets the connection", endingAfter(1, "reset"), async (client, server) => {
  await client.send(...queries(1));
  await client.receive();
  await assertRejects(() => client.receive(), Deno.errors.ConnectionReset);
  assertEquals(server.connections[0]!.ending, "server reset");
});

exchange("the server resets within a frame", resettingWithinFrame(), async (client) => {
  await client.send(...queries(1));
  await assertRejects(() => client.receive(), Deno.errors.ConnectionReset);
});

exchange("the server ends within a frame", endingWithinFrame(), async (client) => {
  await client.send(...queries(1));
  await assertRejects(() => client.receive(), Error, "within a frame");
});

exchange("the server half-closes and reads on", endingInsteadOfAnswering, async (client, server) => {
  await client.send(...queries(1));
  assertEquals(await client.receive(), undefined);
  await client.send(...queries(2));
  await server.until(({ received }) => received === 3);
});

exchange("the client half-closes and is answered", answeringAfterClientEnd(), async (client, server) => {
  await client.send(...queries(2));
  await client.closeWrite();
  assertEquals(await receiveIds(client, 2), [0, 1]);
  assertEquals(await client.receive(), undefined);
  await server.until(({ open }) => open === 0);
  assertEquals(server.connections[0]!.ending, "client end");
});

exchange(
  "the server ends an idle connection, counting from the last query",
  endingWhenIdle(60),
  async (client) => {
    const start = performance.now();
    for (const message of queries(3)) {
      await new Promise((resolve) => setTimeout(resolve, 30));
      await client.send(message);
      await client.receive();
    }
    assertEquals(await client.receive(), undefined);
    assert(performance.now() - start >= 149);
  },
);

exchange(
  "an answer may carry anything in EDNS",
  answering(addressed({ edns: { options: [keepAlive(300)] } })),
  async (client) => {
    await client.send(query("a.test", "A", { edns: {} }));
    const { edns } = read((await client.receive())!);
    assertEquals(edns?.options, [{ code: 11, value: Uint8Array.of(1, 44) }]);
  },
);

exchange("a failure has no records", answering(servfail), async (client) => {
  await client.send(...queries(1));
  const { rcode, answers } = read((await client.receive())!);
  assertEquals([rcode, answers], [2, []]);
});

exchange("an answer may come under another ID", answering(wrongId()), async (client) => {
  await client.send(...queries(1));
  assertEquals(await receiveIds(client, 1), [0x5500]);
});

exchange("an answer may be to another question", answering(wrongQuestion()), async (client) => {
  await client.send(...queries(1));
  const { id, question } = read((await client.receive())!);
  assertEquals([id, question?.name], [0, "oame0.test"]);
});

exchange("an answer may lack the question", answering(withoutQuestion), async (client) => {
  await client.send(...queries(1));
  const { id, question, answers } = read((await client.receive())!);
  assertEquals([id, question, answers.length], [0, undefined, 1]);
});

exchange("an answer may be no message at all", answering(garbage), async (client) => {
  await client.send(...queries(1));
  assertEquals(await client.receive(), new Uint8Array(40).fill(0xfe));
});

exchange("an answer may be a frame of no length", answering(empty), async (client) => {
  await client.send(...queries(1));
  assertEquals(await client.receive(), new Uint8Array(0));
});

exchange("a certificate takes the place of another", answering(), async (_, server) => {
  server.certificate = await AUTHORITY.issue({ names: ["new.test"] });
  await assertRejects(
    () => DotClient.connect(server.address, TRUST),
    Deno.errors.InvalidData,
    "only valid for",
  );
  using client = await DotClient.connect(server.address, { ...TRUST, name: "new.test" });
  await client.send(...queries(1));
  assertEquals(await receiveIds(client, 1), [0]);
});

exchange("the server stops listening and listens again on its port", answering(), async (client, server) => {
  const { port } = server;
  server.stopListening();
  await assertRejects(() => DotClient.connect(server.address, TRUST), Deno.errors.ConnectionRefused);
  await client.send(...queries(1));
  assertEquals(await receiveIds(client, 1), [0]);
  server.connections[0]!.end();
  await server.listen();
  assertEquals(server.port, port);
  using again = await DotClient.connect(server.address, TRUST);
  await again.send(...queries(2));
  assertEquals(await receiveIds(again, 2), [0, 1]);
});

exchange("a client that does not ask for dot is refused", answering(), async (_, server) => {
  const connecting = DotClient.connect(server.address, { ...TRUST, alpn: ["h2"] });
  await assertRejects(() => connecting, Deno.errors.InvalidData, "NoApplicationProtocol");
  await server.until(({ connections }) => connections[1]?.ending === "handshake failed");
  assertEquals([server.accepted, server.handshakes], [2, 1]);
});

exchange(
  "a server may know nothing of ALPN, and no more than TLS 1.2",
  answering(),
  async (client, server) => {
    await server.until(({ handshakes }) => handshakes === 1);
    assertEquals([client.alpn, server.connections[0]!.version], [undefined, "TLSv1.2"]);
  },
  { alpn: [], maxVersion: "TLSv1.2" },
);

exchange("a distrustful client is told from others", answering(), async (_, server) => {
  const other = await Authority.create();
  await assertRejects(
    () => DotClient.connect(server.address, { trusted: other.pem }),
    Deno.errors.InvalidData,
  );
  await server.until(({ open }) => open === 1);
  assertEquals(server.connections[1]!.ending, "handshake failed");
  assert(server.connections[1]!.error!.includes("alert"));
});

Deno.test("a client's end is distinguished from the server's", async () => {
  await using server = await DotServer.start({ certificate: CERTIFICATE });
  const client = await DotClient.connect(server.address, TRUST);
  await client.send(...queries(1));
  await client.receive();
  client[Symbol.dispose]();
  await server.until(({ open }) => open === 0);
  assertEquals(server.connections[0]!.ending, "client end");
});

Deno.test("a fault in a behavior is a fault of the test", async () => {
  const server = await DotServer.start({
    certificate: CERTIFICATE,
    behavior: () => () => Promise.reject(new Error("My fault")),
  });
  using client = await DotClient.connect(server.address, TRUST);
  await client.send(...queries(1));
  await server.until(({ received }) => received === 1);
  await assertRejects(() => server[Symbol.asyncDispose](), AggregateError, "A behavior has thrown");
});

for (const [what, admission] of Object.entries({ ignoring, stallingInHandshake })) {
  Deno.test(`${what}: the handshake comes to no end`, async () => {
    await using server = await DotServer.start({ certificate: CERTIFICATE, admission });
    // Not Deno's own TLS: closed within the handshake, it leaves the TCP connection open (2.9.6).
    const client = connectTls({ ...server.address, host: server.hostname, ca: AUTHORITY.pem });
    const secured = once(client, "secureConnect").then(() => true);
    await assertRejects(() => within(50, secured, "the handshake"), DOMException);
    assertEquals([server.open, server.handshakes], [1, 0]);
    client.destroy();
    await server.until(({ open }) => open === 0);
  });
}

const REFUSALS = [
  ["closing", closing, Deno.errors.UnexpectedEof],
  ["resetting", resetting, Deno.errors.ConnectionReset],
  ["answeringInClear", answeringInClear, Deno.errors.InvalidData],
] as const;

for (const [what, admission, error] of REFUSALS) {
  Deno.test(`${what}: the handshake fails at once, and the next one need not`, async () => {
    await using server = await DotServer.start({ certificate: CERTIFICATE, admission });
    await assertRejects(() => DotClient.connect(server.address, TRUST), error);
    server.admission = () => true;
    using client = await DotClient.connect(server.address, TRUST);
    await client.send(...queries(1));
    assertEquals(await receiveIds(client, 1), [0]);
    assertEquals([server.accepted, server.handshakes], [2, 1]);
  });
}
