/** The failure words of dials, from real errors of the platform. */

import { UpstreamError } from "../../../lib/core/errors.ts";
import { assertEquals, assertRejects } from "../../support/assert.ts";
import { DotServer, type DotServerOptions } from "../../support/servers/dot_server.ts";
import { answeringInClear, closing, ignoring, resetting } from "../../support/fakes/admission.ts";
import { written } from "../../support/processes/running_proxy.ts";
import { CERTIFICATE, dialled, dialTo } from "./dialing.ts";

const FAILURES: [what: string, server: Partial<DotServerOptions>, outcome: string][] = [
  ["closes at once", { admission: closing }, "closed"],
  ["resets at once", { admission: resetting }, "closed"],
  ["answers in clear", { admission: answeringInClear }, "protocol"],
  ["says nothing", { admission: ignoring }, "timed out"],
];

for (const [what, options, outcome] of FAILURES) {
  Deno.test(`a server that ${what} is told as "${outcome}", and nothing is left open`, async () => {
    await using server = await DotServer.start({ certificate: CERTIFICATE, ...options });
    const { channel } = dialled(dialTo(written(server.address), { timeoutMs: 500 }));
    const error = await assertRejects(() => channel, UpstreamError);
    assertEquals([error.failure, error.isRetryable], [outcome, false]);
    await server.until(({ open }) => open === 0, { timeout: 1_000 });
  });
}

for (const [alpn, version] of [[[], "TLSv1.3"], [["dot"], "TLSv1.2"]] as const) {
  Deno.test(`a server with ${alpn.length} protocols to choose from and ${version} will do (8310-7)`, async () => {
    await using server = await DotServer.start({ certificate: CERTIFICATE, alpn, maxVersion: version });
    (await dialled(dialTo(written(server.address))).channel).close();
    await server.until(({ handshakes, open }) => handshakes === 1 && open === 0);
    assertEquals(server.connections[0]!.version, version);
  });
}

Deno.test("dial reports a closed port as refused", async () => {
  const { channel } = dialled(dialTo("127.0.53.9:853"));
  const error = await assertRejects(
    () => channel,
    UpstreamError,
    "connection refused, nothing listens there",
  );
  assertEquals([error.phase, error.failure], ["connect", "refused"]);
});

Deno.test("dial reports an address without a route as unreachable", async () => {
  const { channel } = dialled(dialTo("255.255.255.255")); // to all on the link: never for TCP
  const error = await assertRejects(() => channel, UpstreamError, "no route to it");
  assertEquals([error.phase, error.failure], ["connect", "unreachable"]);
});

Deno.test("dial reports a failed lookup with the resolver's words", async () => {
  const lookup = () => Promise.reject(new Error("192.0.2.53:53: REFUSED"));
  const { channel } = dialled(dialTo("dot.test", { lookup }));
  const { message } = await assertRejects(() => channel, UpstreamError);
  assertEquals(message, "dot.test:853: resolve: its name cannot be resolved (192.0.2.53:53: REFUSED)");
});

Deno.test("UpstreamError suggests a blocked port for a TCP timeout, but not for a query", () => {
  const facts = { upstream: "1.1.1.1:853" };
  const connecting = new UpstreamError("timed out", { ...facts, phase: "connect" });
  assertEquals(connecting.message, "1.1.1.1:853: connect: timed out, is its port blocked?");
  assertEquals(
    new UpstreamError("timed out", { ...facts, phase: "read" }).message,
    "1.1.1.1:853: read: timed out",
  );
});

for (
  const [code, failure] of [
    ["EMFILE", "no descriptors"],
    ["ENFILE", "no descriptors"],
    ["ENOBUFS", "no memory"],
    ["ENOMEM", "no memory"],
  ] as const
) {
  Deno.test(`dial reports ${code} as a shortage of this host when nothing more can be freed`, async () => {
    let spare = 3;
    const lookup = () => Promise.reject(Object.assign(new Error(`socket ${code}`), { code }));
    const { channel } = dialled(dialTo("dot.test", { lookup, makeRoom: () => spare-- > 0 }));
    const error = await assertRejects(() => channel, UpstreamError);
    assertEquals([error.failure, spare], [failure, -1]);
  });
}
