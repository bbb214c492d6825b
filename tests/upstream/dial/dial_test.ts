import { createServer } from "node:net";
import { UpstreamError, UsageError } from "../../../lib/core/errors.ts";
import { assert, assertEquals, assertRejects, assertThrows } from "../../support/assert.ts";
import { Authority, type Certificate } from "../../support/servers/certificates.ts";
import {
  type Admission,
  DotServer,
  ignoring,
  stallingInHandshake,
} from "../../support/servers/dot_server.ts";
import { PlainServer } from "../../support/servers/plain_server.ts";
import { written } from "../../support/processes/running_proxy.ts";
import { listening } from "../../support/servers/sockets.ts";
import { AUTHORITY, CERTIFICATE, dialled, dialTo } from "./dialing.ts";

const NAMED = { names: ["dot.test"], addresses: ["127.0.0.1"] };
const HOUR = 3_600_000;

Deno.test("dial reports its phases and resolves with an unused channel", async () => {
  await using server = await DotServer.start({ certificate: CERTIFICATE });
  const { channel, phases } = dialled(dialTo(written(server.address, "dot.test")));
  (await channel).close();
  assertEquals(phases, ["connect", "TLS", "authentication"]);
  await server.until(({ handshakes, open }) => handshakes === 1 && open === 0);
  assertEquals([server.received, server.connections[0]!.alpn], [0, "dot"]);
});

const STALLS: [what: string, admission: Admission][] = [
  ["ignores the ClientHello", ignoring],
  ["stalls in the handshake", stallingInHandshake],
];

for (const [what, admission] of STALLS) {
  Deno.test(`a dial to a server that ${what} ends by its own time limit and leaves nothing`, async () => {
    await using server = await DotServer.start({ certificate: CERTIFICATE, admission });
    const { channel } = dialled(dialTo(written(server.address), { timeoutMs: 100 }));
    const error = await assertRejects(() => channel, UpstreamError, "TLS: timed out");
    assertEquals([error.failure, error.phase, error.isRetryable], ["timed out", "TLS", false]);
    await server.until(({ open }) => open === 0, { timeout: 1_000 });
  });
}

Deno.test("dial leaves nothing open when it is aborted during the handshake", async () => {
  await using server = await PlainServer.start();
  const abort = new AbortController();
  const { channel } = dialled(dialTo(written(server.address)), abort.signal);
  await server.until(({ received }) => received.length > 0);
  abort.abort();
  await assertRejects(() => channel, UpstreamError);
  await server.until(({ open }) => open === 0, { timeout: 1_000 });
});

Deno.test("dial leaves nothing open when it is aborted before it connects", async () => {
  await using server = await DotServer.start({ certificate: CERTIFICATE });
  const abort = new AbortController();
  const { channel } = dialled(dialTo(written(server.address)), abort.signal);
  abort.abort();
  await assertRejects(() => channel, UpstreamError);
  await server.until(({ open }) => open === 0);
  assertEquals(server.handshakes, 0);
});

Deno.test("dial puts the detail of an error in brackets", async () => {
  await using server = await DotServer.start({ certificate: CERTIFICATE });
  const { channel } = dialled(dialTo(written(server.address, "other.test")));
  const error = await assertRejects(() => channel, UpstreamError);
  assertEquals([error.failure, error.phase, error.upstream], [
    "wrong name",
    "authentication",
    written(server.address, "other.test"),
  ]);
  assert(
    error.message.endsWith("(it is for DNS:dot.test, IP Address:127.0.0.1)"),
    error.message,
  );
});

Deno.test("dial reports an issuer with a trusted name but another key as not trusted", async () => {
  const namesake = await Authority.create();
  await using server = await DotServer.start({
    certificate: await namesake.issue({ names: ["dot.test"], addresses: ["127.0.0.1"] }),
  });
  const { channel } = dialled(dialTo(written(server.address)));
  const error = await assertRejects(() => channel, UpstreamError);
  assertEquals([error.failure, error.phase], ["untrusted issuer", "authentication"]);
});

Deno.test("dial fails, and leaves nothing open, when no certificate can have the authentication name", async () => {
  await using server = await DotServer.start({ certificate: CERTIFICATE });
  const { channel } = dialled(dialTo(written(server.address, "under_score.test")));
  await assertRejects(() => channel, UpstreamError);
  await server.until(({ open }) => open === 0);
});

Deno.test("dial distinguishes a failed lookup from an unreachable server", async () => {
  const { channel } = dialled(dialTo("nowhere.invalid"));
  const error = await assertRejects(() => channel, UpstreamError);
  assertEquals([error.failure, error.phase], ["resolve", "resolve"]);
});

