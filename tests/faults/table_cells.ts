/** Run by faults_test.ts: each cell of the table of faults. The cells of one kind of traffic run together, a few at a time under load. */
import { assert, assertEquals } from "../support/assert.ts";
import { Authority } from "../support/servers/certificates.ts";
import { ONE_THREAD } from "../support/mode.ts";
import { RunningProxy } from "../support/processes/running_proxy.ts";
import { blackHole, IS_ISOLATED } from "./namespace.ts";
import {
  ask,
  type Fault,
  NAME_FAULTS,
  type Outcome,
  TIMEOUT,
  TRAFFIC,
  type Traffic,
  UPSTREAM_FAULTS,
  Upstreams,
  warmUp,
} from "./table.ts";

const AUTHORITY = await Authority.create();
const CERTIFICATE = await AUTHORITY.issue({ addresses: ["127.0.0.1"] });

/** So many cells at once leave the machine some air. */
const AT_ONCE = { "quiet": 23, "1 query/s": 23, "500 queries/s": 10 } as const;

interface Cell {
  readonly fault: Fault;
  readonly upstreams: 1 | 2;
}

/** Where there is a namespace of our own, packets can be dropped. */
const BLACK_HOLE: readonly Fault[] = IS_ISOLATED
  ? [{ what: "black hole", begin: blackHole, isAnswered: false }]
  : [];

const CELLS: readonly Cell[] = [...NAME_FAULTS, ...UPSTREAM_FAULTS, ...BLACK_HOLE].flatMap((fault) =>
  ([1, 2] as const).map((upstreams) => ({ fault, upstreams }))
);

async function run({ fault, upstreams: count }: Cell, traffic: Traffic): Promise<void> {
  await using upstreams = await Upstreams.start(fault, count, CERTIFICATE);
  await using proxy = new RunningProxy({
    upstreams: upstreams.addresses.map((address) => ({ address })),
    caCerts: [AUTHORITY.pem],
    timeout: TIMEOUT,
    ...ONE_THREAD,
  });
  // The time that a handshake takes on a busy machine is no part of how slow a name is.
  if (fault.begin || fault.what.startsWith("slow")) await warmUp(proxy.address);
  await fault.begin?.(upstreams.servers[0]!);
  const outcomes = await ask(proxy.address, traffic);
  const isBad = ({ name }: Outcome) => name.startsWith("bad");
  const isWell = fault.isAnswered || fault.bad === undefined && count === 2;
  // A failure arrives at the deadline, and on a busy machine somewhat later.
  assertAll(outcomes.filter(isBad), isWell ? "answer" : "failure", TIMEOUT + 3_000);
  const others = outcomes.filter((each) => !isBad(each));
  if (fault.bad || isWell) assertAll(others, "answer", TIMEOUT);
  else assertAll(others, "failure", TIMEOUT + 3_000);
  if (fault.bad) assert(!proxy.states.some((state) => state.startsWith("down")), `${proxy.states}`);
}

function assertAll(outcomes: readonly Outcome[], expected: string, longest: number): void {
  const other = outcomes.filter(({ got, milliseconds }) => got !== expected || milliseconds > longest);
  assertEquals(other, [], `${other.length} of ${outcomes.length}`);
}

for (const traffic of TRAFFIC) {
  Deno.test({
    name: `the table of faults: ${traffic.what}`,
    fn: async (t) => {
      const waiting = [...CELLS];
      const worker = async () => {
        for (let cell = waiting.shift(); cell; cell = waiting.shift()) {
          const { fault, upstreams } = cell;
          await t.step({
            name: `${fault.what}, ${upstreams === 1 ? "one upstream" : "two upstreams"}`,
            fn: () => run({ fault, upstreams }, traffic),
            sanitizeOps: false, // Cells that run at once
            sanitizeResources: false, // share the process.
            sanitizeExit: false,
          });
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE[traffic.what] }, worker));
    },
  });
}
