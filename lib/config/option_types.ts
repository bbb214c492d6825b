/** Types of option values: words, numbers, durations and sizes. */

/** The used part of JSON Schema for a single value. */
export interface Schema {
  readonly type: "string" | "integer" | "boolean" | readonly ["integer", "string"];
  readonly enum?: readonly string[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
}

/** A type of values: how to parse and describe them. */
export interface Kind<Value> {
  readonly accepts: string;
  /** Type in a configuration file; a string by default. */
  readonly schema?: Schema;
  /** Returns a list, because a preset is several values. Throws a `TypeError` with the text, the reason and the remedy. */
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

export function integer(min: number, max: number): Kind<number> {
  function parse(text: string): number[] {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < min || value > max) {
      throw new TypeError(`"${text}" is not a whole number from ${min} to ${max}`);
    }
    return [value];
  }
  return {
    accepts: `${min} to ${max}`,
    schema: { type: "integer", minimum: min, maximum: max },
    parse,
  };
}

export function duration(min: string, max: string): Kind<number> {
  function parse(text: string): number[] {
    const value = milliseconds(text);
    if (!(value >= milliseconds(min) && value <= milliseconds(max))) {
      throw new TypeError(
        `"${text}" is not a duration from ${min} to ${max}, with its unit (ms, s, m, h or d)`,
      );
    }
    return [value];
  }
  return { accepts: `${min} to ${max}`, schema: { type: "string", pattern: DURATION.source }, parse };
}

export function size(min: string, max: string): Kind<number> {
  function parse(text: string): number[] {
    const value = bytesOf(text);
    if (!(value >= bytesOf(min) && value <= bytesOf(max))) {
      throw new TypeError(
        `"${text}" is not a size from ${min} to ${max}, with its unit (such as MB or MiB)`,
      );
    }
    return [value];
  }
  return { accepts: `${min} to ${max}`, schema: { type: "string", pattern: SIZE.source }, parse };
}

/** A type that also accepts 0 without a unit. */
export function orZero({ accepts, schema, parse }: Kind<number>): Kind<number> {
  return {
    accepts: `0, or ${accepts}`,
    schema: { ...schema, type: ["integer", "string"], minimum: 0, maximum: 0 },
    parse: (text) => text === "0" ? [0] : parse(text),
  };
}

const SIZE = /^(\d+)([kMG]B|[KMG]iB)$/;
const DURATION = /^(\d+)(ms|s|m|h|d)$/;

/** NaN unless the text is a whole number with a unit. */
function bytesOf(text: string): number {
  const [, count, unit = ""] = SIZE.exec(text) ?? [];
  const unitBytes = { kB: 1e3, MB: 1e6, GB: 1e9, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 }[unit];
  return Number(count) * (unitBytes ?? NaN);
}

/** NaN unless the text is a whole number with a unit. */
function milliseconds(text: string): number {
  const [, count, unit = ""] = DURATION.exec(text) ?? [];
  return Number(count) * ({ ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }[unit] ?? NaN);
}
