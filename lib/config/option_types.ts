/** What an option's value can be, other than an address: how it is described and read. */

/** As much of JSON Schema as there is to say about a single value. */
export interface Schema {
  readonly type: "string" | "integer" | "boolean" | readonly ["integer", "string"];
  readonly enum?: readonly string[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
}

export interface Kind<Value> {
  readonly accepts: string;
  /** What it is in a file: a text unless something else is said. */
  readonly schema?: Schema;
  /** A list, because a preset is several values. Throws a `TypeError` that names the text, the reason and the remedy. */
  readonly parse: (text: string) => Value[];
}

export function oneOf<const Word extends string>(...words: Word[]): Kind<Word> {
  function parse(text: string): Word[] {
    const word = words.find((each) => each === text);
    if (word === undefined) throw new TypeError(`"${text}" is not one of ${words.join(", ")}`);
    return [word];
  }
  return { accepts: words.join(", "), schema: { type: "string", enum: words }, parse };
}

export const boolean: Kind<"true" | "false"> = { ...oneOf("true", "false"), schema: { type: "boolean" } };

export function integer(least: number, most: number): Kind<number> {
  function parse(text: string): number[] {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < least || value > most) {
      throw new TypeError(`"${text}" is not a whole number from ${least} to ${most}`);
    }
    return [value];
  }
  return {
    accepts: `${least} to ${most}`,
    schema: { type: "integer", minimum: least, maximum: most },
    parse,
  };
}

export function duration(least: string, most: string): Kind<number> {
  function parse(text: string): number[] {
    const value = milliseconds(text);
    if (!(value >= milliseconds(least) && value <= milliseconds(most))) {
      throw new TypeError(
        `"${text}" is not a duration from ${least} to ${most}, with its unit (ms, s, m, h or d)`,
      );
    }
    return [value];
  }
  return { accepts: `${least} to ${most}`, schema: { type: "string", pattern: DURATION.source }, parse };
}

export function size(least: string, most: string): Kind<number> {
  function parse(text: string): number[] {
    const value = octets(text);
    if (!(value >= octets(least) && value <= octets(most))) {
      throw new TypeError(
        `"${text}" is not a size from ${least} to ${most}, with its unit (MB, MiB and their like)`,
      );
    }
    return [value];
  }
  return { accepts: `${least} to ${most}`, schema: { type: "string", pattern: SIZE.source }, parse };
}

/** What can be turned off as well, by a zero that needs no unit. */
export function orZero({ accepts, schema, parse }: Kind<number>): Kind<number> {
  return {
    accepts: `0, or ${accepts}`,
    schema: { ...schema, type: ["integer", "string"], minimum: 0, maximum: 0 },
    parse: (text) => text === "0" ? [0] : parse(text),
  };
}

const SIZE = /^(\d+)([kMG]B|[KMG]iB)$/;
const DURATION = /^(\d+)(ms|s|m|h|d)$/;

/** NaN unless a whole number with its unit. */
function octets(text: string): number {
  const [, count, unit = ""] = SIZE.exec(text) ?? [];
  const octets = { kB: 1e3, MB: 1e6, GB: 1e9, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 }[unit];
  return Number(count) * (octets ?? NaN);
}

/** NaN unless a whole number with its unit. */
function milliseconds(text: string): number {
  const [, count, unit = ""] = DURATION.exec(text) ?? [];
  return Number(count) * ({ ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }[unit] ?? NaN);
}
