/** Runs the timing-sensitive tests one after the other, each in a process of its own. */

import { isLeftOut } from "../support/left_out.ts";
import { DEFAULT_MODE, MODE } from "../support/mode.ts";
import { canIsolate, testApart } from "./namespace.ts";

Deno.test("one of two upstreams fails (one_fails.ts)", () => testApart("one_fails.ts"));

Deno.test("all upstreams fail (all_fail.ts)", () => testApart("all_fail.ts"));

Deno.test({
  name: "packets are dropped, and links go down (black_holes.ts)",
  ignore: isLeftOut(canIsolate()),
  fn: () => testApart("black_holes.ts"),
});

Deno.test({
  name: "each fault, with one upstream and two, in quiet and under load (table_cells.ts)",
  ignore: MODE !== DEFAULT_MODE, // How queries come in makes no difference to how upstreams fail.
  fn: () => testApart("table_cells.ts"),
});
