/** Vulnerabilities of other DNS software, tried on a whole proxy with a real DNS-over-TLS server behind it. */
import { QUERY_SEEDS, SEEDS } from "../fuzz/seeds.ts";
import { askEach, assertRight, names } from "../support/clients/query_client.ts";
import { assert, assertEquals } from "../support/assert.ts";
import { Authority } from "../support/servers/certificates.ts";
import { askTcp, askUdp, TcpClient } from "../support/clients/plain_client.ts";
import {
  addressed,
  type Answer,
  answering,
  DotServer,
  wrongQuestion,
} from "../support/servers/dot_server.ts";
import { concat } from "../support/packets/frames.ts";
import { ONE_THREAD } from "../support/mode.ts";
import { readName } from "../support/packets/names.ts";
import { padding, query, read } from "../support/packets/packets.ts";
import { RunningProxy } from "../support/processes/running_proxy.ts";

const AUTHORITY = await Authority.create();
const CERTIFICATE = await AUTHORITY.issue({ addresses: ["127.0.0.1"] });

/** Names that begin with `label` get `answer`, all others their address. */
function withAnswer(label: string, answer: Answer) {
  return answering((asked, connection) =>
    readName(asked, 12).name.startsWith(label) ? answer(asked, connection) : addressed()(asked, connection)
  );
}

/** A response as it stands, under the ID and with the question of the query. */
function asItStands(bytes: Uint8Array): Answer {
  return (asked) => concat(asked.subarray(0, 2), bytes.subarray(2));
}

async function proxyOf(server: DotServer, fields = {}): Promise<RunningProxy> {
  const options = { caCerts: [AUTHORITY.pem], cacheSize: 1 << 20, timeout: 2_000, ...ONE_THREAD };
  const proxy = new RunningProxy({ upstreams: [server], ...options, ...fields });
  await proxy.proxy.started;
  return proxy;
}

Deno.test("a name in RDATA that leaves the message: nothing hangs (dnsdist CVE-2025-30187, Go CVE-2024-24788, dnsmasq CVE-2026-4890)", async () => {
  const behavior = withAnswer("hang", asItStands(SEEDS["an endless name"]!));
  await using server = await DotServer.start({ certificate: CERTIFICATE, behavior });
  await using proxy = await proxyOf(server);
  for (const name of ["hang.test", "a.hang.test", "hang.test", "b.a.hang.test"]) {
    const { rcode } = read(await askUdp(proxy.address, query(name, "A", { edns: {} })));
    assertEquals(rcode, name.startsWith("hang") ? 2 : 0, name);
  }
  assertRight(await askEach(proxy.address, names(10)));
});

Deno.test("a name that is read through a TTL is not kept, and so is the same at each time (Unbound CVE-2026-82717)", async () => {
  const behavior = withAnswer("a.test", asItStands(SEEDS["a name under a TTL"]!));
  await using server = await DotServer.start({ certificate: CERTIFICATE, behavior });
  await using proxy = await proxyOf(server);
  for (let i = 1; i <= 3; i++) {
    const { answers } = read(await askUdp(proxy.address, query("a.test")));
    assertEquals(answers.map(({ name, ttl }) => [name, ttl]), [["a.test", 256], ["z", 3600]]);
    assertEquals(server.receivedFor("a.test"), i);
  }
});

Deno.test("chains of pointers in a query are answered FORMERR (Unbound CVE-2026-96405, c-ares CVE-2026-69184, dnspython CVE-2026-114605, Net::DNS CVE-2026-64194)", async () => {
  await using server = await DotServer.start({ certificate: CERTIFICATE });
  await using proxy = await proxyOf(server);
  const chains = QUERY_SEEDS["one with chains of pointers"]!;
  assertEquals(read(await askTcp(proxy.address, chains)).rcode, 1);
  assertEquals(server.received, 0);
});

Deno.test("a query with 16,000 EDNS options is answered like any other (Unbound CVE-2026-41292)", async () => {
  await using server = await DotServer.start({ certificate: CERTIFICATE });
  await using proxy = await proxyOf(server);
  const options = Array(16_000).fill({ code: 65_001, value: new Uint8Array(0) });
  for (const name of ["a.test", "a.test"]) {
    const { rcode, edns } = read(await askTcp(proxy.address, query(name, "A", { edns: { options } })));
    assertEquals([rcode, edns?.options], [0, []]);
  }
});

Deno.test("pipelined queries of 60 kB for a name that waits are all answered, others meanwhile (BIND CVE-2019-6477)", async () => {
  let release = () => {};
  const released = new Promise<void>((resolve) => release = resolve);
  const behavior = withAnswer("slow", async (asked, connection) => {
    await released;
    return await addressed()(asked, connection);
  });
  await using server = await DotServer.start({ certificate: CERTIFICATE, behavior });
  await using proxy = await proxyOf(server, { timeout: 20_000 });
  await using client = await TcpClient.connect(proxy.address);
  const count = 30;
  const large = { edns: { options: [padding(60_000)] } };
  await client.send(...Array.from({ length: count }, (_, id) => query("slow.test", "A", { id, ...large })));
  await server.until(() => server.receivedFor("slow.test") === 1);
  assertRight(await askEach(proxy.address, names(10)));
  release();
  const ids = new Set<number>();
  for (let i = 0; i < count; i++) ids.add(read((await client.receive())!).id);
  assertEquals(ids.size, count);
});

Deno.test("answers to another question end no connection of use (Knot Resolver CVE-2023-46317, CVE-2023-26249, CoreDNS CVE-2023-28452, hickory CVE-2026-123584)", async () => {
  const behavior = withAnswer("wrong", wrongQuestion());
  await using server = await DotServer.start({ certificate: CERTIFICATE, behavior });
  await using proxy = await proxyOf(server);
  assertRight(await askEach(proxy.address, names(10, "before")));
  const answers = await Promise.all(
    names(20, "wrong").map((name) => askUdp(proxy.address, query(name, "A", { edns: {} }))),
  );
  assertEquals(answers.every((answer) => read(answer).rcode === 2), true);
  assertRight(await askEach(proxy.address, names(10, "behind")));
  assert(server.handshakes <= 3, `${server.handshakes} handshakes`);
});
