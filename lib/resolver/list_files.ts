import type { Lists } from "./block_list.ts";
import { ListLine } from "./list_line.ts";
import { NameSet } from "./name_set.ts";

export interface ListFile {
  /** What the list is called where it blocks a name. */
  readonly label: string;
  readonly path: string;
  /** Whether its names are let through, whatever other lists say. */
  readonly allows: boolean;
}

/** What has been read of a file. */
export interface ListReport {
  readonly label: string;
  /** Names it has, those included that others have, too. */
  readonly names: number;
  /** Lines that are not understood, or are about what is not to be seen here. */
  readonly ignored: number;
}

/** Octets that are taken at a time: between two of them, which is less than a millisecond of work, others have their turn. */
const CHUNK = 32 * 1024;
const LINE_FEED = 0x0a;
/** Editors of Windows begin files with it. */
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];

export interface ReadOptions {
  /** Whether others are to have half of the time meanwhile: not where they would only wait for it. */
  readonly unhurried: boolean;
  /** Called for each list. */
  readonly report: (report: ListReport) => void;
}

/** Reads all lists into one set of names. Rejects where a file cannot be read. */
export async function readLists(
  files: readonly ListFile[],
  { unhurried, report }: ReadOptions,
): Promise<Lists> {
  const names = new NameSet();
  const line = new ListLine();
  for (const [list, { label, path, allows }] of files.entries()) {
    let count = 0;
    let ignored = 0;
    await readLines(path, unhurried, (bytes, start, end) => {
      const isUnderstood = line.read(bytes, start, end, (kind) => {
        count++;
        names.add(line.name, allows ? { ...kind, allows } : kind, list);
      });
      if (!isUnderstood) ignored++;
    });
    report({ label, names: count, ignored });
  }
  return { names, labels: files.map(({ label }) => label) };
}

/** Visits each line, without the line feed. Of one that is longer than a chunk, which no name is, the start is left out. */
async function readLines(
  path: string,
  unhurried: boolean,
  visit: (bytes: Uint8Array, start: number, end: number) => void,
): Promise<void> {
  using file = await Deno.open(path);
  const buffer = new Uint8Array(2 * CHUNK);
  let kept = 0;
  let isFirst = true;
  for (;;) {
    const octets = await file.read(buffer.subarray(kept, kept + CHUNK));
    if (octets === null) break;
    const filled = kept + octets;
    let start = isFirst && BYTE_ORDER_MARK.every((octet, i) => buffer[i] === octet)
      ? BYTE_ORDER_MARK.length
      : 0;
    isFirst = false;
    for (let end = buffer.indexOf(LINE_FEED, kept); end >= 0 && end < filled;) {
      visit(buffer, start, end);
      start = end + 1;
      end = buffer.indexOf(LINE_FEED, start);
    }
    start = Math.max(start, filled - CHUNK);
    buffer.copyWithin(0, start, filled);
    kept = filled - start;
    // A file in the system's cache is read at once: without this nobody else would have a turn before the end.
    if (unhurried) await new Promise((resolve) => setTimeout(resolve, 0));
  }
  if (kept > 0) visit(buffer, 0, kept);
}
