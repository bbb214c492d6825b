/**
 * Reads block lists and allow lists from files into one `BlockIndex`.
 *
 * Files are read in chunks, so that a list of any size needs little memory, and so that queries can be answered meanwhile.
 */

import type { UsageError } from "../../core/errors.ts";
import { withinDeadline } from "../../platform/file_deadline.ts";
import { checkInputFile, checkInputFileLater, unreadable } from "../../platform/read_file.ts";
import type { Lists } from "./block_filter.ts";
import { ListParser } from "./list_parser.ts";
import { BlockIndex } from "./block_index.ts";

export interface ListFile {
  /** The name of the list in logs and extended errors. */
  readonly label: string;
  readonly path: string;
  /** True for an allow list: its names are never blocked, even if other lists block them. */
  readonly allows: boolean;
}

/** The result of reading one list. */
export interface ListReport {
  readonly label: string;
  /** Number of names in the list, including names of other lists. */
  readonly names: number;
  /** Number of lines without a rule for names. */
  readonly ignored: number;
}

/** Size of a chunk. The work for one takes less than a millisecond, so that queries hardly wait. */
const CHUNK_BYTES = 32 * 1024;
const LINE_FEED = 0x0a;
/** Windows editors start files with these bytes. In hexadecimal. */
const BYTE_ORDER_MARK = "efbbbf";

/** Files that are not lists, such as failed downloads: a pattern for the first bytes in hexadecimal, and the reason. */
const NOT_LISTS: readonly [pattern: RegExp, reason: string][] = [
  [/^(1f8b|425a68|fd377a58|504b0304|28b52ffd)/, "it is compressed; unpack it"],
  [/^(fffe|feff)/, "it is UTF-16; save it as UTF-8"],
  [/^(efbbbf)?(20|09|0d|0a)*3c/, "it is an HTML or XML page; check the address it was downloaded from"],
  [/^(..)*?00/, "it is no text"],
];
/** Number of bytes at the start of a file that these patterns see. */
const START_BYTES = 512;

export interface ReadOptions {
  /** Whether to return to the event loop after each chunk. False if queries wait for the lists anyway. */
  readonly yields: boolean;
  /** Called for each list. */
  readonly report: (report: ListReport) => void;
  /** Called for each unusable list; the other lists still count. Without this callback the promise rejects. */
  readonly onBadList?: (error: UsageError) => void;
}

/**
 * Reads all lists into one index. Rejects with `UsageError` if a file cannot be read, or if none of its lines has a rule:
 * such a list would silently block nothing.
 */
export async function readLists(
  files: readonly ListFile[],
  { yields, report, onBadList }: ReadOptions,
): Promise<Lists> {
  const names = new BlockIndex();
  for (const [list, file] of files.entries()) {
    const { label, path } = file;
    try {
      const { count, ignored } = await readList(names, list, file, yields);
      report({ label, names: count, ignored });
      if (count === 0 && ignored > 0) throw new Error(NO_NAMES);
    } catch (cause) {
      const error = unreadable(optionOf(file), path, cause);
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
  yields: boolean,
): Promise<{ count: number; ignored: number }> {
  const parser = new ListParser();
  let count = 0;
  let ignored = 0;
  await readLines(path, yields, (bytes, start, end) => {
    const isUnderstood = parser.parse(bytes, start, end, (rule) => {
      count++;
      names.add(parser.name, allows ? { ...rule, allows } : rule, list);
    });
    if (!isUnderstood) ignored++;
  });
  return { count, ignored };
}

/** Calls `visit` with each line, without the line feed. A line longer than a chunk loses its start; no name is that long. */
async function readLines(
  path: string,
  yields: boolean,
  visit: (bytes: Uint8Array, start: number, end: number) => void,
): Promise<void> {
  using file = await withinDeadline(path, () => Deno.open(path), { discard: (late) => late.close() });
  const buffer = new Uint8Array(2 * CHUNK_BYTES);
  let kept = 0;
  let isFirst = true;
  for (;;) {
    const bytes = await withinDeadline(path, () => file.read(buffer.subarray(kept, kept + CHUNK_BYTES)));
    if (bytes === null) break;
    const filled = kept + bytes;
    let start = isFirst ? startOfLines(buffer.subarray(0, filled)) : 0;
    isFirst = false;
    for (let end = buffer.indexOf(LINE_FEED, kept); end >= 0 && end < filled;) {
      visit(buffer, start, end);
      start = end + 1;
      end = buffer.indexOf(LINE_FEED, start);
    }
    start = Math.max(start, filled - CHUNK_BYTES);
    buffer.copyWithin(0, start, filled);
    kept = filled - start;
    // Reads from the system's page cache resolve at once: without a timer no other event would run before the end.
    if (yields) await new Promise((resolve) => setTimeout(resolve, 0));
  }
  if (kept > 0) visit(buffer, 0, kept);
}

/** The offset of the first line, after a byte order mark. Throws an `Error` if the bytes are not a list. */
function startOfLines(bytes: Uint8Array): number {
  const start = bytes.subarray(0, START_BYTES).toHex();
  const [, reason] = NOT_LISTS.find(([pattern]) => pattern.test(start)) ?? [];
  if (reason !== undefined) throw new Error(reason);
  return start.startsWith(BYTE_ORDER_MARK) ? BYTE_ORDER_MARK.length / 2 : 0;
}

/** The options that name the files of the policy. */
interface PolicyFiles {
  readonly lists: readonly ListFile[];
  /** Paths. */
  readonly hosts: readonly string[];
}

/** Opens each list before the proxy answers queries. Throws `UsageError` for the first that cannot be read. */
export function checkListFilesNow({ lists }: PolicyFiles): void {
  for (const list of lists) checkInputFile(optionOf(list), list.path);
}

/**
 * Checks lists and hosts files before they are read, and resolves with the paths of the empty ones. Rejects with
 * `UsageError` for a missing file and a hanging file system. Also rejects for an empty file that may not be empty: after
 * a failed download, answers would depend on the earlier state.
 */
export async function checkListFiles(
  { lists, hosts }: PolicyFiles,
  mayBeEmpty: ReadonlySet<string> | "all",
): Promise<Set<string>> {
  const empty = new Set<string>();
  const check = async (option: string, path: string, isAllowList = false) => {
    const isExpected = isAllowList || mayBeEmpty === "all" || mayBeEmpty.has(path);
    if (await checkInputFileLater(option, path, { mayBeEmpty: isExpected }) === 0) empty.add(path);
  };
  for (const list of lists) await check(optionOf(list), list.path, list.allows);
  for (const path of hosts) await check("--hosts", path);
  return empty;
}

function optionOf({ allows }: ListFile): string {
  return allows ? "--unblock" : "--block";
}
