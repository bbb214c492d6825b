import { type Failure, UpstreamError } from "../../../lib/core/errors.ts";
import { Reachability } from "../../../lib/upstream/health/reachability.ts";
import { assert, assertEquals } from "../../support/assert.ts";

/** An upstream's reachability, and the changes that it has reported. */
class Fixture {
  readonly reports: string[] = [];
  readonly reachability = new Reachability((state, error) =>
    this.reports.push(error ? `${state}: ${error.failure}` : state)
  );

  fail(began: number, failure: Failure = "refused"): void {
    this.reachability.noteFailure(
      new UpstreamError(failure, { upstream: "server", phase: "connect" }),
      began,
    );
  }

  /** In how many ms after `now` it is due again. */
  waitAt(now: number): number {
    let wait = 0;
    while (!this.reachability.isDue(now + wait)) wait++;
    return wait;
  }
}

/** The waits of many that have failed at `from` first and at `until` for the last time. */
function waits(from: number, until: number): number[] {
  return Array.from({ length: 1_000 }, () => {
    const fixture = new Fixture();
    fixture.fail(from);
    fixture.fail(until);
    return fixture.waitAt(until);
  });
}

Deno.test("Reachability is due while untried", () => {
  const { reachability } = new Fixture();
  assert(reachability.isDue(0) && reachability.isDueAsLastResort(0));
  assertEquals([reachability.state, reachability.lastError], ["untried", undefined]);
});

for (
  const [outage, longest] of [[0, 50], [100, 50], [1_000, 200], [5_000, 1_000], [60_000, 12_000], [
    10_000_000,
    30_000,
  ]] as const
) {
  Deno.test(`after ${outage / 1000} s of outage the next try comes in three quarters to the whole of ${longest} ms`, () => {
    const all = waits(7, 7 + outage);
    const [least, most] = [Math.min(...all), Math.max(...all)];
    assert(least >= 0.75 * longest && most <= longest, `${least} to ${most} ms`);
    // Jitter: spread over the whole of that, so that many proxies do not come back together.
    assert(most - least > 0.9 * 0.25 * longest - 2, `${least} to ${most} ms`);
  });
}

Deno.test("Reachability allows few attempts during an outage", () => {
  const fixture = new Fixture();
  let tries = 0;
  for (let now = 0; now < 3_600_000; now += 10) {
    if (!fixture.reachability.isDue(now)) continue;
    tries++;
    fixture.fail(now);
  }
  assert(tries > 120 && tries < 250, `${tries} tries in an hour`);
});

Deno.test("Reachability is not due while an attempt is running", () => {
  const fixture = new Fixture();
  fixture.fail(0);
  fixture.fail(10_000);
  fixture.reachability.noteAttempt(12_000);
  assert(!fixture.reachability.isDue(12_001) && !fixture.reachability.isDueAsLastResort(12_001));
  assert(fixture.reachability.isDueAsLastResort(13_000));
});

Deno.test("Reachability is due after an answer, and the next outage begins with the shortest wait", () => {
  const fixture = new Fixture();
  fixture.fail(0);
  fixture.fail(60_000);
  fixture.reachability.noteUsefulAnswer();
  assert(fixture.reachability.isDue(60_000));
  fixture.fail(60_001);
  assert(fixture.reachability.isDue(60_051));
});

Deno.test("Reachability is due once a second as the last resort, however long the outage", () => {
  const fixture = new Fixture();
  fixture.fail(0);
  assert(fixture.reachability.isDueAsLastResort(50), "a short wait stays short");
  fixture.fail(600_000);
  assert(!fixture.reachability.isDueAsLastResort(600_999));
  assert(fixture.reachability.isDueAsLastResort(601_000));
  assert(!fixture.reachability.isDue(601_000));
});

Deno.test("Reachability reports alternating failures once per outage", () => {
  const fixture = new Fixture();
  for (let now = 0; now < 10_000; now += 100) fixture.fail(now, now % 200 === 0 ? "refused" : "malformed");
  assertEquals(fixture.reports, ["down: refused", "down: malformed"]);
  fixture.reachability.noteUsefulAnswer();
  fixture.reachability.noteUsefulAnswer();
  fixture.fail(20_000, "malformed");
  assertEquals(fixture.reports.slice(2), ["up", "down: malformed"]);
});

Deno.test("Reachability is ruled out by a wrong pin until a reset", () => {
  const fixture = new Fixture();
  fixture.fail(0, "pin mismatch");
  fixture.reachability.noteUsefulAnswer();
  fixture.fail(1, "refused");
  assert(!fixture.reachability.isDue(1e9) && !fixture.reachability.isDueAsLastResort(1e9));
  assertEquals([fixture.reachability.state, fixture.reports], ["down", ["down: pin mismatch"]]);
  fixture.reachability.reset();
  assert(fixture.reachability.isDue(0));
  fixture.reachability.noteUsefulAnswer();
  assertEquals(fixture.reports, ["down: pin mismatch", "up"]);
});

Deno.test("reset reports nothing, and leaves an upstream up that is up", () => {
  const fixture = new Fixture();
  fixture.reachability.noteUsefulAnswer();
  fixture.reachability.reset();
  fixture.reachability.noteUsefulAnswer();
  assertEquals([fixture.reachability.state, fixture.reports], ["up", ["up"]]);
});
