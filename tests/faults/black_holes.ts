/** Tests for a network namespace of their own: faults_test.ts runs them there. */
import { assert, assertEquals } from "../support/assert.ts";
import { blackHole, DistantServer, healBlackHole } from "./namespace.ts";
import { Rig, sleep, summary } from "./rig.ts";
import { Server } from "./server.ts";

const OUTAGE = 1000 * Number(Deno.env.get("DOT_PROXY_OUTAGE_SECONDS") ?? "5");

Deno.test("the packets of one of two upstreams are dropped: no client sees a failure, and hardly one a delay", async () => {
  await using rig = await Rig.start([await Server.start(), await Server.start()]);
  await rig.assertUnnoticed({ begin: blackHole, end: healBlackHole, lasts: 5_000 });
});

Deno.test("the link to one of two upstreams goes down: no client sees a failure, and hardly one a delay", async () => {
  await using rig = await Rig.start([await DistantServer.start(), await DistantServer.start()]);
  await rig.assertUnnoticed({
    begin: (server) => (server as DistantServer).setLink("down"),
    end: (server) => (server as DistantServer).setLink("up"),
    lasts: 5_000,
  });
});

Deno.test(
  "the packets of all upstreams are dropped: every client is told so within 5 s, and service is back within one",
  async () => {
    await using rig = await Rig.start([await Server.start(), await Server.start()]);
    await sleep(1_000);
    await Promise.all(rig.servers.map(blackHole));
    let back = 0;
    const outage = await rig.load.during(async () => {
      await sleep(OUTAGE);
      back = performance.now();
      await healBlackHole(rig.servers[1]!);
    });
    assertEquals(Object.keys(outage.faults).filter((fault) => !/^RCODE 2 EDE 22 /.test(fault)), []);
    assert(outage.longest < 5_000, summary("outage", outage));
    await rig.load.during(1_000);
    const took = rig.load.backAt(back) - back;
    console.log(`${summary("outage", outage)}; back after ${Math.round(took)} ms`);
    assert(took < 1_000, `${took} ms`);
  },
);
