import express, { type Request, type RequestHandler, type Router } from 'express';
import { z } from 'zod';
import { peekCredential, readCredential, type Credential } from '../credentials/read.ts';
import { rejectCredential, type RejectContext } from '../credentials/reject.ts';
import { KeeperError } from '../errors.ts';
import type { CredentialId, CredentialKindName } from '../store/keys.ts';
import type { RequireScope } from './authentication.ts';

/** Reading a credential, complaining about one, and asking for another one. */

const PATHS = [
  '/v1/credentials/:kind/:component',
  '/v1/credentials/:kind/:component/:authorizer',
] as const;
const below = (action: string) => PATHS.map((path) => `${path}/${action}`);

const complaintSchema = z.object({
  seq: z.number().int().nonnegative(),
  errcode: z.number().int(),
});
const MAX_BODY = '1kb';

export function credentialRoutes(context: RejectContext, requireScope: RequireScope): Router {
  const router = express.Router();
  const json = express.json({ limit: MAX_BODY, inflate: false, type: () => true });
  // Before the reads: `rejected` must not be taken for the appid of an authorizer.
  router.post(
    below('rejected'),
    requireScope('credentials:refresh'),
    json,
    answerComplaint(context),
  );
  router.post(below('refresh'), requireScope('admin'), answerComplaint(context, 'forced'));
  router.all([...below('rejected'), ...below('refresh')], () => {
    throw new KeeperError('method_not_allowed', 'Only POST is served here.');
  });
  router.get([...PATHS], requireScope('credentials:read'), serveCredential(context));
  router.all([...PATHS], () => {
    throw new KeeperError('method_not_allowed', 'Only GET is served here.');
  });
  return router;
}

/** The ETag is the seq: a service that polls learns in a few bytes that nothing changed. */
function serveCredential(context: RejectContext): RequestHandler {
  return async (request, response) => {
    const id = idOf(request);
    // HEAD must change nothing, and reading a single-use value hands it out.
    if (request.method === 'HEAD') {
      const { seq } = await peekCredential(context, id);
      response.set('ETag', `"${seq}"`).end();
      return;
    }
    const credential = await readCredential(context, id);
    const etag = `"${credential.seq}"`;
    response.set('ETag', etag);
    const singleUse = context.keeper.kindOf(id)?.singleUse === true;
    if (!singleUse && request.headers['if-none-match'] === etag) {
      response.status(304).end();
      return;
    }
    response.json(describe(id, credential));
  };
}

/** The answer to a complaint says what came of it, and the value to go on with. */
function answerComplaint(context: RejectContext, forced?: 'forced'): RequestHandler {
  return async (request, response) => {
    const id = idOf(request);
    const { seq, errcode } = forced ? { seq: undefined, errcode: undefined } : read(request.body);
    const caller = String(response.locals.caller);
    const answer = await rejectCredential(context, id, { seq, errcode, caller });
    if (answer.retryAfterSeconds !== undefined) {
      response.set('Retry-After', String(answer.retryAfterSeconds));
    }
    response.set('ETag', `"${answer.current.seq}"`);
    response.json({ outcome: answer.outcome, ...describe(id, answer.current) });
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
    expires_at: new Date(expiresAt).toISOString(),
    expires_in: Math.max(0, Math.floor(expiresInMs / 1000)),
    seq,
    state,
    source,
  };
}

function idOf(request: Request): CredentialId {
  const { kind, component, authorizer } = request.params as Record<string, string | undefined>;
  const subject =
    authorizer === undefined ? String(component) : `${String(component)}:${authorizer}`;
  return { kind: kind as CredentialKindName, subject };
}
