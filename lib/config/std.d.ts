/** Types of the used functions of the standard library. Its npm package has no types. */

export declare function parseArgs<Text extends string, Flag extends string>(
  args: string[],
  options: {
    /** Options with a value. Those that are also in `collect` return all values in order. */
    string: Text[];
    collect: Text[];
    boolean: Flag[];
    alias: Record<string, Flag>;
    /** Called for an unknown option, or for an argument that is no option; then `key` is undefined. */
    unknown: (arg: string, key?: string) => unknown;
  },
): Record<Text, string[]> & Record<Flag, boolean> & { _: (string | number)[] };

/** The word with the smallest Levenshtein distance. */
export declare function closestString(given: string, possible: readonly string[]): string;
