/** Where a process runs, and what it has used: from /proc, all of its threads and children together. */
import type { Command } from "../tests/e2e/child.ts";
import { pathOf } from "./programs.ts";

/** The proxy has this core to itself. */
export const PROXY_CORE = 0;
/** The load, the upstream and the path between are on this one. */
export const LOAD_CORE = 1;

/** In µs: /proc counts in hundredths of a second on every Linux (USER_HZ). */
const TICK = 10_000;

/** Fields of /proc/PID/stat behind the name, which may hold blanks itself: utime and stime are the 14th and 15th. */
const USER_TIME = 14 - 3;
const SYSTEM_TIME = 15 - 3;

/** The same, on one core. `taskset` becomes the program, so that the PID is the program's. */
export function pinned(core: number, { program, args, ...rest }: Command): Command {
  return { program: pathOf("taskset"), args: ["--cpu-list", `${core}`, program, ...args], ...rest };
}

/** CPU time used so far, in µs. */
export function cpuTime(pid: number): number {
  return sum(pid, (each) => {
    const stat = Deno.readTextFileSync(`/proc/${each}/stat`);
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return TICK * (Number(fields[USER_TIME]) + Number(fields[SYSTEM_TIME]));
  });
}

/** The most memory that was ever resident, in octets. */
export function peakMemory(pid: number): number {
  return memory(pid, "VmHWM");
}

/** The memory that is resident now, in octets. */
export function residentMemory(pid: number): number {
  return memory(pid, "VmRSS");
}

function memory(pid: number, field: string): number {
  return sum(pid, (each) => {
    const status = Deno.readTextFileSync(`/proc/${each}/status`);
    return 1024 * Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? 0);
  });
}

function sum(pid: number, of: (pid: number) => number): number {
  return of(pid) + childrenOf(pid).reduce((total, child) => total + sum(child, of), 0);
}

function childrenOf(pid: number): number[] {
  return [...Deno.readDirSync(`/proc/${pid}/task`)].flatMap(({ name }) => {
    const children = Deno.readTextFileSync(`/proc/${pid}/task/${name}/children`);
    return children.split(" ").filter(Boolean).map(Number);
  });
}
