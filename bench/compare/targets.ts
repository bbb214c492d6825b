/** What dot-proxy is to reach: ratios to the best peer of the same run, and losses. */
import { lossText, type Row, type Table } from "./summary.ts";

interface Target {
  readonly scenario: string;
  readonly what: string;
  readonly figure: "cpu" | "p99" | "rate" | "loss";
  readonly limit: number;
}

const TARGETS: readonly Target[] = [
  { scenario: "hits-udp", what: "Hits over UDP, CPU per query", figure: "cpu", limit: 1.0 },
  { scenario: "hits-tcp", what: "Hits over TCP, CPU per query", figure: "cpu", limit: 1.0 },
  { scenario: "misses-udp", what: "Misses, CPU per query", figure: "cpu", limit: 0.6 },
  { scenario: "misses-fast", what: "Misses, CPU per query, fast upstream", figure: "cpu", limit: 0.6 },
  { scenario: "latency", what: "p99 at 1,000 misses/s", figure: "p99", limit: 1.1 },
  { scenario: "hits-udp", what: "Top rate of hits over UDP", figure: "rate", limit: 1.0 },
  { scenario: "misses-fast", what: "Top rate of misses", figure: "rate", limit: 1.0 },
  { scenario: "hits-80", what: "Loss of hits at 80 % of the top rate", figure: "loss", limit: 0 },
  { scenario: "misses-80", what: "Loss of misses at 80 % of the top rate", figure: "loss", limit: 0 },
];

export interface Verdict {
  readonly what: string;
  readonly wanted: string;
  readonly measured: string;
  readonly reached: boolean;
}

export function verdicts(tables: readonly Table[]): Verdict[] {
  return TARGETS.flatMap(({ scenario, what, figure, limit }) => {
    const rows = tables.find(({ id }) => id === scenario)?.rows ?? [];
    const own = rows.filter(({ kind }) => kind === "dot-proxy");
    return own.map((row) => verdict(row, own.length > 1 ? `${what} (${row.name})` : what, figure, limit));
  });
}

function verdict(row: Row, what: string, figure: Target["figure"], limit: number): Verdict {
  if (figure === "loss") {
    const isTold = row.fault !== "no cache";
    const measured = isTold ? lossText(row.loss) : row.fault!;
    return { what, wanted: lossText(limit), measured, reached: isTold && row.loss <= limit };
  }
  const isFloor = figure === "rate";
  const wanted = `${isFloor ? "≥" : "≤"} ${limit.toFixed(1)} ×`;
  const { ratio } = row[figure];
  if (row.fault !== undefined || ratio === undefined) {
    return { what, wanted, measured: row.fault ?? "", reached: false };
  }
  return {
    what,
    wanted,
    measured: `${ratio.toFixed(2)} ×`,
    reached: isFloor ? ratio >= limit : ratio <= limit,
  };
}
