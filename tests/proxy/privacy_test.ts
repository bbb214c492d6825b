/** Strict authentication, and nothing of DNS in clear. */
import { askEach, assertFailed, assertRight, names } from "../support/clients/query_client.ts";
import { assert, assertEquals } from "../support/assert.ts";
import { Authority, type Certificate } from "../support/servers/certificates.ts";
import { DotServer } from "../support/servers/dot_server.ts";
import { PlainServer } from "../support/servers/plain_server.ts";
import { RunningProxy, written } from "../support/processes/running_proxy.ts";
import { Relay } from "../support/servers/tcp_relay.ts";
import { tlsRecords } from "../support/packets/tls_records.ts";

const DAY = 86_400_000;
const AUTHORITY = await Authority.create();
const OTHER = await Authority.create({ name: "Other Root" });
const INTERMEDIATE = await AUTHORITY.intermediate();
const NAMED = { names: ["dot.test"] };

const ACCEPTED: [
  what: string,
  certificate: Certificate,
  name: string | undefined,
  hostname: "127.0.0.1" | "::1",
][] = [
  ["its address", await AUTHORITY.issue({ addresses: ["127.0.0.1"] }), undefined, "127.0.0.1"],
  ["its IPv6 address", await AUTHORITY.issue({ addresses: ["::1"] }), undefined, "::1"],
  ["its name", await AUTHORITY.issue(NAMED), "dot.test", "127.0.0.1"],
  ["its name in other letters", await AUTHORITY.issue(NAMED), "DOT.test", "127.0.0.1"],
  ["its name by a wildcard", await AUTHORITY.issue({ names: ["*.dns.test"] }), "a.dns.test", "127.0.0.1"],
  ["its name, through an intermediate", await INTERMEDIATE.issue(NAMED), "dot.test", "127.0.0.1"],
  ["one name of several", await AUTHORITY.issue({ names: ["x.test", "dot.test"] }), "dot.test", "127.0.0.1"],
];

for (const [what, certificate, name, hostname] of ACCEPTED) {
  Deno.test(`a certificate for ${what} is accepted (8310-4, 8310-6)`, async () => {
    await using server = await DotServer.start({ certificate, hostname });
    await using proxy = new RunningProxy({
      upstreams: [written(server.address, name)],
      caCerts: [AUTHORITY.pem],
    });
    assertRight(await askEach(proxy.address, names(3)));
    assertEquals(server.connections[0]!.serverName, name?.toLowerCase());
  });
}

const REFUSED: [what: string, certificate: Certificate, name: string | undefined, cause: RegExp][] = [
  ["is for another name", await AUTHORITY.issue({ names: ["x.test"] }), "dot.test", /for another name/],
  [
    "is for another address",
    await AUTHORITY.issue({ addresses: ["127.0.0.2"] }),
    undefined,
    /for another name/,
  ],
  [
    "names the address, not the name",
    await AUTHORITY.issue({ addresses: ["127.0.0.1"] }),
    "dot.test",
    /for another name/,
  ],
  ["names the name, not the address", await AUTHORITY.issue(NAMED), undefined, /for another name/],
  [
    "has its name in the subject's CN only",
    await AUTHORITY.issue({ names: [] }),
    "nobody",
    /for another name/,
  ],
  ["comes from another issuer", await OTHER.issue(NAMED), "dot.test", /from an issuer that is not trusted/],
  [
    "has expired",
    await AUTHORITY.issue({
      ...NAMED,
      notBefore: new Date(Date.now() - 2 * DAY),
      notAfter: new Date(Date.now() - DAY),
    }),
    "dot.test",
    /has expired/,
  ],
  [
    "is not valid yet",
    await AUTHORITY.issue({
      ...NAMED,
      notBefore: new Date(Date.now() + DAY),
      notAfter: new Date(Date.now() + 2 * DAY),
    }),
    "dot.test",
    /is not valid yet/,
  ],
];

for (const [what, certificate, name, cause] of REFUSED) {
  Deno.test(`a certificate that ${what}: SERVFAIL with the reason, and nothing leaves in clear (7858-2, 8310-4, 8310-6)`, async () => {
    await using server = await DotServer.start({ certificate });
    await using relay = await Relay.start(server.address);
    const upstream = written(relay.address, name);
    await using proxy = new RunningProxy({ upstreams: [upstream], caCerts: [AUTHORITY.pem] });
    const answers = await askEach(proxy.address, names(10, "secret"));
    assertFailed(
      answers,
      23,
      new RegExp(`^${RegExp.escape(upstream)}: authentication: its certificate .*${cause.source}`),
    );
    await server.until(({ open }) => open === 0);
    // With an issuer that --ca does not name, the public ones are tried in a second handshake.
    assertEquals([server.received, relay.links.length], [0, what === "comes from another issuer" ? 2 : 1]);
    for (const { up } of relay.links) assertEncrypted(up);
    // The handshake and the alert that ends it, not one record of data but those.
    for (const { received } of server.connections) assertEquals(received, 0);
  });
}

Deno.test("all that goes to the server and comes back is TLS (7858-2)", async () => {
  await using server = await DotServer.start({ certificate: await AUTHORITY.issue(NAMED) });
  await using relay = await Relay.start(server.address);
  await using proxy = new RunningProxy({
    upstreams: [written(relay.address, "dot.test")],
    caCerts: [AUTHORITY.pem],
  });
  assertRight(await askEach(proxy.address, names(50, "secret")));
  assertEquals(relay.links.length, 1);
  assertEncrypted(relay.links[0]!.up);
  assertEncrypted(relay.links[0]!.down);
});

for (const reply of [undefined, new TextEncoder().encode("220 plain.test ESMTP\r\n")]) {
  Deno.test(`a server ${reply ? "of another protocol" : "that sends nothing"} gets nothing but a ClientHello (7858-2, 8310-1)`, async () => {
    await using server = await PlainServer.start(reply && { reply });
    await using proxy = new RunningProxy({ upstreams: [server], caCerts: [AUTHORITY.pem], timeout: 600 });
    const answers = await askEach(proxy.address, names(10, "secret"));
    if (reply) assertFailed(answers, 23, /: TLS: it does not speak TLS correctly/);
    else assertFailed(answers, 22, /: TLS: timed out$/);
    const [hello, ...others] = tlsRecords(server.received);
    assertEquals(hello!.type, 22);
    // The alert with which TLS gives up.
    assertEquals(others.map(({ type }) => type), reply ? [21] : []);
    assertEncrypted(server.received);
  });
}

/** Throws if there is anything but TLS records, or the names asked for can be read in them. */
function assertEncrypted(bytes: Uint8Array): void {
  assert(tlsRecords(bytes).length > 0);
  assert(!new TextDecoder("latin1").decode(bytes).includes("secret"));
}
