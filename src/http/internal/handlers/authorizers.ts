import type { ReadContext } from '../../../credentials/read.ts';
import type { Request, RequestHandler, Response } from 'express';
import type * as z from 'zod';
import { refreshProfile } from '../../../authorizers/profile.ts';
import type { Reconciler } from '../../../authorizers/reconciliation/runner.ts';
import { KeeperError } from '../../../lib/errors.ts';
import {
  countAuthorizers,
  findAuthorizers,
  readAuthorizer,
} from '../../../store/authorizers/profile.ts';
import { describeAuthorizer, describeAuthorizers } from '../authorizer-view.ts';
import { explain, knownComponent } from '../../explain.ts';
import { authorizerQuery, type AUTHORIZER_ROUTES } from '../routes/authorizers.ts';
import type { HandlersOf } from '../route.ts';

/** Who has authorized a component: the list, one of them, and the comparison with WeChat's own list. */

export interface AuthorizersOptions {
  context: ReadContext;
  reconciler: Reconciler;
  /** Appids of the configured components. */
  components: readonly string[];
}

export function authorizerHandlers(
  options: AuthorizersOptions,
): HandlersOf<typeof AUTHORIZER_ROUTES> {
  return {
    listAuthorizers: list(options),
    readAuthorizer: showOne(options),
    refreshAuthorizerProfile: askAgain(options),
    readReconciliation: showProgress(options),
    startReconciliation: startReconciling(options),
  };
}

function list(options: AuthorizersOptions): RequestHandler {
  return async (request, response) => {
    const { context } = options;
    const { store } = context;
    const component = knownComponent(options.components, request);
    const { limit, after = '', search, state } = readQuery(request);
    const query = { limit, after, search, state };
    const { entries, next } = await findAuthorizers(store, component, query);
    response.json({
      authorizers: await describeAuthorizers(context, component, entries),
      next: next ?? null,
      total: await countAuthorizers(store, component),
    });
  };
}

function showOne({ context, components }: AuthorizersOptions): RequestHandler {
  return (request, response) =>
    answerOne(context, knownComponent(components, request), request, response);
}

function askAgain({ context, components }: AuthorizersOptions): RequestHandler {
  return async (request, response) => {
    const component = knownComponent(components, request);
    const authorizer = String(request.params.authorizer);
    const entry = await readAuthorizer(context.store, component, authorizer);
    if (entry === undefined) throw unknown();
    await refreshProfile(context, component, authorizer).catch(explain);
    await answerOne(context, component, request, response);
  };
}

function showProgress({ reconciler, components }: AuthorizersOptions): RequestHandler {
  return async (request, response) => {
    const component = knownComponent(components, request);
    response.json({ reconcile: await reconciler.progress(component) });
  };
}

function startReconciling({ reconciler, components }: AuthorizersOptions): RequestHandler {
  return async (request, response) => {
    const component = knownComponent(components, request);
    await reconciler.request(component);
    response.status(202).json({ reconcile: await reconciler.progress(component) });
  };
}

async function answerOne(
  context: ReadContext,
  component: string,
  request: Request,
  response: Response,
): Promise<void> {
  const appid = String(request.params.authorizer);
  const entry = await readAuthorizer(context.store, component, appid);
  if (entry === undefined) throw unknown();
  response.json(await describeAuthorizer(context, component, { appid, ...entry }));
}

/** @throws KeeperError `bad_request` with every fault */
function readQuery(request: Request): z.output<typeof authorizerQuery> {
  const result = authorizerQuery.safeParse({ ...request.query });
  if (result.success) return result.data;
  const faults = result.error.issues.map((issue) =>
    issue.code === 'unrecognized_keys'
      ? `${issue.keys.join(', ')} ${issue.keys.length === 1 ? 'is' : 'are'} not known here`
      : `${issue.path.join('.')} ${issue.message}`,
  );
  throw new KeeperError('bad_request', `${faults.join('; ')}.`);
}

function unknown(): KeeperError {
  return new KeeperError('not_found', 'This account is not known to have authorized the platform.');
}
