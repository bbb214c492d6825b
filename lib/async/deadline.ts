/** Waiting for a promise, but not forever. Each function clears its timer when the promise settles first. */

/** Waits for a promise for at most `limitMs`. Resolves with `false` after that time, and with `true` before. Rejects as it does. */
export async function settlesWithin(promise: Promise<unknown>, limitMs: number): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<false>();
  const timer = setTimeout(() => resolve(false), limitMs);
  try {
    return await Promise.race([promise.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Settles as the promise does, and rejects with the error that `onTimeout` makes after `limitMs`. */
export async function withTimeout<T>(
  promise: Promise<T>,
  limitMs: number,
  onTimeout: () => Error,
): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(onTimeout()), limitMs);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
