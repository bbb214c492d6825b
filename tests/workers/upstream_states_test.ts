import { type Failure, UpstreamError } from "../../lib/core/errors.ts";
import { UpstreamStates } from "../../lib/workers/merge_status.ts";
import { assertEquals } from "../support/assert.ts";

/** Which changes of one upstream are reported. A change is "up", or the failure of an upstream that is down. */
function reported(...changes: ("up" | Failure)[]): boolean[] {
  const states = new UpstreamStates();
  const facts = { upstream: "server", phase: "connect" } as const;
  return changes.map((change) =>
    states.record({
      kind: "upstream",
      upstream: "server",
      ...change === "up"
        ? { state: "up" as const }
        : { state: "down" as const, error: new UpstreamError(change, facts) },
    })
  );
}

Deno.test("UpstreamStates reports a change once when several threads notice it", () => {
  assertEquals(reported("up", "up", "refused", "refused", "up", "up"), [
    true,
    false,
    true,
    false,
    true,
    false,
  ]);
});

Deno.test("UpstreamStates reports each reason once per outage when reasons alternate", () => {
  assertEquals(reported("refused", "closed", "refused", "closed", "up", "closed"), [
    true,
    true,
    false,
    false,
    true,
    true,
  ]);
});

Deno.test("UpstreamStates reports a recovery when any thread has an answer", () => {
  const states = new UpstreamStates();
  const error = new UpstreamError("refused", { upstream: "server", phase: "connect" });
  states.record({ kind: "upstream", upstream: "server", state: "down", error });
  assertEquals(states.recordAnswer("server")?.state, "up");
  assertEquals([states.record({ kind: "upstream", upstream: "server", state: "up" }), states.of("server")], [
    false,
    "up",
  ]);
});
