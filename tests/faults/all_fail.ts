/** Run by faults_test.ts. */
import { assert, assertEquals } from "../support/assert.ts";
import { Rig, sleep, summary } from "./rig.ts";
import { Server } from "./server.ts";

/** A minute, for a longer look: `DOT_PROXY_OUTAGE_SECONDS=60 deno test --allow-all tests/faults/all_fail.ts`. */
const OUTAGE = 1000 * Number(Deno.env.get("DOT_PROXY_OUTAGE_SECONDS") ?? "4");

Deno.test("with all upstreams down each client gets SERVFAIL with the reason, and service returns with the first upstream", async () => {
  await using rig = await Rig.start([await Server.start(), await Server.start()]);
  await sleep(1_000);
  await rig.load.during(async () => {
    await Promise.all(rig.servers.map((server) => server.goAway()));
  });
  const outage = await rig.load.during(OUTAGE);
  assertEquals(Object.keys(outage.faults).filter((fault) => !/^RCODE 2 EDE 22 .*refused/.test(fault)), []);
  assertEquals(Object.values(outage.faults).reduce((sum, count) => sum + count, 0), outage.sent);
  assert(outage.longest < 5_000, summary("outage", outage));
  const back = performance.now();
  await rig.servers[1]!.comeBack();
  await rig.load.during(2_000);
  const took = rig.load.backAt(back) - back;
  console.log(`${summary("outage", outage)}; back after ${Math.round(took)} ms`);
  assert(took < 1_000, `${took} ms`);
});