Deno.test("dial takes the first address that answers, and tries it first afterwards", async () => {
  await using server = await DotServer.start({ certificate: CERTIFICATE });
  // The first two addresses refuse connections.
  const dial = dialTo(`dot.test:${server.port}`, {
    lookup: () => Promise.resolve(["::1", "127.0.53.9", "127.0.0.1"]),
  });
  const { channel, phases } = dialled(dial);
  (await channel).close();
  assertEquals(phases, ["resolve", "connect", "TLS", "authentication"]);
  await using beside = await listeningBeside(server);
  (await dialled(dial).channel).close();
  await server.until(({ handshakes }) => handshakes === 2);
  assertEquals(beside.accepted, 0);
});

Deno.test("dial tries an address last after its handshake failed", async () => {
  await using good = await DotServer.start({ certificate: CERTIFICATE });
  await using bad = await listeningBeside(good);
  const dial = dialTo(`dot.test:${good.port}`, {
    lookup: () => Promise.resolve(["127.0.53.9", "127.0.0.1"]),
  });
  await assertRejects(() => dialled(dial).channel, UpstreamError, "TLS: it closed the connection");
  (await dialled(dial).channel).close();
  await good.until(({ handshakes }) => handshakes === 1);
  assertEquals(bad.accepted, 1);
});

Deno.test("dial uses the last good address while lookups fail, and looks up again after a failed dial", async () => {
  await using server = await DotServer.start({ certificate: CERTIFICATE });
  const asked: (boolean | undefined)[] = [];
  let answer: () => Promise<readonly string[]> = () => Promise.resolve(["127.0.0.1"]);
  const dial = dialTo(`dot.test:${server.port}`, {
    lookup: (_, anew) => {
      asked.push(anew);
      return answer();
    },
  });
  (await dialled(dial).channel).close();
  answer = () => Promise.reject(new Error("away"));
  (await dialled(dial).channel).close();
  answer = () => Promise.resolve(["127.0.53.9"]); // refuses connections
  await assertRejects(() => dialled(dial).channel, UpstreamError, "connection refused");
  answer = () => Promise.reject(new Error("away"));
  (await dialled(dial).channel).close();
  answer = () => Promise.withResolvers<readonly string[]>().promise;
  (await dialled(dial).channel).close();
  assertEquals(asked, [false, false, false, true, false]);
});

Deno.test("dial names --bootstrap as the remedy when the lookup fails and no address is known", async () => {
  await assertRejects(
    () => dialled(dialTo("nowhere.invalid")).channel,
    UpstreamError,
    "resolve: its name cannot be resolved (the system's resolver ",
  );
});

Deno.test("dial ends at its time limit when the lookup does not", async () => {
  const lookup = () => Promise.withResolvers<readonly string[]>().promise;
  const { channel } = dialled(dialTo("dot.test", { lookup, timeoutMs: 50 }));
  const error = await assertRejects(
    () => channel,
    UpstreamError,
    "resolve: its name cannot be resolved (time is over)",
  );
  assertEquals([error.failure, error.phase], ["resolve", "resolve"]);
});

Deno.test("dial presents the client certificate to a server that requests one", async () => {
  const client = await AUTHORITY.issue({ names: ["client.test"] });
  await using server = await DotServer.start({ certificate: CERTIFICATE, clientAuthority: AUTHORITY.pem });
  const [cert, key] = await Promise.all([temporaryFile(client.certificate), temporaryFile(client.key)]);
  const { channel } = dialled(dialTo(`${written(server.address)}?cert=${cert}&key=${key}`));
  await server.until(({ handshakes }) => handshakes === 1);
  (await channel).close();
  await Promise.all([cert, key].map((file) => Deno.remove(file)));
});

// Deno's createPrivateKey takes a PEM file of the key alone, without an empty line behind it.
Deno.test("dial finds the client's key among other text in its file", async () => {
  const client = await AUTHORITY.issue({ names: ["client.test"] });
  await using server = await DotServer.start({ certificate: CERTIFICATE, clientAuthority: AUTHORITY.pem });
  const parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
  const beside = [
    `${client.key}\n\n`,
    client.certificate + client.key,
    client.key + client.certificate,
    parameters + client.key,
    `Bag Attributes\n${client.key.replaceAll("\n", "\r\n")}\r\n`,
  ];
  const cert = await temporaryFile(client.certificate);
  for (const [index, text] of beside.entries()) {
    const key = await temporaryFile(text);
    const { channel } = dialled(dialTo(`${written(server.address)}?cert=${cert}&key=${key}`));
    await server.until(({ handshakes }) => handshakes > index);
    (await channel).close();
    await Deno.remove(key);
  }
  await Deno.remove(cert);
});

