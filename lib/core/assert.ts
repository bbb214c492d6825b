/**
 * Assertions of preconditions, for hot structures too: one comparison each, always on. A caller that breaks a precondition then fails as
 * one query with an internal error, and not as memory that is silently wrong.
 */

/** Throws an `Error` unless the condition holds. The message is a constant, so that a passing assertion allocates nothing. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`broken precondition: ${message}`);
}
