/** Keeps a report: as JSON and Markdown in results/, and its overview in the README. */
import { type Report, toMarkdown, toOverview } from "./report.ts";

const RESULTS = new URL("../results/", import.meta.url);
const README = new URL("../../README.md", import.meta.url);
const PLACE = /(<!-- speed -->\n)[^]*?(<!-- \/speed -->)/;

export async function save(report: Report): Promise<void> {
  await Deno.mkdir(RESULTS, { recursive: true });
  await Deno.writeTextFile(new URL("latest.json", RESULTS), JSON.stringify(rounded(report), null, 1) + "\n");
  await Deno.writeTextFile(new URL("latest.md", RESULTS), `# Results\n\n${toMarkdown(report)}`);
  const readme = await Deno.readTextFile(README);
  if (!PLACE.test(readme)) {
    throw new Error("The README has no place for the table: <!-- speed --> … <!-- /speed -->");
  }
  await Deno.writeTextFile(
    README,
    readme.replace(PLACE, (_, start, end) => `${start}${toOverview(report)}\n${end}`),
  );
}

/** Four digits are more than the measurement is worth, and keep the file small. */
function rounded(report: Report): unknown {
  return JSON.parse(
    JSON.stringify(report, (_, value) => typeof value === "number" ? Number(value.toPrecision(5)) : value),
  );
}
