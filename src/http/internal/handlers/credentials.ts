import { iso } from '../../../lib/time-format.ts';
import express, { type Request, type RequestHandler } from 'express';
import type * as z from 'zod';
import {
  peekCredential,
  readCredential,
  type Credential,
  type ReadContext,
} from '../../../credentials/read.ts';
import { reportInvalid, type ReportContext } from '../../../credentials/report-invalid.ts';
import { mayUse } from '../../../config/api-keys.ts';
import { KeeperError } from '../../../lib/errors.ts';
import type { CredentialId, CredentialKindName } from '../../../store/redis/keys.ts';
import { callerOf, namedIn } from '../caller.ts';
import { sendJson, type Answering, type Asked } from '../../request-response.ts';
import { complaintSchema, type CREDENTIAL_ROUTES } from '../routes/credentials.ts';
import type { HandlersOf } from '../route.ts';

/** Reading a credential, complaining about one, and asking for another one. */

const MAX_BODY = '1kb';

export function credentialHandlers(context: ReportContext): HandlersOf<typeof CREDENTIAL_ROUTES> {
  const json = express.json({ limit: MAX_BODY, inflate: false, type: () => true });
  const report = [json, answerReport(context)];
  const refresh = answerReport(context, 'forced');
  const read = serveCredential(context);
  return {
    rejectCredential: report,
    rejectCredentialOfAuthorizer: report,
    refreshCredential: refresh,
    refreshCredentialOfAuthorizer: refresh,
    readCredential: read,
    readCredentialOfAuthorizer: read,
  };
}

function serveCredential(context: ReadContext): RequestHandler {
  return async (request, response) => {
    const id = idOf(request);
    // HEAD must change nothing, and reading a single-use value hands it out.
    if (request.method === 'HEAD') {
      const { seq } = await peekCredential(context, id);
      response.set('ETag', `"${seq}"`).end();
      return;
    }
    await answerRead(context, id, request, response);
  };
}

/** The ETag is the seq: a service that polls learns in a few bytes that nothing changed. */
export async function answerRead(
  context: ReadContext,
  id: CredentialId,
  request: Asked,
  response: Answering,
): Promise<void> {
  const credential = await readCredential(context, id);
  const etag = `"${credential.seq}"`;
  response.setHeader('ETag', etag);
  const isKnown = isAtHand(request.headers['if-none-match'], etag);
  // What works once is in nobody else's hands.
  if (isKnown && context.keeper.kindOf(id)?.singleUse !== true) {
    response.statusCode = 304;
    response.end();
    return;
  }
  sendJson(response, 200, textOf(id, credential));
}

/** Whether the caller has it: a list may be sent, and a proxy on the way may have called it weak. */
function isAtHand(known: string | undefined, etag: string): boolean {
  if (known === undefined || known === etag) return known === etag;
  const tags = known.split(',').map((tag) => tag.trim().replace(/^W\//, ''));
  return tags.includes(etag) || known.trim() === '*';
}

/** Many are given the same one at once. */
const texts = new WeakMap<Credential, string>();

function textOf(id: CredentialId, credential: Credential): string {
  const known = texts.get(credential);
  if (known !== undefined) return known;
  const text = JSON.stringify(describe(id, credential));
  texts.set(credential, text);
  return text;
}

/** The answer to a complaint says what came of it, and the value to go on with. */
function answerReport(context: ReportContext, forced?: 'forced'): RequestHandler {
  return async (request, response) => {
    const id = idOf(request);
    const { seq, errcode } = forced ? { seq: undefined, errcode: undefined } : read(request.body);
    const { key } = callerOf(response);
    const mayRead = mayUse(key, 'credentials:read', namedIn(request));
    const complaint = { seq, errcode, caller: key.id, mayRead };
    const answer = await reportInvalid(context, id, complaint);
    if (answer.retryAfterSeconds !== undefined) {
      response.set('Retry-After', String(answer.retryAfterSeconds));
    }
    response.set('ETag', `"${answer.current.seq}"`);
    const current = describe(id, answer.current);
    // Whoever may only report learns what came of it, and not the value.
    const shown = mayRead ? current : { ...current, value: undefined };
    response.json({ outcome: answer.outcome, ...shown });
  };
}

function read(body: unknown): z.infer<typeof complaintSchema> {
  const result = complaintSchema.safeParse(body);
  if (result.success) return result.data;
  const message = 'Send {"seq": <the seq you used>, "errcode": <what WeChat said>} as JSON.';
  throw new KeeperError('bad_request', message);
}

function describe(id: CredentialId, credential: Credential) {
  const { value, expiresAt, expiresInMs, seq, state, source } = credential;
  return {
    kind: id.kind,
    subject: id.subject,
    value,
    expires_at: iso(expiresAt),
    expires_in: Math.max(0, Math.floor(expiresInMs / 1000)),
    seq,
    state,
    source,
  };
}

export function idOf({ params }: { params: Request['params'] }): CredentialId {
  const { kind, component, authorizer } = params as Record<string, string | undefined>;
  const subject =
    authorizer === undefined ? String(component) : `${String(component)}:${authorizer}`;
  return { kind: kind as CredentialKindName, subject };
}
