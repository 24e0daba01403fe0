import { it } from 'vitest';
import { findValkey } from './valkey.ts';

/** A story that needs Valkey: left out where there is none, but never in CI. */
export function itWithValkey(title: string, story: () => Promise<void>): void {
  it(title, async (context) => {
    if (!process.env['CI']) {
      const missing = await findValkey().then(
        () => undefined,
        (error: unknown) => error as Error,
      );
      context.skip(missing !== undefined, missing?.message);
    }
    await story();
  });
}
