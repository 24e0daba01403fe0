import express from 'express';
import type { CodeOutcome } from '../../src/authorizers/code-exchange/queue.ts';
import { createLink, type AuthorizationLink } from '../../src/authorizers/link.ts';
import { authorizationPages } from '../../src/http/public/authorize.ts';
import { createPublicApp } from '../../src/http/public/app.ts';
import { listen, type Listener } from '../../src/http/server.ts';
import type { Receiver } from '../../src/callbacks/receiver.ts';
import { createManualClock } from './clock.ts';
import { collectUnmasked } from './logs.ts';
import { HOUR, MINUTE } from './platform.ts';

/** The pages for merchants on a real listener, with the rest of the service played by the test. */

export const SECRET = '0f1e2d3c4b5a69788796a5b4c3d2e1f0';
export const COMPONENT = 'wx0123456789abcdef';
export const ACCOUNT = 'wxfedcba9876543210';
export const BACK = 'https://shop.example.com/wechat';
export const CODE = 'queryauthcode@@@abc-DEF_123';

/** The public listener with the pages, and what they asked the rest of the service for. */
export async function openPages(
  options: { publicBaseUrl?: string | undefined; peer?: string } = {},
) {
  const clock = createManualClock();
  const { log, given: logged } = collectUnmasked();
  const asked = { preAuthCodes: 0, codes: [] as [string, string, number][] };
  const answers = {
    preAuthCode: (): Promise<{ value: string; expiresInMs: number }> => {
      asked.preAuthCodes += 1;
      return Promise.resolve({
        value: `preauthcode@@@${asked.preAuthCodes}`,
        expiresInMs: 30 * MINUTE - 1,
      });
    },
    outcome: (): Promise<CodeOutcome> =>
      Promise.resolve({ did: 'authorized', authorizer: ACCOUNT }),
  };
  const pages = {
    components: [{ appid: COMPONENT, appsecret: SECRET, returnUrls: [BACK] }],
    publicBaseUrl: 'publicBaseUrl' in options ? options.publicBaseUrl : 'https://wx.example.com',
    wechatAuthorizationUrls: { pc: 'https://mp.example', mobile: 'https://open.example' },
    clock,
    apiKeys: [],
    takePreAuthCode: () => answers.preAuthCode(),
    takeCode: (component: string, code: string, life: number) => {
      asked.codes.push([component, code, life]);
      return answers.outcome();
    },
  };
  const receiver = { knows: () => false } as unknown as Receiver;
  let app = createPublicApp(receiver, log, pages);
  if (options.peer !== undefined) {
    const outer = express();
    outer.use((request, _response, next) => {
      Object.defineProperty(request, 'ip', { value: options.peer });
      next();
    });
    outer.use(authorizationPages(pages, log));
    app = outer;
  }
  const listener = await listen(app, '127.0.0.1', 0);
  listeners.push(listener);
  const link = (parts: Partial<AuthorizationLink> = {}, lifeMs = 24 * HOUR) =>
    createLink(
      SECRET,
      {
        component: COMPONENT,
        authType: 3,
        bizAppid: undefined,
        categoryIds: [],
        returnUrl: undefined,
        state: undefined,
        language: undefined,
        ...parts,
      },
      clock.now() + lifeMs,
    );
  const get = async (path: string, headers: Record<string, string> = {}, method = 'GET') => {
    const response = await fetch(`http://127.0.0.1:${listener.port}${path}`, {
      method,
      headers,
      redirect: 'manual',
    });
    return { response, status: response.status, text: await response.text() };
  };
  const start = (token: string, headers?: Record<string, string>, method?: string) =>
    get(`/authorize/${COMPONENT}?link=${token}`, headers, method);
  const done = (token: string, query = `&auth_code=${encodeURIComponent(CODE)}&expires_in=600`) =>
    get(`/authorize/${COMPONENT}/done?link=${token}${query}`, { 'accept-language': 'en' });
  return {
    clock,
    asked,
    answers,
    link,
    get,
    start,
    done,
    logged,
  };
}

const listeners: Listener[] = [];
/** Ends what was opened; for `afterEach`. */
export async function closePages(): Promise<void> {
  await Promise.all(listeners.splice(0).map((one) => one.close(0)));
}

/** The addresses of a page, as a browser reads them. */
export function linksOf(text: string): string[] {
  return [...text.matchAll(/href="([^"]*)"/g)].map(([, href = '']) =>
    href.replaceAll('&amp;', '&').replaceAll('&#39;', "'").replaceAll('&quot;', '"'),
  );
}
