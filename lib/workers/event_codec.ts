/** Events as plain data that one thread can post to another. */

import { type Failure, type Phase, UpstreamError } from "../core/errors.ts";
import type { Event } from "../core/event.ts";
import type { Query } from "../core/resolver.ts";
import { Message } from "../dns/message.ts";
import { errorCode } from "../platform/host_error.ts";

/** An event whose query and error are plain data. */
export interface FlatEvent {
  readonly kind: Event["kind"];
  readonly error?: FlatError;
  readonly query?: FlatQuery;
}

type FlatQuery = Omit<Query, "message"> & { readonly bytes: Uint8Array };

interface FlatError {
  readonly name: string;
  readonly message: string;
  readonly stack: string;
  /** Of an error of the operating system. */
  readonly code?: string | undefined;
  /** Of an `UpstreamError`. */
  readonly facts?: {
    readonly failure: Failure;
    readonly upstream: string;
    readonly phase: Phase;
    readonly sent: boolean;
  };
}

/** Converts an event for posting. Copies the bytes of its query. */
export function flatten(event: Event): FlatEvent {
  return {
    ...event,
    ...("error" in event ? { error: flattenError(event.error) } : {}),
    ...("query" in event ? { query: flattenQuery(event.query) } : {}),
  } as FlatEvent;
}

/** The inverse of `flatten`. */
export function restore(flat: FlatEvent): Event {
  return {
    ...flat,
    ...(flat.error ? { error: restoreError(flat.error) } : {}),
    ...(flat.query ? { query: restoreQuery(flat.query) } : {}),
  } as Event;
}

/** The bytes get a buffer of their own, because posting clones the whole buffer. */
function flattenQuery({ message, client, deadline, trace }: Query): FlatQuery {
  return { bytes: message.bytes.slice(), client, deadline, trace };
}

function restoreQuery({ bytes, ...rest }: FlatQuery): Query {
  return { message: Message.parse(bytes), ...rest };
}

function flattenError(error: unknown): FlatError {
  if (!(error instanceof Error)) return { name: "Error", message: String(error), stack: String(error) };
  const { name, message, stack = "" } = error;
  if (!(error instanceof UpstreamError)) return { name, message, stack, code: errorCode(error) };
  const { failure, upstream, phase, sent } = error;
  return { name, message, stack, facts: { failure, upstream, phase, sent } };
}

function restoreError({ name, message, stack, code, facts }: FlatError): Error {
  const error: Error = facts ? new UpstreamError(facts.failure, facts) : new Error();
  error.message = message; // With its detail.
  error.stack = stack;
  if (!facts) error.name = name;
  if (code !== undefined) Object.assign(error, { code });
  return error;
}
