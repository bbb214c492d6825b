/** Tables as Markdown. */
import { QUIET } from "./measure.ts";
import { type Figure, lossText, type Row, type Table } from "./summary.ts";
import { verdicts } from "./targets.ts";

/** The result of a run, as it is saved. */
export interface Report {
  readonly date: string;
  readonly machine: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly effort: { readonly rounds: number; readonly seconds: number };
  readonly tables: readonly Table[];
}

const HEAD = [
  "| | queries/s | ratio | CPU µs per query | ratio | p50 µs | p99 µs | ratio | lost | peak MB | TLS connections |",
  "| --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |",
];

/** The whole report. */
export function toMarkdown(report: Report): string {
  const { date, machine, effort, tables } = report;
  return [
    `Measured on ${date}: ${machine}. ${effort.rounds} rounds of ${effort.seconds} s; medians, with the range over the rounds.`,
    "Ratios are to the best peer of the table; less is better but for queries/s.",
    ...tables.flatMap((
      table,
    ) => [
      "",
      `### ${table.title}`,
      "",
      `${table.meaning}${disturbanceOf(table)}`,
      "",
      ...HEAD,
      ...table.rows.map(line),
    ]),
    ...footnotes(tables),
    ...targetLines(tables),
    "",
  ].join("\n");
}

/** One row per proxy, with what counts in each scenario: for the README. */
export function toOverview({ date, machine, tables }: Report): string {
  const names = [...new Set(tables.flatMap(({ rows }) => rows.map(({ name }) => name)))];
  const cell = ({ id, rows }: Table, name: string) => {
    const row = rows.find((row) => row.name === name);
    if (id.endsWith("-80")) return row && row.fault !== "no cache" ? lossText(row.loss) : "—";
    if (!row || row.fault !== undefined) return "—";
    return id === "latency" ? `${whole(row.p99.median)}` : row.cpu.median.toFixed(1);
  };
  return [
    `CPU µs per query of the proxy's process; for the latency, p99 in µs; at 80 %, what is lost. ${date}, ${machine}.`,
    "",
    `| | ${tables.map(({ title }) => title).join(" | ")} |`,
    `| --- | ${tables.map(() => "--:").join(" | ")} |`,
    ...names.map((name) => `| ${name} | ${tables.map((table) => cell(table, name)).join(" | ")} |`),
  ].join("\n");
}

/** A table with disturbed rounds contains a note. */
function disturbanceOf({ rows }: Table): string {
  const shares = rows.map(({ disturbance }) => disturbance);
  const [least, most] = [Math.min(...shares), Math.max(...shares)].map((share) => Math.round(100 * share));
  if (Math.max(...shares) <= QUIET) return "";
  return ` **Disturbed:** other programs had ${least} to ${most} % of the proxy's core, so neither rates nor latencies tell much.`;
}

function line(row: Row): string {
  const cells = [
    row.fault === undefined ? row.name : `${row.name} (${row.fault})`,
    range(row.rate, whole),
    ratio(row.rate, row),
    range(row.cpu, (value) => value.toFixed(1)),
    ratio(row.cpu, row),
    whole(row.p50.median),
    range(row.p99, whole),
    ratio(row.p99, row),
    lossText(row.loss),
    whole(row.memory / 2 ** 20),
    row.kind === "floor" ? "" : `${row.connections}`,
  ];
  return `| ${cells.join(" | ")} |`;
}

function range({ median, min, max }: Figure, show: (value: number) => string): string {
  return `${show(median)} (${show(min)}–${show(max)})`;
}

function ratio({ ratio }: Figure, { fault }: Row): string {
  return ratio === undefined || fault !== undefined ? "" : ratio.toFixed(2);
}

function whole(value: number): string {
  return Math.round(value).toLocaleString("en");
}

function footnotes(tables: readonly Table[]): string[] {
  const faults = new Set(tables.flatMap(({ rows }) => rows.map(({ fault }) => fault)));
  return [
    ...faults.has("no cache")
      ? ["", "No cache: asked the upstream for what is to be a hit; not compared."]
      : [],
    ...faults.has("loses queries")
      ? ["", "Loses queries: over 1 % without an answer, or answered with an error; not compared."]
      : [],
  ];
}

function targetLines(tables: readonly Table[]): string[] {
  const all = verdicts(tables);
  if (all.length === 0) return [];
  return [
    ...[
      "",
      "### Targets",
      "",
      "| dot-proxy, × what the best peer takes | wanted | measured | |",
      "| --- | --: | --: | --- |",
    ],
    ...all.map(({ what, wanted, measured, reached }) =>
      `| ${what} | ${wanted} | ${measured} | ${reached ? "reached" : "missed"} |`
    ),
  ];
}
