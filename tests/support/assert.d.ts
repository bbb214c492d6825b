// deno-lint-ignore no-explicit-any -- a constructor's parameters are of no interest here
type Class<T> = abstract new (...args: any[]) => T;

export declare function assert(value: unknown, message?: string): asserts value;
export declare function assertEquals<T>(actual: T, expected: T, message?: string): void;
export declare function assertExists<T>(actual: T, message?: string): asserts actual is NonNullable<T>;
export declare function assertInstanceOf<T>(
  actual: unknown,
  expected: Class<T>,
  message?: string,
): asserts actual is T;
export declare function assertMatch(actual: string, expected: RegExp, message?: string): void;
export declare function assertNotEquals<T>(actual: T, expected: T, message?: string): void;
export declare function assertRejects<E extends Error = Error>(
  body: () => PromiseLike<unknown>,
  errorClass?: Class<E>,
  messageIncludes?: string,
): Promise<E>;
export declare function assertStrictEquals<T>(
  actual: unknown,
  expected: T,
  message?: string,
): asserts actual is T;
export declare function assertStringIncludes(actual: string, expected: string, message?: string): void;
export declare function assertThrows<E extends Error = Error>(
  body: () => unknown,
  errorClass?: Class<E>,
  messageIncludes?: string,
): E;
