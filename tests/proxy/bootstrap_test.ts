/** Upstreams that are given by name, and the servers that know where they are (RFC 8310 §7.2). */
import { parseBootstrap } from "../../lib/upstream/address.ts";
import { assertEquals, assertMatch } from "../support/assert.ts";
import { Authority } from "../support/servers/certificates.ts";
import { askUdp } from "../support/clients/plain_client.ts";
import { addressed, answering, DotServer } from "../support/servers/dot_server.ts";
import { ONE_THREAD } from "../support/mode.ts";
import { a, query, read, response, soa } from "../support/packets/packets.ts";
import { PlainDnsServer } from "../support/servers/plain_dns_server.ts";
import { RunningProxy } from "../support/processes/running_proxy.ts";

const AUTHORITY = await Authority.create();
const CERTIFICATE = await AUTHORITY.issue({ names: ["dot.invalid"], addresses: ["127.0.0.1"] });
const asked = query("example.com", "A", { edns: {} });

/** `dot.invalid` is at 127.0.0.1, as the system's resolver can never say (RFC 6761 §6.4). */
function where(query: Uint8Array): Uint8Array {
  const isA = query.at(-3) === 1;
  return response(query, { answers: isA ? [a("dot.invalid", "127.0.0.1")] : [] });
}

Deno.test("an upstream given by name is found by plain DNS, and asked over TLS alone (8310-5)", async () => {
  await using upstream = await DotServer.start({ certificate: CERTIFICATE });
  await using server = await PlainDnsServer.start({ udp: (query) => [where(query)] });
  const { hostname, port } = server.address;
  await using proxy = new RunningProxy({
    upstreams: [`dot.invalid:${upstream.port}`],
    caCerts: [AUTHORITY.pem],
    bootstrap: [{ kind: "plain", host: hostname, port }],
  });
  assertEquals(read(await askUdp(proxy.address, asked)).rcode, 0);
  assertEquals([upstream.received, server.queries.length], [1, 2]);
  assertEquals(server.queries.map((query) => read(query).question?.name), ["dot.invalid", "dot.invalid"]);
});

Deno.test("an upstream given by name is found over TLS by another that is an address", async () => {
  await using upstream = await DotServer.start({ certificate: CERTIFICATE });
  await using bootstrap = await DotServer.start({
    certificate: CERTIFICATE,
    behavior: answering((query) => {
      const isA = read(query).question?.type === 1;
      return addressed({ answers: isA ? [a("dot.invalid", "127.0.0.1")] : [] })(
        query,
        upstream.connections[0]!,
      );
    }),
  });
  const [tls] = parseBootstrap(`tls://127.0.0.1:${bootstrap.port}`);
  await using proxy = new RunningProxy({
    upstreams: [`dot.invalid:${upstream.port}`],
    caCerts: [AUTHORITY.pem],
    bootstrap: [tls!],
  });
  assertEquals(read(await askUdp(proxy.address, asked)).rcode, 0);
  assertEquals([upstream.received, bootstrap.received, bootstrap.accepted], [1, 2, 1]);
});

Deno.test("once a bootstrap server is given the system's resolver is not asked, whatever becomes of the first", async () => {
  await using upstream = await DotServer.start({
    certificate: await AUTHORITY.issue({ names: ["localhost"] }),
  });
  await using server = await PlainDnsServer.start({ udp: (query) => [response(query, { rcode: 5 })] });
  const { hostname, port } = server.address;
  await using proxy = new RunningProxy({
    upstreams: [`localhost:${upstream.port}`],
    caCerts: [AUTHORITY.pem],
    bootstrap: [{ kind: "plain", host: hostname, port }],
  });
  const answer = read(await askUdp(proxy.address, asked));
  assertEquals([answer.rcode, upstream.accepted], [2, 0]);
  const reason = new TextDecoder().decode(
    answer.edns?.options.find(({ code }) => code === 15)?.value.subarray(2),
  );
  assertEquals(
    reason,
    `localhost:${upstream.port}: resolve: its name cannot be resolved (${hostname}:${port}: REFUSED)`,
  );
});

