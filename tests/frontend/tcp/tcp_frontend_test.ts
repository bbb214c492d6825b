import { addressOf } from "../../support/packets/answers.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { TcpClient } from "../../support/clients/plain_client.ts";
import { addressed, atOnce, FakeResolver, HoldingResolver, later } from "../../support/fakes/resolver.ts";
import { concat, frame } from "../../support/packets/frames.ts";
import { hex, query, read, record, txt } from "../../support/packets/packets.ts";
import { within } from "../../support/within.ts";
import { askOn, nameIn, tcpServer } from "./tcp_fixture.ts";

const NAMES = Array.from({ length: 100 }, (_, i) => `query-${i}.example`);

Deno.test("TcpFrontend resolves pipelined queries concurrently and replies in the order of responses (7766-3, 7766-7)", async () => {
  const resolver = new HoldingResolver();
  using server = tcpServer({ resolver });
  await using client = await TcpClient.connect(server.address);
  await client.send(...NAMES.map((name) => query(name)));
  await resolver.until(NAMES.length); // all of them before the first is answered
  resolver.release(resolver.asked.toReversed());
  for (const name of NAMES.toReversed()) {
    const { question, answers } = read((await client.receive())!);
    assertEquals([question?.name, answers[0]?.text], [name, addressOf(name)]);
  }
});

Deno.test("TcpFrontend sends an immediate reply before a pending one on the same connection (7766-3)", async () => {
  const resolver = new HoldingResolver();
  using server = tcpServer({ resolver });
  await using client = await TcpClient.connect(server.address);
  await client.send(query("slow.example"));
  await resolver.until(1);
  const [slow] = resolver.asked;
  resolver.respond = atOnce;
  assertEquals(await askOn(client, "fast.example"), "fast.example");
  resolver.release([slow!]);
  assertEquals(nameIn(await client.receive()), "slow.example");
});

Deno.test("TcpFrontend replies on the connection of the query (7766-1)", async () => {
  const resolver = new HoldingResolver();
  using server = tcpServer({ resolver });
  await using one = await TcpClient.connect(server.address);
  await using other = await TcpClient.connect(server.address);
  for (const [client, letter] of [[one, "a"], [other, "b"], [one, "c"], [other, "d"]] as const) {
    await client.send(query(`${letter}.example`)); // one ID for all
  }
  await resolver.until(4);
  const named = (name: string) => resolver.asked.find(({ message }) => message.name === name)!;
  resolver.release(["d.example.", "c.example.", "b.example.", "a.example."].map(named));
  assertEquals([nameIn(await one.receive()), nameIn(await one.receive())], ["c.example", "a.example"]);
  assertEquals([nameIn(await other.receive()), nameIn(await other.receive())], ["d.example", "b.example"]);
});

Deno.test("TcpFrontend writes length and message together, and all replies of one turn (7766-8)", async () => {
  using server = tcpServer({ resolver: new FakeResolver(later) });
  using socket = await Deno.connect(server.address);
  const buffer = new Uint8Array(65_536);
  for (const names of [["alone.example"], NAMES.slice(0, 20)]) {
    await socket.write(frame(...names.map((name) => query(name))));
    const bytes = await within(5_000, socket.read(buffer), "the answers");
    let at = 0;
    for (const name of names) {
      const end = at + 2 + (buffer[at]! << 8 | buffer[at + 1]!);
      assertEquals(nameIn(buffer.subarray(at + 2, end)), name);
      at = end;
    }
    assertEquals(at, bytes, "one read holds all and nothing else");
  }
});

Deno.test("TcpFrontend replies to a query that arrives byte by byte (7766-8)", async () => {
  using server = tcpServer({ resolver: new FakeResolver() });
  await using client = await TcpClient.connect(server.address);
  for (const name of ["first.example", "second.example"]) {
    await client.sendByteByByte(query(name));
    assertEquals(nameIn(await client.receive()), name);
  }
});

Deno.test("TcpFrontend replies to queries that are split at any position (7766-8)", async () => {
  using server = tcpServer({ resolver: new FakeResolver() });
  await using client = await TcpClient.connect(server.address);
  const bytes = frame(query("first.example"), query("second.example"));
  for (let cut = 1; cut < bytes.length; cut++) {
    await client.sendRaw(bytes.subarray(0, cut));
    await client.sendRaw(bytes.subarray(cut));
    assertEquals([nameIn(await client.receive()), nameIn(await client.receive())], [
      "first.example",
      "second.example",
    ]);
  }
});

Deno.test("TcpFrontend sends all replies, then FIN, when a client half-closes (7766-3)", async () => {
  const resolver = new HoldingResolver();
  using server = tcpServer({ resolver });
  await using client = await TcpClient.connect(server.address);
  await client.send(...NAMES.map((name) => query(name)));
  client.closeWrite();
  await resolver.until(NAMES.length);
  resolver.release(resolver.asked.slice(50));
  for (const name of NAMES.slice(50)) assertEquals(nameIn(await client.receive()), name);
  resolver.release();
  for (const name of NAMES.slice(0, 50)) assertEquals(nameIn(await client.receive()), name);
  assertEquals([await client.receive(), await client.closed()], [undefined, "fin"]);
});

