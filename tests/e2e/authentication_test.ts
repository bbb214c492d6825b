/**
 * A server that cannot prove who it is gets no question: the client gets SERVFAIL with the reason, and a relay that
 * records every octet sees TLS or nothing (7858-2, 8310-1, 8310-4).
 */
import { createHash, X509Certificate } from "node:crypto";
import { modeConfig } from "../support/mode.ts";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { PlainServer } from "../support/servers/plain_server.ts";
import { Relay } from "../support/servers/tcp_relay.ts";
import { tlsRecords } from "../support/packets/tls_records.ts";
import { withLogs } from "../support/processes/child.ts";
import { issueCredentials, SERVER_NAME } from "../support/processes/credentials.ts";
import { type Answer, dig } from "../support/processes/dig.ts";
import { type ProxyProcess, startProxy } from "./proxy_process.ts";
import { startBind } from "./servers.ts";

const HOUR = 3_600_000;
/** Asked for nowhere else, so that it can be looked for among the octets. */
const LABEL = "private";
const NAME = `${LABEL}.example.test`;
/** `EDE: 22 (No Reachable Authority)` or `EDE: 23 (Network Error)`, the upstream, and how far it came (RFC 8914). */
const EXTENDED_ERROR = /^2[23] \([^)]+\): \((.*)\)$/;

Deno.test("the same path carries the answer when the certificate is right, by name and by address (8310-6)", async () => {
  await using credentials = await issueCredentials();
  await using bind = await startBind(credentials);
  for (const name of [`#${SERVER_NAME}`, ""]) {
    await using relay = await Relay.start(loopback(bind.dotPort));
    await using proxy = await startProxy({ upstreams: [`${at(relay)}${name}`], ca: credentials.ca });
    await withLogs([bind.child, proxy.child], async () => {
      const { answer } = await dig(proxy.server, "www.example.test", "A");
      assertEquals(answer.length, 2);
      assertEquals(relay.links.length, 1);
      assertSealed(relay);
    });
  }
});

Deno.test("an issuer that is not trusted: SERVFAIL with the reason, and no DNS in clear", async () => {
  await using credentials = await issueCredentials();
  await using stranger = await issueCredentials({}, "Another Root");
  await using bind = await startBind(credentials);
  await using relay = await Relay.start(loopback(bind.dotPort));
  await using proxy = await startProxy({ upstreams: [`${at(relay)}#${SERVER_NAME}`], ca: stranger.ca });
  await assertRefused({ proxy, relay, reason: /authentication: .*issuer/ });
});

Deno.test("an issuer with the name of a trusted one: SERVFAIL with the reason, and no DNS in clear", async () => {
  await using credentials = await issueCredentials();
  await using stranger = await issueCredentials();
  await using bind = await startBind(credentials);
  await using relay = await Relay.start(loopback(bind.dotPort));
  await using proxy = await startProxy({ upstreams: [`${at(relay)}#${SERVER_NAME}`], ca: stranger.ca });
  await assertRefused({ proxy, relay, reason: /authentication: .*(issuer|signature)/i });
});

Deno.test("a certificate for another name: SERVFAIL with the reason, and no DNS in clear", async () => {
  await using credentials = await issueCredentials();
  await using bind = await startBind(credentials);
  await using relay = await Relay.start(loopback(bind.dotPort));
  const upstreams = [`${at(relay)}#other.example.test`];
  await using proxy = await startProxy({ upstreams, ca: credentials.ca });
  await assertRefused({ proxy, relay, reason: /authentication: .*another name/ });
});

Deno.test("a certificate for a name where the address was asked for: SERVFAIL, and no DNS in clear (8310-6)", async () => {
  await using credentials = await issueCredentials({ addresses: [] });
  await using bind = await startBind(credentials);
  await using relay = await Relay.start(loopback(bind.dotPort));
  await using proxy = await startProxy({ upstreams: [at(relay)], ca: credentials.ca });
  await assertRefused({ proxy, relay, reason: /authentication: .*another name/ });
});

Deno.test("an expired certificate: SERVFAIL with the reason, and no DNS in clear", async () => {
  const now = Date.now();
  await using credentials = await issueCredentials({
    notBefore: new Date(now - 2 * HOUR),
    notAfter: new Date(now - HOUR),
  });
  await using bind = await startBind(credentials, { authenticated: false });
  await using relay = await Relay.start(loopback(bind.dotPort));
  await using proxy = await startProxy({ upstreams: [`${at(relay)}#${SERVER_NAME}`], ca: credentials.ca });
  await assertRefused({ proxy, relay, reason: /authentication: .*expired/ });
});

