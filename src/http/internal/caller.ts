import type { Request, Response } from 'express';
import type { ApiKey } from '../../config/api-keys.ts';
import type { Answering } from '../request-response.ts';
import { narrowTo, type SnapshotContext } from '../../status/context.ts';

/** Who asks, once it is known; for whatever comes after. */
export interface Caller {
  key: ApiKey;
  /** What the key is narrowed to for what was asked; undefined: it may see all. */
  appids: readonly string[] | undefined;
}

/** After authentication. */
export function callerOf(response: Answering): Caller {
  const caller = knownCaller(response);
  // Nothing may be shown to nobody: a route without a check is a fault of ours.
  if (caller === undefined) throw new Error('asked who calls before anybody was let in');
  return caller;
}

/** Undefined before authentication, and where it failed. */
export function knownCaller(response: Answering): Caller | undefined {
  return response.locals.caller as Caller | undefined;
}

export function setCaller(response: Answering, caller: Caller): void {
  response.locals.caller = caller;
}

/** As much of the status as this caller may see. After authentication. */
export function visibleTo(response: Response, status: SnapshotContext): SnapshotContext {
  return narrowTo(status, callerOf(response).appids);
}

/** The appids that a path names: a component or an account of our own, and an authorizer. */
export function namedIn({ params }: Pick<Request, 'params'>): string[] {
  return [params.component, params.authorizer].filter((one) => typeof one === 'string');
}
