/** A program that hangs for ever, in this thread or in a worker, unless it has been begun anew because of that. */
import { Heartbeat, takeRestartReason, Watchdog } from "../../lib/workers/watchdog.ts";

const [how] = Deno.args;
const reason = takeRestartReason();
console.log(
  JSON.stringify({ pid: Deno.pid, args: Deno.args, reason, again: Deno.env.has("DOT_PROXY_RESTARTED") }),
);
if (reason !== undefined) Deno.exit(0);

const watchdog = await Watchdog.start({ threads: 2, period: 50, limit: 4 });
if (!watchdog) throw new Error("there is no C library");
new Heartbeat(watchdog.beats, 1, 50);
Deno.permissions.revokeSync({ name: "ffi" });

/** Other descriptors than the standard ones would outlive execve(2) if they were not closed by it. */
const listener = Deno.listen({ hostname: "127.0.53.77", port: Number(Deno.args[1]) });

if (how === "first") {
  setTimeout(() => {
    for (;;);
  });
} else if (how === "second") {
  const module = import.meta.resolve("../../lib/workers/watchdog.ts");
  const source = `import { Heartbeat } from ${JSON.stringify(module)};
    onmessage = ({ data }) => {
      new Heartbeat(data, 2, 50);
      setTimeout(() => { for (;;); }, 100);
    };`;
  const worker = new Worker(`data:text/javascript,${encodeURIComponent(source)}`, { type: "module" });
  worker.postMessage(watchdog.beats);
} else if (how === "stopping") {
  watchdog.stopping();
  setTimeout(() => {
    for (;;);
  });
} else {
  // Busy for longer than a period again and again, but never for as long as the limit.
  for (let i = 0; i < 10; i++) {
    const end = performance.now() + 75;
    while (performance.now() < end);
    await new Promise((resolve) => setTimeout(resolve, 60));
  }
  listener.close();
  console.log("never restarted");
  Deno.exit(3);
}
