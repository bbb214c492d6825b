/** CPU time and placement of a process, from /proc, with all of its threads and children. */
import type { Command } from "../../tests/support/processes/child.ts";
import { pathOf } from "./programs.ts";

/** The proxy has this core to itself. */
export const PROXY_CORE = 0;
/** The load, the upstream and the path between are on this one. */
export const LOAD_CORE = 1;

/** In µs: /proc/PID/stat counts in hundredths of a second on every Linux (USER_HZ). */
const TICK = 10_000;
/** Fields behind the name, which may hold blanks itself: utime and stime are the 14th and 15th. */
const USER_TIME = 14 - 3;
const SYSTEM_TIME = 15 - 3;

/** The same, on one core. `taskset` becomes the program, so that the PID is the program's. */
export function pinned(core: number, { program, args, ...rest }: Command): Command {
  return { program: pathOf("taskset"), args: ["--cpu-list", `${core}`, program, ...args], ...rest };
}

/** CPU time used so far, in µs. */
export interface CpuTime {
  /** Of all that ever ran, in steps of 10 ms. */
  readonly coarse: number;
  /** Of the threads that still run, to the nanosecond. */
  readonly fine: number;
}

export function cpuTime(pid: number): CpuTime {
  const coarse = sum(pid, (each) => {
    const stat = Deno.readTextFileSync(`/proc/${each}/stat`);
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return TICK * (Number(fields[USER_TIME]) + Number(fields[SYSTEM_TIME]));
  });
  const fine = sum(pid, (each) =>
    threadsOf(each).reduce((total, thread) => {
      const [nanoseconds] = Deno.readTextFileSync(`/proc/${each}/task/${thread}/schedstat`).split(" ");
      return total + Number(nanoseconds) / 1000;
    }, 0));
  return { coarse, fine };
}

/** CPU time between two readings: the finer figure, unless a thread has ended and its time is lost. */
export function usedBetween(before: CpuTime, after: CpuTime): number {
  const [coarse, fine] = [after.coarse - before.coarse, after.fine - before.fine];
  return Math.abs(coarse - fine) <= 2 * TICK ? fine : coarse;
}

/** How long the proxy's core has been busy with anything, in µs. */
export function busyTime(): number {
  const line = new RegExp(`^cpu${PROXY_CORE} (.*)$`, "m").exec(Deno.readTextFileSync("/proc/stat"))?.[1] ??
    "";
  // user nice system idle iowait irq softirq steal; the later fields are part of the first two.
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = line.split(" ").map(Number);
  return TICK * (user + nice + system + irq + softirq + steal);
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
  return threadsOf(pid).flatMap((thread) => {
    const children = Deno.readTextFileSync(`/proc/${pid}/task/${thread}/children`);
    return children.split(" ").filter(Boolean).map(Number);
  });
}

function threadsOf(pid: number): string[] {
  return [...Deno.readDirSync(`/proc/${pid}/task`)].map(({ name }) => name);
}
