import { assertEquals } from "../support/assert.ts";

const DEFECTS = new URL("../../lib/platform/uncaught.ts", import.meta.url).href;
const PROGRAM = `
  import { surviveUncaughtErrors } from "${DEFECTS}";
  surviveUncaughtErrors(({ kind, error }) => console.log(kind, error.message));
  void Promise.reject(new Error("rejected"));
  setTimeout(() => { throw new Error("thrown"); });
  setTimeout(() => console.log("goes on"), 50);
`;

Deno.test("an exception that nobody has caught is told, and the process goes on", async () => {
  const { code, stdout } = await new Deno.Command(Deno.execPath(), { args: ["eval", PROGRAM] }).output();
  const said = new TextDecoder().decode(stdout).trim().split("\n");
  assertEquals([code, ...said], [0, "internal error rejected", "internal error thrown", "goes on"]);
});

/** Uses up all descriptors, then fails in a timer and in a promise. */
const WITHOUT_DESCRIPTORS = `
  import { surviveUncaughtErrors } from "${DEFECTS}";
  Deno.addSignalListener("SIGTERM", () => {}); // as the program does: Deno needs a descriptor for the first one
  surviveUncaughtErrors(({ error }) => console.log(error.message));
  const files = [];
  try {
    for (;;) files.push(Deno.openSync("/dev/null"));
  } catch (error) {
    console.log(error.code);
  }
  setTimeout(() => { throw new Error("thrown"); });
  setTimeout(() => void Promise.reject(new Error("rejected")), 10);
  setTimeout(() => { console.log("goes on"); Deno.exit(); }, 50);
`;

Deno.test("an exception without a free descriptor is no end of the process either", async () => {
  const script = `ulimit -n 64; exec "$0" eval "$1"`;
  const { code, stdout } = await new Deno.Command("sh", {
    args: ["-c", script, Deno.execPath(), WITHOUT_DESCRIPTORS],
    env: { NO_COLOR: "1" },
  }).output();
  const lines = new TextDecoder().decode(stdout).trim().split("\n");
  assertEquals([code, ...lines], [0, "EMFILE", "thrown", "rejected", "goes on"]);
});
