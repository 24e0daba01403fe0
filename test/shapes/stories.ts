import type { ShapeName } from '../kit/redis-shapes/shapes.ts';

/** The stories of `test/integration/` that must be the same on every Redis that production may have. */
export interface Story {
  name: string;
  /** One of the few for `--short`. */
  isShort?: boolean;
  /** Shapes on which it says nothing, and why. */
  not?: Partial<Record<ShapeName, string>>;
}

export const STORIES: readonly Story[] = [
  { name: 'ticket-to-credentials', isShort: true },
  { name: 'tickets-out-of-order' },
  { name: 'tickets-stop' },
  { name: 'two-replicas-refresh-once' },
  { name: 'refresh-faults' },
  { name: 'lost-answers' },
  { name: 'rejected-tokens' },
  { name: 'authorization-codes', isShort: true },
  { name: 'authorizations-that-survive' },
  { name: 'authorizer-tokens' },
  { name: 'authorizers-due-together' },
  { name: 'reconciliation' },
  { name: 'keys-spoiled-by-hand' },
  { name: 'tickets-spoiled-by-hand' },
  { name: 'authorizers-restored' },
  { name: 'sealed-refresh-tokens' },
  { name: 'dashboard' },
  { name: 'dashboard-spoiled' },
  { name: 'deliveries', isShort: true },
  { name: 'delivery-queues' },
  { name: 'delivery-replies' },
  { name: 'demo' },
];
