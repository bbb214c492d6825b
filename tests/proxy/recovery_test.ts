/** Upstreams that go down and come back, and the events about it. */
import { askEach, assertFailed, assertRight, names } from "../support/clients/query_client.ts";
import { assert, assertEquals } from "../support/assert.ts";
import { Authority } from "../support/servers/certificates.ts";
import { addressed, answering, closing, DotServer, ignoring, silent } from "../support/servers/dot_server.ts";
import { ONE_THREAD } from "../support/mode.ts";
import { keepAlive } from "../support/packets/packets.ts";
import { RunningProxy } from "../support/processes/running_proxy.ts";
import { Relay } from "../support/servers/tcp_relay.ts";

const AUTHORITY = await Authority.create();
const CERTIFICATE = await AUTHORITY.issue({ addresses: ["127.0.0.1"] });
const TRUST = { caCerts: [AUTHORITY.pem], ...ONE_THREAD };

/** Asks again and again, as clients do, until there is an answer. */
async function untilAnswered(proxy: RunningProxy): Promise<void> {
  const start = performance.now();
  for (;;) {
    const answers = await askEach(proxy.address, ["again.test"]);
    if (answers[0]!.rcode === 0) return assertRight(answers);
    assert(performance.now() - start < 5_000, "it has not come back");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

Deno.test("a server that stops and comes back on its port is found again, with one event per change", async () => {
  await using server = await DotServer.start({ certificate: CERTIFICATE });
  await using proxy = new RunningProxy({ upstreams: [server], ...TRUST });
  assertRight(await askEach(proxy.address, names(50)));
  assertEquals(proxy.states, ["up"]);
  server.stopListening();
  server.connections[0]!.end();
  await proxy.until((proxy) => proxy.count("connection closed") === 1);
  assertFailed(await askEach(proxy.address, names(50)), 22, /: connect: connection refused/);
  assertFailed(await askEach(proxy.address, names(50)), 22, /: connect: connection refused/);
  assertEquals(proxy.states, ["up", "down: refused"]);
  await server.listen();
  await untilAnswered(proxy);
  assertRight(await askEach(proxy.address, names(50)));
  assertEquals(proxy.states, ["up", "down: refused", "up"]);
});

Deno.test("while a server is away it is not dialled for every query", async () => {
  await using server = await DotServer.start({ certificate: CERTIFICATE, admission: closing });
  await using proxy = new RunningProxy({ upstreams: [server], ...TRUST });
  // The first wait is 37.5 ms at least, so in any case far fewer dials than queries.
  for (let round = 0; round < 50; round++) {
    assertFailed(await askEach(proxy.address, names(4)), 23, /: TLS: it closed the connection/);
  }
  assert(server.accepted <= 20, `${server.accepted} dials for 200 queries`);
  assertEquals(proxy.states, ["down: closed"]);
});

Deno.test("a certificate replaced by an untrusted one, and back again, is reported once each", async () => {
  await using server = await DotServer.start({ certificate: CERTIFICATE });
  await using proxy = new RunningProxy({ upstreams: [server], ...TRUST });
  assertRight(await askEach(proxy.address, names(5)));
  const other = await Authority.create({ name: "Other Root" });
  server.certificate = await other.issue({ addresses: ["127.0.0.1"] });
  server.connections[0]!.end();
  await proxy.until((proxy) => proxy.count("connection closed") === 1);
  assertFailed(
    await askEach(proxy.address, names(5)),
    23,
    /: authentication: its certificate comes from an issuer/,
  );
  server.certificate = await AUTHORITY.issue({ addresses: ["127.0.0.1"] });
  await untilAnswered(proxy);
  assertEquals(proxy.states, ["up", "down: untrusted issuer", "up"]);
});

Deno.test("another cause of being away is another change", async () => {
  await using server = await DotServer.start({ certificate: CERTIFICATE, admission: closing });
  await using proxy = new RunningProxy({ upstreams: [server], ...TRUST });
  assertFailed(await askEach(proxy.address, names(5)), 23, /: TLS: /);
  server.stopListening();
  const start = performance.now();
  while (proxy.states.length < 2 && performance.now() - start < 5_000) await askEach(proxy.address, names(1));
  assertEquals(proxy.states, ["down: closed", "down: refused"]);
});

Deno.test("queries wait for a connect in progress and are answered by it, one connection for all (7766-4)", async () => {
  await using server = await DotServer.start({ certificate: CERTIFICATE });
  await using relay = await Relay.start(server.address, { delayUp: 100, delayDown: 100 });
  await using proxy = new RunningProxy({ upstreams: [relay], ...TRUST });
  assertRight(await askEach(proxy.address, names(200)));
  assertEquals([relay.links.length, server.received], [1, 200]);
});

Deno.test("a slow handshake is finished for later queries, though the first ones could not wait", async () => {
  await using server = await DotServer.start({ certificate: CERTIFICATE });
  await using relay = await Relay.start(server.address, { delayUp: 400, delayDown: 400 });
  await using proxy = new RunningProxy({ upstreams: [relay], ...TRUST, timeout: 600 });
  assertFailed(await askEach(proxy.address, names(5)), 22, /: TLS: timed out$/);
  await server.until(({ handshakes }) => handshakes === 1);
  Object.assign(relay, { delayUp: 0, delayDown: 0 });
  assertRight(await askEach(proxy.address, names(5)));
  assertEquals([relay.links.length, server.received], [1, 5]);
});

Deno.test("a deadline that passes while connecting names the phase (8914-3)", async () => {
  await using server = await DotServer.start({ certificate: CERTIFICATE, admission: ignoring });
  await using proxy = new RunningProxy({ upstreams: [server], ...TRUST, timeout: 500 });
  assertFailed(await askEach(proxy.address, names(5)), 22, /: TLS: timed out$/);
  assertFailed(await askEach(proxy.address, names(5)), 22, /: TLS: timed out$/);
  assertEquals(server.accepted, 1);
});

Deno.test("queries beyond those that may wait are refused at once (8914-3)", async () => {
  await using server = await DotServer.start({ certificate: CERTIFICATE, behavior: silent });
  await using proxy = new RunningProxy({
    upstreams: [server],
    ...TRUST,
    maxInFlight: 10,
    timeout: 2_000,
  });
  const waiting = askEach(proxy.address, names(10));
  await server.until(({ received }) => received === 10);
  const start = performance.now();
  assertFailed(
    await askEach(proxy.address, names(10, "more")),
    0,
    /: read: too many queries are waiting already$/,
  );
  assert(performance.now() - start < 1_000);
  assertEquals(server.received, 10);
  server.behavior = answering();
  await waiting;
});

Deno.test("a connection that the server wants to be rid of is drained, and another takes its place (7828-2)", async () => {
  const behavior = answering(addressed({ edns: { options: [keepAlive(0)] } }));
  await using server = await DotServer.start({ certificate: CERTIFICATE, behavior });
  await using proxy = new RunningProxy({ upstreams: [server], ...TRUST });
  for (const round of [1, 2, 3]) {
    assertRight(await askEach(proxy.address, names(1)));
    await server.until(({ open }) => open === 0);
    assertEquals([server.handshakes, server.connections.at(-1)!.ending], [round, "client end"]);
  }
  assertRight(await askEach(proxy.address, names(50)));
  assertEquals(proxy.states, ["up"]);
});

Deno.test("an idle connection is closed before the time that the server gives is over (7828-2)", async () => {
  const behavior = answering(addressed({ edns: { options: [keepAlive(10)] } }));
  await using server = await DotServer.start({ certificate: CERTIFICATE, behavior });
  await using proxy = new RunningProxy({ upstreams: [server], ...TRUST });
  assertRight(await askEach(proxy.address, names(5)));
  const start = performance.now();
  await server.until(({ connections: [first] }) => first!.ending !== undefined);
  const passed = performance.now() - start;
  assert(passed > 500 && passed < 1_000, `${passed} ms`);
  assertEquals(server.connections[0]!.ending, "client end");
  // The queries came close together, so that successors stood ready for the next one: not for ever, if none comes.
  await server.until(({ open, handshakes }) => open === 0 && handshakes === 4);
});
