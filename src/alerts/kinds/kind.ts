import type { AlertWebhook } from '../../config/file.ts';
import type { HttpAnswer } from '../../lib/http-client.ts';
import type { Notice } from '../notice.ts';

/** How one kind of webhook wants to be spoken to. */
export interface AlertKindRule {
  /** Takes several messages as one: robots are silenced when they say too much. */
  batches: boolean;
  request(webhook: AlertWebhook, notices: readonly Notice[], now: Now): AlertRequest;
  /** Why an answer means that nothing was delivered, in a word; undefined when it was. */
  faultIn(answer: HttpAnswer): string | undefined;
}

export interface Now {
  /** Wall clock, epoch ms: signatures are judged by it. */
  at: number;
  /** Of wxkeeper. */
  version: string;
}

export interface AlertRequest {
  url: URL;
  payload: Buffer;
  headers?: Readonly<Record<string, string>>;
}

/** For robots that answer 200 whatever happens: the number in `field` must be 0. */
export function faultByCode(field: string): AlertKindRule['faultIn'] {
  return ({ status, body }) => {
    if (status < 200 || status > 299) return `http_${status}`;
    let code: unknown;
    try {
      code = (JSON.parse(body) as Record<string, unknown> | null)?.[field];
    } catch {
      return 'no_json';
    }
    if (code === 0) return undefined;
    return typeof code === 'number' ? `${field}_${code}` : `no_${field}`;
  };
}

export function inJson(payload: unknown): Buffer {
  return Buffer.from(JSON.stringify(payload));
}
