/**
 * Files that the configuration names. One that cannot be read is a `UsageError` that says who names it, the reason and a
 * remedy. At the start they are read at once; later beside the traffic, each with a deadline.
 */
import { UsageError } from "../core/errors.ts";
import { withinDeadline } from "./file_deadline.ts";

/** @param source what names the file: an option, or the upstream whose parameter it is. Throws `UsageError`. */
export type ReadFile = (source: string, path: string) => string;

/** Reads a file at once, however long that takes. */
export const readTextFile: ReadFile = (source, path) => {
  try {
    refuseSpecial(Deno.statSync(path));
    return Deno.readTextFileSync(path);
  } catch (cause) {
    throw unreadable(source, path, cause);
  }
};

/** Reads a file beside the traffic. Rejects with `UsageError`, also where its file system does not answer. */
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
 * What `use` makes of files that are read beside the traffic: it runs again whenever one that it asks for has been read,
 * and so must change nothing before it has all of them. Rejects with what it throws, and with `UsageError`.
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

/** A file that has to be read before `use` can go on. */
class Unread extends Error {
  readonly source: string;
  readonly path: string;

  constructor(source: string, path: string) {
    super(path);
    this.source = source;
    this.path = path;
  }
}

/** For a file that is read later, and little by little. Throws `UsageError`. */
export function checkInputFile(source: string, path: string): void {
  try {
    refuseSpecial(Deno.statSync(path));
    using file = Deno.openSync(path);
    file.readSync(new Uint8Array(1)); // a directory can be opened, too
  } catch (cause) {
    throw unreadable(source, path, cause);
  }
}

/**
 * Looks at a file beside the traffic, and resolves with its size in bytes. Rejects with `UsageError` if that cannot be
 * done, or if the file is empty and may not be.
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
      throw new Error("it is empty (a comment in it says that it is meant to be)");
    }
    return info.size;
  } catch (cause) {
    throw unreadable(source, path, cause);
  }
}

/** A pipe would be waited for, and is empty the second time. */
function refuseSpecial({ isFile, isDirectory }: Pick<Deno.FileInfo, "isFile" | "isDirectory">): void {
  if (!isFile && !isDirectory) throw new Error("it is a pipe or a device");
}

/** Who names a file that cannot be read, why it cannot, and what to do. */
export function unreadable(source: string, path: string, cause: unknown): UsageError {
  const reason = cause instanceof Deno.errors.NotCapable
    ? "it is a pipe or a device"
    : (cause as Error).message.replace(/: (open|readfile|stat) '.*'$/s, ""); // the path once more
  return new UsageError(`${source}: cannot read "${path}": ${reason}; ${remedyFor(cause)}`, { cause });
}

function remedyFor(cause: unknown): string {
  if (cause instanceof Deno.errors.NotFound) return "correct the path, or put the file there";
  if (cause instanceof Deno.errors.PermissionDenied) return "let the user read it that this program runs as";
  if (cause instanceof Deno.errors.TimedOut) return "look after the mount that it is on";
  return "name a file that can be read";
}
