/**
 * Deadlines for file operations. A network or FUSE file system whose server is down neither succeeds nor fails, and each
 * operation on it occupies one of Deno's 32 threads for files, name lookups and writes. So one operation per file may hang,
 * and only a few in all.
 */

import { withTimeout } from "../async/deadline.ts";

/** Far longer than any working file system needs. */
const TIMEOUT_MS = 5000;
/** Bound of files that hang at a time: half of the platform's threads. */
const MAX_HUNG = 16;

/** Files with an operation that has exceeded its deadline and has not ended. */
const hung = new Set<string>();

/**
 * Settles as the operation does. Rejects with `Deno.errors.TimedOut` after the deadline, and at once, without starting the
 * operation, while an earlier one on the same file hangs.
 *
 * @param discard called with a result that arrives after the deadline
 */
export async function withinDeadline<T>(
  path: string,
  operation: () => Promise<T>,
  { discard, maxHung = MAX_HUNG }: { discard?: (late: T) => void; maxHung?: number } = {},
): Promise<T> {
  if (hung.has(path) || hung.size >= maxHung) throw timedOut();
  const running = operation();
  return await withTimeout(running, TIMEOUT_MS, () => {
    hung.add(path);
    running.then(discard, () => {}).finally(() => hung.delete(path));
    return timedOut();
  });
}

function timedOut(): Error {
  return new Deno.errors.TimedOut("its file system does not respond");
}
