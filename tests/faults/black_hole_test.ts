import { canIsolate, testInNamespace } from "./namespace.ts";

Deno.test({
  name: "black holes, in a network namespace: see the steps in black_holes.ts",
  ignore: !canIsolate(),
  async fn() {
    console.log(await testInNamespace(new URL("black_holes.ts", import.meta.url)));
  },
});
