/** A worker as the program's own, but for an exception that nobody catches, whenever the test wants one. */
import { runWorker } from "../../../lib/workers/worker_main.ts";

runWorker();
new BroadcastChannel("fail").addEventListener("message", () => {
  throw new Error("the test wants it");
});