Deno.test("a server without TLS that waits for more: SERVFAIL with the reason, and no DNS in clear", async () => {
  await using credentials = await issueCredentials();
  await using bind = await startBind(credentials);
  // BIND takes the ClientHello for the beginning of a message of 5635 octets, and sends nothing.
  await using relay = await Relay.start(loopback(bind.port));
  await using proxy = await startProxy({ upstreams: [`${at(relay)}#${SERVER_NAME}`], ca: credentials.ca });
  await assertRefused({ proxy, relay, reason: /TLS: timed out/ });
});

Deno.test("a server without TLS that answers at once: SERVFAIL with the reason, and no DNS in clear", async () => {
  await using credentials = await issueCredentials();
  // A DNS message of twelve octets behind its length, with RCODE FORMERR.
  const reply = Uint8Array.fromHex("000c010280010000000000000000");
  await using server = await PlainServer.start({ reply });
  await using relay = await Relay.start(server.address);
  await using proxy = await startProxy({ upstreams: [`${at(relay)}#${SERVER_NAME}`], ca: credentials.ca });
  await assertRefused({ proxy, relay, reason: /TLS: .*does not speak TLS/ });
});

Deno.test("a key that is not pinned: SERVFAIL, the log names the keys that were shown, and no further try", async () => {
  await using credentials = await issueCredentials();
  await using bind = await startBind(credentials);
  const keys = [await keyOf(credentials.certificate), await keyOf(credentials.ca)];
  const pin = `?pin=sha256/${new Uint8Array(32).toBase64()}`;
  for (const name of ["", `#${SERVER_NAME}`]) {
    await using relay = await Relay.start(loopback(bind.dotPort));
    await using proxy = await startProxy({ upstreams: [`${at(relay)}${name}${pin}`], ca: credentials.ca });
    await assertRefused({ proxy, relay, reason: /authentication: .*pin/ });
    assert(proxy.log.includes(`its keys are ${keys.join(", ")}`), proxy.child.explain("names other keys"));
    // Each thread has connections of its own, and tries once.
    const { length } = relay.links;
    assert(length >= 1 && length <= (modeConfig().workers ?? 1), `${length} connections`);
  }
});

/** The pin of a certificate's key: SHA-256 of its SubjectPublicKeyInfo (RFC 7858 §4.2). */
async function keyOf(file: string): Promise<string> {
  const { publicKey } = new X509Certificate(await Deno.readTextFile(file));
  const info = publicKey.export({ type: "spki", format: "der" });
  return `sha256/${createHash("sha256").update(info).digest("base64")}`;
}

interface Refusal {
  readonly proxy: ProxyProcess;
  readonly relay: Relay;
  /** Must match the extended error's text. */
  readonly reason: RegExp;
}

/** Over UDP and TCP, each time: SERVFAIL, the upstream and the reason in words, and nothing readable on the way. */
async function assertRefused({ proxy, relay, reason }: Refusal): Promise<void> {
  await withLogs([proxy.child], async () => {
    for (const way of ["+notcp", "+tcp"]) {
      const answer = await dig(proxy.server, way, NAME, "A");
      assertEquals(answer.status, "SERVFAIL");
      assertEquals(answer.answer, []);
      const text = extendedErrorOf(answer);
      assert(text.includes(at(relay)), `${text} names no upstream`);
      assertMatch(text, reason);
    }
    assertEquals((await dig(proxy.server, "+noedns", NAME, "A")).status, "SERVFAIL");
    assert(relay.links.length > 0, "nothing was recorded");
    assertSealed(relay);
    assertEquals(await proxy.stop(), 0);
    assertSealed(relay);
  });
}

function extendedErrorOf({ opt, text }: Answer): string {
  const [, words] = EXTENDED_ERROR.exec(opt?.options.get("EDE") ?? "") ?? [];
  assert(words !== undefined, `no extended error in\n${text}`);
  return words;
}

/** Everything that the proxy has sent is TLS records, and the name is not to be found in it. */
function assertSealed(relay: Relay): void {
  for (const { up } of relay.links) {
    assert(tlsRecords(up).length > 0);
    assertEquals(tlsRecords(up)[0]?.type, 22, "the first octets are a handshake");
    assertEquals(new TextDecoder("latin1").decode(up).includes(LABEL), false, "the name is in clear");
  }
}

function at({ address: { hostname, port } }: Relay): string {
  return `${hostname}:${port}`;
}

function loopback(port: number): { hostname: string; port: number } {
  return { hostname: "127.0.0.1", port };
}
