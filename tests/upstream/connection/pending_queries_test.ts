import { UpstreamError } from "../../../lib/core/errors.ts";
import { PendingQueries, type PendingQuery } from "../../../lib/upstream/connection/pending_queries.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { settled } from "../../support/fakes/time.ts";
import { message, pending } from "./connecting.ts";

const DEADLINE = 4_000;

interface AddedQuery {
  readonly pending: PendingQuery;
  outcome: string;
  /** Arguments of the calls of its trigger: whether the hedge is not charged to the budget. */
  readonly calls: boolean[];
}

function newPending(): PendingQueries {
  return new PendingQueries((failure, facts) =>
    new UpstreamError(failure, { upstream: "server", phase: "read", ...facts })
  );
}

/** Adds a query that arrives at `now`. */
function add(queries: PendingQueries, now = 0, fields: Partial<PendingQuery> = {}): AddedQuery {
  const calls: boolean[] = [];
  const added: AddedQuery = {
    outcome: "waiting",
    calls,
    pending: pending({
      message: message("name.test"),
      deadline: now + DEADLINE,
      trigger: { onSlow: ({ withoutBudget }: { withoutBudget: boolean }) => void calls.push(withoutBudget) },
      slowAt: now + 100,
      lateAt: now + DEADLINE / 2,
      resolve: () => added.outcome = "answered",
      reject: (error: UpstreamError) => added.outcome = `${error.failure}${error.sent ? "" : ", not sent"}`,
      ...fields,
    }),
  };
  queries.add(added.pending);
  return added;
}

/** Adds a query and sends it. The result has its ID, too. */
function send(
  queries: PendingQueries,
  now = 0,
  fields: Partial<PendingQuery> = {},
): AddedQuery & { id: number } {
  const added = add(queries, now, fields);
  const id = queries.markSent(queries.takeUnsent(), now);
  return Object.assign(added, { id });
}

/** Whether the connection is stalled at `until`, with a sweep every 10 ms since `from`. */
function isStalledAt(queries: PendingQueries, from: number, until: number): boolean {
  for (let now = from; now <= until; now += 10) queries.sweep(now, 100);
  return queries.isStalled;
}

Deno.test("PendingQueries is stalled when an unanswered query is slow, also if later queries were sent", () => {
  const queries = newPending();
  send(queries, 0);
  for (let now = 10; now <= 90; now += 10) {
    send(queries, now);
    assert(!isStalledAt(queries, now, now));
  }
  assert(isStalledAt(queries, 100, 100));
});

Deno.test("PendingQueries is stalled after a second without an answer if nothing is sent", () => {
  const queries = newPending();
  const [first, second] = [send(queries, 0), send(queries, 0)];
  queries.remove(second.id, 50);
  assert(!isStalledAt(queries, 60, 1_040));
  assert(isStalledAt(queries, 1_050, 1_050));
  queries.remove(first.id, 1_100);
  assert(!isStalledAt(queries, 1_100, 9_000), "without pending queries there is no stall");
});

Deno.test("PendingQueries stays stalled when queries reach their deadlines", () => {
  const queries = newPending();
  send(queries, 0, { deadline: 500 });
  assert(isStalledAt(queries, 0, 600));
  assertEquals([queries.size, queries.abandoned], [0, 1]);
  send(queries, 600);
  assert(isStalledAt(queries, 600, 610));
});

Deno.test("PendingQueries is not stalled by unsent queries", () => {
  const queries = newPending();
  add(queries, 0);
  assert(!isStalledAt(queries, 0, 3_000));
});

Deno.test("receiveLate ends a stall and returns when the query was sent", () => {
  const queries = newPending();
  const { id } = send(queries, 10, { deadline: 500 });
  assert(isStalledAt(queries, 10, 600));
  assertEquals(queries.receiveLate(id, 700), 10);
  assertEquals(
    [queries.isStalled, queries.receiveLate(id, 700)],
    [false, undefined],
    "the second answer is a repetition",
  );
});

Deno.test("sweep rejects a query at its deadline, and the error says whether it was sent", async () => {
  const queries = newPending();
  const sent = send(queries, 0);
  const unsent = add(queries, 0);
  queries.sweep(DEADLINE - 1, 100);
  assertEquals([sent.outcome, unsent.outcome], ["waiting", "waiting"]);
  queries.sweep(DEADLINE, 100);
  await settled();
  assertEquals([sent.outcome, unsent.outcome], ["timed out", "timed out, not sent"]);
  assertEquals([queries.size, queries.abandoned], [0, 1]);
});

Deno.test("sweep calls a trigger when the answer is slow, and without budget when half of the time is over", () => {
  const queries = newPending();
  const { calls } = send(queries, 0);
  for (let now = 0; now < 4_000; now += 10) {
    queries.remove(send(queries, now).id, now); // keeps the connection alive
    queries.sweep(now, 100);
    assertEquals(calls, now < 100 ? [] : now < 2_000 ? [false] : [false, true], `${now}`);
  }
});

