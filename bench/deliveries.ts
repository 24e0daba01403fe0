import { measureBurst } from './deliveries-burst.ts';
import { measureReplies } from './deliveries-replies.ts';
import { measureWaiting } from './deliveries-waiting.ts';
import { withTarget } from './rig/delivering.ts';
import type { Options } from './rig/options.ts';
import type { Report } from './rig/report.ts';
import { onStage } from './rig/stage.ts';

/**
 * Pushes that are passed on: what WeChat notices of it when targets are dead or slow, in a burst and with a
 * million deliveries waiting, and what a reply to a user takes besides the target's own time.
 */
export async function measureDeliveries(options: Options): Promise<Report> {
  return await onStage((stage) =>
    withTarget(stage, async (delivering) => {
      const parts = [
        await measureBurst(delivering, options),
        await measureReplies(delivering, options),
        await measureWaiting(delivering, options),
      ];
      return {
        bench: 'deliveries',
        title: {
          en: 'Deliveries: a burst, replies, a million waiting',
          zh: '转发：突发、回复、一百万条等待',
        },
        tables: parts.flatMap(({ tables }) => tables),
        lines: parts.flatMap(({ lines }) => lines),
        notes: parts.flatMap(({ notes }) => notes),
        failed: parts.some(({ failed }) => failed),
      };
    }),
  );
}

/** One of them. */
export type Part = Required<Pick<Report, 'tables' | 'lines' | 'notes' | 'failed'>>;
