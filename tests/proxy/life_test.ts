/** Start, stop, and several upstreams. */
import { askEach, assertFailed, assertRight, names, question } from "../support/clients/query_client.ts";
import { assert, assertEquals, assertRejects } from "../support/assert.ts";
import { Authority } from "../support/servers/certificates.ts";
import { askUdp, TcpClient, UdpClient } from "../support/clients/plain_client.ts";
import {
  answering,
  type Behavior,
  DotServer,
  Hold,
  ignoring,
  silent,
} from "../support/servers/dot_server.ts";
import { ONE_THREAD } from "../support/mode.ts";
import { read } from "../support/packets/packets.ts";
import { RunningProxy } from "../support/processes/running_proxy.ts";
import { inTurn } from "../support/servers/scripts.ts";
import { Relay } from "../support/servers/tcp_relay.ts";

const AUTHORITY = await Authority.create();
const CERTIFICATE = await AUTHORITY.issue({ addresses: ["127.0.0.1"] });
const TRUST = { caCerts: [AUTHORITY.pem] };

Deno.test("it listens and answers though its upstream is away from the start", async () => {
  await using server = await DotServer.start({ certificate: CERTIFICATE });
  server.stopListening();
  await using proxy = new RunningProxy({ upstreams: [server], ...TRUST });
  assertEquals(proxy.count("listening"), 2);
  assertFailed([read(await askUdp(proxy.address, question("a.test")))], 22, /: connect: connection refused/);
});

Deno.test("a stop answers pending queries over UDP and TCP, accepts no new ones, and then closes", async () => {
  const hold = new Hold();
  await using server = await DotServer.start({ certificate: CERTIFICATE, behavior: hold.behavior });
  await using proxy = new RunningProxy({ upstreams: [server], ...TRUST, ...ONE_THREAD });
  await using tcp = await TcpClient.connect(proxy.address);
  using udp = new UdpClient(proxy.address);
  await tcp.send(...names(10).map(question));
  await udp.send(question("udp.test"));
  await server.until(({ received }) => received === 11);
  const stopped = proxy.proxy.stop(5_000);
  await assertRejects(() => TcpClient.connect(proxy.address), Error, "ECONNREFUSED");
  await hold.release();
  assertRight([read(await udp.receive())]);
  const answers = [];
  for (let message = await tcp.receive(); message; message = await tcp.receive()) answers.push(read(message));
  assertRight(answers);
  assertEquals(answers.length, 10);
  await stopped;
  await server.until(({ open }) => open === 0);
  assertEquals(server.received, 11);
});

Deno.test("a stop that finds nothing in flight is over at once, idle clients or not", async () => {
  await using server = await DotServer.start({ certificate: CERTIFICATE });
  await using proxy = new RunningProxy({ upstreams: [server], ...TRUST });
  await using idle = await TcpClient.connect(proxy.address);
  await idle.send(question("a.test"));
  assertRight([read((await idle.receive())!)]);
  const start = performance.now();
  await proxy.proxy.stop(5_000);
  assert(performance.now() - start < 1_000);
  assertEquals(await idle.closed(), "fin");
  await server.until(({ open }) => open === 0);
});

Deno.test("a stop ends when its time is over, whatever is in flight", async () => {
  await using server = await DotServer.start({ certificate: CERTIFICATE, behavior: silent });
  await using proxy = new RunningProxy({ upstreams: [server], ...TRUST });
  await using client = await TcpClient.connect(proxy.address);
  await client.send(question("a.test"));
  await server.until(({ received }) => received === 1);
  const start = performance.now();
  await proxy.proxy.stop(200);
  const passed = performance.now() - start;
  assert(passed >= 199 && passed < 1_500, `${passed} ms`);
  await client.closed();
  await server.until(({ open }) => open === 0);
  assertEquals(server.accepted, 1);
});

Deno.test("dispose leaves nothing behind: no connection, and none that is dialed for pending queries", async () => {
  await using server = await DotServer.start({ certificate: CERTIFICATE, behavior: silent });
  const proxy = new RunningProxy({ upstreams: [server], ...TRUST });
  await using client = await TcpClient.connect(proxy.address);
  await client.send(...names(5).map(question));
  await server.until(({ received }) => received === 5);
  await proxy[Symbol.asyncDispose]();
  await client.closed();
  await server.until(({ open }) => open === 0);
  assertEquals([server.accepted, server.received], [1, 5]);
});

