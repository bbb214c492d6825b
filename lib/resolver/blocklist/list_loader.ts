import type { UsageError } from "../../core/errors.ts";
import { withinDeadline } from "../../platform/file_deadline.ts";
import { unreadable } from "../../platform/read_file.ts";
import type { Lists } from "./block_filter.ts";
import { ListParser } from "./list_parser.ts";
import { BlockIndex } from "./block_index.ts";

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
const BYTE_ORDER_MARK = "efbbbf";

/** What a failed download leaves in place of a list, by its first bytes in hexadecimal. */
const NO_LISTS: readonly [pattern: RegExp, what: string][] = [
  [/^(1f8b|425a68|fd377a58|504b0304|28b52ffd)/, "it is compressed; unpack it"],
  [/^(fffe|feff)/, "it is UTF-16; save it as UTF-8"],
  [/^(efbbbf)?(20|09|0d|0a)*3c/, "it is a page of HTML or XML; look at where it comes from"],
  [/^(..)*?00/, "it is no text"],
];
/** Bytes that are held against these. */
const START = 512;

export interface ReadOptions {
  /** Whether others are to have half of the time meanwhile: not where they would only wait for it. */
  readonly unhurried: boolean;
  /** Called for each list. */
  readonly report: (report: ListReport) => void;
  /** Called for each list that cannot be used, in place of an end with that error: the others count all the same. */
  readonly onBadList?: (error: UsageError) => void;
}

/**
 * Reads all lists into one set of names. Rejects with `UsageError` where a file cannot be read, or no line of it can be
 * understood: such a list would switch protection off in silence.
 */
export async function readLists(
  files: readonly ListFile[],
  { unhurried, report, onBadList }: ReadOptions,
): Promise<Lists> {
  const names = new BlockIndex();
  for (const [list, file] of files.entries()) {
    const { label, path, allows } = file;
    const source = allows ? "--unblock" : "--block";
    try {
      const { count, ignored } = await readList(names, list, file, unhurried);
      report({ label, names: count, ignored });
      if (count === 0 && ignored > 0) throw new Error(NO_NAMES);
    } catch (cause) {
      const error = unreadable(source, path, cause);
      if (!onBadList) throw error;
      onBadList(error);
    }
  }
  return { names, labels: files.map(({ label }) => label) };
}

const NO_NAMES = "no line of it can be understood";

/** Adds the names of one list. */
async function readList(
  names: BlockIndex,
  list: number,
  { path, allows }: ListFile,
  unhurried: boolean,
): Promise<{ count: number; ignored: number }> {
  const line = new ListParser();
  let count = 0;
  let ignored = 0;
  await readLines(path, unhurried, (bytes, start, end) => {
    const isUnderstood = line.read(bytes, start, end, (kind) => {
      count++;
      names.add(line.name, allows ? { ...kind, allows } : kind, list);
    });
    if (!isUnderstood) ignored++;
  });
  return { count, ignored };
}

/** Visits each line, without the line feed. Of one that is longer than a chunk, which no name is, the start is left out. */
async function readLines(
  path: string,
  unhurried: boolean,
  visit: (bytes: Uint8Array, start: number, end: number) => void,
): Promise<void> {
  using file = await withinDeadline(path, () => Deno.open(path), { discard: (late) => late.close() });
  const buffer = new Uint8Array(2 * CHUNK);
  let kept = 0;
  let isFirst = true;
  for (;;) {
    const octets = await withinDeadline(path, () => file.read(buffer.subarray(kept, kept + CHUNK)));
    if (octets === null) break;
    const filled = kept + octets;
    let start = isFirst ? startOfLines(buffer.subarray(0, filled)) : 0;
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

/** Where the lines of a list begin, by its first bytes. Throws an `Error` for what is no list. */
function startOfLines(bytes: Uint8Array): number {
  const start = bytes.subarray(0, START).toHex();
  const [, what] = NO_LISTS.find(([pattern]) => pattern.test(start)) ?? [];
  if (what !== undefined) throw new Error(what);
  return start.startsWith(BYTE_ORDER_MARK) ? BYTE_ORDER_MARK.length / 2 : 0;
}
