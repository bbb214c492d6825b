import { assertEquals } from "./support/assert.ts";
import { suitesThatStart } from "./suites.ts";

/** A suite is not named in full here, or this one would count as a file that starts it. */
const named = (suite: string) => `${suite}_test.ts`;

Deno.test("the files that need a program are those that start it, themselves or through another file", () => {
  assertEquals(suitesThatStart("certtool"), [named("support/servers/certificates")]);
  assertEquals(suitesThatStart("promtool"), [named("e2e/metrics")]);
  const needDig = suitesThatStart("dig");
  // The first starts it through e2e/dig.ts; the second only starts the proxy.
  assertEquals(["e2e/edns", "main"].map((suite) => needDig.includes(named(suite))), [true, false]);
});