Deno.test("TcpFrontend replies to the complete queries, then sends FIN, when a client half-closes within a query", async () => {
  using server = tcpServer({ resolver: new FakeResolver(later) });
  await using client = await TcpClient.connect(server.address);
  await client.sendRaw(concat(frame(query("whole.example")), frame(query("part.example")).subarray(0, 9)));
  client.closeWrite();
  assertEquals(nameIn(await client.receive()), "whole.example");
  assertEquals([await client.receive(), await client.closed()], [undefined, "fin"]);
});

Deno.test("TcpFrontend skips frames that are no query, and keeps the connection", async () => {
  using server = tcpServer({ resolver: new FakeResolver() });
  await using client = await TcpClient.connect(server.address);
  await client.send(
    new Uint8Array(0),
    new Uint8Array(3),
    hex("beef 8180 0000 0000 0000 0000"),
    new Uint8Array(0),
  );
  await client.send(hex("beef 0100 0000 0000 0000 0000"));
  assertEquals(read((await client.receive())!).rcode, 1);
  assertEquals(await askOn(client, "example.com"), "example.com");
});

Deno.test("TcpFrontend sends a reply of 65,535 bytes", async () => {
  const asked = query("example.com", 65_280);
  const data = new Uint8Array(65_535 - asked.length - 12).map((_, i) => i * 31); // the owner is a pointer
  const answers = [record("example.com", 65_280, data)];
  using server = tcpServer({ resolver: new FakeResolver((query) => addressed(query, { answers })) });
  await using client = await TcpClient.connect(server.address);
  await client.send(asked, asked);
  for (let i = 0; i < 2; i++) {
    const reply = (await client.receive())!;
    assertEquals([reply.length, read(reply).flags.tc], [65_535, false]);
    assertEquals(read(reply).answers[0]!.rdata.toHex(), data.toHex());
  }
});

Deno.test("TcpFrontend replies to a query of 65,535 bytes", async () => {
  using server = tcpServer({ resolver: new FakeResolver() });
  await using client = await TcpClient.connect(server.address);
  const bare = query("example.com", "A", { edns: { options: [{ code: 12, value: new Uint8Array(0) }] } });
  const options = [{ code: 12, value: new Uint8Array(65_535 - bare.length) }];
  await client.send(query("example.com", "A", { edns: { options } }), query("next.example"));
  assertEquals([nameIn(await client.receive()), nameIn(await client.receive())], [
    "example.com",
    "next.example",
  ]);
});

Deno.test("TcpFrontend sends the whole reply when UDP would truncate it", async () => {
  const answers = Array.from({ length: 40 }, (_, i) => txt("example.com", [`${i} ${"x".repeat(100)}`]));
  using server = tcpServer({ resolver: new FakeResolver((query) => addressed(query, { answers })) });
  for (const edns of [{}, { edns: { size: 512 } }]) {
    await using client = await TcpClient.connect(server.address);
    await client.send(query("example.com", "TXT", edns));
    const reply = read((await client.receive())!);
    assertEquals([reply.flags.tc, reply.answers.length], [false, 40]);
  }
});

Deno.test("TcpFrontend serves others when a client resets its connection during a reply", async () => {
  const resolver = new HoldingResolver();
  using server = tcpServer({ resolver });
  const reset = await TcpClient.connect(server.address);
  await using other = await TcpClient.connect(server.address);
  await reset.send(...NAMES.map((name) => query(name)));
  await other.send(query("other.example"));
  await resolver.until(NAMES.length + 1);
  resolver.release(resolver.asked.slice(0, 10));
  reset.abort();
  resolver.release();
  assertEquals(nameIn(await other.receive()), "other.example");
  resolver.respond = atOnce;
  assertEquals(await askOn(other, "again.example"), "again.example");
  assertEquals(server.events.all.filter(({ kind }) => kind !== "answered"), []);
});

Deno.test("TcpFrontend replies to pending queries, sends FIN and accepts no more when it stops", async () => {
  const resolver = new HoldingResolver();
  using server = tcpServer({ resolver });
  await using client = await TcpClient.connect(server.address);
  await using idle = await TcpClient.connect(server.address);
  await client.send(query("a.example"), query("b.example"));
  await resolver.until(2);
  const stopped = server.frontend.stop();
  assertEquals(await idle.closed(), "fin");
  resolver.release();
  assertEquals([nameIn(await client.receive()), nameIn(await client.receive())], ["a.example", "b.example"]);
  assertEquals(await client.closed(), "fin");
  await stopped;
  const refused = await TcpClient.connect(server.address).then(() => false, () => true);
  assert(refused, "nothing listens any more");
});

Deno.test({
  name: "TcpFrontend delivers its replies when a client goes on sending while it stops",
  // tcp_session.ts closes with bytes unread: a RST, which takes along the answers on their way (RFC 2525 §2.17).
  async fn() {
    const resolver = new HoldingResolver();
    using server = tcpServer({ resolver });
    await using client = await TcpClient.connect(server.address);
    const asked = query("bulky.example", 65_280);
    await client.send(...Array<Uint8Array>(40).fill(asked));
    await resolver.until(40);
    const stopped = server.frontend.stop();
    await client.send(...Array<Uint8Array>(200).fill(asked));
    resolver.release(resolver.asked, { answers: [record("bulky.example", 65_280, new Uint8Array(50_000))] });
    for (let i = 0; i < 40; i++) assertEquals(nameIn(await client.receive()), "bulky.example");
    client.closeWrite();
    await stopped;
  },
});
