import type { ServerResponse } from 'node:http';
import { startTarget, type TargetRequest } from '../kit/targets.ts';
import { EVENT, NUMBER, PUSHED } from './platform.ts';

/** An application behind a delivery route: it answers at once, unless it is told to hold its answers back. */

/** Of its queue in Redis, too. */
export const ROUTE = 'application';
/** Of all replicas together; few enough that held answers soon keep others waiting. */
const CONCURRENCY = 50;
const PER_SECOND = 1_000;

export interface Application {
  /** As CONFIG_FILE spells it. */
  route: object;
  /** In the order in which they came. */
  deliveries: Delivery[];
  /** From now on nobody gets an answer. */
  hold(): void;
  /** Answers those that are held, and from now on at once. */
  release(): void;
  /** How many of those that are held were given up by who sent them. */
  abandoned(): number;
  close(): Promise<void>;
}

export interface Delivery {
  id: string;
  /** Of the push. */
  number: number;
  /** Epoch ms; undefined while it is not, and for good when nobody was there any more to hear it. */
  answeredAt: number | undefined;
}

export async function startApplication(): Promise<Application> {
  const target = await startTarget();
  const deliveries: Delivery[] = [];
  const held: { response: ServerResponse; delivery: Delivery }[] = [];
  let isHolding = false;
  target.answer((request, response) => {
    const delivery = deliveryFrom(request);
    deliveries.push(delivery);
    held.push({ response, delivery });
    if (!isHolding) answerHeld();
  });
  const answerHeld = () => {
    for (const { response, delivery } of held.splice(0)) {
      if (response.destroyed) continue;
      response.end();
      delivery.answeredAt = Date.now();
    }
  };
  return {
    route: {
      name: ROUTE,
      target: target.url,
      mode: 'json',
      secrets: [`whsec_${Buffer.alloc(32, 7).toString('base64')}`],
      match: { component: PUSHED.appid, info_type: EVENT },
      concurrency: CONCURRENCY,
      per_second: PER_SECOND,
    },
    deliveries,
    hold: () => void (isHolding = true),
    release() {
      isHolding = false;
      answerHeld();
    },
    abandoned: () => held.filter(({ response }) => response.destroyed).length,
    close: () => target.close(),
  };
}

function deliveryFrom({ headers, body }: TargetRequest): Delivery {
  const { data } = JSON.parse(body) as { data: Record<string, string> };
  return { id: headers['webhook-id'] ?? '', number: Number(data[NUMBER]), answeredAt: undefined };
}