Deno.test("an upstream that has moved is found anew, however long its old address was to hold", async () => {
  await using upstream = await DotServer.start({ certificate: CERTIFICATE });
  let address = "127.0.53.9"; // without a listener
  const answer = (query: Uint8Array) =>
    response(query, { answers: query.at(-3) === 1 ? [a("dot.invalid", address, 86_400)] : [] });
  await using server = await PlainDnsServer.start({ udp: (query) => [answer(query)] });
  const { hostname, port } = server.address;
  await using proxy = new RunningProxy({
    upstreams: [`dot.invalid:${upstream.port}`],
    caCerts: [AUTHORITY.pem],
    bootstrap: [{ kind: "plain", host: hostname, port }],
    ...ONE_THREAD,
  });
  assertEquals(read(await askUdp(proxy.address, asked)).rcode, 2);
  address = "127.0.0.1";
  const end = performance.now() + 10_000;
  let rcode = 2;
  while (rcode !== 0 && performance.now() < end) rcode = read(await askUdp(proxy.address, asked)).rcode;
  assertEquals(rcode, 0);
});

Deno.test("an upstream without a pinned key is down for good, and is reported once (7858-8)", async () => {
  await using upstream = await DotServer.start({ certificate: CERTIFICATE });
  const pin = new Uint8Array(32).toBase64();
  await using proxy = new RunningProxy({
    upstreams: [`127.0.0.1:${upstream.port}?pin=sha256/${pin}`],
    caCerts: [AUTHORITY.pem],
    ...ONE_THREAD,
  });
  for (let i = 0; i < 3; i++) assertEquals(read(await askUdp(proxy.address, asked)).rcode, 2);
  assertEquals(proxy.states, ["down: pin mismatch"]);
  await upstream.until(({ open }) => open === 0);
  assertEquals([upstream.received, upstream.accepted <= 2], [0, true]);
  const [{ lastError, isRuledOut } = {}] = proxy.proxy.upstreams;
  assertEquals(isRuledOut, true);
  assertMatch(lastError!, /is pinned: pin mismatch \(its keys are sha256\/[^ ]+, sha256\/[^ ]+\)$/);
  // A reload is the operator's word that something has changed: it is looked at once more.
  const tries = upstream.accepted;
  await proxy.reconfigure({});
  for (let i = 0; i < 3; i++) assertEquals(read(await askUdp(proxy.address, asked)).rcode, 2);
  assertEquals([upstream.accepted > tries, upstream.accepted - tries <= 2], [true, true]);
});

Deno.test("an unauthenticated connection is reported, in the opportunistic profile only (8310-3)", async () => {
  await using upstream = await DotServer.start({ certificate: CERTIFICATE });
  await using proxy = new RunningProxy({
    upstreams: [{ address: upstream.address }],
    opportunistic: true,
    ...ONE_THREAD,
  });
  for (let i = 0; i < 2; i++) assertEquals(read(await askUdp(proxy.address, asked)).rcode, 0);
  assertEquals([proxy.count("unauthenticated"), proxy.states], [1, ["up"]]);
});

for (
  const [who, caCerts, ad] of [["anybody", [], false], ["a trusted server", [AUTHORITY.pem], true]] as const
) {
  Deno.test(`in the opportunistic profile AD of ${who} is ${ad ? "" : "not "}believed, nor what follows from it (4035 §4.9.3)`, async () => {
    const behavior = answering((query) => response(query, { ad: true, rcode: 3, authority: [soa("test")] }));
    await using upstream = await DotServer.start({ certificate: CERTIFICATE, behavior });
    await using proxy = new RunningProxy({
      upstreams: [{ address: upstream.address }],
      caCerts,
      opportunistic: true,
      cacheSize: 1 << 20,
      ...ONE_THREAD,
    });
    for (const name of ["a.test", "below.a.test"]) {
      assertEquals(read(await askUdp(proxy.address, query(name, "A", { ad: true }))).flags.ad, ad);
    }
    assertEquals(upstream.received, ad ? 1 : 2);
  });
}
