import type { ServerResponse } from 'node:http';
import { note, type CallRecord } from './ledger.ts';
import { find } from './values.ts';
import type { Answer, ApiRequest, Operations, World } from './model.ts';

const RID = /rid: ([0-9a-f-]+)$/;
const TRACES_KEPT = 10_000;
const TOKENS = ['component_access_token', 'authorizer_access_token', 'access_token'] as const;

export function createOperations(): Operations {
  return {
    callers: new WeakMap(),
    cleared: new WeakSet(),
    clearings: new Map(),
    open: new WeakMap(),
    traces: new Map(),
  };
}

/** The account whose token is in the query, and which kind of token it is; dead ones count. */
export function tokenIn(world: World, { query }: ApiRequest) {
  const text = query.get('component_access_token') ?? query.get('access_token') ?? '';
  for (const kind of TOKENS) {
    const issued = find(world, kind, text);
    if (issued === undefined) continue;
    return { kind, issued, appid: issued.owner.slice(issued.owner.indexOf(':') + 1) };
  }
  return undefined;
}

/** Notes a call that is to be answered through `response`. */
export function beginCall(
  world: World,
  record: CallRecord,
  request: ApiRequest,
  response: ServerResponse,
): void {
  const { callers, open } = world.operations;
  const caller = record.appid === '' ? tokenIn(world, request)?.appid : undefined;
  if (caller !== undefined) callers.set(record, caller);
  open.set(response, { record, text: request.text });
}

/** Remembers what a refusal was about, under the rid that it names. */
export function traceAnswer(world: World, response: ServerResponse, answer: Answer): void {
  const { open, traces } = world.operations;
  const call = open.get(response);
  const rid = typeof answer['errmsg'] === 'string' ? RID.exec(answer['errmsg'])?.[1] : undefined;
  if (call === undefined || rid === undefined) return;
  const { record, text } = call;
  traces.set(rid, {
    owner: ownerOf(world, record),
    at: record.at,
    tookMs: world.clock.now() - record.at,
    url: response.req.url ?? '',
    requestBody: text,
    responseBody: JSON.stringify(answer),
    clientIp: response.req.socket.remoteAddress ?? '',
  });
  for (const oldest of traces.keys()) {
    if (traces.size <= TRACES_KEPT) break;
    traces.delete(oldest);
  }
}

/** Calls of one API by one account since `since`, without those that were cleared. */
export function countCalls(world: World, api: string, appid: string, since: number): number {
  const { cleared } = world.operations;
  return world.ledger.calls.filter(
    (call) =>
      call.api === api &&
      call.at >= since &&
      ownerOf(world, call) === appid &&
      call.errcode !== 45009 &&
      !cleared.has(call),
  ).length;
}

/** Makes all calls of an account good. */
export function clearCalls(world: World, appid: string): void {
  const { cleared, clearings } = world.operations;
  for (const call of world.ledger.calls) if (ownerOf(world, call) === appid) cleared.add(call);
  const times = clearings.get(appid) ?? [];
  note(times, world.clock.now(), TRACES_KEPT);
  clearings.set(appid, times);
}

function ownerOf({ operations }: World, record: CallRecord): string {
  return operations.callers.get(record) ?? record.appid;
}
