/** The parts of a query that reach the upstream, and their form. */
import { askEach, assertRight, names, question } from "../support/clients/query_client.ts";
import { assert, assertEquals } from "../support/assert.ts";
import { Authority } from "../support/servers/certificates.ts";
import { askTcp, askUdp, TcpClient } from "../support/clients/plain_client.ts";
import {
  addressed,
  answering,
  DotServer,
  type DotServerOptions,
  Hold,
  silent,
} from "../support/servers/dot_server.ts";
import { ONE_THREAD } from "../support/mode.ts";
import { type EdnsOption, hex, keepAlive, padding, query, read, txt } from "../support/packets/packets.ts";
import { RunningProxy } from "../support/processes/running_proxy.ts";

const AUTHORITY = await Authority.create();
const CERTIFICATE = await AUTHORITY.issue({ addresses: ["127.0.0.1"] });

function proxied(
  name: string,
  options: Partial<DotServerOptions>,
  body: (proxy: RunningProxy, server: DotServer) => Promise<void>,
): void {
  Deno.test(name, async () => {
    await using server = await DotServer.start({ certificate: CERTIFICATE, ...options });
    await using proxy = new RunningProxy({ upstreams: [server], caCerts: [AUTHORITY.pem], ...ONE_THREAD });
    await body(proxy, server);
  });
}

const LONGEST = `${"a".repeat(63)}.${"b".repeat(63)}.${"c".repeat(63)}.${"d".repeat(61)}`;

proxied(
  "every query is padded to a multiple of 128 octets by its last option (8467-1, 8467-2)",
  {},
  async (proxy, server) => {
    for (const name of [".", "a.test", `${"a".repeat(60)}.test`, LONGEST]) {
      await askTcp(proxy.address, query(name, "A"));
      const sent = server.queries.at(-1)!;
      assertEquals(sent.length % 128, 0, name);
      const last = read(sent).edns!.options.at(-1)!;
      assertEquals([last.code, last.value], [12, new Uint8Array(last.value.length)]);
    }
    assertEquals(server.queries.map(({ length }) => length), [128, 128, 128, 384]);
  },
);

proxied("every query asks how long the connection may stay (7828-1)", {}, async (proxy, server) => {
  for (const name of names(2)) await askUdp(proxy.address, query(name));
  for (const sent of server.queries) {
    const option = read(sent).edns!.options.find(({ code }) => code === 11);
    assertEquals(option, keepAlive());
  }
});

/** The client's own network, a cookie, an NSID request, an option of local use, padding, keep-alive. */
const PRIVATE: EdnsOption[] = [
  { code: 8, value: hex("0001 18 00 c0 00 02") },
  { code: 10, value: hex("0123456789abcdef") },
  { code: 3, value: hex("") },
  { code: 65001, value: new TextEncoder().encode("secret") },
  padding(7),
  keepAlive(),
];

for (const [transport, ask] of [["UDP", askUdp], ["TCP", askTcp]] as const) {
  proxied(
    `none of a client's options leaves over ${transport}, and its subnet is not spoken of (6891-1, 7830-3)`,
    {},
    async (proxy, server) => {
      await ask(proxy.address, query("a.test", "A", { edns: { size: 4096, do: true, options: PRIVATE } }));
      const { edns, question } = read(server.queries[0]!);
      assertEquals([question?.name, edns?.size, edns?.do], ["a.test", 1232, true]);
      assertEquals(edns?.options.map(({ code }) => code), [11, 12]);
    },
  );
}

Deno.test("--client-subnet zero asks that no subnet be added, also after a reload (8310-8, 7871 §7.1.2)", async () => {
  await using server = await DotServer.start({ certificate: CERTIFICATE });
  await using proxy = new RunningProxy({ upstreams: [server], caCerts: [AUTHORITY.pem], ...ONE_THREAD });
  for (const [clientSubnet, codes] of [["zero", [8, 11, 12]], ["none", [11, 12]]] as const) {
    await proxy.reconfigure({ clientSubnet });
    await askUdp(proxy.address, query("a.test", "A", { edns: { options: PRIVATE } }));
    const { options } = read(server.queries.at(-1)!).edns!;
    assertEquals(options.map(({ code }) => code), [...codes]);
    if (clientSubnet === "zero") assertEquals(options[0]?.value, hex("0001 00 00"));
  }
});

