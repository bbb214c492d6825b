/** A validating server before one that does not validate: an answer that the first rejects is not fetched from the second. */
import { assertEquals } from "../support/assert.ts";
import { withLogs } from "../support/processes/child.ts";
import { dig } from "../support/processes/dig.ts";
import { startProxy } from "./proxy_process.ts";
import { startServers } from "./rig.ts";

for (const implementation of ["Unbound", "Knot Resolver"] as const) {
  Deno.test(`bogus data that ${implementation} refuses is not fetched from BIND, which does not validate`, async () => {
    await using servers = await startServers(implementation);
    const { bind, upstream, ca, children } = servers;
    const name = upstream.split("#")[1]!;
    await using proxy = await startProxy({
      upstreams: [upstream, `127.0.0.1:${bind.dotPort}#${name}`],
      ca,
      args: ["--strategy", "failover"],
    });
    await withLogs([...children, proxy.child], async () => {
      const direct = await dig(bind.inClear, "www.bogus.test", "A");
      assertEquals(direct.answer.map(({ rdata }) => rdata), ["192.0.2.66"], "BIND has it");
      for (const flags of [["+noedns"], ["+dnssec"], ["+tcp"]]) {
        const refused = await dig(proxy.server, ...flags, "www.bogus.test", "A");
        assertEquals([refused.status, refused.answer], ["SERVFAIL", []], flags.join());
      }
      const wanted = await dig(proxy.server, "+cd", "www.bogus.test", "A");
      assertEquals(wanted.answer.map(({ rdata }) => rdata), ["192.0.2.66"]);
      const good = await dig(proxy.server, "www.signed.test", "A");
      assertEquals(good.status, "NOERROR");
    });
  });
}