Deno.test("dial fails without the client certificate that a server requires", async () => {
  await using server = await DotServer.start({ certificate: CERTIFICATE, clientAuthority: AUTHORITY.pem });
  const { channel } = dialled(dialTo(written(server.address)));
  // In TLS 1.3 the client is done before the server has seen its certificate (RFC 8446 §2).
  await assertRejects(
    async () => {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      (await channel).start({ received: () => {}, ended: (error) => error ? reject(error) : resolve() });
      await promise;
    },
    Error,
    "CertificateRequired",
  );
  assertEquals(server.handshakes, 0);
});

Deno.test("dialer rejects unusable client certificate files, with file and reason", async () => {
  const [one, other] = [
    await AUTHORITY.issue({ names: ["a.test"] }),
    await AUTHORITY.issue({ names: ["b.test"] }),
  ];
  const files = await Promise.all([one.certificate, one.key, other.key, "nothing"].map(temporaryFile));
  const [cert, key, otherKey, nothing] = files;
  const refused: [cert: string, key: string, message: string][] = [
    ["/nowhere/c.pem", key!, `1.1.1.1:853: cannot read "/nowhere/c.pem"`],
    [nothing!, key!, `"${nothing}" holds no PEM certificate`],
    [cert!, nothing!, `"${nothing}" holds no PEM private key`],
    [cert!, otherKey!, `the key in "${otherKey}" is not that of the certificate in "${cert}"`],
  ];
  for (const [cert, key, message] of refused) {
    assertThrows(() => dialTo(`1.1.1.1?cert=${cert}&key=${key}`), UsageError, message);
  }
  await Promise.all(files.map((file) => Deno.remove(file)));
});

const UNPROVEN: [what: string, certificate: Certificate, failure: string][] = [
  [
    "comes from nobody we trust",
    await (await Authority.create()).issue({ addresses: ["127.0.0.1"] }),
    "untrusted issuer",
  ],
  ["is for another name", await AUTHORITY.issue({ names: ["other.test"] }), "wrong name"],
  ["names nobody", await AUTHORITY.issue({}), "wrong name"],
  ["has expired", await AUTHORITY.issue({ ...NAMED, notAfter: new Date(Date.now() - HOUR) }), "expired"],
  [
    "is not yet valid",
    await AUTHORITY.issue({ ...NAMED, notBefore: new Date(Date.now() + HOUR) }),
    "not yet valid",
  ],
];

for (const [what, certificate, failure] of UNPROVEN) {
  Deno.test(`a certificate that ${what}: no channel, or a word about it where that was asked for (8310-3, 8310-4)`, async () => {
    await using server = await DotServer.start({ certificate });
    const strict = await assertRejects(() => dialled(dialTo(written(server.address))).channel, UpstreamError);
    assertEquals([strict.failure, strict.phase], [failure, "authentication"]);

    const errors: UpstreamError[] = [];
    const onUnauthenticated = (error: UpstreamError) => errors.push(error);
    const dial = dialTo(written(server.address), { profile: "opportunistic", onUnauthenticated });
    for (const expected of [[failure], [failure, failure]]) {
      (await dialled(dial).channel).close();
      assertEquals(errors.map((error) => error.failure), expected);
    }
    await server.until(({ open }) => open === 0);
  });
}

Deno.test("dial ignores a name in the subject (8310-6)", async () => {
  await using server = await DotServer.start({ certificate: await AUTHORITY.issue({}) }); // CN=nobody
  const { channel } = dialled(dialTo(written(server.address, "nobody")));
  assertEquals((await assertRejects(() => channel, UpstreamError)).failure, "wrong name");
});

Deno.test("dial reports nothing about an authenticated server in the opportunistic profile", async () => {
  await using server = await DotServer.start({ certificate: CERTIFICATE });
  const onUnauthenticated = (error: UpstreamError) => {
    throw error;
  };
  const { channel } = dialled(
    dialTo(written(server.address), { profile: "opportunistic", onUnauthenticated }),
  );
  (await channel).close();
});

Deno.test("dial sends no cleartext in the opportunistic profile (7858-2, 8310-1)", async () => {
  await using server = await PlainServer.start({ reply: new TextEncoder().encode("no TLS here") });
  const { channel } = dialled(dialTo(written(server.address), { profile: "opportunistic" }));
  assertEquals((await assertRejects(() => channel, UpstreamError)).failure, "protocol");
  assertEquals(server.received[0], 22); // a handshake record
});

async function temporaryFile(text: string): Promise<string> {
  const file = await Deno.makeTempFile({ suffix: ".pem" });
  await Deno.writeTextFile(file, text);
  return file;
}

/** Closes each connection on the same port of another loopback address. */
async function listeningBeside({ port }: DotServer) {
  const listener = createServer((socket) => {
    beside.accepted++;
    socket.on("error", () => {});
    socket.end();
  });
  await listening(listener, "127.0.53.9", port);
  const beside = { accepted: 0, [Symbol.asyncDispose]: () => Promise.resolve(void listener.close()) };
  return beside;
}
