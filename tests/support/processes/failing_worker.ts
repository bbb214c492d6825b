/** The program's worker, with an uncaught exception whenever the test asks for one. */
import { runWorker } from "../../../lib/workers/worker_main.ts";

runWorker();
new BroadcastChannel("fail").addEventListener("message", () => {
  throw new Error("the test wants it");
});
