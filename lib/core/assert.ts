/**
 * Assertions of preconditions, always on: one comparison each. A broken precondition fails one query with an internal
 * error, instead of corrupting memory silently.
 */

/** Throws an `Error` unless the condition holds. Pass a constant message, so that a passing assertion allocates nothing. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`broken precondition: ${message}`);
}
