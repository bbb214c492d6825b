/** The admin server under slow, numerous and malformed requests, and without free descriptors. */
import { type Handler, HttpServer } from "../../lib/admin/http_server.ts";
import type { Event } from "../../lib/core/event.ts";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { FakeTime } from "../support/fakes/time.ts";

class Rig implements AsyncDisposable {
  readonly events: Event[] = [];
  readonly server: HttpServer;

  constructor(handler: Handler = (request) => new Response(`${request.method} ${request.url}\n`)) {
    const observe = (event: Event) => void this.events.push(event);
    this.server = new HttpServer({ hostname: "127.0.0.1", port: 0, handler, maxConnections: 100, observe });
  }

  connect(): Promise<Deno.TcpConn> {
    return Deno.connect({ ...this.server.address, transport: "tcp" });
  }

  /** Sends the text and returns the response, read until the server closes. */
  async send(text: string): Promise<string> {
    using connection = await this.connect();
    await connection.write(new TextEncoder().encode(text));
    return await rest(connection);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.stop();
  }
}

/** Reads until the other side closes. */
async function rest({ readable }: Deno.TcpConn): Promise<string> {
  let text = "";
  for await (const piece of readable.pipeThrough(new TextDecoderStream())) text += piece;
  return text;
}

const GET = "GET /x HTTP/1.1\r\nHost: localhost:9153\r\n\r\n";

Deno.test("HttpServer answers a request and closes the connection", async () => {
  await using rig = new Rig();
  const response = await rig.send(GET);
  assertMatch(response, /^HTTP\/1\.1 200 OK\r\n/);
  assertMatch(response, /\r\nconnection: close\r\n/);
  assertMatch(response, /\r\ncontent-length: 28\r\n/);
  assertMatch(response, /\r\n\r\nGET http:\/\/localhost:9153\/x\n$/);
});

Deno.test("HttpServer answers HEAD without a body, and then reads until the client closes", async () => {
  await using rig = new Rig();
  using connection = await rig.connect();
  const send = (text: string) => connection.write(new TextEncoder().encode(text));
  await send(GET.replace("GET", "HEAD"));
  const bytes = new Uint8Array(1024);
  let text = "";
  for (let count = await connection.read(bytes); count !== null; count = await connection.read(bytes)) {
    text += new TextDecoder().decode(bytes.subarray(0, count));
  }
  assertMatch(text, /\r\ncontent-length: 29\r\n(.*\r\n)*\r\n$/);
  await send("x"); // The kernel would answer with a RST if the socket were closed.
  await send("x");
});

Deno.test("HttpServer refuses malformed requests with a status, and none is an internal error", async () => {
  await using rig = new Rig();
  const cases: [text: string, status: number][] = [
    [GET.replaceAll("\r", ""), 200],
    ["GET / HTTP/1.0\r\n\r\n", 200],
    ["GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 200],
    ["POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello", 200],
    ["GET / HTTP/1.1\r\n\r\n", 400],
    ["GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400],
    ["GET / HTTP/1.1\r\nHost: [::1%25x]\r\n\r\n", 400],
    ["GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400],
    ["GET / HTTP/1.1\r\nHost: user@a\r\n\r\n", 400],
    ["GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400],
    ["GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n", 400],
    ["GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400],
    ["GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400],
    ["GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", 400],
    ["GET / HTTP/2.0\r\nHost: a\r\n\r\n", 400],
    ["GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400],
    ["GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400],
    ["\x16\x03\x01\x02\0\n\n", 400],
    ["TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 501],
    [`GET / HTTP/1.1\r\nHost: a\r\nX: ${"x".repeat(20_000)}\r\n\r\n`, 431],
  ];
  for (const [text, status] of cases) {
    assertEquals((await rig.send(text)).slice(9, 12), `${status}`, JSON.stringify(text.slice(0, 60)));
  }
  assertEquals(rig.events, []);
});

Deno.test("HttpServer reports an exception of the handler, and answers 500 without its message", async () => {
  await using rig = new Rig(() => {
    throw new Error("secret");
  });
  const response = await rig.send(GET);
  assertMatch(response, /^HTTP\/1\.1 500 /);
  assert(!response.includes("secret"));
  assertEquals(rig.events.map(({ kind }) => kind), ["internal error"]);
});

Deno.test("HttpServer closes a connection whose request is incomplete after the timeout", async () => {
  const time = new FakeTime();
  using _time = time;
  await using rig = new Rig();
  using connection = await rig.connect();
  await connection.write(new TextEncoder().encode("GET / HT"));
  while (time.waiting === 0) await new Promise((resolve) => setImmediate(resolve));
  await time.pass(9_999);
  const end = rest(connection);
  await time.pass(1);
  assertEquals(await end, "");
});

Deno.test("HttpServer closes the oldest idle connection at the limit of a hundred (CoreDNS CVE-2025-47950, CVE-2025-68151, CVE-2026-32936, dnsdist CVE-2026-33257, CVE-2026-33260, CVE-2026-42005)", async () => {
  await using rig = new Rig();
  const idle: Deno.TcpConn[] = [];
  for (let i = 0; i < 150; i++) idle.push(await rig.connect());
  assertMatch(await rig.send(GET), /^HTTP\/1\.1 200 /);
  const ends = await Promise.all(idle.slice(0, 50).map(rest));
  assertEquals(ends, Array(50).fill(""), "the oldest were closed");
  for (const each of idle.slice(50)) each.close();
});

Deno.test("HttpServer rejects a new connection when all others wait for a response", async () => {
  const [answer, full] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let asked = 0;
  await using rig = new Rig(async () => {
    if (++asked === 100) full.resolve();
    await answer.promise;
    return new Response("done");
  });
  const waiting = Array.from({ length: 100 }, () => rig.send(GET));
  await full.promise;
  using newcomer = await rig.connect();
  assertEquals(await rest(newcomer), "");
  assertEquals(rig.events[0], {
    kind: "connection rejected",
    address: "127.0.0.1",
    reason: "the admin address has 100 connections already",
  });
  answer.resolve();
  assert((await Promise.all(waiting)).every((each) => each.endsWith("done")));
});

Deno.test("HttpServer reports accept errors and goes on", async () => {
  const error = Object.assign(new Error("os error 24"), { code: "EMFILE" });
  const { listen } = Deno;
  let failures = 3;
  Deno.listen = ((options: Deno.TcpListenOptions) => {
    const listener = listen(options);
    const accept = listener.accept.bind(listener);
    listener.accept = () => failures-- > 0 ? Promise.reject(error) : accept();
    return listener;
  }) as typeof Deno.listen;
  await using rig = new Rig();
  Deno.listen = listen;
  assertMatch(await rig.send(GET), /^HTTP\/1\.1 200 /);
  assertEquals(rig.events.map((event) => "error" in event && event.error), [error, error, error]);
});
