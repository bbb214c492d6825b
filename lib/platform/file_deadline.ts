/**
 * Deadlines for file operations. A network or FUSE file system whose server is away answers neither yes nor no, and each
 * operation on it holds one of the 32 threads that Deno has for files, name lookups and writes: so one operation per
 * file may hang, and few in all.
 */

/** In ms: far longer than any file system takes that answers at all. */
const DEADLINE = 5000;
/** Files that may hang at a time before no other is tried: half of the platform's threads. */
const MAX_HUNG = 16;

/** Files with an operation that has not come back within its deadline. */
const hung = new Set<string>();

/**
 * Resolves as the operation on the file does. Rejects with `Deno.errors.TimedOut` when it takes longer than the deadline,
 * and at once, without starting it, while an earlier one on the same file hangs.
 *
 * @param discard called with a result that comes too late
 */
export async function withinDeadline<T>(
  path: string,
  operation: () => Promise<T>,
  { discard, maxHung = MAX_HUNG }: { discard?: (late: T) => void; maxHung?: number } = {},
): Promise<T> {
  if (hung.has(path) || hung.size >= maxHung) throw timedOut();
  const { promise: late, reject } = Promise.withResolvers<never>();
  const running = operation();
  const timer = setTimeout(() => {
    hung.add(path);
    running.then(discard, () => {}).finally(() => hung.delete(path));
    reject(timedOut());
  }, DEADLINE);
  try {
    return await Promise.race([running, late]);
  } finally {
    clearTimeout(timer);
  }
}

function timedOut(): Error {
  return new Deno.errors.TimedOut("its file system does not answer");
}
