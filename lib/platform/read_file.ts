/**
 * Files that the configuration names. An unreadable file is a `UsageError` with the option, the reason and a remedy. At the
 * start, files are read synchronously; later in the background, each with a deadline.
 */

import { UsageError } from "../core/errors.ts";
import { withinDeadline } from "./file_deadline.ts";

/** Returns the text of a file. `source` is the option or upstream that names it. Throws `UsageError`. */
export type ReadFile = (source: string, path: string) => string;

/** Reads a file synchronously, without a deadline. */
export const readTextFile: ReadFile = (source, path) => {
  try {
    refuseSpecial(Deno.statSync(path));
    return Deno.readTextFileSync(path);
  } catch (cause) {
    throw unreadable(source, path, cause);
  }
};

/** Reads a file in the background. Rejects with `UsageError`, also if its file system does not respond. */
export async function readInputFileLater(source: string, path: string): Promise<string> {
  try {
    return await withinDeadline(path, async () => {
      refuseSpecial(await Deno.stat(path));
      return await Deno.readTextFile(path);
    });
  } catch (cause) {
    throw unreadable(source, path, cause);
  }
}

/**
 * Runs a synchronous function whose files are read in the background. The function runs again after each file, so it must have
 * no side effects before it has all of them. Rejects with its errors, and with `UsageError`.
 */
export async function readAhead<T>(use: (read: ReadFile) => T): Promise<T> {
  const texts = new Map<string, string>();
  const read: ReadFile = (source, path) => {
    const text = texts.get(path);
    if (text === undefined) throw new Unread(source, path);
    return text;
  };
  for (;;) {
    try {
      return use(read);
    } catch (error) {
      if (!(error instanceof Unread)) throw error;
      texts.set(error.path, await readInputFileLater(error.source, error.path));
    }
  }
}

/** Thrown into `use` for a file that has not been read. */
class Unread extends Error {
  readonly source: string;
  readonly path: string;

  constructor(source: string, path: string) {
    super(path);
    this.source = source;
    this.path = path;
  }
}

/** Checks that a file can be read. Throws `UsageError`. */
export function checkInputFile(source: string, path: string): void {
  try {
    refuseSpecial(Deno.statSync(path));
    using file = Deno.openSync(path);
    file.readSync(new Uint8Array(1)); // Opening succeeds for a directory, too.
  } catch (cause) {
    throw unreadable(source, path, cause);
  }
}

/**
 * Checks a file in the background, and resolves with its size in bytes. Rejects with `UsageError` if the file is not
 * accessible, or if it is empty and may not be.
 */
export async function checkInputFileLater(
  source: string,
  path: string,
  { mayBeEmpty }: { mayBeEmpty: boolean },
): Promise<number> {
  try {
    const info = await withinDeadline(path, () => Deno.stat(path));
    refuseSpecial(info);
    if (info.isDirectory) throw new Error("Is a directory (os error 21)");
    if (info.size === 0 && !mayBeEmpty) {
      throw new Error("the file is empty (add a comment if it is meant to be empty)");
    }
    return info.size;
  } catch (cause) {
    throw unreadable(source, path, cause);
  }
}

/** Reading a pipe would block, and a second read returns nothing. */
function refuseSpecial({ isFile, isDirectory }: Pick<Deno.FileInfo, "isFile" | "isDirectory">): void {
  if (!isFile && !isDirectory) throw new Error("it is a pipe or a device");
}

/** The error for an unreadable file: its option, the reason and a remedy. */
export function unreadable(source: string, path: string, cause: unknown): UsageError {
  const reason = cause instanceof Deno.errors.NotCapable
    ? "it is a pipe or a device"
    : (cause as Error).message.replace(/: (open|readfile|stat) '.*'$/s, ""); // Without the path, which the message has already.
  return new UsageError(`${source}: cannot read "${path}": ${reason}; ${remedyFor(cause)}`, { cause });
}

function remedyFor(cause: unknown): string {
  if (cause instanceof Deno.errors.NotFound) return "correct the path, or create the file";
  if (cause instanceof Deno.errors.PermissionDenied) return "give read access to the user of this process";
  if (cause instanceof Deno.errors.TimedOut) return "check the mount that contains it";
  return "choose a readable file";
}
