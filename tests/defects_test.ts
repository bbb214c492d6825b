import { assertEquals } from "./support/assert.ts";

const DEFECTS = new URL("../lib/defects.ts", import.meta.url).href;
const PROGRAM = `
  import { surviveDefects } from "${DEFECTS}";
  surviveDefects(({ kind, error }) => console.log(kind, error.message));
  void Promise.reject(new Error("rejected"));
  setTimeout(() => { throw new Error("thrown"); });
  setTimeout(() => console.log("goes on"), 50);
`;

Deno.test("an exception that nobody has caught is told, and the process goes on", async () => {
  const { code, stdout } = await new Deno.Command(Deno.execPath(), { args: ["eval", PROGRAM] }).output();
  const said = new TextDecoder().decode(stdout).trim().split("\n");
  assertEquals([code, ...said], [0, "defect rejected", "defect thrown", "goes on"]);
});
