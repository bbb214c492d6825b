import { testApart } from "./namespace.ts";

Deno.test("a soak with random faults leaves nothing behind (soak.ts)", () => testApart("soak.ts"));
