/** The rig without the proxy: when this fails, the fault is not the proxy's. */
import { assert, assertEquals } from "../support/assert.ts";
import { withLogs } from "../support/processes/child.ts";
import { dig } from "../support/processes/dig.ts";
import { QUESTIONS, SIGNED_QUESTIONS } from "./questions.ts";
import { assertSameRecords, isDnssec } from "./records.ts";
import { IMPLEMENTATIONS, startServers } from "./rig.ts";

for (const implementation of IMPLEMENTATIONS) {
  Deno.test(`${implementation} serves the zones of the rig over TLS, authenticated`, async () => {
    await using servers = await startServers(implementation);
    const { server, bind, children } = servers;
    await withLogs(children, async () => {
      for (const [what, name, type] of QUESTIONS) {
        const direct = await dig(bind.inClear, "+tcp", name, type);
        const overTls = await dig(server.overTls, name, type);
        assertEquals(overTls.transport, "TLS");
        assertEquals(overTls.status, direct.status, what);
        assertSameRecords(overTls.answer, direct.answer, what);
      }
      for (const [what, name, type] of SIGNED_QUESTIONS) {
        const { answer, authority } = await dig(server.overTls, name, type, "+dnssec");
        assert([...answer, ...authority].some(isDnssec), what);
      }
    });
  });
}
