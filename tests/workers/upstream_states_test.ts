import { type Failure, UpstreamError } from "../../lib/core/errors.ts";
import { UpstreamStates } from "../../lib/workers/merge_status.ts";
import { assertEquals } from "../support/assert.ts";

/** Whether the changes of one upstream, "up" or the failure it is down for, are news one after the other. */
function areNews(...changes: ("up" | Failure)[]): boolean[] {
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

Deno.test("what one thread has reported is no news from another", () => {
  assertEquals(areNews("up", "up", "refused", "refused", "up", "up"), [
    true,
    false,
    true,
    false,
    true,
    false,
  ]);
});

Deno.test("reasons that alternate between threads are reported once in an outage each", () => {
  assertEquals(areNews("refused", "closed", "refused", "closed", "up", "closed"), [
    true,
    true,
    false,
    false,
    true,
    true,
  ]);
});

Deno.test("an answer that one thread has had is the news that another one's recovery would be", () => {
  const states = new UpstreamStates();
  const error = new UpstreamError("refused", { upstream: "server", phase: "connect" });
  states.record({ kind: "upstream", upstream: "server", state: "down", error });
  assertEquals(states.recordAnswer("server")?.state, "up");
  assertEquals([states.record({ kind: "upstream", upstream: "server", state: "up" }), states.of("server")], [
    false,
    "up",
  ]);
});
