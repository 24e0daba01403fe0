import { admit } from './authentication.ts';
import type { ApiKey } from '../../config/api-keys.ts';
import type { ReadContext } from '../../credentials/read.ts';
import type { Log } from '../../lib/log.ts';
import { createAudit, type Audit } from './audit.ts';
import { setCaller } from './caller.ts';
import { answerRead, idOf } from './handlers/credentials.ts';
import { respondBeforeExpress } from '../errors.ts';
import { beginAnswer, type Answering } from '../request-response.ts';
import { internalErrors } from './errors.ts';
import { observeResponse, type Seen } from './route.ts';
import { READ_OF_AUTHORIZER, READ_OF_ONE } from './routes/credentials.ts';
import type { Front } from '../server.ts';

/**
 * Reads of credentials, before Express: a platform asks for them at each call to WeChat, and Express's
 * layers cost several times what a read does. Every rule here is the one that the route in Express's table
 * has, by the same function. This door only knows the usual request, of a caller who may read a value that
 * may be read twice, by the plainest form of its address. All else is left to Express before anything
 * was done: refusals, HEAD, codes that work once, queries, escaped or misspelt paths.
 */
const ADDRESS =
  /^\/v1\/credentials\/([a-z_]{1,40})\/(wx[0-9a-zA-Z]{16})(?:\/(wx[0-9a-zA-Z]{16}))?$/;

export interface ReadFrontOptions {
  apiKeys: readonly ApiKey[];
  reading: ReadContext;
  log: Log;
  /** The trail; one that is only logged, unless given. */
  audit?: Audit;
  observe?: (seen: Seen) => void;
}

export function createReadFront(options: ReadFrontOptions): Front {
  const { apiKeys, log, reading, observe, audit = createAudit({ log }) } = options;
  const errors = internalErrors(log, audit);
  return (request, plain) => {
    const watched = request.method === 'GET' ? match(request.url) : undefined;
    if (watched === undefined) return false;
    const id = idOf(watched);
    const kind = reading.keeper.kindOf(id);
    if (kind === undefined || kind.singleUse) return false;
    const { route, named } = watched;
    const { caller, passes } = admit(apiKeys, route.scope, request, named);
    if (caller === undefined || !passes) return false;

    // From here on it is served here, in the order of Express's layers.
    const response: Answering = Object.assign(plain, { locals: {} });
    const routeOf = () => route.path;
    if (observe !== undefined) observeResponse({ request, response, routeOf, observe });
    beginAnswer(response);
    audit.follow(watched, request, response);
    setCaller(response, caller);
    answerRead(reading, id, request, response).catch((thrown: unknown) => {
      respondBeforeExpress(errors, thrown, request, response);
    });
    return true;
  };
}

/** The names in an address of the plainest form. */
function match(url: string | undefined) {
  const found = ADDRESS.exec(url ?? '');
  if (found === null) return undefined;
  const [, kind = '', component = '', authorizer] = found;
  if (authorizer === undefined) {
    return { route: READ_OF_ONE, params: { kind, component }, named: [component] };
  }
  const params = { kind, component, authorizer };
  return { route: READ_OF_AUTHORIZER, params, named: [component, authorizer] };
}
