import { assertEquals } from "../support/assert.ts";

const MODULE = new URL("../../lib/platform/uncaught.ts", import.meta.url).href;
const PROGRAM = `
  import { surviveUncaughtErrors } from "${MODULE}";
  surviveUncaughtErrors(({ kind, error }) => console.log(kind, error.message));
  void Promise.reject(new Error("rejected"));
  setTimeout(() => { throw new Error("thrown"); });
  setTimeout(() => console.log("still running"), 50);
`;

Deno.test("surviveUncaughtErrors reports an uncaught exception, and the process continues", async () => {
  const { code, stdout } = await new Deno.Command(Deno.execPath(), { args: ["eval", PROGRAM] }).output();
  const lines = new TextDecoder().decode(stdout).trim().split("\n");
  assertEquals([code, ...lines], [0, "internal error rejected", "internal error thrown", "still running"]);
});

/** Uses up all descriptors, then fails in a timer and in a promise. */
const WITHOUT_DESCRIPTORS = `
  import { surviveUncaughtErrors } from "${MODULE}";
  Deno.addSignalListener("SIGTERM", () => {}); // As the program does: Deno needs a descriptor for the first listener.
  surviveUncaughtErrors(({ error }) => console.log(error.message));
  const files = [];
  try {
    for (;;) files.push(Deno.openSync("/dev/null"));
  } catch (error) {
    console.log(error.code);
  }
  setTimeout(() => { throw new Error("thrown"); });
  setTimeout(() => void Promise.reject(new Error("rejected")), 10);
  setTimeout(() => { console.log("still running"); Deno.exit(); }, 50);
`;

Deno.test("surviveUncaughtErrors keeps the process running when no file descriptor is free", async () => {
  const script = `ulimit -n 64; exec "$0" eval "$1"`;
  const { code, stdout } = await new Deno.Command("sh", {
    args: ["-c", script, Deno.execPath(), WITHOUT_DESCRIPTORS],
    env: { NO_COLOR: "1" },
  }).output();
  const lines = new TextDecoder().decode(stdout).trim().split("\n");
  assertEquals([code, ...lines], [0, "EMFILE", "thrown", "rejected", "still running"]);
});