proxied(
  "message IDs are the proxy's own and cannot be foretold (5452-2, 7766-2)",
  {},
  async (proxy, server) => {
    assertRight(await askEach(proxy.address, names(400)));
    const ids = server.queries.map((sent) => read(sent).id);
    const mean = ids.reduce((sum, id) => sum + id, 0) / ids.length;
    // The mean of 400 has a standard deviation of 946; one run in a hundred million is further off than 5500.
    assert(Math.abs(mean - 32_767.5) < 5_500, `mean ${mean}`);
    const steps = new Set(ids.map((id, index) => (id - (ids[index - 1] ?? 0)) & 0xffff));
    assert(steps.size > 350, `${steps.size} different steps`);
  },
);

const held = new Hold();
proxied(
  "no two queries in flight have the same ID (7766-2)",
  { behavior: held.behavior },
  async (proxy, server) => {
    const asking = askEach(proxy.address, names(1500));
    await server.until(({ received }) => received === 1500);
    assertEquals(new Set(server.queries.map((sent) => read(sent).id)).size, 1500);
    await held.release();
    assertRight(await asking);
    assertEquals(server.handshakes, 1);
  },
);

proxied("a burst of queries is gathered into few writes (7766-8)", {}, async (proxy, server) => {
  await askTcp(proxy.address, question("first.test"));
  assertRight(await askEach(proxy.address, names(100), { clients: 1 }));
  const [connection] = server.connections;
  assertEquals(connection!.received, 101);
  assert(connection!.reads.length <= 10, `${connection!.reads.length} reads`);
});

proxied(
  "queries arrive one by one at a server that says nothing (Nagle's algorithm is off)",
  { behavior: silent },
  async (proxy, server) => {
    await using client = await TcpClient.connect(proxy.address);
    await client.send(question("first.test", 99));
    await server.until(({ received }) => received === 1);
    for (const [id, name] of names(30).entries()) {
      await client.send(question(name, id));
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await server.until(({ received }) => received === 31);
    // With Nagle's algorithm all that is written within 40 ms arrives together, in five or six reads.
    const { reads } = server.connections[0]!;
    assert(reads.length >= 15, `${reads}`);
  },
);

proxied("ALPN says dot, and TLS is 1.3 where the server has it (8310-7)", {}, async (proxy, server) => {
  await askUdp(proxy.address, query("a.test"));
  const [connection] = server.connections;
  assertEquals([connection!.alpn, connection!.version], ["dot", "TLSv1.3"]);
});

proxied(
  "a server without ALPN that has TLS 1.2 only is good enough (8310-7)",
  { alpn: [], maxVersion: "TLSv1.2" },
  async (proxy, server) => {
    assertRight(await askEach(proxy.address, names(10)));
    assertEquals([server.connections[0]!.alpn, server.connections[0]!.version], [undefined, "TLSv1.2"]);
  },
);

/** 12 + 16 of header and question, 12 of the record's head, and so 65,495 of RDATA to make 65,535. */
const LARGEST = txt(
  "large.test",
  Array.from({ length: 256 }, (_, index) => "x".repeat(index < 255 ? 255 : 214)),
);

proxied(
  "an answer of 65,535 octets arrives whole over TCP, and truncated over UDP (7858-4, 2181-1)",
  { behavior: answering(addressed({ answers: [LARGEST], edns: false })) },
  async (proxy) => {
    const overTcp = await askTcp(proxy.address, query("large.test", "TXT"));
    const [record] = read(overTcp).answers;
    assertEquals(record!.rdata, LARGEST.rdata);
    const overUdp = read(await askUdp(proxy.address, query("large.test", "TXT")));
    assertEquals([overUdp.flags.tc, overUdp.answers], [true, []]);
    assertEquals(overTcp.length, 65_535);
  },
);
