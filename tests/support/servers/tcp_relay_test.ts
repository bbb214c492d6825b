import { assert, assertEquals, assertRejects, assertThrows } from "../assert.ts";
import { Authority } from "./certificates.ts";
import { TcpClient } from "../clients/plain_client.ts";
import { DotClient } from "../clients/dot_client.ts";
import { byteByByte, DotServer } from "./dot_server.ts";
import { frame } from "../packets/frames.ts";
import { hex, query, read } from "../packets/packets.ts";
import { PlainServer } from "./plain_server.ts";
import { Relay } from "./tcp_relay.ts";
import { tlsRecords } from "../packets/tls_records.ts";

const AUTHORITY = await Authority.create();
const CERTIFICATE = await AUTHORITY.issue({ names: ["dot.test"] });
const TRUST = { trusted: AUTHORITY.pem };
const QUERY = query("a.test");

function relayed(name: string, body: (relay: Relay, server: DotServer) => Promise<void>): void {
  Deno.test(name, async () => {
    await using server = await DotServer.start({ certificate: CERTIFICATE });
    await using relay = await Relay.start(server.address);
    await body(relay, server);
  });
}

relayed("what goes through the relay is TLS records, one for each write", async (relay) => {
  using client = await DotClient.connect(relay.address, TRUST);
  await client.send(QUERY);
  assertEquals(read((await client.receive())!).rcode, 0);
  const before = relay.links[0]!.up.length;
  await client.send(...Array<Uint8Array>(64).fill(QUERY));
  for (let left = 64; left > 0; left--) await client.receive();
  const [link] = relay.links;
  const [hello] = tlsRecords(link!.up);
  assertEquals(hello!.type, 22);
  const length = frame(QUERY).length * 64 + 17; // RFC 8446 §5.2: the content type and the tag of 16 octets.
  assertEquals(tlsRecords(link!.up.subarray(before)), [{ type: 23, length }]);
});

relayed("an answer in single octets travels in as many records", async (relay, server) => {
  server.behavior = byteByByte();
  using client = await DotClient.connect(relay.address, TRUST);
  await client.send(QUERY);
  const answer = await client.receive();
  const octets = tlsRecords(relay.links[0]!.down).filter(({ length }) => length === 1 + 17);
  assertEquals(octets.length, 2 + answer!.length);
});

relayed("each direction has a delay of its own", async (relay) => {
  using client = await DotClient.connect(relay.address, TRUST);
  for (const [delayUp, delayDown] of [[100, 0], [0, 100]] as const) {
    Object.assign(relay, { delayUp, delayDown });
    const start = performance.now();
    await client.send(QUERY);
    await client.receive();
    const passed = performance.now() - start;
    assert(passed >= 99 && passed < 1_000, `${passed} ms`);
  }
});

relayed("a shorter delay overtakes nothing", async (relay) => {
  using client = await DotClient.connect(relay.address, TRUST);
  relay.delayUp = 60;
  const before = relay.links[0]!.up.length;
  await client.send(query("a.test", "A", { id: 1 }));
  await relay.until(({ links }) => links[0]!.up.length > before);
  relay.delayUp = 0;
  await client.send(query("a.test", "A", { id: 2 }));
  assertEquals(read((await client.receive())!).id, 1);
  assertEquals(read((await client.receive())!).id, 2);
});

relayed("a black hole swallows everything in silence", async (relay, server) => {
  using client = await DotClient.connect(relay.address, TRUST);
  relay.blackHole = true;
  await client.send(QUERY);
  await assertRejects(() => client.receive({ timeout: 30 }), DOMException);
  assertEquals([server.received, server.open], [0, 1]);
});

relayed("the relay cuts its connections with RST", async (relay, server) => {
  using client = await DotClient.connect(relay.address, TRUST);
  await server.until(({ handshakes }) => handshakes === 1);
  relay.reset();
  await assertRejects(() => client.receive(), Deno.errors.ConnectionReset);
  await server.until(({ open }) => open === 0);
  assertEquals(server.connections[0]!.ending, "client end");
});

relayed("the end of a connection goes through the relay", async (relay, server) => {
  const client = await DotClient.connect(relay.address, TRUST);
  await client.send(QUERY);
  await client.receive();
  client[Symbol.dispose]();
  await server.until(({ open }) => open === 0);
  assertEquals(server.connections[0]!.ending, "client end");
});

relayed("the relay tells a client's RST from its FIN", async (relay) => {
  const [aborted, ended] = [await TcpClient.connect(relay.address), await TcpClient.connect(relay.address)];
  aborted.abort();
  ended.closeWrite();
  const endings = () => relay.links.map(({ clientEnding }) => clientEnding).toSorted().join();
  await relay.until(() => endings() === "fin,reset");
  await aborted[Symbol.asyncDispose]();
  await ended[Symbol.asyncDispose]();
});

Deno.test("a connection through the relay to a port without a listener is reset", async () => {
  const gone = await PlainServer.start();
  await gone[Symbol.asyncDispose]();
  await using relay = await Relay.start(gone.address);
  await using client = await TcpClient.connect(relay.address);
  assertEquals(await client.closed(), "reset");
});

Deno.test("a plain server records every byte, and answers on demand", async () => {
  await using server = await PlainServer.start({ reply: frame(hex("cafe")) });
  await using client = await TcpClient.connect(server.address);
  await client.sendByteByByte(QUERY);
  await server.until(({ received }) => received.length === frame(QUERY).length);
  assertEquals(server.received, frame(QUERY));
  assertEquals(await client.receive(), hex("cafe"));
  assertEquals([server.accepted, server.open], [1, 1]);
  client.closeWrite();
  await server.until(({ open }) => open === 0);
});

Deno.test("a plain server to which TLS is spoken gets a ClientHello and no DNS", async () => {
  await using server = await PlainServer.start({ reply: hex("0000") });
  const connecting = DotClient.connect(server.address, TRUST);
  await server.until(({ received }) => received.length > 5);
  assertEquals(tlsRecords(server.received).map(({ type }) => type), [22]);
  await server[Symbol.asyncDispose]();
  await assertRejects(() => connecting);
});

Deno.test("octets that are not TLS are not taken for records", () => {
  assertEquals(tlsRecords(hex("16 0301 0002 0100  17 0303 0001 00  15 0303 00")), [
    { type: 22, length: 2 },
    { type: 23, length: 1 },
  ]);
  for (const octets of ["18 0303 0000", "17 0203 0000", "17 0304 0000", "17 0303 4801"]) {
    assertThrows(() => tlsRecords(hex(octets)), RangeError, "Octet 0");
  }
  assertThrows(() => tlsRecords(frame(QUERY)), RangeError);
});
