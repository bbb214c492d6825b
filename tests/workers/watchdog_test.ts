import { fileURLToPath } from "node:url";
import { assertEquals } from "../support/assert.ts";
import { freePort } from "../support/processes/ports.ts";
import { proxyCommand } from "../e2e/proxy_command.ts";

const CHILD = fileURLToPath(new URL("../support/restarting_child.ts", import.meta.url));

/** Runs the child with the shipped permissions. Returns its exit code, and its output of each start. */
async function run(how: string) {
  const { args: flags, env } = await proxyCommand([]);
  const port = `${freePort()}`;
  const args = [...flags.slice(0, -1), "--no-check", CHILD, how, port];
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args,
    ...env && { env },
    clearEnv: true,
  })
    .output();
  const starts = new TextDecoder().decode(stdout).trim().split("\n").map((line) =>
    line.startsWith("{") ? JSON.parse(line) : line
  );
  return { code, starts, args: [how, port] };
}

for (const [how, thread] of [["first", 1], ["second", 2]] as const) {
  Deno.test(`Watchdog restarts the program with the same arguments when thread ${thread} is blocked`, async () => {
    const { code, starts: [first, second, ...others], args } = await run(how);
    assertEquals([code, others], [0, []]);
    assertEquals([first.args, first.reason], [args, undefined]);
    assertEquals(second, {
      pid: first.pid,
      args,
      reason: `the event loop of thread ${thread} was blocked for 0 s`,
      again: false,
    });
  });
}

Deno.test("Watchdog ends the program with exit code 1 when a thread is blocked during a stop", async () => {
  const { code, starts } = await run("stopping");
  assertEquals([code, starts.length], [1, 1]);
});

Deno.test("Watchdog does nothing when a busy thread still sends heartbeats", async () => {
  const { code, starts } = await run("busy");
  assertEquals([code, starts.length, starts[1]], [3, 2, "never restarted"]);
});