Deno.test("dispose within a handshake leaves nothing behind", async () => {
  await using server = await DotServer.start({ certificate: CERTIFICATE, admission: ignoring });
  const proxy = new RunningProxy({ upstreams: [server], ...TRUST });
  await using client = await TcpClient.connect(proxy.address);
  await client.send(question("a.test"));
  await server.until(({ open }) => open === 1);
  await proxy[Symbol.asyncDispose]();
  await client.closed();
  await server.until(({ open }) => open === 0);
  assertEquals([server.accepted, proxy.states], [1, []]);
});

Deno.test("the second upstream answers when the first refuses, and no client notices", async () => {
  await using first = await DotServer.start({ certificate: CERTIFICATE });
  await using second = await DotServer.start({ certificate: CERTIFICATE });
  first.stopListening();
  await using proxy = new RunningProxy({ upstreams: [first, second], ...TRUST, ...ONE_THREAD });
  assertRight(await askEach(proxy.address, names(200)));
  assertEquals([second.handshakes, second.received, proxy.states], [1, 200, ["down: refused", "up"]]);
});

Deno.test("an upstream that was away answers when it is back and the other one has gone", async () => {
  await using first = await DotServer.start({ certificate: CERTIFICATE });
  await using second = await DotServer.start({ certificate: CERTIFICATE });
  first.stopListening();
  await using proxy = new RunningProxy({ upstreams: [first, second], ...TRUST, ...ONE_THREAD });
  assertRight(await askEach(proxy.address, names(5)));
  assertEquals([first.received, second.received], [0, 5]);
  await first.listen();
  second.stopListening();
  second.connections[0]!.reset();
  await proxy.until((proxy) => proxy.count("connection closed") === 2);
  const start = performance.now();
  while (first.received === 0 && performance.now() - start < 3_000) await askEach(proxy.address, names(1));
  assertRight(await askEach(proxy.address, names(50)));
  assertEquals(second.received, 5);
});

for (const timeout of [600, 4_000]) {
  Deno.test(`the second upstream answers in time when the first turns into a black hole (timeout ${timeout})`, async () => {
    await using first = await DotServer.start({ certificate: CERTIFICATE });
    await using second = await DotServer.start({ certificate: CERTIFICATE });
    await using relay = await Relay.start(first.address);
    await using proxy = new RunningProxy({ upstreams: [relay, second], ...TRUST, timeout });
    assertRight(await askEach(proxy.address, names(5)));
    assertEquals([first.received, second.received], [5, 0]);
    relay.blackHole = true;
    const start = performance.now();
    assertRight(await askEach(proxy.address, names(50)));
    const passed = performance.now() - start;
    assert(passed < timeout, `${passed} ms`);
    assertEquals([first.received, second.received], [5, 50]);
  });
}

/** Answers five queries of a connection, and no more. */
const fallingSilent: Behavior = (connection) => {
  const answer = answering()(connection);
  let left = 5;
  return (query) => left-- > 0 ? answer(query) : undefined;
};

Deno.test("a connection that died without a word is given up, however short the queries' time is", async () => {
  await using server = await DotServer.start({
    certificate: CERTIFICATE,
    behavior: inTurn(fallingSilent, answering()),
  });
  await using proxy = new RunningProxy({ upstreams: [server], ...TRUST, timeout: 500 });
  assertRight(await askEach(proxy.address, names(5)));
  const start = performance.now();
  let answers = await askEach(proxy.address, names(5));
  while (answers[0]!.rcode !== 0 && performance.now() - start < 4_000) {
    assertFailed(answers, 22, /: read: /);
    answers = await askEach(proxy.address, names(5));
  }
  assertRight(answers);
  assertEquals(server.handshakes, 2);
});

Deno.test("all upstreams away: the error is that of one of them", async () => {
  await using first = await DotServer.start({ certificate: CERTIFICATE, admission: ignoring });
  await using second = await DotServer.start({ certificate: CERTIFICATE });
  second.stopListening();
  await using proxy = new RunningProxy({ upstreams: [first, second], ...TRUST, timeout: 600 });
  assertFailed(
    await askEach(proxy.address, names(5)),
    22,
    /: (TLS: timed out|connect: connection refused)/,
  );
});
