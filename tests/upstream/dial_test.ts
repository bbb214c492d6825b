import { UpstreamError } from "../../lib/errors.ts";
import { assert, assertEquals, assertRejects } from "../support/assert.ts";
import { Authority } from "../support/certificates.ts";
import { type Admission, DotServer, ignoring, stallingInHandshake } from "../support/dot_server.ts";
import { PlainServer } from "../support/plain_server.ts";
import { written } from "../support/running_proxy.ts";
import { AUTHORITY, CERTIFICATE, dialled, dialTo } from "./dialling.ts";

Deno.test("a dial goes through its phases and brings a channel on which nothing has been said", async () => {
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
    const { channel } = dialled(dialTo(written(server.address), { timeout: 100 }));
    const error = await assertRejects(() => channel, UpstreamError, "TLS: timed out");
    assertEquals([error.failure, error.phase, error.again], ["timed out", "TLS", false]);
    await server.until(({ open }) => open === 0, { timeout: 1_000 });
  });
}

Deno.test("a dial can be aborted within the handshake and leaves nothing", async () => {
  await using server = await PlainServer.start();
  const abort = new AbortController();
  const { channel } = dialled(dialTo(written(server.address)), abort.signal);
  await server.until(({ received }) => received.length > 0);
  abort.abort();
  await assertRejects(() => channel, UpstreamError);
  await server.until(({ open }) => open === 0, { timeout: 1_000 });
});

Deno.test("a dial that is aborted before it has begun to connect leaves nothing", async () => {
  await using server = await DotServer.start({ certificate: CERTIFICATE });
  const abort = new AbortController();
  const { channel } = dialled(dialTo(written(server.address)), abort.signal);
  abort.abort();
  await assertRejects(() => channel, UpstreamError);
  await server.until(({ open }) => open === 0);
  assertEquals(server.handshakes, 0);
});

Deno.test("what is wrong is said in brackets", async () => {
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

Deno.test("an issuer with the same name but another key is told to be not trusted", async () => {
  const namesake = await Authority.create();
  await using server = await DotServer.start({
    certificate: await namesake.issue({ names: ["dot.test"], addresses: ["127.0.0.1"] }),
  });
  const { channel } = dialled(dialTo(written(server.address)));
  const error = await assertRejects(() => channel, UpstreamError);
  assertEquals([error.failure, error.phase], ["untrusted issuer", "authentication"]);
});

Deno.test("an authentication name that no certificate can have fails the dial and leaves nothing", async () => {
  await using server = await DotServer.start({ certificate: CERTIFICATE });
  const { channel } = dialled(dialTo(written(server.address, "under_score.test")));
  await assertRejects(() => channel, UpstreamError);
  await server.until(({ open }) => open === 0);
});

Deno.test("a name that cannot be resolved is told apart from a server that cannot be reached", async () => {
  const { channel } = dialled(dialTo("nowhere.invalid"));
  const error = await assertRejects(() => channel, UpstreamError);
  assertEquals([error.failure, error.phase], ["resolve", "resolve"]);
});
