import { ReadinessCheck } from "../../lib/admin/readiness.ts";
import { Counters } from "../../lib/observe/counters.ts";
import type { CacheStatus, UpstreamStatus } from "../../lib/core/status.ts";
import { assertEquals } from "../support/assert.ts";

const label = "192.0.2.53:853";
const untried: UpstreamStatus = {
  label,
  state: "untried",
  lastError: undefined,
  latencyMs: undefined,
  inFlight: 0,
  connections: 0,
  certificateExpires: undefined,
};

class Rig {
  readonly counters = new Counters();
  upstream = untried;
  cache: CacheStatus | undefined;
  time = 0;
  probes = 0;
  answers = true;

  readonly health = new ReadinessCheck({
    counters: this.counters,
    upstreams: () => [this.upstream],
    cache: () => this.cache,
    probe: () => this.#probe(),
    now: () => this.time,
  });

  exchange(): void {
    this.counters.observe({ kind: "exchanged", upstream: label, milliseconds: 1 });
  }

  async #probe(): Promise<boolean> {
    this.probes++;
    await Promise.resolve();
    if (this.answers) this.exchange();
    return this.answers;
  }
}

Deno.test("ReadinessCheck is ready without traffic when an upstream answers the probe", async () => {
  const rig = new Rig();
  assertEquals(await rig.health.readiness(), { ready: true, reasons: ["an upstream answers"] });
  assertEquals(rig.probes, 1);
});

Deno.test("ReadinessCheck sends no probe when an upstream answered in the last 30 s", async () => {
  const rig = new Rig();
  rig.exchange();
  assertEquals([(await rig.health.readiness()).ready, rig.probes], [true, 0]);
  rig.time += 29_999;
  assertEquals([(await rig.health.readiness()).ready, rig.probes], [true, 0]);
  rig.time += 1;
  assertEquals([(await rig.health.readiness()).ready, rig.probes], [true, 1]);
});

Deno.test("ReadinessCheck is not ready when no upstream answers, with a reason for each", async () => {
  const rig = new Rig();
  rig.answers = false;
  assertEquals(await rig.health.readiness(), { ready: false, reasons: [`${label}: has not answered yet`] });
  rig.upstream = { ...untried, state: "down", lastError: `${label}: connect: timed out` };
  assertEquals(await rig.health.readiness(), { ready: false, reasons: [`${label}: connect: timed out`] });
});

Deno.test("ReadinessCheck is ready when no upstream answers but the cache has entries", async () => {
  const rig = new Rig();
  rig.answers = false;
  rig.cache = { entries: 7, bytes: 1, maxBytes: 2, evictions: 0 };
  const { ready, reasons } = await rig.health.readiness();
  assertEquals([ready, reasons[0]], [true, "no upstream answers; the cache has 7 entries"]);
});

Deno.test("ReadinessCheck shares one probe between concurrent checks", async () => {
  const rig = new Rig();
  const all = await Promise.all(Array.from({ length: 20 }, () => rig.health.readiness()));
  assertEquals([rig.probes, all.every(({ ready }) => ready)], [1, true]);
});

Deno.test("ReadinessCheck reports a pin mismatch even if other upstreams answer", async () => {
  const rig = new Rig();
  const lastError = `${label}: authentication: pin mismatch`;
  rig.upstream = { ...untried, state: "down", lastError, isRuledOut: true };
  assertEquals((await rig.health.readiness()).reasons, ["an upstream answers", lastError]);
});
