/** Shared fixtures of the front-end tests. */
import { Answerer } from "../../lib/frontend/answer/answerer.ts";
import { LoopBudget } from "../../lib/frontend/loop_budget.ts";
import type { Event } from "../../lib/core/event.ts";
import type { Client, Resolver } from "../../lib/core/resolver.ts";
import { Changes } from "../support/within.ts";

/** Shared by all front ends. Its socket is opened here, so that no test appears to leak it. */
export const LOOP_BUDGET = new LoopBudget();
await LOOP_BUDGET.yieldToKernel();

/** Records every event. */
export class Events {
  readonly all: Event[] = [];
  readonly #changes = new Changes();

  readonly observe = (event: Event): void => {
    this.all.push(event);
    this.#changes.notify();
  };

  of<K extends Event["kind"]>(kind: K): Extract<Event, { kind: K }>[] {
    return this.all.filter((event): event is Extract<Event, { kind: K }> => event.kind === kind);
  }

  /** Resolves when `count` events of this kind were recorded. */
  until(kind: Event["kind"], count = 1): Promise<void> {
    return this.#changes.until(() => this.of(kind).length >= count, 5_000, `${count} × "${kind}"`);
  }
}

/** A clock that the test advances. */
export class Clock {
  time = 1_000;
  readonly now = () => this.time;
}

export interface Parts {
  readonly resolver: Resolver;
  readonly events?: Events;
  readonly clock?: Clock;
}

/** An answerer with the defaults of the command line. */
export function answererFor({ resolver, events = new Events(), clock = new Clock() }: Parts): Answerer {
  const { observe } = events;
  return new Answerer({ resolver, timeout: 4000, udpSize: 1232, keepAlive: 100, observe, now: clock.now });
}

/** The only reply to a query; undefined for none. */
export async function ask(
  answerer: Answerer,
  bytes: Uint8Array,
  client: Client,
): Promise<Uint8Array | undefined> {
  const { promise, resolve } = Promise.withResolvers<Uint8Array | undefined>();
  let replies = 0;
  const reply = (frame: Uint8Array | undefined) => {
    if (++replies > 1) throw new Error(`${replies} replies to one query`);
    resolve(frame?.slice());
  };
  const atOnce = answerer.answer(bytes, client, { reply });
  if (atOnce !== (replies === 1)) {
    throw new Error("`answer` returned true without a reply, or false with one");
  }
  return await promise;
}

/** Replaces `setInterval` during `setUp`: no timer runs, and `tick` calls all callbacks. */
export function withTicks<T>(setUp: () => T): { made: T; tick: () => void } {
  const { setInterval } = globalThis;
  const callbacks: (() => void)[] = [];
  const caught = (callback: () => void) => {
    callbacks.push(callback);
    return 0;
  };
  globalThis.setInterval = caught as unknown as typeof setInterval;
  try {
    return { made: setUp(), tick: () => callbacks.forEach((callback) => callback()) };
  } finally {
    globalThis.setInterval = setInterval;
  }
}
