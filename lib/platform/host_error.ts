/** Errors of the operating system, with a remedy for each. */

/** Reason and remedy by error name. Deno and node:net both store the name in `code`. */
const REASONS: Readonly<Record<string, string>> = {
  EMFILE: "no free file descriptors: raise LimitNOFILE (systemd), ulimit -n, or --ulimit nofile (containers)",
  ENFILE: "this host has no free file descriptors: raise the sysctl fs.file-max",
  ENOBUFS:
    "the kernel has no memory for more network buffers: free memory, or raise the sysctl net.ipv4.tcp_mem",
  ENOMEM: "there is not enough memory: free some, or raise the limit of this container or unit",
  ENOSPC: "no space left on the device: free some",
  EDQUOT: "the disk quota is used up: raise it, or free some space",
  EIO: "the device reports an input/output error: check the disk (dmesg)",
  EROFS: "the file system is read-only: choose another place, or mount it writable",
  EACCES: "permission denied: grant it to the user of this process",
  EPERM: "not permitted: a sandbox or a security module of this host blocks it",
  EAFNOSUPPORT:
    "this address family is not allowed here: check RestrictAddressFamilies (systemd), which needs AF_NETLINK",
};

/** The name of a system error, such as "EMFILE"; undefined for other errors. */
export function errorCode(error: unknown): string | undefined {
  const { code } = (error ?? {}) as { readonly code?: unknown };
  return typeof code === "string" ? code : undefined;
}

const SHORTAGES = new Set(["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"]);

/** Whether this host lacks descriptors, buffers or memory. The cause is local and may be temporary. */
export function isShortage(error: unknown): boolean {
  return SHORTAGES.has(errorCode(error) ?? "");
}

/** Reason and remedy of a known system error, else the message of the error. */
export function hostReason(error: unknown): string {
  return REASONS[errorCode(error) ?? ""] ?? (error instanceof Error ? error.message : String(error));
}