Deno.test("sweep calls triggers without budget when eight queries wait on a stalled connection, but not for seven", () => {
  for (const [count, withoutBudget] of [[8, true], [7, false]] as const) {
    const queries = newPending();
    const cases = Array.from({ length: count }, (_, i) => send(queries, i));
    for (let now = 0; now < 200; now += 10) queries.sweep(now, 100);
    for (const { calls } of cases) assertEquals(calls, [withoutBudget]);
  }
});

Deno.test("sweep calls the trigger of an unsent query without budget", () => {
  const queries = newPending();
  const { calls } = add(queries, 0);
  queries.sweep(99, 100);
  assertEquals(calls, []);
  for (const now of [100, 200, 2_000, 2_100]) queries.sweep(now, 100);
  assertEquals(calls, [true, true]);
});

Deno.test("sweep calls a trigger once when half of the time is over before the answer is slow", () => {
  const queries = newPending();
  const { calls } = send(queries, 0, { slowAt: 2_000 });
  for (const now of [1_999, 2_000, 2_010, 3_000]) queries.sweep(now, 100);
  assertEquals(calls, [true]);
});

Deno.test("sweep calls no trigger of an answered query, and accepts queries without one", () => {
  const queries = newPending();
  send(queries, 0, { trigger: undefined });
  const { calls, id } = send(queries, 0);
  queries.remove(id, 50);
  queries.sweep(3_000, 100);
  assertEquals(calls, []);
});

Deno.test("PendingQueries is stalled from the first slow query until an answer arrives", () => {
  const queries = newPending();
  const first = send(queries, 0);
  queries.sweep(99, 100);
  assert(!queries.isStalled);
  for (let now = 100; now < 1_500; now += 10) {
    queries.sweep(now, 100);
    assert(queries.isStalled, `${now}`);
  }
  queries.remove(first.id, 1_500);
  assert(!queries.isStalled);
});

Deno.test("PendingQueries is not stalled by a slow name while other queries are answered", () => {
  for (const gap of [10, 500]) {
    const queries = newPending();
    send(queries, 0);
    for (let now = 0; now < 1_900; now += 10) {
      if (now % gap === 0) queries.remove(send(queries, now).id, now);
      queries.sweep(now, 100);
      assert(!queries.isStalled, `${now}`);
    }
  }
});

Deno.test("PendingQueries measures a stall from when a query was sent, not from when it was added", () => {
  const queries = newPending();
  add(queries, 0);
  queries.markSent(queries.takeUnsent(), 95);
  queries.sweep(194, 100);
  assert(!queries.isStalled);
  queries.sweep(195, 100);
  assert(queries.isStalled);
});

Deno.test("PendingQueries is stalled when the first query after an answer is slow", () => {
  const queries = newPending();
  send(queries, 0);
  queries.remove(send(queries, 50).id, 60);
  send(queries, 200);
  queries.sweep(299, 100);
  assert(!queries.isStalled);
  queries.sweep(300, 100);
  assert(queries.isStalled);
});

Deno.test("abandon keeps the message ID in use until the late answer arrives (7766-2)", () => {
  const queries = newPending();
  const { id, outcome } = send(queries, 0);
  queries.abandon(id, new UpstreamError("timed out", { upstream: "server", phase: "read" }));
  assertEquals([outcome, queries.find(id), queries.abandoned], ["waiting", undefined, 1]);
  queries.receiveLate(id, 1);
  assertEquals(queries.abandoned, 0);
});

Deno.test("takeUnsent returns queries in order of arrival, and markSent gives each its own ID", () => {
  const queries = newPending();
  const cases = Array.from({ length: 500 }, () => add(queries));
  const ids = cases.map(({ pending }) => {
    assertEquals(queries.takeUnsent(), pending);
    return queries.markSent(pending, 5);
  });
  assertEquals([queries.hasUnsent, new Set(ids).size, queries.sent], [false, 500, 500]);
  assertEquals(ids.map((id) => queries.find(id)), cases.map(({ pending }) => pending));
});

Deno.test("rejectUnsent and rejectSent reject their queries, each with its own error", () => {
  const queries = newPending();
  const sent = send(queries);
  const unsent = add(queries);
  const facts = { upstream: "server", phase: "read" } as const;
  queries.rejectUnsent(new UpstreamError("closed", { ...facts, sent: false }));
  queries.rejectSent(new UpstreamError("silent", facts));
  assertEquals([sent.outcome, unsent.outcome, queries.size], ["silent", "closed, not sent", 0]);
});

Deno.test("takeUnsent returns the earliest deadline first, also if that query was added last", () => {
  const queries = newPending();
  const [second, third, first] = [add(queries, 20), add(queries, 30), add(queries, 10)];
  for (const { pending } of [first, second, third]) assert(queries.takeUnsent() === pending);
});
